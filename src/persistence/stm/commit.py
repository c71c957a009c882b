"""One short write: is what was read still so, what do the commutes come to, append.

Most of the validation is done before the write lock is taken: everything committed up to the head
that is known by then. Under the lock only the rest is left, which is usually nothing. Positions
in the log are compared, never clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import attrs

from persistence.connection import Alone
from persistence.datoms import Schema
from persistence.datoms import bootstrap as boot
from persistence.errors import Conflict, InputError, ValueRefused
from persistence.query.footprint import Footprints
from persistence.session import WriterBase
from persistence.stm.reference import MISSING
from persistence.stm.state import Commute
from persistence.stm.transaction import Transaction
from persistence.store import Snapshot
from persistence.transact import Batch, Batches
from persistence.transact.operations import Add
from persistence.values import Keyword


@attrs.define(eq=False)
class Commit:
    """The end of one attempt."""

    transaction: Transaction
    meta: Mapping[Any, Any] | None = None
    author: str | None = None
    checked: int = 0  # everything up to this t has been held against the footprints
    moved: bool = False  # whether somebody committed since the snapshot
    schema: Schema | None = None

    def run(self, alone: Alone | None = None) -> None:
        """Commits, or adds to what *alone* is going to commit. Without writes it does nothing.

        A body that only read is serializable at its snapshot, and there is nothing to validate.

        Raises:
            Conflict: something it read has changed, or what it wrote no longer fits.
            DeadlineExceeded: its time is up; nothing was written.
        """
        transaction = self.transaction
        transaction.deadline.check()
        transaction.close()
        if not transaction.state.writes:
            return
        self._before()
        connection, meta, author = transaction.connection, self.meta, self.author
        branch = transaction.snapshot.branch
        try:
            if alone is None:
                transaction.report = connection.decided(
                    self.decide, meta=meta, author=author, branch=branch
                )
            else:
                alone.append(self.decide, meta=meta, author=author, branch=branch)
        except InputError as error:  # a conflict, if the body has not seen what is refused
            if not self.moved:
                raise
            raise Conflict(
                f"what the body wrote does not fit any more: {error.message}",
                hint="run it again, on what is there now",
                t=self.checked,
                entity=None,
                attribute=None,
            ) from error

    def _before(self) -> None:
        """Validates against what is committed already, without holding anybody up."""
        transaction = self.transaction
        connection = transaction.connection
        _guard_commuted(transaction)
        self.checked = transaction.basis
        self.schema = transaction.snapshot.source.schema_at(transaction.basis)
        known = connection.catalog.t
        if known > self.checked and transaction.kept:
            with connection.snapshot() as snapshot:
                self._validate(snapshot, known, connection.ident)

    def decide(self, base: WriterBase) -> Batches:
        """What to write on this head; runs under the write lock, and may run again.

        Raises:
            Conflict: the head has moved in a way that matters.
        """
        transaction = self.transaction
        transaction.deadline.check()
        head = base.head.t
        self.moved = head != transaction.basis
        if self.moved:
            self._same_schema(base)
        if head > self.checked and transaction.kept:
            self._validate(base.session, head, base.state.idents.__getitem__)
        batches = transaction.batches()
        standing = transaction.state.standing()
        if standing:
            batches = [*batches, _again(base, standing)]
        return Batches(batches)

    def _validate(self, snapshot: Snapshot, to: int, ident: Callable[[int], Keyword]) -> None:
        transaction = self.transaction
        branch = transaction.snapshot.branch
        changed = touched(transaction.kept, snapshot, self.checked, to, branch, ident)
        if changed is not None:
            _conflict(*changed)
        self.checked = to

    def _same_schema(self, base: WriterBase) -> None:
        """What was read under one schema is not written under another."""
        assert self.schema is not None
        numbers = self.transaction.state.numbers
        if numbers is not None and numbers != len(base.numbers):
            _conflict(base.head.t, None, None)  # attributes are numbered, and it declares some
        if base.schema is not self.schema and not _alike(self.schema, base.schema):
            _conflict(base.head.t, None, None)
        self.schema = base.schema


def _guard_commuted(transaction: Transaction) -> None:
    """Under snapshot isolation, who commutes what it also read has written what it read."""
    reads, kept = transaction.reads, transaction.kept
    if kept is not reads:
        cells = {each.cell for each in transaction.state.standing()}
        kept.cells |= {cell for cell in cells if reads.touches(*cell)}


def touched(
    footprints: Footprints,
    snapshot: Snapshot,
    after: int,
    to: int,
    branch: int,
    ident: Callable[[int], Keyword],
) -> tuple[int, int, Keyword] | None:
    """The first change of *branch* since *after* that touches what was read: its t, entity and
    attribute."""
    matches = footprints.matches
    here: dict[int, int] = {}
    for t, _, e, a, k, payload, *_ in snapshot.log(after, to):
        attribute = ident(a)
        if a == boot.LOG_EVENT_ID:  # what was read may have been erased, on whichever branch
            return t, e, attribute
        if matches(e, attribute, k, payload):
            if t not in here:
                here[t] = snapshot.transactions(t - 1, t, 1)[0].branch
            if here[t] == branch:
                return t, e, attribute
    return None


def _conflict(t: int, e: int | None, attribute: Keyword | None) -> NoReturn:
    what = "the schema" if e is None else f"{attribute} of entity {e}"
    raise Conflict(
        f"{what} was changed by transaction {t}, after the body had read it",
        hint="run the body again; s.txn.run and s.txn.attempts do so by themselves",
        t=t,
        entity=e,
        attribute=attribute,
    )


def _alike(one: Schema, other: Schema) -> bool:
    """Whether two schemas declare the same; numbers and indexes do not count."""
    if one.idents != other.idents or one.specs != other.specs:
        return False
    return all(
        attrs.evolve(one[ident], id=None, indexed=False)
        == attrs.evolve(other[ident], id=None, indexed=False)
        for ident in {*one, *other}
    )


def _again(base: WriterBase, commutes: Iterable[Commute]) -> Batch:
    """The commutes, made on what their cells hold now."""
    db, schema = base.value(), base.schema
    values: dict[tuple[int, Keyword], Any] = {}
    for each in commutes:
        cell = each.cell
        held = values[cell] if cell in values else db.get(*cell, None)
        if held is None and each.default is not MISSING:
            held = each.default
        value = each.function(held, *each.args)
        if type(value) is not int and schema[each.attribute].ref:
            value = db.entid(value)
        values[cell] = value
        if value is None:
            raise ValueRefused(f"a commute of {cell[1]} of entity {cell[0]} gave None")
    return Batch(tuple(Add(e, schema[a], value, None) for (e, a), value in values.items()))
