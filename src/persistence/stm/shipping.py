"""Candidates that are carried out in other processes: what they get, and what comes back.

A transaction writes nothing before its commit, so all of it is data: where the store is, which
state of it was read, and what the parent has decided so far. A worker opens the same store, reads
the same state, and sends back what the candidate decided; only the parent commits.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any, Final

import attrs

from persistence.clock import Clock
from persistence.connection import Connection
from persistence.datoms import Schema
from persistence.datoms.view import View
from persistence.db import Db, Source
from persistence.errors import ForkError, PersistenceError
from persistence.query import FunctionRegistry
from persistence.query.footprint import Footprints
from persistence.stm.guard import guarded
from persistence.stm.limits import Deadline
from persistence.stm.reserved import Loan, NeedIds, Reserved
from persistence.stm.state import State
from persistence.stm.trial import Candidate, Outcome, Score, tried
from persistence.stm.watching import Watching
from persistence.stm.workspace import Options, Workspace
from persistence.store import open_store
from persistence.transact.speculate import SpeculativeSource
from persistence.values import Keyword

IDS: Final = 4_096  # entities that a candidate may name before it has to ask the store for more
SERIAL_IDS: Final = 65_536  # where it cannot ask, because the parent holds the write lock


@attrs.frozen
class State0:
    """A database value without its source."""

    view: View
    schemas: Mapping[int, Schema] | None
    flags: Mapping[int, int] | None

    @classmethod
    def of(cls, db: Db) -> State0:
        source = db.source
        if isinstance(source, SpeculativeSource):
            return cls(db.view, dict(source.schemas), dict(source.extra_flags))
        return cls(db.view, None, None)

    def on(self, source: Source, footprints: Footprints) -> Db:
        """The same value, read from *source*."""
        if self.view.overlay is not None and self.schemas is not None and self.flags is not None:
            source = SpeculativeSource(source, self.view.overlay, self.schemas, self.flags)
        return Db(source, self.view, footprints)


@attrs.frozen(kw_only=True)
class Shop:
    """How a worker comes by the connection of the parent."""

    uri: str
    options: Mapping[str, Any]
    clock: Clock
    own: Mapping[str, Any]
    aggregates: Mapping[str, Any]
    functions: Mapping[Keyword, Any]

    @classmethod
    def of(cls, connection: Connection) -> Shop:
        """
        Raises:
            ForkError: no other process can open the store.
        """
        found = connection.store.reopening()
        if found is None:
            raise ForkError(
                "a store in memory cannot be opened by other processes",
                hint="use a file or Postgres, or leave the executor out and use threads",
            )
        return cls(
            uri=found[0],
            options=found[1],
            clock=connection.clock,
            own=dict(connection.functions.own),
            aggregates=dict(connection.functions.aggregates),
            functions=dict(connection.transaction_functions),
        )

    def connection(self) -> Connection:
        """The store, opened."""
        registry = FunctionRegistry(MappingProxyType(self.own), MappingProxyType(self.aggregates))
        store = open_store(self.uri, **self.options)
        try:
            return Connection(
                store,
                clock=self.clock,
                functions=registry,
                transaction_functions=self.functions,
            )
        except BaseException:
            store.close()
            raise


@attrs.frozen(kw_only=True)
class Parcel:
    """One candidate with everything it needs."""

    shop: Shop
    kind: type[Workspace]  # of the parent's transaction
    options: Options
    eager: bool
    seconds: float | None
    io_guard: bool
    loan: Loan
    db: State0
    basis: int
    state: State
    label: Any
    candidate: Candidate
    score: Score


@attrs.frozen(kw_only=True)
class Returned:
    """What a candidate decided."""

    outcome: Outcome | None = None
    error: BaseException | None = None  # of the score, which ends the fork
    state: State | None = None
    reads: Footprints | None = None
    kept: Footprints | None = None
    db: State0 | None = None


def carry_out(parcel: Parcel) -> bytes:
    """Carries out the candidate of *parcel*, in whichever process this is; gives `Returned`."""
    connection = parcel.shop.connection()
    transaction = _transaction(parcel, connection)
    try:
        with guarded() if parcel.io_guard else nullcontext():
            outcome = tried(transaction, parcel.state, parcel.label, parcel.candidate, parcel.score)
        return _packed(outcome)
    except NeedIds as need:
        return _packed(Outcome(parcel.label, error=_too_many(need)))
    except Exception as error:
        return pickle.dumps(Returned(error=_sendable(error)))
    finally:
        connection.close()


def opened(data: bytes) -> Returned:
    """What `carry_out` gave.

    Raises:
        What the score raised.
    """
    found: Returned = pickle.loads(data)
    if found.error is not None:
        raise found.error
    return found


def _transaction(parcel: Parcel, connection: Connection) -> Workspace:
    branch = parcel.db.view.branch
    connection.db(branch)  # so that the catalog knows what the parent has read
    footprints = Footprints(parcel.basis)
    deadline = Deadline.after(parcel.seconds)
    return parcel.kind(
        connection,
        Reserved.borrowed(connection.store, parcel.loan),
        Watching(connection),
        parcel.db.on(connection.on(branch), footprints),
        options=parcel.options,
        deadline=deadline,
        eager=parcel.eager,
        state=parcel.state.copy(),
    )


def _packed(outcome: Outcome) -> bytes:
    transaction: Workspace | None = outcome.transaction
    if outcome.error is not None or transaction is None:
        told = Outcome(outcome.label, error=outcome.error and _sendable(outcome.error))
        reads = None if transaction is None else transaction.reads
        return pickle.dumps(Returned(outcome=told, reads=reads))
    returned = Returned(
        outcome=attrs.evolve(outcome, transaction=None),
        state=transaction.state,
        reads=transaction.reads,
        kept=transaction.kept,
        db=State0.of(transaction.value()),
    )
    try:
        return pickle.dumps(returned)
    except Exception as error:  # pickle raises whatever the objects do
        refused = ForkError(
            f"what the candidate {outcome.label!r} gave cannot be sent back: {error}",
            hint="return plain data, and commute with functions of a module",
            label=outcome.label,
        )
        return pickle.dumps(Returned(outcome=Outcome(outcome.label, error=refused)))


def _sendable(error: BaseException) -> BaseException:
    """The error, or its text in an error that can be sent."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:  # pickle raises whatever the objects do
        return PersistenceError(f"{type(error).__name__}: {error}")


def _too_many(need: NeedIds) -> ForkError:
    return ForkError(
        f"a candidate needs {need.count} new entities, and the store cannot be asked for more",
        hint=f"make at most {SERIAL_IDS} entities, or call run(…, serial_after=None)",
    )
