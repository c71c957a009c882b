"""New entity ids for bodies: drawn from blocks, a thread at a time, so that nobody waits.

An id that a body has seen is the one that is committed, and concurrent bodies never name their
new entities alike.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid5
from weakref import WeakSet

import attrs

from persistence.store import Store
from persistence.store.reserve import reserve

_BLOCK: Final = 65_536  # ids for which the store is written once
_CHUNK: Final = 1_024  # ids that a thread takes of a block


class NeedIds(BaseException):
    """Ids are wanted by a thread that holds the write lock; it has to let go of it first."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@attrs.frozen
class Loan:
    """Ids for one thread of another process: from `first` up to `end`, and whether the lender
    holds the write lock, so that the store gives no more."""

    salt: int
    first: int
    end: int
    held: bool


class Reserved:
    """The reserved ids of one connection."""

    def __init__(self, store: Store, salt: int) -> None:
        self._store = store
        self._salt = UUID(int=salt)
        _OPEN.add(self)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._next = self._end = 0
        self._mine = threading.local()

    def ready(self, count: int = _CHUNK) -> int:
        """The next id of this thread, after which at least *count* follow in a row."""
        mine = self._mine
        if getattr(mine, "end", 0) - getattr(mine, "next", 0) < count:
            mine.next = self._chunk(max(count, _CHUNK))
            mine.end = mine.next + max(count, _CHUNK)
        return int(mine.next)

    def follow(self) -> int:
        """The next id of this thread; at least one is there."""
        return self.ready(1)

    def entity(self) -> int:
        """One id."""
        e = self.follow()
        self.use(e + 1)
        return e

    def one(self) -> tuple[UUID, int]:
        """One id, and a name for it that is like no other in the world."""
        e = self.entity()
        return uuid5(self._salt, str(e)), e

    def lend(self, count: int) -> Loan:
        """That many ids for another process."""
        first = self.ready(count)
        self.use(first + count)
        return Loan(self._salt.int, first, first + count, self.is_held)

    @classmethod
    def borrowed(cls, store: Store, loan: Loan) -> Reserved:
        """What the lender's `lend` gave, for this thread."""
        found = cls(store, loan.salt)
        mine = found._mine
        mine.next, mine.end, mine.held = loan.first, loan.end, loan.held
        return found

    @property
    def is_held(self) -> bool:
        """Whether this thread holds the write lock."""
        return bool(getattr(self._mine, "held", False))

    def left(self) -> int:
        """How many ids follow in a row in this thread."""
        return int(getattr(self._mine, "end", 0) - getattr(self._mine, "next", 0))

    def use(self, end: int) -> None:
        """Ids of this thread before *end* are taken."""
        self._mine.next = max(end, self._mine.next)

    @contextmanager
    def held(self) -> Iterator[None]:
        """This thread holds the write lock inside, and cannot write the store for a block."""
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False

    def _chunk(self, count: int) -> int:
        with self._lock:
            if self._end - self._next < count:
                if self.is_held:
                    raise NeedIds(count)
                size = max(count, _BLOCK)
                self._next = reserve(self._store, size)
                self._end = self._next + size
            first = self._next
            self._next += count
            return first


_OPEN: Final[WeakSet[Reserved]] = WeakSet()


def _after_fork_in_child() -> None:
    for reserved in [*_OPEN]:
        reserved._begin()  # what was drawn belongs to the parent


os.register_at_fork(after_in_child=_after_fork_in_child)
