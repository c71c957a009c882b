"""Equality and order in SQL, with exactly the meaning they have in Python (see `values.order`).

A comparison of a value whose kind is not known is a CASE over its kind. What the engine would get
wrong (integers beyond 64 bits, exact numbers, NaN) is a trap: the statement fails, and the query
is answered again with those clauses in Python.
"""

from __future__ import annotations

from typing import Final

from persistence.query.body import NotSql
from persistence.query.cells import (
    BOOL,
    FALSE,
    FLOAT,
    INST,
    INT,
    STRING,
    Cell,
    narrowed,
    same,
    static,
)
from persistence.query.compile import Compiler
from persistence.values import INTERNED, NUMERIC

ORDERED: Final = ("<", "<=", ">", ">=")
_EXACT_KINDS: Final = (BOOL, INT, INST, 8, 10, 11, 12, 13)  # engine order is value order; no floats


def equal(compiler: Compiler, cells: list[Cell], positive: bool) -> str:
    """Whether all of *cells* hold the same value, or not."""
    first, *rest = cells
    conditions = [c for other in rest for c in same(compiler.dialect, first, other)]
    text = " AND ".join(conditions) or "1 = 1"
    return text if positive else f"NOT ({text})"


def compared(compiler: Compiler, op: str, a: Cell, b: Cell) -> str:
    """`a op b` in the order of all values."""
    if a.kind is not None and b.kind is not None:
        return _static_order(compiler, op, a, b)
    if a.kind is not None:
        flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]
        return compared(compiler, flipped, b, a)
    if b.kind is not None:
        return _order_by_kind(compiler, op, a, b, b.kind)
    return _dynamic_order(compiler, op, a, b)


def _static_order(compiler: Compiler, op: str, a: Cell, b: Cell) -> str:
    assert a.kind is not None and b.kind is not None
    if a.kind == b.kind and a.kind < INTERNED:
        (x,), (y,) = a.payload, b.payload
        if a.kind == FLOAT and compiler.dialect.name == "sqlite":
            x, y = compiler.real(x), compiler.real(y)
        return f"{x} {op} {y}"
    if {a.kind, b.kind} <= {INT, FLOAT}:
        if compiler.dialect.name != "sqlite":
            raise NotSql("an int and a float are compared in Python")
        x = compiler.real(a.payload[0]) if a.kind == FLOAT else a.payload[0]
        y = compiler.real(b.payload[0]) if b.kind == FLOAT else b.payload[0]
        # Equal as numbers, the int comes first.
        strict = op[0] + "=" if (a.kind == INT) == (op[0] == "<") else op[0]
        return f"{x} {strict} {y}"
    if a.kind in NUMERIC and b.kind in NUMERIC:
        raise NotSql("exact numbers are compared in Python")
    if a.kind >= INTERNED or b.kind >= INTERNED:
        raise NotSql("long values are compared in Python")
    return "1 = 1" if (a.kind < b.kind) == (op[0] == "<") else FALSE


def _order_by_kind(compiler: Compiler, op: str, a: Cell, b: Cell, kind: int) -> str:
    """A value of unknown kind against one of a known kind."""
    if kind >= INTERNED:
        raise NotSql("long values are compared in Python")
    trap = f"{compiler.trap(a.k)} = 0"
    cases = []
    same_kind = static(kind, *narrowed(compiler.dialect, a, kind))
    cases.append((f"{a.k} = {kind}", _static_order(compiler, op, same_kind, b)))
    if kind in NUMERIC:
        others = sorted(int(each) for each in NUMERIC if each != kind)
        near = FLOAT if kind == INT else INT
        if kind in (INT, FLOAT) and compiler.dialect.name == "sqlite":
            beside = static(near, *narrowed(compiler.dialect, a, near))
            cases.append((f"{a.k} = {near}", _static_order(compiler, op, beside, b)))
            others.remove(near)
        numbers = ", ".join(str(each) for each in others)
        cases.append((f"{a.k} % {INTERNED} IN ({numbers})", trap))
    cases.append((f"{a.k} = {kind + INTERNED}", trap))
    order = f"{a.k} % {INTERNED} {op[0]} {kind}"
    whens = " ".join(f"WHEN {condition} THEN {result}" for condition, result in cases)
    return f"CASE {whens} ELSE {order} END"


def _dynamic_order(compiler: Compiler, op: str, a: Cell, b: Cell) -> str:
    trap = f"{compiler.trap(a.k)} = 0"
    kinds = ", ".join(map(str, (*_EXACT_KINDS, STRING)))
    numbers = ", ".join(str(int(each)) for each in sorted(NUMERIC))
    if len(a.payload) == 1:
        order = f"{a.payload[0]} {op} {b.payload[0]}"
    else:
        order = f"({', '.join(a.payload)}) {op} ({', '.join(b.payload)})"
    ka, kb = f"{a.k} % {INTERNED}", f"{b.k} % {INTERNED}"
    return (
        f"CASE WHEN {a.k} = {b.k} AND {a.k} IN ({kinds}) THEN {order}"
        f" WHEN {ka} = {kb} OR ({ka} IN ({numbers}) AND {kb} IN ({numbers})) THEN {trap}"
        f" ELSE {ka} {op[0]} {kb} END"
    )
