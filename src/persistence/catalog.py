"""What a connection knows of attributes and schema, kept in step with the log.

Attributes only ever come on, and schema changes rarely, so both are kept in memory and brought
up to date when the head has moved: by this process at commit, by another one when it is seen.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping

import attrs

from persistence.datoms import FOREVER, Live, Schema
from persistence.datoms import bootstrap as boot
from persistence.datoms.evolution import build
from persistence.store import Head, Snapshot, Store
from persistence.values import INTERNED, Keyword, decode, from_columns, interned_id

_BY_NUMBER = {number: ident for ident, number in boot.BUILT_IN_IDS.items()}


@attrs.frozen(eq=False)
class State:
    """What is known of attributes; replaced as a whole, never changed."""

    numbers: Mapping[Keyword, int]
    idents: Mapping[int, Keyword]
    flags: Mapping[int, int]
    schema: Schema
    changes: tuple[int, ...] = ()  # the t at which the schema changed, ascending


def _initial() -> State:
    numbers = dict(boot.BUILT_IN_IDS)
    return State(numbers, dict(_BY_NUMBER), {}, build((), numbers))


class Catalog:
    """Attributes, their flags, and the schema as of any t."""

    def __init__(self) -> None:
        self.t = 0  # the head up to which `state` is known
        self.state = _initial()
        self._lock = threading.Lock()
        self._schemas: dict[int, Schema] = {}

    def refresh(self, snapshot: Snapshot, head: Head) -> State:
        """The state at *head*, read anew when another process has moved it."""
        if self.t >= head.t:
            return self.state
        with self._lock:
            if self.t >= head.t:
                return self.state
            rows = snapshot.attributes()
            numbers = {**_initial().numbers, **{Keyword(ident): n for n, ident, _ in rows}}
            flags = {number: flag for number, _, flag in rows if flag}
            changed = snapshot.changes_of(boot.SCHEMA_IDS, self.t)
            schema = self.state.schema
            if changed or len(numbers) != len(self.state.numbers):
                schema = read_schema(snapshot, numbers, None)
            self.state = State(
                numbers,
                {number: ident for ident, number in numbers.items()},
                flags,
                schema,
                (*self.state.changes, *changed),
            )
            self.t = head.t
            return self.state

    def advance(
        self,
        t: int,
        numbers: Mapping[Keyword, int],
        flags: Mapping[int, int],
        schema: Schema,
        *,
        changed: bool,
    ) -> None:
        """Takes in a commit of this process, which must be the next one."""
        with self._lock:
            if self.t >= t:
                return
            state = self.state
            merged = {n: state.flags.get(n, 0) | flag for n, flag in flags.items()}
            if (
                changed
                or numbers
                or schema is not state.schema
                or any(state.flags.get(n, 0) != flag for n, flag in merged.items())
            ):
                self.state = State(
                    {**state.numbers, **numbers},
                    {**state.idents, **{n: ident for ident, n in numbers.items()}},
                    {**state.flags, **merged},
                    schema,
                    (*state.changes, t) if changed else state.changes,
                )
            if changed:
                self._schemas.clear()  # they carry the indexes of the schema before
            self.t = t

    def schema_at(self, t: int, store: Store) -> Schema:
        """The schema as of *t*. Read once for each change of the schema, then remembered."""
        state = self.state
        if not state.changes or t >= state.changes[-1]:
            return state.schema
        index = bisect_right(state.changes, t)
        since = state.changes[index - 1] if index else 0
        known = self._schemas.get(since)
        if known is None:
            with store.snapshot() as snapshot:
                known = read_schema(snapshot, state.numbers, since)
            known = _placed(known, state.schema)
            self._schemas[since] = known
        return known


def read_schema(
    snapshot: Snapshot,
    numbers: Mapping[Keyword, int],
    t: int | None,
    values: Snapshot | None = None,
) -> Schema:
    """The schema that the facts known at *t* (now, when None) declare.

    Interned values are read from *values*, when they are kept in another store.
    """
    return schema_of(snapshot.live_attributes(0, boot.SCHEMA_IDS, t), numbers, values or snapshot)


def schema_of(live: Iterable[Live], numbers: Mapping[Keyword, int], values: Snapshot) -> Schema:
    """The schema that *live* rectangles of schema attributes declare."""
    rows = sorted((row for row in live if row[5] == FOREVER), key=lambda row: row[4])
    blobs = values.blobs([interned_id(str(row[3])) for row in rows if row[2] >= INTERNED])
    facts = [
        (
            e,
            _BY_NUMBER[a],
            decode(blobs[interned_id(str(p))]) if k >= INTERNED else from_columns(k, p),
        )
        for e, a, k, p, *_ in rows
    ]
    return build(facts, numbers)


def _placed(old: Schema, now: Schema) -> Schema:
    """*old* with today's indexes, because an index exists now or not, whatever the basis."""
    attributes = {
        ident: attrs.evolve(attribute, indexed=now[ident].indexed)
        for ident, attribute in old.attributes.items()
    }
    return Schema(attributes, old.idents, old.specs)
