"""What a connection knows of attributes and schema, kept in step with the log.

Attributes only ever come on, and schema changes rarely, so both are kept in memory and brought
up to date when the head has moved: by this process at commit, by another one when it is seen.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from persistence.datoms import ASSERT, FOREVER, Change, Live, Schema
from persistence.datoms import bootstrap as boot
from persistence.datoms.evolution import build
from persistence.datoms.view import Ancestor, at_basis
from persistence.ids import is_tx_entity, tx_position
from persistence.store import Head, Snapshot, Store
from persistence.store.layers import Layers
from persistence.store.protocol import INDEXED
from persistence.values import INTERNED, Keyword, decode, from_columns, interned_id

_BY_NUMBER = {number: ident for ident, number in boot.BUILT_IN_IDS.items()}


@attrs.frozen(eq=False)
class State:
    """What is known of attributes; replaced as a whole, never changed."""

    numbers: Mapping[Keyword, int]
    idents: Mapping[int, Keyword]
    flags: Mapping[int, int]
    schema: Schema
    changes: tuple[int, ...] = ()  # the t at which the schema of some branch changed, ascending
    branches: Mapping[int, Branch] = attrs.field(factory=dict)
    branch_flags: Mapping[tuple[int, int], int] = attrs.field(factory=dict)  # (branch, attribute)

    def line(self, branch: int) -> tuple[Ancestor, ...]:
        """The branches that *branch* came from, the nearest first, and up to which t it sees
        each."""
        found: list[Ancestor] = []
        while branch:
            one = self.branches[branch]
            found.append((one.parent, one.base))
            branch = one.parent
        return tuple(found)

    def flags_of(self, branch: int, number: int) -> int:
        """The flags of an attribute on one branch."""
        if branch:
            return self.branch_flags.get((branch, number), 0)
        return self.flags.get(number, 0)

    def with_flags(self, branch: int, flags: Mapping[int, int]) -> State:
        """This state with *flags* of attributes switched on, on one branch."""
        if not flags or all(self.flags_of(branch, n) & flag == flag for n, flag in flags.items()):
            return self
        if not branch:
            on = {n: self.flags.get(n, 0) | flag for n, flag in flags.items()}
            return attrs.evolve(self, flags={**self.flags, **on})
        own = {(branch, n): self.flags_of(branch, n) | flag for n, flag in flags.items()}
        return attrs.evolve(self, branch_flags={**self.branch_flags, **own})

    def with_numbers(self, numbers: Mapping[Keyword, int]) -> State:
        """This state with attributes that were numbered."""
        if not numbers:
            return self
        idents = {number: ident for ident, number in numbers.items()}
        state = attrs.evolve(
            self, numbers={**self.numbers, **numbers}, idents={**self.idents, **idents}
        )
        if all(ident in self.schema and self.schema[ident].id for ident in numbers):
            return state
        known = {i: attrs.evolve(self.schema[i], id=number) for i, number in numbers.items()}
        schema = self.schema
        attributes = {**schema.attributes, **known}
        return attrs.evolve(state, schema=Schema(attributes, schema.idents, schema.specs))


@attrs.frozen
class Branch:
    """A branch: its number, which is the t of the transaction that began it, its name, the
    branch it came from, and the t up to which it sees that one."""

    number: int
    name: str
    parent: int
    base: int
    discarded: bool = False


def _initial() -> State:
    numbers = dict(boot.BUILT_IN_IDS)
    return State(numbers, dict(_BY_NUMBER), {}, build((), numbers))


class Catalog:
    """Attributes, their flags, branches, and the schema as of any t of any branch."""

    def __init__(self) -> None:
        self.t = 0  # the head up to which `state` is known
        self.spoken = 0  # the head when others were last seen to write built-in attributes
        self.state = _initial()
        self._marks: list[int] | None = None  # those of `state`, see `Snapshot.marks`
        self._lock = threading.Lock()
        self._schemas: dict[tuple[int, int], Schema] = {}  # by branch and t of a change

    def refresh(self, snapshot: Snapshot, head: Head) -> State:
        """The state at *head*, read anew when another process has moved it."""
        if self.t >= head.t:
            return self.state
        with self._lock:
            if self.t >= head.t:
                return self.state
            *marks, told = snapshot.marks(self.t, boot.FIRST_ATTRIBUTE_ID)
            if told:
                self.spoken = head.t
            if not told and marks == self._marks:
                self.t = head.t
                return self.state
            rows = snapshot.attributes()
            numbers = {**_initial().numbers, **{Keyword(ident): n for n, ident, _ in rows}}
            flags = {number: flag for number, _, flag in rows if flag}
            changed = snapshot.changes_of(boot.SCHEMA_IDS | boot.BRANCH_IDS, self.t)
            schema, branches = self.state.schema, self.state.branches
            if changed:
                branches = read_branches(snapshot)
                self._schemas.clear()
            if changed or len(numbers) != len(self.state.numbers):
                schema = placed(read_schema(Layers(snapshot, _MAIN), numbers), flags)
            self.state = State(
                numbers,
                {number: ident for ident, number in numbers.items()},
                flags,
                schema,
                (*self.state.changes, *changed),
                branches,
                {(b, a): flag for b, a, flag in snapshot.branch_flags()} if branches else {},
            )
            self.t = head.t
            self._marks = marks
            return self.state

    def advance(self, t: int, after: State, *, changed: bool) -> None:
        """Takes in a commit of this process, which must be the next one.

        *after* is the main line's state with it; *changed* tells whether a schema changed.
        """
        with self._lock:
            if self.t >= t:
                return
            if changed:
                self._schemas.clear()  # they carry the indexes of the schema before
                after = attrs.evolve(after, changes=(*after.changes, t))
            if after is not self.state:
                self._marks = None
            self.state = after
            self.t = t

    def schema_at(self, t: int, store: Store, branch: int = 0) -> Schema:
        """The schema as of *t*. Read once for each change of the schema, then remembered."""
        state = self.state
        branch, ancestors = at_basis(branch, state.line(branch), t)
        index = bisect_right(state.changes, t)
        if not branch and index == len(state.changes):
            return state.schema
        key = (branch, state.changes[index - 1] if index else 0)
        known = self._schemas.get(key)
        if known is None:
            with store.snapshot() as snapshot:
                layers = Layers(snapshot, ((branch, t), *ancestors))
                known = _as_now(read_schema(layers, state.numbers), state)
            self._schemas[key] = known
        return known

    def on(self, branch: int, snapshot: Snapshot, state: State) -> State:
        """*state*, which is the main line's at the head of *snapshot*, for *branch*."""
        if not branch:
            return state
        key = (branch, state.changes[-1] if state.changes else 0)
        schema = self._schemas.get(key) if state is self.state else None
        if schema is None:
            layers = Layers(snapshot, ((branch, None), *state.line(branch)))
            schema = _as_now(read_schema(layers, state.numbers), state)
            if state is self.state:
                self._schemas[key] = schema
        return attrs.evolve(state, schema=schema)


_MAIN: Final = ((0, None),)


def read_schema(
    layers: Layers, numbers: Mapping[Keyword, int], values: Snapshot | None = None
) -> Schema:
    """The schema that the facts which *layers* show declare.

    Interned values are read from *values*, when they are kept in another store.
    """
    live = layers.live_attributes(boot.SCHEMA_IDS)
    return schema_of(live, numbers, values or layers.snapshot)


def read_branches(snapshot: Snapshot) -> dict[int, Branch]:
    """Every branch there is, discarded ones included, by its number."""
    rows = snapshot.live_attributes(0, boot.BRANCH_IDS)
    return with_branches({}, [(*row[:4], 0, 0, ASSERT) for row in rows])


def with_branches(branches: Mapping[int, Branch], changes: Iterable[Change]) -> dict[int, Branch]:
    """*branches* after what the datoms of a transaction on the main line say of them."""
    found = dict(branches)
    for e, a, k, payload, _, _, op in changes:
        if a in boot.BRANCH_IDS and is_tx_entity(e) and op == ASSERT:
            number = tx_position(e)
            one = found.get(number, Branch(number, "", 0, 0))
            said = {_BRANCH_FIELDS[a]: from_columns(k, payload)}
            found[number] = attrs.evolve(one, **said)
    return found


_BRANCH_FIELDS: Final = {18: "name", 19: "parent", 20: "base", 21: "discarded"}


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


def placed(schema: Schema, flags: Mapping[int, int]) -> Schema:
    """*schema* with the indexes that stand for the sake of branches."""
    kept = {n for n, flag in flags.items() if flag & INDEXED}
    if not kept:
        return schema
    attributes = {
        ident: attrs.evolve(attribute, indexed=attribute.indexed or attribute.id in kept)
        for ident, attribute in schema.attributes.items()
    }
    return Schema(attributes, schema.idents, schema.specs)


def _as_now(old: Schema, state: State) -> Schema:
    """*old* with today's indexes, because an index exists now or not, whatever the basis."""
    attributes = {
        ident: attrs.evolve(attribute, indexed=state.schema[ident].indexed)
        for ident, attribute in old.attributes.items()
    }
    return Schema(attributes, old.idents, old.specs)
