"""Predicates and functions in SQL, by name; what SQL cannot say is left to Python."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from persistence.query.absent_sql import get_else, missing
from persistence.query.ast import BindVar, Function, Predicate, Var
from persistence.query.body import Body, Key, NotSql
from persistence.query.cells import INT, STRING, Cell, narrowed, static
from persistence.query.compile import Compiler
from persistence.query.order_sql import ORDERED, compared, equal
from persistence.query.search import fulltext
from persistence.query.tests_sql import ALLEN, TESTS, allen


def predicate(compiler: Compiler, body: Body, clause: Predicate) -> str:
    """The condition that *clause* is.

    Raises:
        NotSql: SQL has no such condition.
    """
    if type(clause.f) is not str or clause.f in compiler.overridden:
        raise NotSql(f"{clause!r} is a function of one's own")
    if clause.f in ("missing?", "-missing?"):
        return missing(compiler, body, clause)
    cells = [compiler.argument(body, arg) for arg in clause.args]
    if clause.f in ("=", "not=", "!=") and len(cells) >= 2:
        return equal(compiler, cells, clause.f == "=")
    if clause.f in ORDERED and len(cells) >= 2:
        pairs = pairwise(cells)
        return " AND ".join(f"({compared(compiler, clause.f, *pair)})" for pair in pairs)
    if clause.f in ALLEN:
        return allen(compiler, cells, ALLEN[clause.f])
    test = TESTS.get(clause.f)
    if test is None:
        raise NotSql(f"{clause.f} is evaluated in Python")
    return test(compiler, *cells)


def function(compiler: Compiler, body: Body, clause: Function) -> None:
    """Bind what *clause* answers.

    Raises:
        NotSql: SQL has no such function, or takes the answer not apart like that.
    """
    if type(clause.f) is not str or clause.f in compiler.overridden:
        raise NotSql(f"{clause!r} is a function of one's own")
    if clause.f == "get-else":
        get_else(compiler, body, clause)
        return
    if clause.f == "fulltext":
        fulltext(compiler, body, clause)
        return
    if type(clause.binding) is not BindVar:
        raise NotSql(f"{clause!r} takes an answer apart")
    var = clause.binding.var
    if clause.f in ("ground", "identity") and len(clause.args) == 1:
        cell = compiler.argument(body, clause.args[0])
    elif clause.f in _ARITHMETIC:
        cell = _arithmetic(compiler, body, clause)
    elif clause.f in _TEXT and len(clause.args) == 1:
        cell = _text(compiler, body, clause)
    else:
        raise NotSql(f"{clause.f} is evaluated in Python")
    compiler.bind(body, var, cell)
    # What a function answers is determined by its arguments.
    needed = frozenset(arg for arg in clause.args if type(arg) is Var)
    body.keys.append(Key((needed,), frozenset((var,))))


_ARITHMETIC: Final = {"+": "+", "-": "-", "*": "*", "inc": "+", "dec": "-"}
_TEXT: Final = {"count": (INT, "length({0})")}


def _arithmetic(compiler: Compiler, body: Body, clause: Function) -> Cell:
    """Sums and products of ints; what leaves 64 bits is left to Python."""
    assert type(clause.f) is str
    cells = [compiler.argument(body, arg) for arg in clause.args]
    if clause.f in ("inc", "dec"):
        cells.append(static(INT, "1"))
    if len(cells) < 2 or len(clause.args) < 1:
        raise NotSql("arithmetic with one argument runs in Python")
    terms = []
    for cell in cells:
        if cell.kind not in (INT, None):
            raise NotSql("arithmetic of other numbers than ints runs in Python")
        (payload,) = narrowed(compiler.dialect, cell, INT)
        if cell.kind is None:
            trap = compiler.trap(cell.k)
            payload = f"CASE {cell.k} WHEN {INT} THEN {payload} ELSE {trap} END"
        terms.append(payload)
    total = terms[0]
    for term in terms[1:]:
        total = f"({total} {_ARITHMETIC[clause.f]} {term})"
        trap = compiler.trap("0")  # Postgres fails by itself, SQLite goes on in floats
        if compiler.dialect.name == "sqlite":
            total = f"CASE typeof({total}) WHEN 'integer' THEN {total} ELSE {trap} END"
    return static(INT, f"({total})")


def _text(compiler: Compiler, body: Body, clause: Function) -> Cell:
    assert type(clause.f) is str
    kind, template = _TEXT[clause.f]
    cell = compiler.argument(body, clause.args[0])
    if cell.kind not in (STRING, None):
        raise NotSql(f"{clause.f} of other things than strings runs in Python")
    (payload,) = narrowed(compiler.dialect, cell, STRING)
    find = "instr" if compiler.dialect.name == "sqlite" else "strpos"
    escape = "char(1)" if compiler.dialect.name == "sqlite" else "chr(1)"
    plain = f"{find}({payload}, {escape}) = 0"  # escaped characters would count twice
    if cell.kind is None:
        plain = f"{cell.k} = {STRING} AND {plain}"
    trap = compiler.trap("0" if compiler.dialect.name == "sqlite" else payload)
    return static(kind, f"CASE WHEN {plain} THEN {template.format(payload)} ELSE {trap} END")
