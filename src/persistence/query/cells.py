"""What a logic variable is in SQL: a kind and payload expressions, and when two are the same.

Where a declared type or a place of the pattern fixes the kind, the kind is neither compared nor
fetched and one payload column is enough. Elsewhere kind and payload are compared together, which
is exactly value identity.
"""

from __future__ import annotations

import attrs

from persistence.store.dialect import Dialect
from persistence.values import Kind

INT = int(Kind.INT)
INST = int(Kind.INST)
KEYWORD = int(Kind.KEYWORD)
STRING = int(Kind.STRING)
BOOL = int(Kind.BOOL)
FLOAT = int(Kind.FLOAT)

FALSE = "1 = 0"


@attrs.frozen(slots=True)
class Cell:
    """The value of a variable: its kind if known, an expression for it, and the payload.

    `scalar` is the place of the input that a constant came from, `fixed` says that the expression
    is the same for the whole statement.
    """

    kind: int | None
    k: str
    payload: tuple[str, ...]
    fixed: bool = False
    scalar: int | None = None


def static(kind: int, *payload: str, fixed: bool = False, scalar: int | None = None) -> Cell:
    """A cell whose kind is known."""
    return Cell(kind, str(kind), payload, fixed, scalar)


def column_cell(dialect: Dialect, alias: str, kind: int | None, prefix: str = "") -> Cell:
    """The value columns of a table or relation."""
    payload = tuple(f"{alias}.{prefix}{part}" for part in dialect.parts(kind))
    return Cell(kind, str(kind) if kind is not None else f"{alias}.{prefix}k", payload)


def same(dialect: Dialect, a: Cell, b: Cell) -> list[str]:
    """The conditions under which two cells hold the same value."""
    if a.kind is not None and b.kind is not None and a.kind != b.kind:
        return [FALSE]
    kind = a.kind if a.kind is not None else b.kind
    conditions = []
    if a.kind is None or b.kind is None:
        conditions.append(f"{a.k} = {b.k}")
    pairs = zip(narrowed(dialect, a, kind), narrowed(dialect, b, kind), strict=True)
    return conditions + [f"{one} = {other}" for one, other in pairs if one != other]


def narrowed(dialect: Dialect, cell: Cell, kind: int | None) -> tuple[str, ...]:
    """The payload expressions of *cell* that matter among values of *kind*."""
    if cell.kind is not None or kind is None:
        return cell.payload
    wanted = dialect.parts(kind)
    return tuple(
        expression
        for part, expression in zip(dialect.payload, cell.payload, strict=True)
        if part in wanted
    )


def widened(dialect: Dialect, cell: Cell) -> Cell:
    """The same value with its kind as an expression, in every payload column."""
    if cell.kind is None:
        return cell
    known = dict(zip(dialect.parts(cell.kind), cell.payload, strict=True))
    empty = {"n": "0", "s": "''"}
    payload = tuple(known.get(part) or empty[part] for part in dialect.payload)
    k = dialect.integer(cell.kind)
    return attrs.evolve(cell, kind=None, k=k, payload=payload)


def merged(cells: list[Cell]) -> int | None:
    """The kind that all cells have, or None where they differ."""
    kinds = {cell.kind for cell in cells}
    return kinds.pop() if len(kinds) == 1 else None


def selected(cell: Cell) -> list[str]:
    """The expressions that a SELECT list holds for a cell."""
    return [*([cell.k] if cell.kind is None else []), *cell.payload]
