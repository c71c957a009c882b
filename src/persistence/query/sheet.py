"""Values side by side: what a read of many entities at once gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from persistence.query.reads import INTEGERS

__all__ = ["Sheet", "lists"]


@attrs.frozen
class Sheet:
    """A row for each entity: its id, a cell for each attribute, and what it refers to.

    A cell is a payload where the kind of an attribute is known, else a kind and a payload; both
    are None where there is no value.
    """

    rows: list[tuple[Any, ...]]
    kinds: tuple[int | None, ...]
    links: list[list[list[int]]]

    @property
    def doubtful(self) -> bool:
        """Whether a payload may be that of an interned value, whose kind was left out."""
        return any(
            kind is not None
            and kind not in INTEGERS
            and any("\x1f" in (row[place] or "") for row in self.rows)
            for place, kind in self._places()
        )

    def _places(self) -> list[tuple[int, int | None]]:
        """Where the payload of each attribute stands in a row, and its kind."""
        found: list[tuple[int, int | None]] = []
        place = 0
        for kind in self.kinds:
            place += 1 if kind is not None else 2
            found.append((place, kind))
        return found

    def cells(self) -> list[tuple[Sequence[int | None], Sequence[Any]]]:
        """For each attribute its kinds and its payloads, in the order of the rows."""
        columns = iter([*zip(*self.rows, strict=True)][1:])
        found: list[tuple[Sequence[int | None], Sequence[Any]]] = []
        for kind in self.kinds:
            kinds = next(columns) if kind is None else None
            payloads = next(columns)
            if kinds is None:
                kinds = tuple([None if payload is None else kind for payload in payloads])
            found.append((kinds, payloads))
        return found


def lists(column: Sequence[Any]) -> list[list[int]]:
    """Lists of integers as an engine gives them: as JSON, or as lists with None for empty ones."""
    if column and type(column[0]) is str:
        found: list[list[int]] = json.loads(f"[{','.join(column)}]")
        return found
    return [value or [] for value in column]
