"""A transaction in the making: one snapshot, and what the body has decided on top of it.

Nothing is written and nothing is locked while a body runs. Its reads leave footprints, its writes
are data. A value that a ref was set to stays a plain value until something asks the database
itself; only then are the writes laid over the snapshot, so that queries see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import attrs

from persistence.connection import Connection
from persistence.datoms import InstantLike
from persistence.db import Db, Entity, Report
from persistence.errors import TransactionError
from persistence.query.footprint import Footprints
from persistence.stm import fold as folding
from persistence.stm import fork as forking
from persistence.stm import outbox
from persistence.stm.bound import BoundRef
from persistence.stm.fold import Folded, Marker, Pick, Step
from persistence.stm.fork import Choose, Forked
from persistence.stm.limits import Deadline
from persistence.stm.reference import MISSING, Ref
from persistence.stm.reserved import Loan, Reserved
from persistence.stm.shipping import State0
from persistence.stm.state import Cell, Commute, Effect, Retry, State
from persistence.stm.trial import Candidate, Score
from persistence.stm.watching import Watching
from persistence.transact import Batch, Batches, carried_out, report
from persistence.transact.operations import Add, Ensure, RetractEntity
from persistence.values import Keyword, Map, freeze, keyword

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Options:
    """What holds for every attempt of a transaction."""

    isolation: str = "serializable"
    valid_from: InstantLike | None = None
    valid_to: InstantLike | None = None

    def __attrs_post_init__(self) -> None:
        if self.isolation not in ("serializable", "snapshot"):
            raise TransactionError(
                f"there is no isolation {self.isolation!r}", hint="use serializable or snapshot"
            )


class Transaction:
    """What a body gets: the database as of one moment, with its own writes.

    >>> def grow(tx):
    ...     age = tx.ref(ada, "user/age")
    ...     age.alter(lambda years: years + 1)
    ...     return tx.q("[:find ?age . :where [?e :user/age ?age]]")
    >>> s.txn.run(grow)
    37
    """

    def __init__(
        self,
        connection: Connection,
        reserved: Reserved,
        watching: Watching,
        db: Db,
        *,
        options: Options,
        deadline: Deadline,
        eager: bool = False,
        state: State | None = None,
    ) -> None:
        self.connection = connection
        self.options = options
        self.deadline = deadline
        self.state = state or State()
        self.basis = db.basis if db.overlay is None else db.overlay.base
        self.reads = db.footprints if db.footprints is not None else Footprints(self.basis)
        self.kept = self.reads if options.isolation == "serializable" else Footprints(self.basis)
        self.eager = eager or not options.valid_from is options.valid_to is None
        self.report: Report | None = None
        self._reserved, self._watching = reserved, watching
        self._db = db if db.footprints is self.reads else attrs.evolve(db, footprints=self.reads)
        self._open = True

    # ------------------------------------------------------------------- reading

    @property
    def db(self) -> Db:
        """The snapshot with this transaction's own writes; what it is asked is remembered."""
        self._check()
        return self.value()

    def value(self) -> Db:
        """What `db` gives, also when this transaction is over."""
        state = self.state
        if state.pending or state.unshown or state.notes:
            self._show()
        return self._db

    @property
    def snapshot(self) -> Db:
        """The database as of the transaction's start and the last time writes were laid over."""
        return self._db

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
        return self._transact(
            forms,
            options.valid_from if valid_from is None else valid_from,
            options.valid_to if valid_to is None else valid_to,
        )

    def note(self, facts: Iterable[tuple[int, Keyword, Any]]) -> None:
        """As :meth:`record`, for facts about new entities, which nothing has to be asked about."""
        self.state.notes.extend(facts)

    def new(self) -> int:
        """A new entity."""
        return self._reserved.entity()

    def one(self) -> tuple[UUID, int]:
        """A new entity, and a name for it that is like no other in the world."""
        return self._reserved.one()

    def declare(self, declarations: Iterable[Mapping[str, Any]]) -> None:
        """Takes in those of *declarations* whose attribute nobody has declared yet."""
        schema = self._db.schema
        missing = [each for each in declarations if schema[each[":db/ident"]].entity is None]
        if missing:
            self.record(missing)

    def record(self, forms: Any) -> Report:
        """As :meth:`transact`, for facts about the work itself: they hold from the commit on,
        whatever the interval of the transaction."""
        return self._transact(forms, None, None)

    def _transact(
        self, forms: Any, valid_from: InstantLike | None, valid_to: InstantLike | None
    ) -> Report:
        db = self.db
        prepared, batch, after = self._carry_out(db, forms, valid_from, valid_to)
        self._watching.check(prepared)
        self._db = after
        state = self.state
        state.batches.append(batch)
        if batch.schema is not None:
            state.numbers = len(self.connection.catalog.state.numbers)
        ident = db.source.ident
        known = prepared.typed.known
        self._wrote({(e, known.get(a) or ident(a)) for e, a, *_ in prepared.changes})
        self._wrote(_cells(batch))
        return report(db, prepared, after)

    def ref(self, entity: Any, attribute: Keyword | str | None = None, **default: Any) -> BoundRef:
        """A ref of this transaction, from an entity and an attribute or from a :class:`Ref`."""
        if isinstance(entity, Ref):
            return BoundRef(self, entity)
        if attribute is None:
            raise TransactionError("a ref needs an attribute", hint="tx.ref(entity, attribute)")
        return BoundRef(self, Ref(entity, attribute, **default))

    # --------------------------------------------------------------------- cells

    def read(self, cell: Cell, default: Any) -> Any:
        """The value of a cell, which is remembered as read unless it is this transaction's own."""
        self._check()
        state = self.state
        if cell in state.values:
            value = state.values[cell]
        elif cell in state.commuted:
            self.reads.cells.add(cell)  # who looks at it depends on it
            value = state.commuted[cell]
        else:
            derived = bool(state.pending) and self._db.schema[cell[1]].tuple_attrs
            value = (self.db if derived else self._db).get(*cell, None)
            state.values[cell] = value
        return (None if default is MISSING else default) if value is None else value

    def write(self, cell: Cell, value: Any) -> None:
        """Sets a cell of cardinality one."""
        self._check()
        if self.eager or (type(value) is not int and self._db.schema[cell[1]].ref):
            self.transact([["db/add", *cell, value]])
        else:
            self._watching.accept(*cell, value)
            self._wrote({cell})
            self.state.pending[cell] = value
            self.state.values[cell] = value

    def commute(self, commute: Commute) -> Any:
        """Changes a cell now, for this body's eyes, and again at commit; gives the value."""
        self._check()
        state, cell = self.state, commute.cell
        if cell in state.written or self.eager:
            held = self.read(cell, commute.default)
            value = commute.function(held, *commute.args)
            self.write(cell, value)
            return value
        if cell in state.commuted:
            held = state.commuted[cell]
        elif cell in state.values:
            held = state.values.pop(cell)
        else:
            held = attrs.evolve(self.db, footprints=None).get(*cell, None)
        if held is None and commute.default is not MISSING:
            held = commute.default
        value = state.commuted[cell] = commute.function(held, *commute.args)
        state.commutes.append(commute)
        state.unshown.add(cell)
        return value

    def ensure(self, cell: Cell) -> None:
        """Lets the commit fail if somebody else changes the cell meanwhile."""
        self._check()
        self.reads.cells.add(cell)
        self.kept.cells.add(cell)

    def _wrote(self, cells: set[Cell]) -> None:
        """Notes that these cells are written, which ends what was remembered of them."""
        state = self.state
        if self.kept is not self.reads:
            self.kept.cells |= cells  # under snapshot isolation the first committer wins
        for cell in cells:
            state.values.pop(cell, None)
            if cell in state.commuted:  # its commutes become an ordinary read and write
                self.kept.cells.add(cell)
                del state.commuted[cell]
                state.unshown.discard(cell)
        state.written |= cells

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
        self._check()
        given = Map({Keyword(name): freeze(value) for name, value in args.items()})
        self.declare(outbox.DECLARATIONS)
        key, entity = self.one()
        self.state.effects.append(Effect(keyword(operation), given, key, entity))
        return key

    def guard_commuted(self) -> None:
        """Under snapshot isolation, who commutes what it also read has written what it read."""
        if self.kept is not self.reads:
            cells = {each.cell for each in self.state.standing()}
            self.kept.cells |= {cell for cell in cells if self.reads.touches(*cell)}

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
            child._open = False
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
        self._check()
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

    def child(self, reads: Footprints | None = None) -> Transaction:
        """A transaction on this one's snapshot and writes; with *reads*, its reads are apart."""
        self._check()
        db = self._db if reads is None else attrs.evolve(self._db, footprints=reads)
        child = Transaction(
            self.connection,
            self._reserved,
            self._watching,
            db,
            options=self.options,
            deadline=self.deadline,
            eager=self.eager,
            state=self.state.copy(),
        )
        if reads is None and self.kept is not self.reads:
            child.kept = self.kept.copy()
        return child

    def take_over(self, state: State) -> None:
        """Makes decisions that were made elsewhere, on the same snapshot, this transaction's own.

        It must have none yet but those that *state* began with.
        """
        self._check()
        done = len(self.state.batches)
        for batch in state.batches[done:]:
            _, _, self._db = self._carry_out(self._db, Batches([batch]), None, None)
        self.state = state.copy()
        self.state.unshown |= self.state.commuted.keys()

    def merge_into(self, parent: Transaction) -> None:
        """Makes what this child decided and read the decisions and reads of *parent*."""
        parent._check()
        if self.reads is not parent.reads:
            parent.reads.merge(self.reads)
        if parent.kept is not parent.reads:
            parent.kept.merge(self.kept)
        parent.state = self.state
        db = self._db
        parent._db = (
            db if db.footprints is parent.reads else attrs.evolve(db, footprints=parent.reads)
        )

    def take(
        self, reads: Footprints, kept: Footprints | None, state: State | None, db: State0 | None
    ) -> None:
        """Makes what a worker decided this child's own."""
        self.reads.merge(reads)
        if kept is not None and self.kept is not self.reads:
            self.kept.merge(kept)
        if state is not None and db is not None:
            self.state = state
            source = self.connection.on(self._db.branch)
            self._db = db.on(source, self.reads)

    # ------------------------------------------------------------------- workings

    @property
    def serial(self) -> bool:
        """Whether this attempt holds the write lock."""
        return self._reserved.is_held

    def lend(self, count: int) -> Loan:
        """Ids for the candidates of this transaction in another process."""
        return self._reserved.lend(count)

    def close(self) -> None:
        """No more can be asked of this transaction."""
        self._open = False

    def batches(self) -> list[Batch]:
        """What is to be written besides commutes, in order."""
        state = self.state
        batches = state.batches
        if state.pending or state.notes:
            batches = [*batches, self._pending()]
        if state.effects:
            batches = [*batches, outbox.batch(self._db.schema, state.effects)]
        return batches

    def _pending(self) -> Batch:
        schema = self._db.schema
        return Batch(tuple(Add(e, schema[a], value, None) for e, a, value in self._unlaid()))

    def _unlaid(self) -> list[tuple[int, Keyword, Any]]:
        """The facts that are in no batch."""
        state = self.state
        return [*((e, a, value) for (e, a), value in state.pending.items()), *state.notes]

    def _check(self) -> None:
        if not self._open:
            raise TransactionError(
                "this transaction is over", hint="use it inside of its body, or its block, only"
            )
        self.deadline.check()

    def _show(self) -> None:
        """Lays what cells were set to over the snapshot."""
        state = self.state
        if state.pending or state.notes:
            forms = [["db/add", *fact] for fact in self._unlaid()]
            _, batch, self._db = self._carry_out(self._db, forms, None, None)
            state.batches.append(batch)
            state.pending.clear()
            state.notes.clear()
        if state.unshown:
            forms = [["db/add", *cell, state.commuted[cell]] for cell in state.unshown]
            _, _, self._db = self._carry_out(self._db, forms, None, None)
            state.unshown.clear()

    def _carry_out(
        self,
        db: Db,
        forms: Any,
        valid_from: InstantLike | None,
        valid_to: InstantLike | None,
    ) -> Any:
        if not isinstance(forms, str | dict | list | tuple | Batches):
            forms = [*forms]
        first = self._reserved.follow()
        while True:
            done = carried_out(
                db,
                forms,
                valid_from=valid_from,
                valid_to=valid_to,
                now=self.connection.clock.now(),
                functions=self.connection.transaction_functions,
                numbers=self.connection.catalog.state.numbers,
                next_e=first,
            )
            needed = done[0].next_e - first
            if needed <= self._reserved.left():
                self._reserved.use(first + needed)
                if needed:
                    self.state.fresh.append(range(first, first + needed))
                return done
            first = self._reserved.ready(needed)  # too many for what was left: number them anew


def _cells(batch: Batch) -> set[Cell]:
    """The cells that the operations of a batch name."""
    return {
        (op.e, op.attribute.ident)
        for op in batch.operations
        if not isinstance(op, Ensure | RetractEntity) and type(op.e) is int
    }
