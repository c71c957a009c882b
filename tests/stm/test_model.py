"""Refs, commutes, nesting and alternatives against a pure model, while a rival commits.

The model holds two cells as integers. It knows what a transaction sees, which of its reads the
rival has spoilt, and what its commit leaves, so that a conflict that is missed fails the test as
much as one that is invented.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from persistence import Substrate
from persistence.errors import Conflict
from persistence.stm import Transaction
from tests.stm.test_refs import add

CELLS = st.sampled_from([1, 2])
NUMBERS = st.integers(-5, 5)


@attrs.define
class Level:
    """What one transaction, nested or not, has decided: the model of its state."""

    written: dict[int, int]
    commuted: dict[int, int]  # the speculative values
    again: list[tuple[int, int]]  # cell and addend, to be made at commit
    known: set[int]  # cells whose own value need not be looked up in the database

    def copy(self) -> Level:
        return Level(dict(self.written), dict(self.commuted), [*self.again], {*self.known})


@attrs.define
class Open:
    """A transaction under way."""

    block: AbstractContextManager[Transaction]
    tx: Transaction
    snapshot: dict[int, int]
    reads: set[int] = attrs.field(factory=set)
    spoilt: set[int] = attrs.field(factory=set)
    levels: list[Level] = attrs.field(factory=lambda: [Level({}, {}, [], set())])
    children: list[tuple[Any, Transaction]] = attrs.field(factory=list)

    @property
    def top(self) -> Level:
        return self.levels[-1]

    @property
    def inner(self) -> Transaction:
        return self.children[-1][1] if self.children else self.tx

    def read(self, cell: int) -> int:
        top = self.top
        if cell not in top.known:
            self.reads.add(cell)
        if cell in top.written:
            top.known.add(cell)
            return top.written[cell]
        return top.commuted.get(cell, self.snapshot[cell])

    def write(self, cell: int, value: int, *, known: bool = True) -> None:
        top = self.top
        top.known = top.known | {cell} if known else top.known - {cell}
        if top.commuted.pop(cell, None) is not None:
            self.reads.add(cell)
        top.again = [(other, n) for other, n in top.again if other != cell]
        top.written[cell] = value


class Transactions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.s = Substrate.open(":memory:")
        self.held = {1: 0, 2: 0}
        self.s.fact.transact([["db/add", e, "n", 0] for e in self.held])
        self.begin()

    def teardown(self) -> None:
        for block, _ in reversed(self.open.children):
            block.__exit__(KeyError, KeyError("abandoned"), None)
        self.open.block.__exit__(KeyError, KeyError("abandoned"), None)
        self.s.close()

    def begin(self) -> None:
        """There is always a transaction under way."""
        block = self.s.txn.once()
        self.open = Open(block, block.__enter__(), dict(self.held))

    @rule(cell=CELLS, value=NUMBERS)
    def rival(self, cell: int, value: int) -> None:
        self.s.fact.transact([["db/add", cell, "n", value]])
        if self.held[cell] != value:
            self.open.spoilt.add(cell)
        self.held[cell] = value

    @rule(cell=CELLS)
    def deref(self, cell: int) -> None:
        assert self.open.inner.ref(cell, "n").deref() == self.open.read(cell)

    @rule(cell=CELLS, value=NUMBERS)
    def set(self, cell: int, value: int) -> None:
        self.open.inner.ref(cell, "n").set(value)
        self.open.write(cell, value)

    @rule(cell=CELLS, value=NUMBERS)
    def transact(self, cell: int, value: int) -> None:
        self.open.inner.transact([["db/add", cell, "n", value]])
        self.open.write(cell, value, known=False)

    @rule(cell=CELLS, more=NUMBERS)
    def alter(self, cell: int, more: int) -> None:
        value = self.open.read(cell) + more
        assert self.open.inner.ref(cell, "n").alter(add, more) == value
        self.open.write(cell, value)

    @rule(cell=CELLS, more=NUMBERS)
    def commute(self, cell: int, more: int) -> None:
        top = self.open.top
        if cell in top.written:
            value = self.open.read(cell) + more
            self.open.write(cell, value)
        else:
            value = top.commuted.get(cell, self.open.snapshot[cell]) + more
            top.commuted[cell] = value
            top.again.append((cell, more))
        assert self.open.inner.ref(cell, "n").commute(add, more) == value

    @rule()
    def query(self) -> None:
        shown = self.open.snapshot | self.open.top.commuted | self.open.top.written
        found = self.open.inner.q("[:find ?e ?n :where [?e :n ?n]]")
        assert dict(found) == shown
        self.open.reads |= {1, 2}

    @rule()
    def enter(self) -> None:
        block = self.open.inner.nested()
        self.open.children.append((block, block.__enter__()))
        self.open.levels.append(self.open.top.copy())

    @precondition(lambda self: bool(self.open.children))
    @rule(keep=st.booleans())
    def leave(self, keep: bool) -> None:
        block, _ = self.open.children.pop()
        level = self.open.levels.pop()
        if keep:
            block.__exit__(None, None, None)
            self.open.levels[-1] = level
        else:
            error = KeyError("rolled back")
            assert not block.__exit__(KeyError, error, None)

    @rule(seen=CELLS, lost=CELLS, kept=CELLS, value=NUMBERS)
    def or_else(self, seen: int, lost: int, kept: int, value: int) -> None:
        """The first alternative reads, writes and gives up; the second one writes."""

        def first(tx: Transaction) -> None:
            tx.ref(seen, "n").deref()
            tx.ref(lost, "n").set(value + 1)
            tx.retry()

        def second(tx: Transaction) -> None:
            tx.ref(kept, "n").set(value)

        self.open.inner.or_else(first, second)
        self.open.read(seen)
        if lost in self.open.top.commuted:
            self.open.reads.add(lost)  # what was folded for the first one stays read
        self.open.write(kept, value)

    @rule(late=st.sets(CELLS, max_size=1))
    def commit(self, late: set[int]) -> None:
        """Leaves all that was entered; the rival comes at the last moment, or does not."""
        while self.open.children:
            self.leave(keep=True)
        for cell in late:
            self.rival(cell, self.held[cell] + 1)
        now = self.open
        level = now.top
        writes = bool(level.written or level.again)
        try:
            assert not now.block.__exit__(None, None, None)
        except Conflict:
            assert writes and now.reads & now.spoilt
        else:
            assert not (writes and now.reads & now.spoilt)
            self.held |= level.written
            for cell, more in level.again:
                self.held[cell] += more
        self.begin()

    @invariant()
    def the_store_holds_what_the_model_holds(self) -> None:
        assert dict(self.s.fact.db().q("[:find ?e ?n :where [?e :n ?n]]")) == self.held


TestTransactions = Transactions.TestCase
TestTransactions.settings = settings(stateful_step_count=40)
