"""What a body gets: the words in which it reads, writes, and is made of other bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from persistence.datoms import InstantLike
from persistence.db import Entity, Report
from persistence.errors import TransactionError
from persistence.stm import fold as folding
from persistence.stm import fork as forking
from persistence.stm import outbox
from persistence.stm.bound import BoundRef
from persistence.stm.fold import Folded, Marker, Pick, Step
from persistence.stm.fork import Choose, Forked
from persistence.stm.reference import Ref
from persistence.stm.state import Effect, Retry
from persistence.stm.trial import Candidate, Score
from persistence.stm.workspace import Workspace
from persistence.values import Keyword, Map, freeze, keyword

T = TypeVar("T")


class Transaction(Workspace):
    """What a body gets: the database as of one moment, with its own writes.

    >>> def grow(tx):
    ...     age = tx.ref(ada, "user/age")
    ...     age.alter(lambda years: years + 1)
    ...     return tx.q("[:find ?age . :where [?e :user/age ?age]]")
    >>> s.txn.run(grow)
    37
    """

    def q(self, text: Any, *inputs: Any, **options: Any) -> Any:
        """The answer to a query; see :meth:`Db.q`."""
        return self.db.q(text, *inputs, **options)

    def pull(self, pattern: Any, e: Any) -> Any:
        """One entity, in the shape of *pattern*; see :meth:`Db.pull`."""
        return self.db.pull(pattern, e)

    def get(self, e: Any, attribute: Keyword | str, default: Any = None) -> Any:
        """The value of one attribute; see :meth:`Db.get`."""
        return self.db.get(e, attribute, default)

    def entity(self, e: Any) -> Entity | None:
        """A lazy view of an entity; see :meth:`Db.entity`."""
        return self.db.entity(e)

    # ------------------------------------------------------------------- writing

    def transact(
        self,
        forms: Any,
        *,
        valid_from: InstantLike | None = None,
        valid_to: InstantLike | None = None,
    ) -> Report:
        """Takes in *forms* as :meth:`Facts.transact` would; they are written at commit.

        Gives what they do to the database as this transaction sees it. New entities have their
        final ids.

        Raises:
            TransactionError, SchemaError, IntervalError: the data are refused.
        """
        options = self.options
        return self.decide(
            forms,
            options.valid_from if valid_from is None else valid_from,
            options.valid_to if valid_to is None else valid_to,
        )

    def ref(self, entity: Any, attribute: Keyword | str | None = None, **default: Any) -> BoundRef:
        """A ref of this transaction, from an entity and an attribute or from a :class:`Ref`."""
        if isinstance(entity, Ref):
            return BoundRef(self, entity)
        if attribute is None:
            raise TransactionError("a ref needs an attribute", hint="tx.ref(entity, attribute)")
        return BoundRef(self, Ref(entity, attribute, **default))

    def effect(self, operation: Keyword | str, /, **args: Any) -> UUID:
        """Asks for something to be done outside once this transaction is committed; gives its key.

        It is performed by the handler of *operation*, see :meth:`Txn.handler`, and never if this
        transaction, or the nested one or the candidate it is asked in, comes to nothing. *args*
        are EDN values.

        >>> sent = []
        >>> stop = s.txn.handler("letter/send", lambda args, key: sent.append(args["to"]))
        >>> key = s.txn.run(lambda tx: tx.effect("letter/send", to="ada@example.org"))
        >>> sent, s.txn.effects()[0].key == key
        (['ada@example.org'], True)

        Raises:
            ValueRefused: an argument is no EDN value.
        """
        self.check()
        given = Map({Keyword(name): freeze(value) for name, value in args.items()})
        self.declare(outbox.DECLARATIONS)
        key, entity = self.one()
        self.state.effects.append(Effect(keyword(operation), given, key, entity))
        return key

    # --------------------------------------------------------------- composition

    @contextmanager
    def nested(self) -> Iterator[Transaction]:
        """A transaction inside of this one, which an exception rolls back alone.

        What it wrote becomes this transaction's when the block ends; what it read counts anyway.
        """
        child = self.child()
        try:
            yield child
        finally:
            child.close()
        child.merge_into(self)

    def run(self, body: Callable[..., T], *args: Any) -> T:
        """Carries out *body* nested in this transaction; see :meth:`nested`."""
        with self.nested() as child:
            return body(child, *args)

    def or_else(self, *bodies: Callable[[Transaction], T]) -> T:
        """What the first of *bodies* gives that does not ask to :meth:`retry`.

        Each is nested, so that one that gives up leaves no writes. If all do, so does this
        transaction, and it waits for what any of them has read.
        """
        for body in bodies:
            try:
                return self.run(body)
            except Retry:
                continue
        self.retry()

    def retry(self) -> NoReturn:
        """Gives up this attempt until something that it has read changes."""
        self.check()
        raise Retry

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
    ) -> Forked:
        """Tries several continuations of this transaction, and keeps one.

        *candidates* are functions of a transaction, by label or in a row. Each runs in a child of
        this transaction and sees nothing of the others. ``score(outcome)`` gives a finite number
        for each that returns; ``choose(outcomes)`` gives the :class:`Outcome` to keep, by default
        the best scored, of equals the first. The winner's writes, commutes, effects and reads
        become this transaction's; a candidate that raises has lost, and the record says why.

        In the same commit stands the record, unless *record* is False: an entity with `:fork/id`,
        `:fork/winner` and `:fork/candidates`, each with `:candidate/label`, `/score`, `/digest`,
        `/won` and `/error`.

        The calling thread takes one candidate after the other; when they are not done within
        milliseconds, the others are begun in threads, *workers* at once (32). An *executor* of
        other processes gets what pickle can send: the candidates and *score* must be functions
        of a module, and each reads the store through a connection of its own.

        The choice depends on the losers too: with ``reads="all"`` the commit is a conflict when
        something changes that any of them has read, and not only the winner.

        >>> def move(city):
        ...     return lambda tx: tx.ref(ada, "user/city", default="").alter(lambda old: city)
        >>> def body(tx):
        ...     forked = tx.fork(
        ...         {"a": move("Turin"), "b": move("London"), "c": lambda tx: 1 / 0},
        ...         score=lambda outcome: len(outcome.value),
        ...     )
        ...     return forked.winner.label, [outcome.score for outcome in forked.outcomes]
        >>> s.txn.run(body)
        ('b', [5.0, 6.0, None])

        Raises:
            ForkError: there are no candidates, all raised, a score is no finite number, or
                *choose* gives none of the candidates.
        """
        return forking.fork(
            self,
            candidates,
            score=score,
            choose=choose,
            executor=executor,
            workers=workers,
            record=record,
            reads=reads,
        )

    def fold(
        self,
        items: Iterable[Any],
        step: Step,
        *,
        initial: Any = None,
        score: Callable[[Marker], float] | None = None,
        choose: Pick | None = None,
    ) -> Folded:
        """Carries out ``step(tx, value, item)`` for each item, each on top of those before.

        Each step is nested in this transaction and gives the value for the next; the first gets
        *initial*. Without *score* and *choose* every step is kept. With them a :class:`Marker`
        stands after every item, and before the first, and one prefix is kept: what
        ``choose(markers)`` gives, by default the one with the highest ``score(marker)``, of
        equals the shortest.

        >>> def hike(tx, height, way):
        ...     tx.transact([{"db/id": ada, "user/height": height + way}])
        ...     return height + way
        >>> def body(tx):
        ...     return tx.fold([300, 500, -200], hike, initial=0, score=lambda marker: marker.value)
        >>> folded = s.txn.run(body)
        >>> folded.position, folded.value, s.fact.db().get(ada, "user/height")
        (2, 800, 800)

        Raises:
            ForkError: a score is no finite number, or *choose* gives none of the markers. What
                *step* raises ends the fold.
        """
        return folding.fold(self, items, step, initial=initial, score=score, choose=choose)
