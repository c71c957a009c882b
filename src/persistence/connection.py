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
from time import monotonic
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
from persistence.catalog import Catalog, State, placed, with_branches
from persistence.clock import Clock, SystemClock
from persistence.coordinates import resolve_basis, stored_values
from persistence.datoms import InstantLike, Payload, Schema, line_flags
from persistence.datoms import bootstrap as boot
from persistence.datoms.view import View
from persistence.db import Db, Report, Source
from persistence.errors import BranchError, StoreBusy, StoreClosed, StoreError
from persistence.query import FunctionRegistry
from persistence.session import BranchSource, SessionSource, WriterBase
from persistence.store import Batch, Head, Session, Snapshot, Store, TxRow
from persistence.store.dialect import Dialect
from persistence.store.layers import Layers
from persistence.transact import Prepared, ensure_entities, laid_over, prepare, speculate
from persistence.values import Keyword

_LOG = logging.getLogger("persistence")
_RETRIES: Final = 10  # a store that is still contended after so many tries is overloaded

_POLL: Final = 0.02  # seconds between looks at what other processes have committed
_BULK: Final = 1_000  # forms from which on the garbage collector costs more than it finds

Listener = Callable[[Report], None]
Decide = Callable[[WriterBase], Any]
Check = Callable[[Prepared], None]


@attrs.define(eq=False)
class _Request:
    """One call of `transact` that waits for its commit."""

    forms: Any
    options: Mapping[str, Any]
    author: str | None
    decide: Decide | None = None
    branch: int = 0
    after: State | None = None  # the catalog once it is committed
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
        self._writing: int | None = None  # the thread that commits
        self._moved = threading.Condition()
        self.checks: list[Check] = []
        self._listeners: list[Listener] = []
        self._closed = False
        with self.store.snapshot() as snapshot:
            self.catalog.refresh(snapshot, snapshot.head())

    # ----------------------------------------------------------------- reading

    def db(self, branch: int = 0) -> Db:
        """The current database value, of the main line or of a branch."""
        with self.store.snapshot() as snapshot:
            head = snapshot.head()
            if head.t > self.catalog.t:
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
        return self._enqueued(_Request(forms, options, author, None, branch))

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
        return self._enqueued(_Request((), options, author, decide, branch))

    @contextmanager
    def alone(self) -> Iterator[Alone]:
        """Holds the write lock of the store, so that nobody else commits meanwhile.

        What is given to `append` inside is committed at the end, unless an exception ends it.
        """
        self._refuse_nesting()
        with self._write:
            self._writing = threading.get_ident()
            try:
                with self.store.session() as session:
                    head = session.head()
                    alone = Alone(self, session, _Group(head, self.catalog.refresh(session, head)))
                    yield alone
                self._committed(alone.done)
            finally:
                self._writing = None
        self._deliver()

    def _refuse_nesting(self) -> None:
        if self._writing == threading.get_ident():
            raise StoreError(
                "this thread is committing a transaction, and would wait for itself",
                hint="write through the transaction; leave other writes to its effects",
            )

    def changed(self, t: int, timeout: float) -> int:
        """Waits until the head is later than *t*, for *timeout* seconds at most; gives the head.

        A commit of this process wakes it at once, one of another process within 20 ms.
        """
        end = monotonic() + timeout
        while True:
            with self.store.snapshot() as snapshot:
                head = snapshot.head().t
            left = end - monotonic()
            if head > t or left <= 0:
                return head
            with self._moved:
                if self.catalog.t <= t:
                    self._moved.wait(min(left, _POLL))

    def _enqueued(self, request: _Request) -> Report:
        self._refuse_nesting()
        self._waiting.append(request)
        with self._write:
            if not request.done:
                self._writing = threading.get_ident()
                try:
                    with _collector_paused() if len(request.forms) > _BULK else nullcontext():
                        self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
                finally:
                    self._writing = None
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
            group = _Group(head, self.catalog.refresh(session, head))
            for request in requests:
                try:
                    with nullcontext() if alone else session.savepoint():
                        group = self._append(session, group, request)
                    done.append(request)
                except Exception as error:
                    request.error = error
                    if alone:
                        raise
        self._committed(done)

    def _committed(self, done: Iterable[_Request]) -> None:
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

    def _append(self, session: Session, group: _Group, request: _Request) -> _Group:
        """Prepares one request on top of *group* and appends it; gives the group with it."""
        head, branch = group.head, request.branch
        state = group.states.get(branch) or self.catalog.on(branch, session, group.state)
        line = state.line(branch)
        _require_live(state, branch)
        time = self.clock.now()
        if head.t:  # an empty log has no time that could go backwards
            time = max(time, head.time)

        def before() -> Db:
            view = View(basis=head.t, instant=time, branch=branch, ancestors=line)
            return Db(SessionSource(self, session, state), view)

        layers = Layers(session, ((branch, None), *line))
        base = WriterBase(session, state, head, self.transaction_functions, before, layers)
        forms = request.forms if request.decide is None else request.decide(base)
        prepared = prepare(base, forms, time=time, **request.options)
        for check in self.checks:
            check(prepared)
        if prepared.ensured:
            ensured = laid_over(before(), prepared)
            ensure_entities(ensured, prepared, self.transaction_functions)
        parent_t, parent = group.tip(session, branch)
        header = Header(
            parent=parent or NO_PARENT,
            datoms_root=datoms_root(prepared.encoded()),
            datoms=len(prepared.changes),
            branch=branch,
            time=time,
            author=request.author,
            metadata=metadata_digest(prepared.meta),
        )
        tx_id, data = entry(header, head.leaf or NO_LEAF)
        leaf = leaf_hash(data)
        request.tx = TxRow(prepared.t, branch, parent_t, tx_id, time, prepared.next_e, data, leaf)
        request.prepared = prepared
        if state.branches:
            prepared.place_indexes(branch)
        session.append(_batch(request.tx, prepared, state))
        after = Head(prepared.t, tx_id, time, leaf, prepared.next_e)
        group = group.after(branch, after, state, prepared)
        request.after = group.state
        return group

    # -------------------------------------------------------------- publishing

    def _report(self, request: _Request) -> Report:
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
        with self._write:
            self._closed = True
            self.store.close()


class Alone:
    """The write lock, held; see :meth:`Connection.alone`."""

    def __init__(self, connection: Connection, session: Session, group: _Group) -> None:
        self._connection, self._session, self._group = connection, session, group
        self.done: list[_Request] = []

    def append(
        self, decide: Decide, *, author: str | None = None, branch: int = 0, **options: Any
    ) -> None:
        """Writes what *decide* gives; see :meth:`Connection.decided`."""
        request = _Request((), options, author, decide, branch)
        self._group = self._connection._append(self._session, self._group, request)
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


@attrs.frozen(eq=False)
class _Group:
    """Transactions that are committed together, up to one of them."""

    head: Head
    state: State  # of the main line
    states: Mapping[int, State] = attrs.field(factory=dict)  # of every branch written so far
    tips: Mapping[int, tuple[int, bytes]] = attrs.field(factory=dict)

    def tip(self, session: Session, branch: int) -> tuple[int, bytes]:
        """The last transaction of *branch*, or of the line it came from: its t and its id."""
        if not self.state.branches:
            return self.head.t, self.head.id
        known = self.tips.get(branch)
        if known is None:
            known = session.last_on(branch, self.head.t)
            for ancestor, base in self.state.line(branch):
                known = known if known[0] else session.last_on(ancestor, base)
        return known

    def after(self, branch: int, head: Head, state: State, prepared: Prepared) -> _Group:
        """This group with one more transaction on *branch*, prepared in *state*."""
        changed = prepared.schema is not state.schema
        main = self.state.with_numbers(prepared.numbers)
        main = main.with_flags(branch, prepared.flags).with_flags(0, prepared.index_flags)
        if not branch and (changed or prepared.branches):
            main = attrs.evolve(
                main,
                schema=prepared.schema if changed else main.schema,
                branches=with_branches(main.branches, prepared.changes)
                if prepared.branches
                else main.branches,
            )
        if prepared.index_flags:
            main = attrs.evolve(main, schema=placed(main.schema, main.flags))
        own = attrs.evolve(main, schema=prepared.schema) if branch else main
        # A new attribute, index or branch is seen by every branch: they are looked at anew.
        states = {} if changed or prepared.branches else self.states
        tips = {**self.tips, branch: (head.t, head.id)}
        return _Group(head, main, {**states, branch: own}, tips)


def _require_live(state: State, branch: int) -> None:
    if branch and state.branches[branch].discarded:
        name = state.branches[branch].name
        raise BranchError(
            f"the branch {name!r} was discarded: nothing can be written on it",
            hint="begin a new branch at its last state",
            branch=name,
        )


def _batch(tx: TxRow, prepared: Prepared, state: State) -> Batch:
    built_in = boot.BUILT_IN_IDS.items() if tx.t == 1 else ()
    fresh = prepared.numbers.items()
    branch = tx.branch
    flags = [
        (number, flag)
        for number, flag in prepared.flags.items()
        if flag & ~state.flags_of(branch, number)
    ]
    return Batch(
        tx=tx,
        attributes=[(number, ident.name) for ident, number in (*built_in, *fresh) if number],
        flags=[*([] if branch else flags), *prepared.index_flags.items()],
        blobs=list(prepared.interned.items()),
        log=prepared.changes,
        remove=prepared.cuts.remove,
        insert=prepared.cuts.insert,
        texts=prepared.texts,
        reindex=prepared.reindex,
        owned=prepared.owned,
        branch_flags=[(branch, *flag) for flag in flags] if branch else [],
    )
