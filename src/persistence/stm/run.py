"""Carries out bodies until one attempt commits: the loop around a transaction.

An attempt that meets a conflict is followed by another on a new snapshot, soon at first, later
after a wait whose length is left to chance, so that two bodies do not meet for ever. After a
number of failures the body runs with the write lock held, so that nobody can come before it. A
body that asks to retry sleeps until something it has read changes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Final, TypeVar

import attrs

from persistence.connection import Alone, Connection
from persistence.datoms import InstantLike
from persistence.errors import (
    AttemptsExhausted,
    BudgetExceeded,
    Conflict,
    TransactionError,
    WaitCycle,
)
from persistence.query.footprint import Footprints
from persistence.stm.commit import Commit, touched
from persistence.stm.guard import guarded
from persistence.stm.limits import BACKOFF, Backoff, Deadline, Turn
from persistence.stm.outbox import Outbox
from persistence.stm.reserved import NeedIds, Reserved
from persistence.stm.state import Retry
from persistence.stm.transaction import Transaction
from persistence.stm.waits import REMEDY, Waits
from persistence.stm.watching import Watching
from persistence.stm.workspace import Options

T = TypeVar("T")

ATTEMPTS: Final = 100
SERIAL_AFTER: Final = 12  # attempts; a body that fails so often would perhaps never commit
_LONG: Final = 3600.0  # seconds until a waiting body looks again whether it shall go on waiting


@attrs.frozen(kw_only=True)
class Settings:
    """How one call of `run`, `attempts` or `once` is carried out."""

    attempts: int = ATTEMPTS
    deadline: float | None = None
    backoff: Backoff = BACKOFF
    isolation: str = "serializable"
    serial_after: int | None = SERIAL_AFTER
    meta: Mapping[Any, Any] | None = None
    author: str | None = None
    valid_from: InstantLike | None = None
    valid_to: InstantLike | None = None
    io_guard: bool = False

    def __attrs_post_init__(self) -> None:
        if self.attempts < 1:
            raise TransactionError(f"{self.attempts} attempts are none", hint="allow at least 1")

    def options(self) -> Options:
        return Options(isolation=self.isolation, valid_from=self.valid_from, valid_to=self.valid_to)


@attrs.define(eq=False)
class Runner:
    """One body on its way to its commit."""

    connection: Connection
    reserved: Reserved
    watching: Watching
    turn: Turn
    waits: Waits
    settings: Settings
    chance: random.Random
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    single: bool = False  # one attempt, whose conflict is the caller's
    branch: int = 0
    outbox: Outbox | None = None
    failed: int = 0
    needed: int = 0  # ids that have to be at hand before the write lock is taken
    eager: bool = False
    done: bool = False
    deadline: Deadline = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.deadline = Deadline.after(self.settings.deadline, self.now)

    def run(self, body: Callable[..., T], *args: Any) -> T:
        """The body's value, once it is committed; see :meth:`Txn.run`."""
        for attempt in self:
            with attempt as transaction:
                value = body(transaction, *args)
        return value

    def __iter__(self) -> Iterator[AbstractContextManager[Transaction]]:
        while not self.done:
            self.deadline.check()
            yield self.attempt()

    @contextmanager
    def attempt(self) -> Iterator[Transaction]:
        """One attempt: the block is the body, and leaving it commits.

        A conflict, or a wish to retry, ends the block quietly if another attempt may follow.
        """
        transaction: Transaction | None = None
        try:
            with self._bounds() as alone:
                transaction = self.begin()
                with self.waits.body(transaction):
                    yield transaction
                commit = Commit(transaction, self.settings.meta, self.settings.author)
                commit.run(alone)
            if alone is not None and alone.done:
                transaction.report = alone.report()
            self.done = True
        except Conflict as error:
            self.conflict(error)
        except Retry:
            assert transaction is not None
            self.blocked(transaction)
        except NeedIds as need:
            self.needed = 2 * self.needed + need.count  # what the body drew before is drawn again
            self.reserved.ready(self.needed)
        except BudgetExceeded:
            self.deadline.check()
            raise
        else:
            if self.outbox is not None and transaction.state.effects:
                self.outbox.committed(transaction.state.effects)
        finally:
            if transaction is not None:
                transaction.close()

    @contextmanager
    def _bounds(self) -> Iterator[Alone | None]:
        """What an attempt runs inside of: its deadline, the write lock, the guard."""
        left = self.deadline.left()
        with ExitStack() as stack:
            alone: Alone | None = None
            stack.enter_context(self.turn.taken(self.failed))
            if left is not None:
                stack.enter_context(self.connection.deadline(max(left, 0.001)))
            if self.serial:
                alone = stack.enter_context(self.connection.alone())
                stack.enter_context(self.reserved.held())
            if self.settings.io_guard:
                stack.enter_context(guarded())
            yield alone

    @property
    def serial(self) -> bool:
        """Whether the next attempt holds the write lock."""
        after = self.settings.serial_after
        return after is not None and self.failed >= after

    def begin(self) -> Transaction:
        """A transaction on the head of the store."""
        db = self.connection.db(self.branch)
        return Transaction(
            self.connection,
            self.reserved,
            self.watching,
            attrs.evolve(db, footprints=Footprints(db.basis)),
            options=self.settings.options(),
            deadline=self.deadline,
            eager=self.eager,
        )

    def conflict(self, error: Conflict) -> None:
        """Waits before the next attempt.

        Raises:
            AttemptsExhausted: there is none. Conflict: there never was to be another.
        """
        self.failed += 1
        self.turn.met()
        if self.single:
            raise error
        self.eager = self.eager or isinstance(error.__cause__, TransactionError)
        if self.failed >= self.settings.attempts:
            raise AttemptsExhausted(
                f"the transaction met a conflict in each of {self.failed} attempts, "
                f"the last time because {error.message}",
                hint="allow more attempts, a lower serial_after, or commute where order is free",
                attempts=self.failed,
                **error.data,
            ) from error
        wait = self.settings.backoff.seconds(self.failed, self.chance)
        left = self.deadline.left()
        if wait > 0:
            self.sleep(wait if left is None else max(0.0, min(wait, left)))

    def blocked(self, transaction: Transaction) -> None:
        """Waits until something changes that the body had read before it asked to retry.

        Raises:
            TransactionError: it has read nothing, so it would wait for ever.
            DeadlineExceeded: nothing changed in time.
            WaitCycle: nothing ever would.
        """
        if self.single:
            raise TransactionError(
                "a block that is entered once cannot retry",
                hint="use s.txn.run, or `for attempt in s.txn.attempts()`",
            )
        reads = transaction.reads
        if not reads:
            raise TransactionError(
                "the body asks to retry, and has read nothing whose change could help",
                hint="read what it waits for through tx before tx.retry()",
            )
        if self.connection.locked_here:
            raise WaitCycle(
                "the transaction waits for others to commit, and its thread holds the write lock",
                hint=REMEDY,
            )
        seen = transaction.basis
        with self.waits.wait(reads), self.connection.watching() as changed:
            self._until(changed, transaction.reads, seen)

    def _until(self, changed: Callable[[int, float], int], reads: Footprints, seen: int) -> None:
        while True:
            left = self.deadline.left()
            head = changed(seen, _LONG if left is None else max(left, 0.0))
            if head > seen:
                with self.connection.snapshot() as snapshot:
                    self.connection.catalog.refresh(snapshot, snapshot.head())
                    if touched(reads, snapshot, seen, head, self.branch, self.connection.ident):
                        return
            seen = head
            self.deadline.check()
