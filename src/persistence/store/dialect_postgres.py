"""Postgres's side of the query compiler: two payload columns, arrays for relations.

`n` holds what is an integer, and floats as the integer that sorts as they do; `s` holds the text
of every other kind, in the "C" collation, so that both compare as the values do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from persistence.store.dialect import FLOAT_KIND, INTEGER_KINDS, Column
from persistence.values import Payload, float_from_order, float_order

_NUMBERS: Final = INTEGER_KINDS | {FLOAT_KIND}
_TYPES: Final = {"k": "bigint", "i": "bigint", "n": "bigint", "s": "text", "d": "float8"}


@attrs.frozen
class PostgresDialect:
    """See :class:`persistence.store.dialect.Dialect`."""

    name: str = "postgres"
    payload: tuple[str, ...] = ("n", "s")
    ordered: bool = False

    def parts(self, kind: int | None) -> tuple[str, ...]:
        if kind is None:
            return self.payload
        return ("n",) if kind in _NUMBERS else ("s",)

    def split(self, kind: int, payload: Payload) -> dict[str, Any]:
        if kind == FLOAT_KIND:
            return {"n": float_order(float(payload)), "s": ""}
        if kind in INTEGER_KINDS:
            return {"n": payload, "s": ""}
        return {"n": 0, "s": payload}

    def payload_of(self, kind: int, row: Sequence[Any]) -> Payload:
        if kind == FLOAT_KIND:
            return float_from_order(row[0])
        if len(row) == 2 and kind not in INTEGER_KINDS:
            return row[1]  # type: ignore[no-any-return]
        return row[0]  # type: ignore[no-any-return]

    def parameter(self, number: int, type: str) -> str:
        return f"${number}::{_TYPES.get(type, type)}"

    def real(self, part: str) -> str:
        # Orders of floats compare as the floats do, but are no numbers to calculate with.
        return self.trap(part)

    def member(self, expression: str, parameter: str) -> str:
        return f"{expression} = ANY ({parameter})"

    def integers(self, values: Sequence[int]) -> Any:
        return list(values)

    def ids(self, values: Sequence[int]) -> Any:
        return self.integers(values)

    def listed(self, parameter: str) -> str:
        return f"unnest({parameter}) AS w (value)"

    def relation(self, columns: Sequence[Column], parameters: Sequence[str]) -> str:
        return f"SELECT * FROM unnest({', '.join(parameters)})"

    def arrays(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[Any]:
        return [[row[index] for row in rows] for index in range(len(columns))]

    def relation_parameters(self, columns: Sequence[Column]) -> list[str]:
        return [f"{_TYPES[column.part]}[]" for column in columns]

    def least(self, a: str, b: str) -> str:
        return f"least({a}, {b})"

    def trap(self, expression: str) -> str:
        return f"(1 / (length(({expression})::text) * 0))"

    def matching(self, alias: str, words: str) -> tuple[str, str]:
        return f"fts AS {alias}", f"{alias}.words @@ {words}::tsquery"

    def search(self, words: Sequence[str]) -> str:
        return " & ".join(f"'{word}'" for word in words)

    def guard(self, head: str) -> tuple[str, str]:
        # A condition on no table is a one-time filter, judged before the first row is read.
        stale = "1 / (max(t) - max(t)) = 0"
        same = f"coalesce(max(t), 0) = {head}"
        return "", f"(SELECT CASE WHEN {same} THEN true ELSE {stale} END FROM tx)"

    def bare(self, expression: str) -> str:
        return expression

    def integer(self, number: int) -> str:
        return f"{number}::bigint"

    def plan(self, sql: str) -> str:
        return f"EXPLAIN {sql}"

    def plan_text(self, rows: Sequence[Sequence[Any]]) -> str:
        return "\n".join(row[0] for row in rows)


POSTGRES: Final = PostgresDialect()
