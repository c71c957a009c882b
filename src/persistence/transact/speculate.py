"""Transacting without writing: a database value with an overlay of what would be written.

The same `prepare` runs as for a real commit, against the value instead of the writer's session.
Its index rows become an overlay that queries read together with the stored rows, so every view
and every question works on a speculation too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

import attrs

from persistence.datoms import BEGINNING, InstantLike, Live, Payload, Schema, instant
from persistence.datoms.bootstrap import SPECULATED
from persistence.datoms.rectangles import OPEN_T, fact_row
from persistence.datoms.view import Overlay, View
from persistence.db import Db, Report
from persistence.db.source import Passing
from persistence.errors import UnknownBasis
from persistence.ids import SYSTEM0, is_tx_entity, tx_position
from persistence.store.layers import Layers
from persistence.store.protocol import Snapshot
from persistence.transact.ensure import ensure_entities
from persistence.transact.prepare import Prepared, prepare, prepare_batch
from persistence.transact.resolved import Batch
from persistence.values import INTERNED, Keyword, decode, interned_id


@attrs.frozen(eq=False)
class SpeculativeSource(Passing):
    """A source that also knows what an overlay added."""

    overlay: Overlay
    schemas: Mapping[int, Schema]  # speculative t -> schema after it
    extra_flags: Mapping[int, int]

    def attribute_id(self, ident: Keyword) -> int | None:
        known = self.overlay.numbers.get(ident)
        return self.inner.attribute_id(ident) if known is None else known

    def ident(self, number: int) -> Keyword:
        for ident, given in self.overlay.numbers.items():
            if given == number:
                return ident
        return self.inner.ident(number)

    def flags(self, number: int) -> int:
        return self.inner_flags(number) | self.extra_flags.get(number, 0)

    def inner_flags(self, number: int) -> int:
        """The flags of the stored rows alone."""
        return 0 if number in self.overlay.numbers.values() else self.inner.flags(number)

    def schema_at(self, t: int) -> Schema:
        return self.schemas[t] if t in self.schemas else self.inner.schema_at(t)

    def resolve_basis(self, x: int | bytes | InstantLike) -> int:
        times = self.overlay.times
        if isinstance(x, int) and not isinstance(x, bool):
            t = tx_position(x) if is_tx_entity(x) else x
            if t in times:
                return t
        if isinstance(x, str | date) and not _is_tx_id(x):
            at = instant(x)
            known = [t for t, time in times.items() if time <= at]
            if known:
                return max(known)
        found = self.inner.resolve_basis(x)
        if found > self.overlay.base:
            if isinstance(x, int):
                raise UnknownBasis(
                    f"{x} is later than the basis {self.overlay.base} of this speculation", basis=x
                )
            found = self.overlay.base
        return found

    def values(self, keys: Iterable[tuple[int, Payload]]) -> list[Any]:
        keys = list(keys)
        blobs = self.overlay.blobs
        own = {
            (k, p): decode(blobs[content])
            for k, p in keys
            if k >= INTERNED and (content := interned_id(str(p))) in blobs
        }
        others = [key for key in keys if key not in own]
        stored = dict(zip(others, self.inner.values(others), strict=True))
        return [own[key] if key in own else stored[key] for key in keys]


def _is_tx_id(x: object) -> bool:
    return isinstance(x, str) and len(x) == 64


@attrs.frozen(eq=False)
class SpeculativeBase:
    """What the transactor prepares a speculation against: a database value."""

    db: Db
    stored: Layers
    next_e: int
    functions: Mapping[Keyword, Callable[..., Any]]
    numbers: Mapping[Keyword, int]
    since: list[int] = attrs.field(factory=list)  # what ended by these instants was not read

    @property
    def schema(self) -> Schema:
        return self.db.schema

    @property
    def reserved(self) -> int:
        return SYSTEM0  # what is refused at commit may be supposed

    @property
    def next_number(self) -> int:
        # Not the store's next: that one may soon be another attribute's, which is none of ours.
        overlay = self.db.overlay
        return SPECULATED + (0 if overlay is None else len(overlay.numbers))

    @property
    def basis(self) -> int:
        return self.db.basis

    @property
    def branch(self) -> int:
        return self.db.branch

    @property
    def inherited(self) -> frozenset[Live]:
        return frozenset()  # an overlay hides what it cuts, whoever wrote it

    def value(self) -> Db:
        return self.db

    def live(self, pairs: Iterable[tuple[int, int]], after: int) -> list[Live]:
        wanted = set(pairs)
        self.since.append(after)
        rows = self.stored.live(wanted, after)
        return self._overlaid(rows, lambda e, a, k, p: (e, a) in wanted, after)

    def live_entities(self, entities: Iterable[int], after: int) -> list[Live]:
        wanted = set(entities)
        self.since.append(after)
        rows = self.stored.live_entities(wanted, after)
        return self._overlaid(rows, lambda e, a, k, p: e in wanted, after)

    def live_values(self, keys: Iterable[tuple[int, int, Payload]]) -> list[Live]:
        wanted = set(keys)
        if self.db.footprints is not None:
            ident = self.db.source.ident
            self.db.footprints.values.update((ident(a), k, p) for a, k, p in wanted)
        rows = self.stored.live_values(wanted)
        return self._overlaid(rows, lambda e, a, k, p: (a, k, p) in wanted)

    def live_attributes(self, attributes: Iterable[int]) -> list[Live]:
        wanted = set(attributes)
        rows = self.stored.live_attributes(wanted)
        return self._overlaid(rows, lambda e, a, k, p: a in wanted)

    def ended(self, prepared: Prepared) -> list[Live]:
        """The rectangles that were not read of the asserts that *prepared* cuts: `laid_over`
        hides such an assert as a whole, and has to show them again."""
        until = max(self.since, default=BEGINNING)
        removed = prepared.cuts.remove
        if not removed or until == BEGINNING:
            return []
        return self.stored.ended({key[2:0:-1] for key in removed}, {k[6] for k in removed}, until)

    def _overlaid(
        self,
        rows: list[Live],
        wanted: Callable[[int, int, int, Payload], bool],
        after: int = BEGINNING,
    ) -> list[Live]:
        overlay = self.db.overlay
        if overlay is None:
            return rows
        hidden = overlay.hidden
        shown = [row for row in rows if (*row[:4], row[6]) not in hidden]
        shown += [
            (e, a, k, p, vf, vt, t0)
            for _, a, e, k, p, vf, vt, t0, t1, _, _ in overlay.rows
            if t0 <= self.db.basis < t1 and vt > after and wanted(e, a, k, p)
        ]
        return shown

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        found = dict(self.stored.snapshot.blobs(ids))
        if self.db.overlay is not None:
            found |= self.db.overlay.blobs
        return found


def shown(db: Db, snapshot: Snapshot, cells: Iterable[tuple[int, int]]) -> list[Live]:
    """The rectangles of *cells* (e, a) that *db* shows, at every valid instant."""
    stored = db.basis if db.overlay is None else db.overlay.base
    layers = Layers(snapshot, ((db.branch, stored), *db.view.ancestors))
    return SpeculativeBase(db, layers, 0, {}, {}).live(cells, BEGINNING)


def speculate(
    db: Db,
    forms: Any,
    options: Mapping[str, Any],
    *,
    now: int,
    functions: Mapping[Keyword, Callable[..., Any]],
    numbers: Mapping[Keyword, int],
) -> Report:
    """The report of transacting *forms* on top of *db* at the instant *now*."""
    with db.source.snapshot() as snapshot:
        base = _base(db, snapshot, functions, numbers, None)
        prepared = prepare(base, forms, time=_time(db, now), **options)
        prepared.encoded()  # a value that has no canonical bytes is refused here, as at a commit
        ended = base.ended(prepared)
    after = laid_over(db, prepared, ended)
    ensure_entities(after, prepared, functions)
    return report(db, prepared, after)


def carried_out(
    db: Db,
    forms: Any,
    *,
    valid_from: InstantLike | None,
    valid_to: InstantLike | None,
    now: int,
    functions: Mapping[Keyword, Callable[..., Any]],
    numbers: Mapping[Keyword, int],
    next_e: int,
) -> tuple[Prepared, Batch, Db]:
    """What *forms* would write on top of *db*, the same for a later head, and *db* after it.

    New entities are numbered from *next_e* on; the caller sees to it that nobody else does so.
    """
    with db.source.snapshot() as snapshot:
        base = _base(db, snapshot, functions, numbers, next_e)
        prepared, batch = prepare_batch(
            base, forms, time=_time(db, now), valid_from=valid_from, valid_to=valid_to
        )
        if not all(_plain(value) for value in prepared.typed.values.values()):
            prepared.encoded()  # what has no canonical bytes is refused here, as at a commit
        ended = base.ended(prepared)
    after = laid_over(db, prepared, ended)
    ensure_entities(after, prepared, functions)
    return prepared, batch, after


def _plain(value: Any) -> bool:
    """Whether a value has canonical bytes for certain."""
    kind = type(value)
    return kind is int or kind is float or kind is bool or (kind is str and value.isascii())


def _time(db: Db, now: int) -> int:
    return now if db.view.pinned else max(now, db.instant)


def _base(
    db: Db,
    snapshot: Snapshot,
    functions: Mapping[Keyword, Callable[..., Any]],
    numbers: Mapping[Keyword, int],
    next_e: int | None,
) -> SpeculativeBase:
    overlay = db.overlay
    stored = db.basis if overlay is None else overlay.base
    head = snapshot.head()
    if next_e is None:
        next_e = head.next_e if overlay is None else max(head.next_e, overlay.next_e)
    known = numbers if overlay is None else {**numbers, **overlay.numbers}
    at = None if stored == head.t else stored
    layers = Layers(snapshot, ((db.branch, at), *db.view.ancestors))
    return SpeculativeBase(db, layers, next_e, functions, known)


def report(db: Db, prepared: Prepared, after: Db) -> Report:
    """What a speculation tells its caller."""
    return Report(
        before=lambda: db,
        after=lambda: after,
        tempids=prepared.tempids,
        t=prepared.t,
        time=prepared.time,
        meta=prepared.meta,
        data=prepared.datoms,
    )


def laid_over(db: Db, prepared: Prepared, ended: Iterable[Live] = ()) -> Db:
    """*db* with what *prepared* would write laid over it.

    *ended* are rectangles of the cells that it changes, which it did not read.
    """
    old = db.overlay or Overlay(base=db.basis)
    gone = {(e, a, k, p, vt, t0) for _, a, e, vt, k, p, t0 in prepared.cuts.remove}
    cut = {(e, a, k, p, t0) for e, a, k, p, _, t0 in gone}
    own = {(row[2], row[1], row[3], row[4], row[7]) for row in old.rows}
    hidden = cut - own  # an assert of an earlier speculation is hidden already, or never stored
    uncut = [
        fact_row(db.branch, a, e, k, p, vf, vt, t0, int(prepared.indexed(a)))
        for e, a, k, p, vf, vt, t0 in (*prepared.live, *ended)
        if (e, a, k, p, t0) in hidden and (e, a, k, p, vt, t0) not in gone
    ]
    kept = [
        row
        for row in old.rows
        if row[8] != OPEN_T or (row[2], row[1], row[3], row[4], row[6], row[7]) not in gone
    ]
    overlay = Overlay(
        base=old.base,
        hidden=old.hidden | hidden,
        rows=(*kept, *uncut, *prepared.cuts.insert),
        numbers={**old.numbers, **prepared.numbers},
        blobs={**old.blobs, **prepared.interned},
        times={**old.times, prepared.t: prepared.time},
        next_e=prepared.next_e,
    )
    schemas: dict[int, Schema] = {prepared.t: prepared.schema}
    flags = dict(prepared.flags)
    source = db.source
    if isinstance(source, SpeculativeSource):
        schemas = {**source.schemas, **schemas}
        for number, flag in source.extra_flags.items():
            flags[number] = flags.get(number, 0) | flag
        source = source.inner
    view = db.view
    after = View(
        basis=prepared.t,
        instant=view.instant if view.pinned else max(view.instant, prepared.time),
        pinned=view.pinned,
        branch=view.branch,
        ancestors=view.ancestors,
        overlay=overlay,
    )
    return Db(SpeculativeSource(source, overlay, schemas, flags), after, db.footprints)
