"""What differs between two database values, as the datoms that would turn one into the other.

Only what was transacted since the two parted is looked at, so a difference costs what changed and
not what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

from persistence.datoms import (
    ASSERT,
    RETRACT,
    Cell,
    Change,
    Datom,
    Interval,
    Payload,
    ValueKey,
)
from persistence.datoms.interval import coalesce, gaps
from persistence.db import Db
from persistence.errors import QueryError
from persistence.ids import is_tx_entity, tx_entity
from persistence.store import Snapshot
from persistence.transact.speculate import shown

Pieces: TypeAlias = Mapping[ValueKey, Sequence[Interval]]  # when each value of a cell holds


@attrs.frozen
class Parting:
    """Where two lines of branches part: the last branch they share, and up to which t."""

    branch: int
    t: int


def parting(a: Db, b: Db) -> Parting:
    """Where the histories of *a* and *b* part."""
    seen = dict(_line(b))
    for branch, t in _line(a):
        if branch in seen:
            return Parting(branch, min(t, seen[branch]))
    raise QueryError("these database values belong to different stores")


def touched(snapshot: Snapshot, db: Db, since: Parting) -> set[Cell]:
    """The cells that *db* has datoms of after it parted from another value."""
    cells: set[Cell] = set()
    line = _line(db)
    for (branch, to), older in zip(line, [*line[1:], None], strict=True):
        if branch == since.branch:
            cells |= snapshot.touched(branch, since.t, to)
            break
        assert older is not None
        cells |= snapshot.touched(branch, older[1], to)
    if db.overlay is not None:
        cells |= {(row[2], row[1]) for row in db.overlay.rows}
        cells |= {(e, a) for e, a, *_ in db.overlay.hidden}
    return {cell for cell in cells if not is_tx_entity(cell[0])}


def difference(a: Db, b: Db) -> list[Datom]:
    """The datoms that turn what *a* shows, at every valid instant, into what *b* shows.

    Facts about transactions themselves are left out.

    Raises:
        QueryError: a value shows history, a range of time, or only what is new.
    """
    for db in (a, b):
        if db.is_history or db.between is not None or db.since_t is not None:
            raise QueryError(
                "a difference is one of two states, and this value shows a range of time",
                hint="compare db, db.as_of(…) or db.at(…)",
            )
    with a.source.snapshot() as snapshot:
        since = parting(a, b)
        cells = touched(snapshot, a, since) | touched(snapshot, b, since)
        before, after = pieces(a, snapshot, cells), pieces(b, snapshot, cells)
    changes = [
        (*cell, *change) for cell in sorted(cells) for change in net(before[cell], after[cell])
    ]
    return [*_datoms(a, b, changes)]


def pieces(db: Db, snapshot: Snapshot, cells: Iterable[Cell]) -> Mapping[Cell, Pieces]:
    """When each value of *cells* holds, as *db* shows it."""
    found: dict[Cell, dict[ValueKey, list[Interval]]] = {cell: {} for cell in cells}
    for e, a, k, payload, start, end, _ in shown(db, snapshot, cells):
        found[e, a].setdefault((k, payload), []).append((start, end))
    return found


def net(before: Pieces, after: Pieces) -> Iterator[tuple[int, Payload, int, int, int]]:
    """The changes (k, payload, from, to, op) that turn one state of a cell into another."""
    for op, one, other in ((RETRACT, before, after), (ASSERT, after, before)):
        for key, spans in one.items():
            for whole in coalesce(spans):
                for start, end in gaps(whole, other.get(key, ())):
                    yield (*key, start, end, op)


def _datoms(a: Db, b: Db, changes: Sequence[Change]) -> Iterator[Datom]:
    """*changes* as their readers see them, said by the basis of *b*."""
    for wanted, db in ((RETRACT, a), (ASSERT, b)):  # an overlay alone knows what it added
        told = [change for change in changes if change[6] == wanted]
        values = db.source.values([change[2:4] for change in told])
        for (e, number, _, _, start, end, op), value in zip(told, values, strict=True):
            ident, tx = db.source.ident(number), tx_entity(b.basis)
            sealed = b"" if ident in db.schema.sensitive() else None
            yield Datom(e, ident, value, tx, b.instant, start, end, op == ASSERT, sealed=sealed)


def _line(db: Db) -> list[tuple[int, int]]:
    basis = db.basis if db.overlay is None else db.overlay.base
    return [(db.branch, basis), *db.view.ancestors]
