"""`s.txn`: software transactions over the facts of a store."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from persistence.connection import Connection
from persistence.errors import ForkError, TransactionError
from persistence.stm.bound import BoundRef
from persistence.stm.fold import Folded, Marker, Pick, Step, resumed
from persistence.stm.fork import Choose, Forked
from persistence.stm.limits import Turn
from persistence.stm.outbox import ATTEMPTS, Delivery, Handler, Outbox
from persistence.stm.reference import Ref
from persistence.stm.reserved import Reserved
from persistence.stm.run import Runner, Settings
from persistence.stm.transaction import Transaction
from persistence.stm.trial import Candidate, Score
from persistence.stm.waits import Waits
from persistence.stm.watching import Change, Predicate, Watching
from persistence.values import Keyword

T = TypeVar("T")


class Txn:
    """Transactions whose bodies read and write as if they were alone in the world.

    >>> def birthday(tx, who):
    ...     return tx.ref(who, "user/age").alter(lambda age: age + 1)
    >>> s.txn.run(birthday, ada)
    37
    """

    def __init__(
        self,
        connection: Connection,
        *,
        branch: int = 0,
        chance: random.Random | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._connection = connection
        self._branch = branch
        self._turn = Turn()
        self._waits = Waits()
        self._chance = chance or random.Random()
        self._reserved = Reserved(connection.store, self._chance.getrandbits(128))
        self._watching = Watching(connection)
        self._outbox = Outbox(connection, branch)
        self._now, self._sleep = now, sleep

    def run(self, body: Callable[..., T], *args: Any, **settings: Any) -> T:
        """Carries out ``body(tx, *args)`` until it commits, and gives what it returned.

        The body may run several times, so it must not do anything but read, compute and write
        through *tx*. Each time it sees one consistent state of the database. What it raises ends
        the call and nothing is written. Settings, by name:

        ``attempts``      how often it may meet a conflict (100)
        ``deadline``      seconds for all of it, bodies and waits included (none)
        ``isolation``     "serializable", or "snapshot": only what is written is guarded
        ``serial_after``  conflicts after which nobody else may write while it runs (12); None
        ``backoff``       a :class:`Backoff`: how long to wait between attempts
        ``io_guard``      refuse files, sockets and processes in the body (False)
        ``valid_from``, ``valid_to``, ``meta``, ``author``   as :meth:`Facts.transact` takes them

        >>> from persistence.errors import AttemptsExhausted
        >>> s.txn.run(lambda tx: tx.get(ada, "user/name"), deadline=5.0)
        'Ada Lovelace'

        Raises:
            AttemptsExhausted: every attempt met a conflict.
            DeadlineExceeded: the time was up, also in the middle of an attempt.
            TransactionError: what it writes is refused.
        """
        return self._runner(settings).run(body, *args)

    def attempts(self, **settings: Any) -> Iterator[AbstractContextManager[Transaction]]:
        """The attempts of one transaction, for a `for` loop around a `with` block.

        The loop ends after the attempt that commits. Takes the settings of :meth:`run`.

        >>> for attempt in s.txn.attempts():
        ...     with attempt as tx:
        ...         tx.ref(ada, "user/age").set(40)
        >>> s.fact.db().get(ada, "user/age")
        40
        """
        return iter(self._runner(settings))

    def once(self, **settings: Any) -> AbstractContextManager[Transaction]:
        """One attempt, as a `with` block: Python cannot run a block twice.

        Takes the settings of :meth:`run`, except for those that are about further attempts.

        Raises:
            Conflict: what it read has changed since; nothing was written.
            TransactionError: a setting that one attempt cannot honour.

        >>> with s.txn.once() as tx:
        ...     _ = tx.transact([{"db/id": ada, "user/city": "London"}])
        >>> tx.report.t == s.fact.db().basis
        True
        """
        for name in ("attempts", "backoff", "serial_after"):
            if settings.get(name):  # a serial_after of 0 is honoured: it is about the first
                raise TransactionError(
                    f"a block that is entered once has no use for {name}",
                    hint="use s.txn.run, or `for attempt in s.txn.attempts()`",
                    setting=name,
                )
        runner = self._runner(settings)
        runner.single = True
        return runner.attempt()

    def ref(self, entity: Any, attribute: Any, **default: Any) -> Ref:
        """A ref to one cell, for any number of transactions; see :class:`Ref`."""
        return Ref(entity, attribute, **default)

    def deref(self, ref: Ref) -> Any:
        """What the cell of *ref* holds now.

        >>> s.txn.deref(s.txn.ref(ada, "user/name"))
        'Ada Lovelace'
        """
        return BoundRef(self._runner({}).begin(), ref).deref()

    def validator(self, target: Any, predicate: Predicate) -> Callable[[], None]:
        """Lets *predicate* judge every value that *target*, an attribute or a :class:`Ref`, gets.

        It holds for every transaction of this connection, from now on until the function that
        this gives is called. It runs while the write lock is held, so it must be quick.

        >>> stop = s.txn.validator("user/age", lambda age: age >= 0)
        >>> s.txn.run(lambda tx: tx.ref(ada, "user/age").set(-1))
        Traceback (most recent call last):
        ...
        persistence.errors.ValidatorRefused: a validator of :user/age does not accept -1 ...
        >>> stop()

        Raises:
            UndeclaredRef: the ref's entity is not there.
        """
        return self._watching.validator(target, predicate)

    def watch(self, target: Any, callback: Callable[[Change], Any]) -> Callable[[], None]:
        """Calls *callback* with each committed :class:`Change` of *target*, in order of t.

        It hears of the commits of this process, after they are durable; for a commit under
        several watches the order among them is that in which they began. What it raises is
        logged. Gives a function that ends it.

        >>> stop = s.txn.watch(s.txn.ref(ada, "user/age"), lambda change: print(change))
        >>> s.txn.run(lambda tx: tx.ref(ada, "user/age").set(50))
        Change(entity=1, attribute=Keyword('user/age'), old=..., new=50)
        >>> stop()

        Raises:
            UndeclaredRef: the ref's entity is not there.
        """
        return self._watching.watch(target, callback)

    def fork(
        self,
        candidates: Mapping[Any, Candidate] | Iterable[Candidate],
        *,
        score: Score,
        choose: Choose | None = None,
        executor: Executor | None = None,
        workers: int | None = None,
        record: bool = True,
        reads: str = "winner",
        **settings: Any,
    ) -> Forked:
        """A transaction of its own that tries several continuations and commits one.

        See :meth:`Transaction.fork`; the other settings are those of :meth:`run`.

        >>> def move(city):
        ...     return lambda tx: tx.transact([{"db/id": ada, "user/city": city}])
        >>> forked = s.txn.fork(
        ...     {city: move(city) for city in ("London", "Turin")},
        ...     score=lambda outcome: len(outcome.label),
        ... )
        >>> forked.winner.label, s.fact.db().get(ada, "user/city")
        ('London', 'London')
        """
        every = candidates if isinstance(candidates, Mapping) else [*candidates]

        def body(tx: Transaction) -> Forked:
            return tx.fork(
                every,
                score=score,
                choose=choose,
                executor=executor,
                workers=workers,
                record=record,
                reads=reads,
            )

        return self.run(body, **settings)

    def fold(
        self,
        items: Iterable[Any],
        step: Step,
        *,
        initial: Any = None,
        score: Callable[[Marker], float] | None = None,
        choose: Pick | None = None,
        checkpoint: Any = None,
        every: int | None = None,
        **settings: Any,
    ) -> Folded:
        """One step after the other over *items*, in a transaction of its own; see
        :meth:`Transaction.fold`. The other settings are those of :meth:`run`.

        With a *checkpoint*, a name, there is a commit after *every* so many items (1). It holds
        their facts together with `:fold/name`, `:fold/position` and `:fold/state`. Called again
        with the same name and items, here or in another process, the fold goes on after the last
        checkpoint: the facts of an item are written exactly once. What *step* gives must then be
        an EDN value, and it is handed on as the store gives it back.

        >>> def add(tx, total, amount):
        ...     tx.transact([{"sale/amount": amount}])
        ...     return total + amount
        >>> s.txn.fold([1, 2, 3], add, initial=0, checkpoint="sales", every=2).value
        6
        >>> s.txn.fold([1, 2, 3, 4], add, initial=0, checkpoint="sales", every=2).value
        10
        >>> s.fact.db().q("[:find (count ?e) . :where [?e :sale/amount]]")
        4

        Raises:
            ForkError: as :meth:`Transaction.fold`; fewer items than are done; or a choice
                together with a checkpoint, which keeps every item. What *step* raises ends the
                fold; what was committed before stays.
        """
        if checkpoint is None:
            if every is not None:
                raise ForkError("every counts checkpoints", hint="give the checkpoint a name")
            held = [*items]

            def body(tx: Transaction) -> Folded:
                return tx.fold(held, step, initial=initial, score=score, choose=choose)

            return self.run(body, **settings)
        if score is not None or choose is not None:
            raise ForkError(
                "a checkpoint keeps every item, so no prefix can be chosen",
                hint="leave the checkpoint out, or the choice",
            )
        return resumed(
            lambda group: self.run(group, **settings),
            items,
            step,
            initial=initial,
            name=checkpoint,
            every=1 if every is None else every,
        )

    def handler(
        self, operation: Any, function: Handler, *, attempts: int = ATTEMPTS
    ) -> Callable[[], None]:
        """Lets *function* perform the effects *operation*, as ``function(args, key)``.

        *args* are the arguments by name. *key* is a UUID that is the same whenever the same
        effect is performed again, which happens if the performer dies before what it did is
        written down: hand it to the outside, so that it can tell. What *function* gives is kept,
        if it is an EDN value. If it raises, it is called again by the next delivery, up to
        *attempts* times; then the effect counts as failed. Gives a function that ends it.

        From now on a transaction of this object that asks for such an effect delivers after its
        commit.
        """
        return self._outbox.handle(operation, function, attempts)

    def deliver(self) -> list[Delivery]:
        """Performs the effects that are pending and have a handler; gives each as it is now.

        The oldest comes first, in the order of commits, and each is tried once. One thread of
        one process at a time performs; others wait for it. Inside of a handler this does
        nothing, because the delivery under way takes in whatever is asked for meanwhile.

        >>> _ = s.txn.run(lambda tx: tx.effect("order/ship", order=7))
        >>> stop = s.txn.handler("order/ship", lambda args, key: f"shipped {args['order']}")
        >>> [(each.state, each.result) for each in s.txn.deliver()]
        [(Keyword('done'), 'shipped 7')]

        Raises:
            StoreBusy: somebody else performed for longer than the busy timeout.
        """
        return self._outbox.deliver()

    def effects(self, state: Keyword | str | None = None) -> list[Delivery]:
        """The effects in the order they were asked for: all, or the pending, done or failed.

        >>> _ = s.txn.run(lambda tx: tx.effect("order/cancel", order=8))
        >>> [each.args for each in s.txn.effects("pending")]
        [{'order': 8}]
        """
        return self._outbox.effects(state)

    def _runner(self, settings: dict[str, Any]) -> Runner:
        return Runner(
            self._connection,
            self._reserved,
            self._watching,
            self._turn,
            self._waits,
            Settings(**settings),
            self._chance,
            self._now,
            self._sleep,
            branch=self._branch,
            outbox=self._outbox,
        )
