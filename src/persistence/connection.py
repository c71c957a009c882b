"""The only writer: prepares, appends, commits and publishes; and the source that reads.

Threads that transact at the same time share one commit, see `group_commit`: their requests are
prepared one on top of the other, and written and committed together.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic
from typing import Any, Final, cast

from persistence.audit.keyfile import Keyring
from persistence.audit.log import Log
from persistence.catalog import Catalog
from persistence.clock import Clock, SystemClock
from persistence.coordinates import resolve_basis, stored_values
from persistence.datoms import InstantLike, Payload, Schema, line_flags
from persistence.datoms.view import View
from persistence.db import Db, Report, Source
from persistence.errors import StoreBusy, StoreClosed, StoreError
from persistence.group import Check, Decide, Group, Request, append
from persistence.group_commit import GroupCommit
from persistence.pending import Inseparable, Pending
from persistence.query import FunctionRegistry
from persistence.session import BranchSource
from persistence.store import Session, Snapshot, Store
from persistence.store.dialect import Dialect
from persistence.transact import speculate
from persistence.values import Keyword

_LOG = logging.getLogger("persistence")
_RETRIES: Final = 10  # a store that is still contended after so many tries is overloaded

_BULK: Final = 1_000  # forms from which on the garbage collector costs more than it finds

Listener = Callable[[Report], None]


class Connection:
    """One store with its catalog, its clock, its functions and its listeners."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        functions: FunctionRegistry | None = None,
        transaction_functions: Mapping[Keyword, Callable[..., Any]] | None = None,
        keys: Keyring | None = None,
    ) -> None:
        self.store = store
        self.clock: Clock = clock or SystemClock()
        self.functions = functions or FunctionRegistry()
        self.transaction_functions: Mapping[Keyword, Callable[..., Any]] = dict(
            transaction_functions or {}
        )
        self.catalog = Catalog()
        self.log = Log(keys)
        self._commits = GroupCommit(self._commit)
        self._reports: deque[Report] = deque()
        self._publish = threading.RLock()
        self._writing: int | None = None  # the thread that commits
        self._moved = threading.Condition()
        self.checks: list[Check] = []
        self._listeners: list[Listener] = []
        self._closed = False
        with self.store.snapshot() as snapshot:
            self.catalog.refresh(snapshot, snapshot.head())
        self.log.open(self.store)

    # ----------------------------------------------------------------- reading

    def db(self, branch: int = 0) -> Db:
        """The current database value, of the main line or of a branch."""
        head = self.store.snapshot().head()
        if head.t > self.catalog.t:
            with self.store.snapshot() as snapshot:
                head = snapshot.head()
                self.catalog.refresh(snapshot, head)
        return self._value(head.t, max(self.clock.now(), head.time), branch)

    def _value(self, t: int, instant: int, branch: int) -> Db:
        if not branch:
            return Db(self, View(t, instant))
        view = View(t, instant, branch=branch, ancestors=self.catalog.state.line(branch))
        return Db(self.on(branch), view)

    def on(self, branch: int) -> Source:
        """What a database value of *branch* reads."""
        return BranchSource(self, branch) if branch else self

    @property
    def dialect(self) -> Dialect:
        return self.store.dialect

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return self.store.snapshot()

    def read(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.store.snapshot().rows(sql, params)

    def deadline(self, seconds: float) -> AbstractContextManager[Any]:
        return self.store.interrupt_after(seconds)

    def attribute_id(self, ident: Keyword) -> int | None:
        return self.catalog.state.numbers.get(ident)

    def ident(self, number: int) -> Keyword:
        return self.catalog.state.idents[number]

    def flags(self, number: int) -> int:
        return self.catalog.state.flags.get(number, 0)

    def flags_on(self, branch: int, number: int) -> int:
        """The flags of an attribute along the line of *branch*."""
        state = self.catalog.state
        line = (branch, *(ancestor for ancestor, _ in state.line(branch)))
        return line_flags(state.flags_of(each, number) for each in line)

    def schema_at(self, t: int) -> Schema:
        return self.catalog.schema_at(t, self.store)

    def schema_on(self, branch: int, t: int) -> Schema:
        """The schema of *branch* as of *t*."""
        return self.catalog.schema_at(t, self.store, branch)

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
        branch: int = 0,
    ) -> Report:
        """Commits *forms* as one transaction, durably, and tells what it did.

        Raises:
            TransactionError, SchemaError, IntervalError, LimitExceeded: nothing was written.
            StoreError: the store failed; unless it says otherwise, nothing was written.
        """
        if not isinstance(forms, str | Mapping | list | tuple):
            forms = list(forms)  # an iterator is read once, a commit may be tried again
        options = {"valid_from": valid_from, "valid_to": valid_to, "meta": meta}
        return self._enqueued(Request(forms, options, author, None, branch))

    def decided(
        self,
        decide: Decide,
        *,
        valid_from: InstantLike | None = None,
        valid_to: InstantLike | None = None,
        meta: Mapping[Any, Any] | None = None,
        author: str | None = None,
        branch: int = 0,
    ) -> Report:
        """Commits what *decide* gives once the write lock is held, as one transaction.

        *decide* sees the head on which the transaction will stand, and nothing changes until it
        is committed. It must be quick, and may run more than once. What it raises is raised
        here, and nothing is written.
        """
        options = {"valid_from": valid_from, "valid_to": valid_to, "meta": meta}
        return self._enqueued(Request((), options, author, decide, branch))

    @contextmanager
    def alone(self) -> Iterator[Alone]:
        """Holds the write lock of the store, so that nobody else commits meanwhile.

        What is given to `append` inside is committed at the end, unless an exception ends it.
        """
        self._refuse_nesting()
        with self._commits.lock:
            self._writing = threading.get_ident()
            try:
                with self.store.session() as session:
                    alone = Alone(self, session, self._group(session))
                    yield alone
                    settle = self._settling(session, alone.group)
                settle()
                self._committed(alone.done)
            finally:
                self._writing = None
        self._deliver()

    @property
    def locked_here(self) -> bool:
        """Whether this thread holds the write lock."""
        return self._writing == threading.get_ident()

    def _refuse_nesting(self) -> None:
        if self.locked_here:
            raise StoreError(
                "this thread is committing a transaction, and would wait for itself",
                hint="write through the transaction; leave other writes to its effects",
            )

    @contextmanager
    def watching(self) -> Iterator[Callable[[int, float], int]]:
        """Gives a function that waits until the head is later than a t, for so many seconds at
        most, and gives the head. Commits of any process wake it."""
        with self.store.watch() as watch:

            def changed(t: int, timeout: float) -> int:
                end = monotonic() + timeout
                while True:
                    head = self.store.snapshot().head().t
                    left = end - monotonic()
                    if head > t or left <= 0:
                        return head
                    watch.wait(left, self._moved)

            yield changed

    def _enqueued(self, request: Request) -> Report:
        self._refuse_nesting()
        self._commits.submit(request)
        if request.error is not None:
            raise request.error
        self._deliver()
        assert request.prepared is not None
        return self._report(request)

    def _commit(self, requests: list[Request]) -> None:
        """Carries out *requests* in one commit; each learns its own outcome."""
        bulk = any(len(request.forms) > _BULK for request in requests)
        self._writing = threading.get_ident()
        try:
            with _collector_paused() if bulk else nullcontext():
                self._tried(requests)
        except BaseException as error:
            self._fail(requests, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._writing = None

    def _tried(self, requests: list[Request]) -> None:
        for left in range(_RETRIES - 1, -1, -1):
            try:
                self._session(requests)
                return
            except Inseparable:
                for request in requests:
                    self._commit([request])
                return
            except StoreBusy:
                if not left:
                    raise

    @staticmethod
    def _fail(requests: list[Request], error: BaseException) -> None:
        for request in requests:
            if request.error is None:
                request.error = error

    def _session(self, requests: list[Request]) -> None:
        if self._closed:
            raise StoreClosed("the store is closed", hint="open it again")
        done: list[Request] = []
        for request in requests:
            request.error = None
        with self.store.session() as session:
            group = self._group(session)
            if len(requests) == 1:
                group = append(self, session, group, requests[0])
                done = requests
            else:
                group, done = self._together(session, group, requests)
            settle = self._settling(session, group)
        settle()
        self._committed(done)

    def _together(
        self, session: Session, group: Group, requests: list[Request]
    ) -> tuple[Group, list[Request]]:
        """Carries out each request that can be; gives those."""
        pending = Pending(session)
        done = []
        for request in requests:
            try:
                group = append(self, cast(Session, pending), group, request)
                done.append(request)
            except Exception as error:
                if pending.broken or not session.sound:
                    raise Inseparable from error
                request.error = error
        pending.write()
        return group, done

    def _group(self, session: Session) -> Group:
        """The group that *session* begins with: no transaction yet."""
        head = session.head()
        state = self.catalog.refresh(session, head)
        return Group(head, state, self.log.roster_at(session, head.t, self.catalog.spoken))

    def _settling(self, session: Session, group: Group) -> Callable[[], None]:
        """Writes tree and checkpoint of *group*; gives what to do once they are committed."""
        if not group.leaves:
            return lambda: None
        frontier = self.log.settle(session, group.roster, group.head.t, group.leaves)
        return lambda: self.log.settled(group.roster, group.head.t, frontier)

    def _committed(self, done: Iterable[Request]) -> None:
        """Takes in what has been committed."""
        for request in done:
            prepared = request.prepared
            assert prepared is not None and request.after is not None
            changed = prepared.declares or prepared.branches
            self.catalog.advance(prepared.t, request.after, changed=changed)
            if self._listeners:
                self._reports.append(self._report(request))
        with self._moved:
            self._moved.notify_all()

    # -------------------------------------------------------------- publishing

    def _report(self, request: Request) -> Report:
        prepared, tx = request.prepared, request.tx
        assert prepared is not None and tx is not None
        now = max(self.clock.now(), tx.time)
        return Report(
            before=lambda: self._value(tx.t - 1, now, tx.branch),
            after=lambda: self._value(tx.t, now, tx.branch),
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
        with self._commits.lock:
            self._closed = True
            self.log.remember()
            self.store.close()


class Alone:
    """The write lock, held; see :meth:`Connection.alone`."""

    def __init__(self, connection: Connection, session: Session, group: Group) -> None:
        self._connection, self.session, self.group = connection, session, group
        self.done: list[Request] = []

    def append(
        self, decide: Decide, *, author: str | None = None, branch: int = 0, **options: Any
    ) -> None:
        """Writes what *decide* gives; see :meth:`Connection.decided`."""
        request = Request((), options, author, decide, branch)
        self.group = append(self._connection, self.session, self.group, request)
        self.done.append(request)

    def report(self) -> Report:
        """Of the last transaction, once it is committed."""
        return self._connection._report(self.done[-1])


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
