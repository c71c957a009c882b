"""How transactions cut the rectangles of the fact index.

A rectangle is one value of one entity and attribute over a valid interval, known from a
transaction on. When a transaction takes away some of its instants, the rectangle is cut along
the valid axis: what stays keeps its row, what goes becomes a closed row with the same `t0`.
The log's datoms alone determine the cuts, so the index can be rebuilt from the log, to the row.

    Cells   what transactions change: the instants at which each value of a cell holds
    cut     what the index must remove and insert for a set of net changes
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

import attrs

from persistence.datoms.interval import (
    FOREVER,
    Interval,
    coalesce,
    fork,
    gaps,
    intersect,
    without,
)

Payload: TypeAlias = int | float | str
Cell: TypeAlias = tuple[int, int]  # (e, a)
ValueKey: TypeAlias = tuple[int, Payload]  # (k, payload): the identity of a value
# (e, a, k, payload, vf, vt, t0)
Live: TypeAlias = tuple[int, int, int, Payload, int, int, int]
# (e, a, k, payload, vf, vt, op)
Change: TypeAlias = tuple[int, int, int, Payload, int, int, int]
# (seg, a, e, vt, k, payload, t0)
FactKey: TypeAlias = tuple[int, int, int, int, int, Payload, int]
# (seg, a, e, k, payload, vf, vt, t0, t1, ix, node)
FactRow: TypeAlias = tuple[int, int, int, int, Payload, int, int, int, int, int, int | None]

ASSERT: Final = 1
RETRACT: Final = 0
OPEN_T: Final = 2**47 - 1


@attrs.define
class CellState:
    """The instants at which each value of one (entity, attribute) holds, and what they were.

    Operations apply in order; `changes` then tells the net difference, so a value that a
    transaction takes away and puts back is no change at all.
    """

    before: dict[ValueKey, list[Interval]]
    after: dict[ValueKey, list[Interval]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.after = {key: list(pieces) for key, pieces in self.before.items()}

    def assert_many(self, key: ValueKey, span: Interval) -> None:
        """The value also holds over *span*."""
        self.after[key] = coalesce([*self.after.get(key, ()), span])

    def assert_one(self, key: ValueKey, span: Interval) -> None:
        """The value holds over *span* and no other one does."""
        for other in self.after:
            if other != key:
                self.retract(other, span)
        self.assert_many(key, span)

    def retract(self, key: ValueKey, span: Interval) -> None:
        """The value no longer holds over *span*."""
        pieces = self.after.get(key)
        if pieces:
            self.after[key] = [rest for piece in pieces for rest in without(piece, span)]

    def retract_all(self, span: Interval) -> None:
        """No value holds over *span*."""
        for key in self.after:
            self.retract(key, span)

    def at(self, point: int) -> list[ValueKey]:
        """The values that hold at *point* now."""
        return _holding(self.after, point)

    def before_at(self, point: int) -> list[ValueKey]:
        """The values that held at *point* before the transaction."""
        return _holding(self.before, point)

    def changes(self) -> list[tuple[ValueKey, Interval, int]]:
        """What differs from before: retracts first, each value's pieces in order of time."""
        removed = [
            (key, piece, RETRACT)
            for key, pieces in self.before.items()
            for whole in coalesce(pieces)
            for piece in gaps(whole, self.after[key])
        ]
        added = [
            (key, piece, ASSERT)
            for key, pieces in self.after.items()
            for whole in pieces
            for piece in gaps(whole, self.before.get(key, ()))
        ]
        return removed + added


def _holding(values: Mapping[ValueKey, Iterable[Interval]], point: int) -> list[ValueKey]:
    return [
        key for key, pieces in values.items() if any(start <= point < end for start, end in pieces)
    ]


def states(live: Iterable[Live]) -> dict[Cell, CellState]:
    """The state of every cell among *live* rectangles."""
    pieces: dict[Cell, dict[ValueKey, list[Interval]]] = {}
    for e, a, k, payload, vf, vt, _ in live:
        pieces.setdefault((e, a), {}).setdefault((k, payload), []).append((vf, vt))
    return {cell: CellState(before) for cell, before in pieces.items()}


def fact_row(
    branch: int, a: int, e: int, k: int, payload: Payload, vf: int, vt: int, t0: int, ix: int
) -> FactRow:
    """The row of a live rectangle."""
    if vt == FOREVER:
        return (3 * branch, a, e, k, payload, vf, vt, t0, OPEN_T, ix, None)
    return (3 * branch + 1, a, e, k, payload, vf, vt, t0, OPEN_T, ix, fork(vf, vt - 1))


def closed_row(
    branch: int,
    a: int,
    e: int,
    k: int,
    payload: Payload,
    vf: int,
    vt: int,
    t0: int,
    t1: int,
    ix: int,
) -> FactRow:
    """The row of a rectangle that is believed no more from *t1* on."""
    return (3 * branch + 2, a, e, k, payload, vf, vt, t0, t1, ix, fork(t0, t1 - 1))


@attrs.define
class Cuts:
    """What a transaction does to the fact index."""

    remove: list[FactKey] = attrs.field(factory=list)
    insert: list[FactRow] = attrs.field(factory=list)


def cut(
    branch: int,
    t: int,
    changes: Iterable[Change],
    live: Iterable[Live],
    indexed: Mapping[int, int],
    forgetful: AbstractSet[int] = frozenset(),
) -> Cuts:
    """The rows to remove and to insert for the net *changes* of transaction *t*.

    *live* holds at least the live rectangles of every value that is retracted. *indexed* maps
    an attribute to its `ix`. Attributes in *forgetful* (`:db/noHistory`) leave no closed rows.
    """
    cuts = Cuts()
    removed: dict[tuple[int, int, int, Payload], list[Interval]] = {}
    insert = cuts.insert
    for e, a, k, payload, vf, vt, op in changes:
        if op == ASSERT:
            if vt == FOREVER:
                insert.append(
                    (3 * branch, a, e, k, payload, vf, vt, t, OPEN_T, indexed.get(a, 0), None)
                )
            else:
                insert.append(fact_row(branch, a, e, k, payload, vf, vt, t, indexed.get(a, 0)))
        else:
            removed.setdefault((e, a, k, payload), []).append((vf, vt))
    if not removed:
        return cuts
    for e, a, k, payload, vf, vt, t0 in live:
        holes = removed.get((e, a, k, payload))
        if holes is None:
            continue
        ix = indexed.get(a, 0)
        if len(holes) == 1:  # nearly always
            start, end = max(vf, holes[0][0]), min(vt, holes[0][1])
            if start >= end:
                continue
            segment = 3 * branch + (0 if vt == FOREVER else 1)
            cuts.remove.append((segment, a, e, vt, k, payload, t0))
            if vf < start:
                insert.append(fact_row(branch, a, e, k, payload, vf, start, t0, ix))
            if end < vt:
                insert.append(fact_row(branch, a, e, k, payload, end, vt, t0, ix))
            if t0 != t and a not in forgetful:
                insert.append(closed_row(branch, a, e, k, payload, start, end, t0, t, ix))
            continue
        row = (vf, vt)
        gone = [piece for hole in holes if (piece := intersect(row, hole)) is not None]
        if not gone:
            continue
        segment = 3 * branch + (0 if vt == FOREVER else 1)
        cuts.remove.append((segment, a, e, vt, k, payload, t0))
        for start, end in gaps(row, gone):
            insert.append(fact_row(branch, a, e, k, payload, start, end, t0, ix))
        if t0 == t or a in forgetful:
            continue
        for start, end in gone:
            insert.append(closed_row(branch, a, e, k, payload, start, end, t0, t, ix))
    return cuts
