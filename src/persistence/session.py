"""The store as seen from inside its own uncommitted session.

What a transaction is prepared against, and the database value that its functions see: both read
through the session, where the transactions of the same group already stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs

from persistence.catalog import State
from persistence.coordinates import resolve_basis, stored_values
from persistence.datoms import BOUNDED, CLOSED, InstantLike, Live, Payload, Schema
from persistence.db import Db, Report, Source
from persistence.query import FunctionRegistry
from persistence.store import Head, Session, Snapshot
from persistence.store.dialect import Dialect
from persistence.values import Keyword


@attrs.define(eq=False)
class WriterBase:
    """What the transactor prepares against: the head of its own session."""

    session: Session
    state: State
    head: Head
    functions: Mapping[Keyword, Callable[..., Any]]
    value: Callable[[], Db]

    @property
    def schema(self) -> Schema:
        return self.state.schema

    @property
    def numbers(self) -> Mapping[Keyword, int]:
        return self.state.numbers

    @property
    def basis(self) -> int:
        return self.head.t

    @property
    def next_e(self) -> int:
        return self.head.next_e

    def live(self, pairs: Iterable[tuple[int, int]], after: int) -> list[Live]:
        return self.session.live(0, pairs, None, after)

    def live_entities(self, entities: Iterable[int], after: int) -> list[Live]:
        return self.session.live_entities(0, entities, None, after)

    def live_values(self, keys: Iterable[tuple[int, int, Payload]]) -> list[Live]:
        return self.session.live_values(0, keys)

    def live_attributes(self, attributes: Iterable[int]) -> list[Live]:
        return self.session.live_attributes(0, attributes)

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        return self.session.blobs(ids)


@attrs.define(eq=False)
class SessionSource:
    """The connection as seen from inside its own uncommitted session."""

    inner: Source
    session: Session
    state: State

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    @property
    def functions(self) -> FunctionRegistry:
        return self.inner.functions

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return nullcontext(self.session)

    def deadline(self, seconds: float) -> AbstractContextManager[Any]:
        return self.inner.deadline(seconds)

    def attribute_id(self, ident: Keyword) -> int | None:
        return self.state.numbers.get(ident)

    def ident(self, number: int) -> Keyword:
        return self.state.idents[number]

    def flags(self, number: int) -> int:
        return BOUNDED | CLOSED  # those of the session itself are not known before it ends

    def schema_at(self, t: int) -> Schema:
        return self.state.schema

    def resolve_basis(self, x: int | bytes | InstantLike) -> int:
        return resolve_basis(self.session, x)

    def values(self, keys: Iterable[tuple[int, Payload]]) -> list[Any]:
        return stored_values(self.session, keys)

    def speculate(self, db: Db, forms: Any, options: Mapping[str, Any]) -> Report:
        report: Report = self.inner.speculate(db, forms, options)
        return report
