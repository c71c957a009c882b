"""Tests of single values, of texts and of intervals as SQL conditions.

A value of another kind than the test is for is a trap: Python says what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from persistence.query.body import NotSql
from persistence.query.cells import BOOL, INST, INT, STRING, Cell, narrowed, same, static
from persistence.query.compile import Compiler

ALLEN: Final = {
    "before?": "{1} < {2}",
    "meets?": "{1} = {2}",
    "overlaps?": "{0} < {2} AND {2} < {1} AND {1} < {3}",
    "starts?": "{0} = {2} AND {1} < {3}",
    "during?": "{2} < {0} AND {1} < {3}",
    "finishes?": "{2} < {0} AND {1} = {3}",
    "equals?": "{0} = {2} AND {1} = {3}",
    "after?": "{3} < {0}",
    "met-by?": "{3} = {0}",
    "overlapped-by?": "{2} < {0} AND {0} < {3} AND {3} < {1}",
    "started-by?": "{0} = {2} AND {3} < {1}",
    "contains-interval?": "{0} < {2} AND {3} < {1}",
    "finished-by?": "{0} < {2} AND {1} = {3}",
    "intersects?": "{0} < {3} AND {2} < {1}",
}


def allen(compiler: Compiler, cells: list[Cell], relation: str) -> str:
    """One of Allen's relations between two intervals, given by four ends."""
    if len(cells) != 4 or any(cell.kind not in (INST, INT) for cell in cells):
        raise NotSql("Allen's relations take four ends in SQL")
    ends = [cell.payload[0] for cell in cells]
    trap = compiler.trap(ends[0])
    proper = f"{ends[0]} < {ends[1]} AND {ends[2]} < {ends[3]}"
    return f"CASE WHEN {proper} THEN {relation.format(*ends)} ELSE {trap} = 0 END"


def _number_test(template: str) -> Callable[..., str]:
    def test(compiler: Compiler, *cells: Cell) -> str:
        if len(cells) != 1 or cells[0].kind not in (INT, None):
            raise NotSql("a test of numbers that are not ints runs in Python")
        (cell,) = cells
        (payload,) = narrowed(compiler.dialect, cell, INT)
        if cell.kind is None:
            trap = f"{compiler.trap(cell.k)} = 0"
            return f"CASE {cell.k} WHEN {INT} THEN {template.format(payload)} ELSE {trap} END"
        return template.format(payload)

    return test


def _text_test(template: str) -> Callable[..., str]:
    def test(compiler: Compiler, *cells: Cell) -> str:
        if len(cells) != 2 or any(cell.kind not in (STRING, None) for cell in cells):
            raise NotSql("a test of other things than strings runs in Python")
        one, other = (narrowed(compiler.dialect, cell, STRING)[0] for cell in cells)
        holds = template.format(one, other)
        unknown = [cell.k for cell in cells if cell.kind is None]
        if not unknown:
            return holds
        strings = " AND ".join(f"{k} = {STRING}" for k in unknown)
        return f"CASE WHEN {strings} THEN {holds} ELSE {compiler.trap(unknown[0])} = 0 END"

    return test


def _begins(compiler: Compiler, *cells: Cell) -> str:
    return _text_test("substr({0}, 1, length({1})) = {1}")(compiler, *cells)


def _includes(compiler: Compiler, *cells: Cell) -> str:
    find = "instr" if compiler.dialect.name == "sqlite" else "strpos"
    return _text_test(find + "({0}, {1}) > 0")(compiler, *cells)


def _ends(compiler: Compiler, *cells: Cell) -> str:
    test = "(length({1}) = 0 OR (length({0}) >= length({1})"
    test += " AND substr({0}, length({0}) - length({1}) + 1) = {1}))"
    return _text_test(test)(compiler, *cells)


def _truth(value: str) -> Callable[..., str]:
    def test(compiler: Compiler, *cells: Cell) -> str:
        if len(cells) != 1:
            raise NotSql("one argument is expected")
        return " AND ".join(same(compiler.dialect, cells[0], static(BOOL, value))) or "1 = 1"

    return test


TESTS: Final[dict[str, Callable[..., str]]] = {
    "zero?": _number_test("{0} = 0"),
    "pos?": _number_test("{0} > 0"),
    "neg?": _number_test("{0} < 0"),
    "even?": _number_test("{0} % 2 = 0"),
    "odd?": _number_test("{0} % 2 <> 0"),
    "starts-with?": _begins,
    "ends-with?": _ends,
    "includes?": _includes,
    "true?": _truth("1"),
    "false?": _truth("0"),
}
