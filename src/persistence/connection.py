"""The only writer: prepares, appends, commits and publishes; and the source that reads.

Threads that transact at the same time share one commit: whoever gets the write lock first
carries out every request that waits, each in a savepoint of its own, and commits them together,
so that many threads pay for one fsync.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

import attrs

from persistence.audit.record import (
    NO_LEAF,
    NO_PARENT,
    Header,
    datoms_root,
    entry,
    leaf_hash,
    metadata_digest,
)
from persistence.catalog import Catalog, State
from persistence.clock import Clock, SystemClock
from persistence.coordinates import resolve_basis, stored_values
from persistence.datoms import InstantLike, Payload, Schema
from persistence.datoms import bootstrap as boot
from persistence.datoms.view import View
from persistence.db import Db, Report
from persistence.errors import StoreBusy, StoreClosed
from persistence.query import FunctionRegistry
from persistence.session import SessionSource, WriterBase
from persistence.store import Batch, Head, Session, Snapshot, Store, TxRow
from persistence.store.dialect import Dialect
from persistence.transact import Prepared, ensure_entities, laid_over, prepare, speculate
from persistence.values import Keyword

_LOG = logging.getLogger("persistence")
_RETRIES: Final = 10  # a store that is still contended after so many tries is overloaded

_BULK: Final = 1_000  # forms from which on the garbage collector costs more than it finds

Listener = Callable[[Report], None]
Decide = Callable[[WriterBase], Any]


@attrs.define(eq=False)
class _Request:
    """One call of `transact` that waits for its commit."""

    forms: Any
    options: Mapping[str, Any]
    author: str | None
    decide: Decide | None = None
    prepared: Prepared | None = None
    tx: TxRow | None = None
    error: BaseException | None = None
    done: bool = False


class Connection:
    """One store with its catalog, its clock, its functions and its listeners."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        functions: FunctionRegistry | None = None,
        transaction_functions: Mapping[Keyword, Callable[..., Any]] | None = None,
    ) -> None:
        self.store = store
        self.clock: Clock = clock or SystemClock()
        self.functions = functions or FunctionRegistry()
        self.transaction_functions = dict(transaction_functions or {})
        self.catalog = Catalog()
        self._waiting: deque[_Request] = deque()
        self._write = threading.Lock()
        self._reports: deque[Report] = deque()
        self._publish = threading.RLock()
        self._listeners: list[Listener] = []
        self._closed = False
        with self.store.snapshot() as snapshot:
            self.catalog.refresh(snapshot, snapshot.head())

    # ----------------------------------------------------------------- reading

    def db(self) -> Db:
        """The current database value."""
        with self.store.snapshot() as snapshot:
            head = snapshot.head()
            if head.t > self.catalog.t:
                self.catalog.refresh(snapshot, head)
        return self._value(head.t, head.time)

    def _value(self, t: int, time: int) -> Db:
        return Db(self, View(t, max(self.clock.now(), time)))

    @property
    def dialect(self) -> Dialect:
        return self.store.dialect

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return self.store.snapshot()

    def deadline(self, seconds: float) -> AbstractContextManager[Any]:
        return self.store.interrupt_after(seconds)

    def attribute_id(self, ident: Keyword) -> int | None:
        return self.catalog.state.numbers.get(ident)

    def ident(self, number: int) -> Keyword:
        return self.catalog.state.idents[number]

    def flags(self, number: int) -> int:
        return self.catalog.state.flags.get(number, 0)

    def schema_at(self, t: int) -> Schema:
        return self.catalog.schema_at(t, self.store)

    def resolve_basis(self, x: int | bytes | InstantLike) -> int:
        """The t that *x* names.

        Raises:
            UnknownBasis: the log holds no such t, transaction or instant.
        """
        with self.store.snapshot() as snapshot:
            return resolve_basis(snapshot, x)

    def values(self, keys: Iterable[tuple[int, Payload]]) -> list[Any]:
        """The values of stored (k, payload) pairs, interned ones in one statement."""
        with self.store.snapshot() as snapshot:
            return stored_values(snapshot, keys)

    def speculate(self, db: Db, forms: Any, options: Mapping[str, Any]) -> Report:
        """The report of transacting *forms* on top of *db*; nothing is written."""
        return speculate(
            db,
            forms,
            options,
            now=self.clock.now(),
            functions=self.transaction_functions,
            numbers=self.catalog.state.numbers,
        )

    # ----------------------------------------------------------------- writing

    def transact(
        self,
        forms: Any,
        *,
        valid_from: InstantLike | None = None,
        valid_to: InstantLike | None = None,
        meta: Mapping[Any, Any] | None = None,
        author: str | None = None,
    ) -> Report:
        """Commits *forms* as one transaction, durably, and tells what it did.

        Raises:
            TransactionError, SchemaError, IntervalError, LimitExceeded: nothing was written.
            StoreError: the store failed; unless it says otherwise, nothing was written.
        """
        if not isinstance(forms, str | Mapping | list | tuple):
            forms = list(forms)  # an iterator is read once, a commit may be tried again
        options = {"valid_from": valid_from, "valid_to": valid_to, "meta": meta}
        return self._enqueued(_Request(forms, options, author))

    def decided(
        self,
        decide: Decide,
        *,
        valid_from: InstantLike | None = None,
        valid_to: InstantLike | None = None,
        meta: Mapping[Any, Any] | None = None,
        author: str | None = None,
    ) -> Report:
        """Commits what *decide* gives once the write lock is held, as one transaction.

        *decide* sees the head on which the transaction will stand, and nothing changes until it
        is committed. It must be quick, and may run more than once. What it raises is raised
        here, and nothing is written.
        """
        options = {"valid_from": valid_from, "valid_to": valid_to, "meta": meta}
        return self._enqueued(_Request((), options, author, decide))

    def _enqueued(self, request: _Request) -> Report:
        self._waiting.append(request)
        with self._write:
            if not request.done:
                with _collector_paused() if len(request.forms) > _BULK else nullcontext():
                    self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        if request.error is not None:
            raise request.error
        self._deliver()
        assert request.prepared is not None
        return self._report(request)

    def _commit(self, requests: list[_Request]) -> None:
        """Carries out *requests* in one commit; each learns its own outcome."""
        for attempt in range(_RETRIES):
            try:
                self._session(requests)
                break
            except StoreBusy as error:
                if attempt == _RETRIES - 1:
                    self._fail(requests, error)
            except BaseException as error:
                self._fail(requests, error)
                if not isinstance(error, Exception):
                    raise
                break
        for request in requests:
            request.done = True

    @staticmethod
    def _fail(requests: list[_Request], error: BaseException) -> None:
        for request in requests:
            if request.error is None:
                request.error = error

    def _session(self, requests: list[_Request]) -> None:
        if self._closed:
            raise StoreClosed("the store is closed", hint="open it again")
        alone = len(requests) == 1
        done: list[_Request] = []
        for request in requests:
            request.error = None
        with self.store.session() as session:
            head = session.head()
            state = self.catalog.refresh(session, head)
            for request in requests:
                try:
                    with nullcontext() if alone else session.savepoint():
                        head, state = self._append(session, head, state, request)
                    done.append(request)
                except Exception as error:
                    request.error = error
                    if alone:
                        raise
        for request in done:
            prepared = request.prepared
            assert prepared is not None
            self.catalog.advance(
                prepared.t,
                prepared.numbers,
                prepared.flags,
                prepared.schema,
                changed=prepared.declares,
            )
            if self._listeners:
                self._reports.append(self._report(request))

    def _append(
        self, session: Session, head: Head, state: State, request: _Request
    ) -> tuple[Head, State]:
        """Prepares one request on top of *head* and appends it; gives the head after it."""
        time = self.clock.now()
        if head.t:  # an empty log has no time that could go backwards
            time = max(time, head.time)

        def before() -> Db:
            return Db(SessionSource(self, session, state), View(basis=head.t, instant=time))

        base = WriterBase(
            session,
            state,
            head,
            self.transaction_functions,
            before,
        )
        forms = request.forms if request.decide is None else request.decide(base)
        prepared = prepare(base, forms, time=time, **request.options)
        if prepared.ensured:
            ensured = laid_over(before(), prepared)
            ensure_entities(ensured, prepared, self.transaction_functions)
        header = Header(
            parent=head.id or NO_PARENT,
            datoms_root=datoms_root(prepared.encoded()),
            datoms=len(prepared.changes),
            branch=0,
            time=time,
            author=request.author,
            metadata=metadata_digest(prepared.meta),
        )
        tx_id, data = entry(header, head.leaf or NO_LEAF)
        leaf = leaf_hash(data)
        request.tx = TxRow(prepared.t, 0, head.t, tx_id, time, prepared.next_e, data, leaf)
        request.prepared = prepared
        session.append(_batch(request.tx, prepared, state))
        after = Head(prepared.t, tx_id, time, leaf, prepared.next_e)
        if prepared.numbers or prepared.schema is not state.schema:
            state = attrs.evolve(
                state,
                numbers={**state.numbers, **prepared.numbers},
                idents={**state.idents, **{n: i for i, n in prepared.numbers.items()}},
                schema=prepared.schema,
            )
        return after, state

    # -------------------------------------------------------------- publishing

    def _report(self, request: _Request) -> Report:
        prepared, tx = request.prepared, request.tx
        assert prepared is not None and tx is not None
        now = max(self.clock.now(), tx.time)
        return Report(
            db_before=Db(self, View(tx.parent, now)),
            db_after=Db(self, View(tx.t, now)),
            tempids=prepared.tempids,
            t=tx.t,
            time=tx.time,
            id=tx.id,
            meta=prepared.meta,
            data=prepared.datoms,
        )

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls *listener* with every report that this connection commits, in order of t.

        Gives a function that ends it. A listener that raises is logged and stays.
        """
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def _deliver(self) -> None:
        while self._reports:
            with self._publish:
                try:
                    report = self._reports.popleft()
                except IndexError:  # another thread has delivered it
                    return
                for listener in list(self._listeners):
                    try:
                        listener(report)
                    except Exception:
                        _LOG.exception("a listener failed on %r", report)

    def close(self) -> None:
        """Closes the store; a commit under way is finished first."""
        with self._write:
            self._closed = True
            self.store.close()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No cyclic garbage collection inside: a large transaction makes millions of objects that
    all live until its end, and looking at them again and again took a third of its time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _batch(tx: TxRow, prepared: Prepared, state: State) -> Batch:
    built_in = boot.BUILT_IN_IDS.items() if tx.t == 1 else ()
    fresh = prepared.numbers.items()
    return Batch(
        tx=tx,
        attributes=[(number, ident.name) for ident, number in (*built_in, *fresh) if number],
        flags=[
            (number, flag)
            for number, flag in prepared.flags.items()
            if state.flags.get(number, 0) | flag != state.flags.get(number, 0)
        ],
        blobs=list(prepared.interned.items()),
        log=prepared.changes,
        remove=prepared.cuts.remove,
        insert=prepared.cuts.insert,
        texts=prepared.texts,
        reindex=prepared.reindex,
    )
