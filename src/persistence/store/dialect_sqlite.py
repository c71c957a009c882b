"""SQLite's side of the query compiler: one payload column, JSON for relations, our join order."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from typing import Any, Final

import apsw
import attrs

from persistence.store.dialect import FLOAT_KIND, Column
from persistence.values import Payload

_COMPACT: Final = (",", ":")
_NO_ID: Final = (-1,)


@attrs.frozen
class SqliteDialect:
    """See :class:`persistence.store.dialect.Dialect`."""

    name: str = "sqlite"
    payload: tuple[str, ...] = ("v",)
    ordered: bool = True

    def parts(self, kind: int | None) -> tuple[str, ...]:
        return ("v",)

    def split(self, kind: int, payload: Payload) -> dict[str, Any]:
        return {"v": payload}

    def payload_of(self, kind: int, row: Sequence[Any]) -> Payload:
        return row[0]  # type: ignore[no-any-return]

    def parameter(self, number: int, type: str) -> str:
        return f"?{number}"

    def real(self, part: str) -> str:
        # NaN and -0.0 are kept as text; no comparison of SQLite's is right for them.
        return f"CASE typeof({part}) WHEN 'real' THEN {part} ELSE {self.trap('0')} END"

    def member(self, expression: str, parameter: str) -> str:
        return f"{expression} IN (SELECT value FROM json_each({parameter}))"

    def integers(self, values: Sequence[int]) -> Any:
        return json.dumps(values, separators=_COMPACT)

    def ids(self, values: Sequence[int]) -> Any:
        # No array is empty, and no id is negative.
        return apsw.carray(array("q", values or _NO_ID), flags=apsw.SQLITE_CARRAY_INT64)

    def listed(self, parameter: str) -> str:
        return f"carray({parameter}) AS w"

    def relation(self, columns: Sequence[Column], parameters: Sequence[str]) -> str:
        parts = ", ".join(_extracted(index, column) for index, column in enumerate(columns))
        return f"SELECT {parts} FROM json_each({parameters[0]})"

    def arrays(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[Any]:
        if any(_may_be_float(column) for column in columns):
            rows = [[_exact(part) if type(part) is float else part for part in row] for row in rows]
        return [json.dumps(rows, ensure_ascii=False, separators=_COMPACT)]

    def relation_parameters(self, columns: Sequence[Column]) -> list[str]:
        return ["json"]

    def least(self, a: str, b: str) -> str:
        return f"min({a}, {b})"

    def trap(self, expression: str) -> str:
        return f"abs(-9223372036854775807 - 1 + 0 * ({expression}))"

    def matching(self, alias: str, words: str) -> tuple[str, str]:
        from_ = f"fts AS {alias}w CROSS JOIN text AS {alias}"
        return from_, f"{alias}w.words MATCH {words} AND {alias}.id = {alias}w.rowid"

    def search(self, words: Sequence[str]) -> str:
        return " ".join(f'"{word}"' for word in words) or '""'

    def guard(self, head: str) -> tuple[str, str]:
        # The outermost loop of a pinned join: its one row is read, and judged, before any other.
        stale = self.trap("head.t")
        last = "head.t = (SELECT max(t) FROM tx)"
        return "tx AS head", f"{last} AND CASE WHEN head.t = {head} THEN 1 ELSE {stale} END"

    def bare(self, expression: str) -> str:
        # A value column is never searched by an operand that has INTEGER affinity.
        return f"+{expression}"

    def integer(self, number: int) -> str:
        return str(number)

    def plan(self, sql: str) -> str:
        return f"EXPLAIN QUERY PLAN {sql}"

    def plan_text(self, rows: Sequence[Sequence[Any]]) -> str:
        depth = {0: -1}
        lines = []
        for id, parent, _, text in rows:
            depth[id] = depth.get(parent, -1) + 1
            lines.append("  " * depth[id] + text)
        return "\n".join(lines)


def _may_be_float(column: Column) -> bool:
    return column.part != "k" and column.kind in (None, FLOAT_KIND)


def _extracted(index: int, column: Column) -> str:
    plain = f"value ->> {index}"
    if not _may_be_float(column):
        return plain
    # A float travels as two integers, mantissa and exponent: text could lose its last bit.
    exact = f"(value ->> '$[{index}][0]') * pow(2.0, value ->> '$[{index}][1]')"
    return f"CASE json_type(value, '$[{index}]') WHEN 'array' THEN {exact} ELSE {plain} END"


def _exact(number: float) -> tuple[int, int]:
    """An odd integer and a power of two whose product is *number*.

    >>> _exact(0.1)
    (3602879701896397, -55)
    """
    if math.isinf(number):
        return (1 if number > 0 else -1), 1024
    numerator, denominator = number.as_integer_ratio()
    if denominator > 1:
        return numerator, 1 - denominator.bit_length()
    if numerator == 0:
        return 0, 0
    shift = (numerator & -numerator).bit_length() - 1
    return numerator >> shift, shift


SQLITE: Final = SqliteDialect()
