"""Work that may be given up while it is under way: an arm of a race that another arm has won.

A thread cannot be stopped from outside. So what it is doing is recorded as aborted at once, nobody
waits for it, and what comes of it later is neither recorded nor given to anybody.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class GivenUp(BaseException):
    """Raised in work that was given up, when it performs something or comes back from it."""


class Leash(Generic[T]):
    """Knows which calls of some work are under way, until the work is given up.

    `calls` are all that were begun, in order.
    """

    def __init__(self) -> None:
        self.calls: list[T] = []
        self._lock = threading.RLock()
        self._under: set[T] = set()
        self._cut = False

    def begin(self, call: T, *, answered: bool = False) -> None:
        """*call* is going to be performed, or was *answered* by the record.

        Raises:
            GivenUp: nothing is performed any more.
        """
        with self._lock:
            if self._cut:
                raise GivenUp
            self.calls.append(call)
            if not answered:
                self._under.add(call)

    @contextmanager
    def ending(self, call: T) -> Iterator[None]:
        """*call* was performed, and is recorded inside; nothing is given up meanwhile.

        Raises:
            GivenUp: it has been given up.
        """
        with self._lock:
            if call not in self._under:
                raise GivenUp
            self._under.discard(call)
            yield

    def cut(self) -> set[T]:
        """Gives the work up, and gives the calls that are under way."""
        with self._lock:
            self._cut = True
            under, self._under = self._under, set()
            return under


@contextmanager
def ending(leashes: Sequence[Leash[T]], call: T) -> Iterator[None]:
    """As :meth:`Leash.ending`, for work inside of work; locks are taken from the outermost on."""
    with ExitStack() as held:
        for leash in leashes:
            held.enter_context(leash.ending(call))
        yield
