"""The private workspace of a transaction: one snapshot, what was read of it, what is decided on it.

Nothing is written and nothing is locked while a body runs. Its reads leave footprints, its writes
are data. A value that a ref was set to stays a plain value until something asks the database
itself; only then are the writes laid over the snapshot, so that queries see them.

Commits, forks and folds deal with the workspace; a body has a :class:`Transaction`, which is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self
from uuid import UUID

import attrs

from persistence.connection import Connection
from persistence.datoms import Datom, InstantLike
from persistence.db import Db, Report
from persistence.errors import TransactionError
from persistence.query.footprint import Footprints
from persistence.stm import outbox
from persistence.stm.limits import Deadline
from persistence.stm.reserved import Loan, Reserved
from persistence.stm.state import Cell, State
from persistence.stm.watching import Watching
from persistence.transact import Batch, Batches, Prepared, carried_out, report
from persistence.transact.operations import Add, Ensure, RetractEntity
from persistence.values import Keyword


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


class Workspace:
    """What one attempt has read and decided so far.

    `reads` is what would change the answers it got; `kept` is what its commit guards, which is
    less under snapshot isolation.
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
        self.watching = watching
        self.state = state or State()
        self.basis = db.basis if db.overlay is None else db.overlay.base
        self.reads = db.footprints if db.footprints is not None else Footprints(self.basis)
        self.kept = self.reads if options.isolation == "serializable" else Footprints(self.basis)
        self.eager = eager or not options.valid_from is options.valid_to is None
        self.report: Report | None = None
        self._reserved = reserved
        self._db = db if db.footprints is self.reads else attrs.evolve(db, footprints=self.reads)
        self._open = True

    def check(self) -> None:
        """
        Raises:
            TransactionError: this transaction is over. DeadlineExceeded: its time is up.
        """
        if not self._open:
            raise TransactionError(
                "this transaction is over", hint="use it inside of its body, or its block, only"
            )
        self.deadline.check()

    def close(self) -> None:
        """No more can be asked of this transaction."""
        self._open = False

    # ----------------------------------------------------------- the database as seen

    @property
    def db(self) -> Db:
        """The snapshot with this transaction's own writes; what it is asked is remembered."""
        self.check()
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

    # --------------------------------------------------------------- what is decided

    def decide(
        self, forms: Any, valid_from: InstantLike | None, valid_to: InstantLike | None
    ) -> Report:
        """Takes in *forms*, to be written at commit; gives what they do to `db`."""
        db = self.db
        prepared, batch, after = self._carry_out(db, forms, valid_from, valid_to)
        self.watching.check(prepared)
        self._db = after
        state = self.state
        state.batches.append(batch)
        if batch.schema is not None:
            state.numbers = len(self.connection.catalog.state.numbers)
        ident = db.source.ident
        known = prepared.typed.known
        cells = {(e, known.get(a) or ident(a)) for e, a, *_ in prepared.changes} | _cells(batch)
        self.wrote(cells)
        told = report(db, prepared, after)

        def read() -> tuple[Datom, ...]:
            for e, attribute in cells:  # what it displaces, or has no need to, was there before
                self.reads.add(e, attribute)
            for op in batch.operations:
                if isinstance(op, RetractEntity) and type(op.e) is int:
                    self.reads.add(op.e)
            return told.data()

        return attrs.evolve(told, data=read)

    def record(self, forms: Any) -> Report:
        """As :meth:`Transaction.transact`, for facts about the work itself: they hold from the
        commit on, whatever the interval of the transaction."""
        return self.decide(forms, None, None)

    def note(self, facts: Iterable[tuple[int, Keyword, Any]]) -> None:
        """As :meth:`record`, for facts about new entities, which nothing has to be asked about."""
        self.state.notes.extend(facts)

    def declare(self, declarations: Iterable[Mapping[str, Any]]) -> None:
        """Takes in those of *declarations* whose attribute nobody has declared yet."""
        schema = self._db.schema
        missing = [each for each in declarations if schema[each[":db/ident"]].entity is None]
        if missing:
            self.record(missing)

    def wrote(self, cells: set[Cell]) -> None:
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

    def batches(self) -> list[Batch]:
        """What is to be written besides commutes, in order."""
        state, schema = self.state, self._db.schema
        batches = state.batches
        if state.pending or state.notes:
            facts = tuple(Add(e, schema[a], value, None) for e, a, value in self._unlaid())
            batches = [*batches, Batch(facts)]
        if state.effects:
            batches = [*batches, outbox.batch(schema, state.effects)]
        return batches

    def _unlaid(self) -> list[tuple[int, Keyword, Any]]:
        """The facts that are in no batch."""
        state = self.state
        return [*((e, a, value) for (e, a), value in state.pending.items()), *state.notes]

    # ------------------------------------------------------------------ new entities

    def new(self) -> int:
        """A new entity."""
        return self._reserved.entity()

    def one(self) -> tuple[UUID, int]:
        """A new entity, and a name for it that is like no other in the world."""
        return self._reserved.one()

    def lend(self, count: int) -> Loan:
        """Ids for the candidates of this transaction in another process."""
        return self._reserved.lend(count)

    @property
    def serial(self) -> bool:
        """Whether this attempt holds the write lock."""
        return self._reserved.is_held

    def _carry_out(
        self, db: Db, forms: Any, valid_from: InstantLike | None, valid_to: InstantLike | None
    ) -> tuple[Prepared, Batch, Db]:
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

    # ---------------------------------------------------------- one inside of another

    def child(self, reads: Footprints | None = None) -> Self:
        """A transaction on this one's snapshot and writes; with *reads*, its reads are apart."""
        self.check()
        db = self._db if reads is None else attrs.evolve(self._db, footprints=reads)
        child = type(self)(
            self.connection,
            self._reserved,
            self.watching,
            db,
            options=self.options,
            deadline=self.deadline,
            eager=self.eager,
            state=self.state.copy(),
        )
        if reads is None and self.kept is not self.reads:
            child.kept = self.kept.copy()
        return child

    def merge_into(self, parent: Workspace) -> None:
        """Makes what this child decided and read the decisions and reads of *parent*."""
        parent.check()
        if self.reads is not parent.reads:
            parent.reads.merge(self.reads)
        if parent.kept is not parent.reads:
            parent.kept.merge(self.kept)
        parent.state = self.state
        same = self._db.footprints is parent.reads
        parent._db = self._db if same else attrs.evolve(self._db, footprints=parent.reads)

    def take_over(self, state: State) -> None:
        """Makes decisions that were made elsewhere, on the same snapshot, this transaction's own.

        It must have none yet but those that *state* began with.
        """
        self.check()
        done = len(self.state.batches)
        for batch in state.batches[done:]:
            _, _, self._db = self._carry_out(self._db, Batches([batch]), None, None)
        self.state = state.copy()
        self.state.unshown |= self.state.commuted.keys()

    def take(
        self, reads: Footprints, kept: Footprints | None, state: State | None, db: Db | None
    ) -> None:
        """Makes what a worker decided this child's own; *db* is what the worker saw at last."""
        self.reads.merge(reads)
        if kept is not None and self.kept is not self.reads:
            self.kept.merge(kept)
        if state is not None and db is not None:
            self.state = state
            self._db = attrs.evolve(db, footprints=self.reads)


def _cells(batch: Batch) -> set[Cell]:
    """The cells that the operations of a batch name."""
    return {
        (op.e, op.attribute.ident)
        for op in batch.operations
        if not isinstance(op, Ensure | RetractEntity) and type(op.e) is int
    }
