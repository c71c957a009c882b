"""From fetched columns to values, and from rows to the shape that was asked for.

Columns whose payload is the value need no work at all: the engine's rows are then the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from typing import Any, Final

from persistence.query.ast import COLLECTION, RELATION, SCALAR, Query
from persistence.query.cells import BOOL, FLOAT, INST, INT, KEYWORD, STRING
from persistence.query.patterns import LAST_INSTANT
from persistence.store.dialect import Dialect
from persistence.values import INTERNED, Keyword, Map, compare, from_columns, from_micros

Row = tuple[Any, ...]
_ORDER: Final = cmp_to_key(compare)
_ESCAPE: Final = "\x01"


class _Keywords(dict[str, Keyword]):
    """Names to keywords, each made once for a result."""

    def __missing__(self, name: str) -> Keyword:
        made = self[name] = Keyword(name)
        return made


def width(dialect: Dialect, kind: int | None) -> int:
    """How many columns a value of this kind is fetched in."""
    return len(dialect.parts(kind)) + (kind is None)


def values(
    dialect: Dialect,
    kinds: Sequence[int | None],
    rows: list[Row],
    blobs: Callable[[set[tuple[int, str]]], dict[tuple[int, str], Any]],
) -> list[Row]:
    """The rows as values. *blobs* reads the interned values among them, all at once."""
    if not rows or _as_fetched(kinds, rows):
        return rows
    columns = []
    at = 0
    for kind in kinds:
        size = width(dialect, kind)
        if size == 1:
            columns.append(_static(dialect, kind, [row[at] for row in rows]))
        else:
            columns.append(_dynamic(dialect, at, size, rows, blobs))
        at += size
    return list(zip(*columns, strict=True))


def _as_fetched(kinds: Sequence[int | None], rows: list[Row]) -> bool:
    """Whether every column already holds the values: ints, and strings without escapes."""
    for at, kind in enumerate(kinds):
        if kind == INT:
            continue
        if kind != STRING or _ESCAPE in "".join([row[at] for row in rows]):
            return False
    return True


def _static(dialect: Dialect, kind: int | None, column: list[Any]) -> list[Any]:
    assert kind is not None
    if kind == INT:
        return column
    if kind == STRING:
        return column if _ESCAPE not in "".join(column) else [_value(kind, v) for v in column]
    if kind == KEYWORD:
        known = _Keywords()
        return [known[name] for name in column]
    if kind == BOOL:
        return [value == 1 for value in column]
    if kind == INST:
        return [from_micros(value if value < LAST_INSTANT else LAST_INSTANT) for value in column]
    if kind == FLOAT and dialect.name == "sqlite":
        if all(type(value) is float for value in column):
            return column
        return [float(value) for value in column]
    return [_value(kind, dialect.payload_of(kind, (value,))) for value in column]


def _value(kind: int, payload: Any) -> Any:
    return from_columns(kind, payload)


def _dynamic(
    dialect: Dialect,
    at: int,
    size: int,
    rows: list[Row],
    blobs: Callable[[set[tuple[int, str]]], dict[tuple[int, str], Any]],
) -> list[Any]:
    if size == 2:
        pairs = [(row[at], row[at + 1]) for row in rows]
    else:
        pairs = [(row[at], dialect.payload_of(row[at], row[at + 1 : at + size])) for row in rows]
    kinds = {k for k, _ in pairs}
    if kinds == {INT}:
        return [payload for _, payload in pairs]
    if len(kinds) == 1 and kinds <= {STRING, KEYWORD}:
        return _static(dialect, kinds.pop(), [payload for _, payload in pairs])
    long = {pair for pair in pairs if pair[0] >= INTERNED}
    found = blobs(long) if long else {}
    keywords = _Keywords()
    read: list[Any] = []
    for k, payload in pairs:
        if k == INT:
            read.append(payload)
        elif k == STRING:
            read.append(payload if _ESCAPE not in payload else from_columns(k, payload))
        elif k == KEYWORD:
            read.append(keywords[payload])
        elif k >= INTERNED:
            read.append(found[k, payload])
        else:
            read.append(from_columns(k, payload))
    return read


def shaped(query: Query, rows: list[Row]) -> Any:
    """The answer in the shape that `:find` and `:keys` ask for."""
    if query.shape == RELATION:
        return rows if query.keys is None else [_mapped(query, row) for row in rows]
    if query.shape == COLLECTION:
        return [row[0] for row in rows]
    if not rows:
        return None
    if query.shape == SCALAR:
        return rows[0][0]
    return rows[0] if query.keys is None else _mapped(query, rows[0])


def _mapped(query: Query, row: Iterable[Any]) -> Map:
    assert query.keys is not None
    return Map(zip(query.keys, row, strict=True))


def ordered(query: Query, rows: list[Row]) -> list[Row]:
    """The rows in the order that the query asks for."""
    for order in reversed(query.order):
        rows = sorted(rows, key=lambda row: _ORDER(row[order.place]), reverse=order.descending)
    return rows
