"""Who waits for whom, so that a wait which only the waiting themselves could end is refused.

A body holds no locks, so bodies never wait for each other, with one exception: a body may run
another transaction of its own through ``s.txn.run``, and that one may ask to retry. If what it
waits for is what the body around it is about to write, or the bodies around two such waits are
each what the other one needs, then nobody would ever go on.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import attrs

from persistence.errors import WaitCycle
from persistence.query.footprint import Footprints
from persistence.stm.state import State
from persistence.stm.transaction import Transaction
from persistence.transact.operations import Ensure, RetractEntity

REMEDY: Final = "commit the outer transaction first, or run the inner one inside it: tx.run(body)"


# Who runs bodies and waits, where it is not the thread: a task, whose calls are in any thread.
actor: ContextVar[Hashable | None] = ContextVar("actor", default=None)


def _me() -> Hashable:
    task = actor.get()
    return threading.get_ident() if task is None else task


@attrs.define(eq=False)
class Waits:
    """The bodies under way and the waits of each actor, a thread or a task, for the transactions
    of one line."""

    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _bodies: dict[Hashable, list[Transaction]] = attrs.field(factory=dict, init=False)
    _waiting: dict[Hashable, Footprints] = attrs.field(factory=dict, init=False)

    @contextmanager
    def body(self, transaction: Transaction) -> Iterator[None]:
        """Inside, this actor is carrying out the body of *transaction*."""
        me = _me()
        bodies = self._bodies.setdefault(me, [])
        bodies.append(transaction)
        try:
            yield
        finally:
            bodies.pop()
            if not bodies:
                del self._bodies[me]

    @contextmanager
    def wait(self, reads: Footprints) -> Iterator[None]:
        """Inside, this actor waits for a change of what was read.

        Raises:
            WaitCycle: only this actor, or one that waits for it, is about to change that.
        """
        me = _me()
        if me not in self._bodies:
            yield  # nothing waits for an actor outside of all bodies
            return
        with self._lock:
            self._waiting[me] = reads
            if self._comes_back(me):
                del self._waiting[me]
                raise WaitCycle(
                    "the transaction waits for what the body around it is about to write",
                    hint=REMEDY,
                )
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[me]

    def _comes_back(self, me: Hashable) -> bool:
        """Whether the waits that start at *me* lead back to it."""
        pending, seen = [me], {me}
        while pending:
            for one in self._needed(self._waiting[pending.pop()]):
                if one == me:
                    return True
                if one in self._waiting and one not in seen:
                    seen.add(one)
                    pending.append(one)
        return False

    def _needed(self, reads: Footprints) -> list[Hashable]:
        """The actors whose bodies are about to change what was read."""
        return [
            one
            for one, bodies in [*self._bodies.items()]
            if any(_writes(body.state, reads) for body in [*bodies])
        ]


def _writes(state: State, reads: Footprints) -> bool:
    """Whether what *state* holds touches what was read."""
    cells = {*state.pending, *(commute.cell for commute in state.commutes)}
    cells |= {(e, attribute) for e, attribute, _ in state.notes}
    for batch in state.batches:
        for op in batch.operations:
            if isinstance(op, RetractEntity) and any(cell[0] == op.e for cell in reads.cells):
                return True
            if not isinstance(op, RetractEntity | Ensure) and type(op.e) is int:
                cells.add((op.e, op.attribute.ident))
    return any(reads.touches(*cell) for cell in cells)
