"""The store as seen from inside its own uncommitted session.

What a transaction is prepared against, and the database value that its functions see: both read
through the session, where the transactions of the same group already stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import attrs

from persistence.catalog import State
from persistence.coordinates import resolve_basis, stored_values
from persistence.datoms import (
    BOUNDED,
    CLOSED,
    OPEN,
    OWNING,
    InstantLike,
    Live,
    Payload,
    Schema,
    line_flags,
)
from persistence.datoms.bootstrap import FIRST_ATTRIBUTE_ID
from persistence.db import Db, Source
from persistence.db.source import Passing
from persistence.store import Head, Session, Snapshot
from persistence.store.layers import Layers
from persistence.store.reserve import reserved
from persistence.values import Keyword


@attrs.define(eq=False)
class WriterBase:
    """What the transactor prepares against: the head of its own session."""

    session: Session
    state: State
    head: Head
    functions: Mapping[Keyword, Callable[..., Any]]
    value: Callable[[], Db]
    layers: Layers

    @property
    def branch(self) -> int:
        return self.layers.line[0][0]

    @property
    def inherited(self) -> set[Live]:
        return self.layers.inherited

    @property
    def schema(self) -> Schema:
        return self.state.schema

    @property
    def numbers(self) -> Mapping[Keyword, int]:
        return self.state.numbers

    @property
    def reserved(self) -> int:
        return reserved(self.session)

    @property
    def next_number(self) -> int:
        given = self.state.numbers.values()
        return FIRST_ATTRIBUTE_ID + sum(1 for number in given if number >= FIRST_ATTRIBUTE_ID)

    @property
    def basis(self) -> int:
        return self.head.t

    @property
    def next_e(self) -> int:
        return self.head.next_e

    def live(self, pairs: Iterable[tuple[int, int]], after: int) -> list[Live]:
        return self.layers.live(pairs, after)

    def live_entities(self, entities: Iterable[int], after: int) -> list[Live]:
        return self.layers.live_entities(entities, after)

    def live_values(self, keys: Iterable[tuple[int, int, Payload]]) -> list[Live]:
        return self.layers.live_values(keys)

    def live_attributes(self, attributes: Iterable[int]) -> list[Live]:
        return self.layers.live_attributes(attributes)

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        return self.session.blobs(ids)


@attrs.frozen(eq=False)
class SessionSource(Passing):
    """The connection as seen from inside its own uncommitted session."""

    session: Session
    state: State

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return nullcontext(self.session)

    def read(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.session.rows(sql, params)

    def attribute_id(self, ident: Keyword) -> int | None:
        return self.state.numbers.get(ident)

    def ident(self, number: int) -> Keyword:
        return self.state.idents[number]

    def flags(self, number: int) -> int:
        return self.flags_on(0, number)

    def flags_on(self, branch: int, number: int) -> int:
        """The flags along the line of *branch*: all of them, because those that the session
        itself switches on are not known before it ends."""
        every = BOUNDED | CLOSED | OPEN | OWNING
        return line_flags([every] * (1 + len(self.state.line(branch))))

    def schema_at(self, t: int) -> Schema:
        return self.state.schema

    def schema_on(self, branch: int, t: int) -> Schema:
        """The schema of *branch*, which is the one that is written."""
        return self.state.schema

    def on(self, branch: int) -> Source:
        return BranchSource(self, branch) if branch else self

    def resolve_basis(self, x: int | bytes | InstantLike) -> int:
        return resolve_basis(self.session, x)

    def values(self, keys: Iterable[tuple[int, Payload]]) -> list[Any]:
        return stored_values(self.session, keys)


class Line(Source, Protocol):
    """A source that knows every branch."""

    def flags_on(self, branch: int, number: int) -> int: ...

    def schema_on(self, branch: int, t: int) -> Schema: ...


@attrs.frozen(eq=False)
class BranchSource(Passing):
    """The connection, or its session, as database values of one branch see it."""

    inner: Line
    branch: int

    def flags(self, number: int) -> int:
        return self.inner.flags_on(self.branch, number)

    def schema_at(self, t: int) -> Schema:
        return self.inner.schema_on(self.branch, t)
