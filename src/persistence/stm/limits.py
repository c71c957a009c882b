"""How long a transaction may take, and how it waits between attempts."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from persistence.errors import DeadlineExceeded


@attrs.frozen
class Deadline:
    """A moment of the monotonic clock; none if *seconds* is None.

    >>> Deadline.after(None).left() is None
    True
    """

    seconds: float | None
    end: float
    now: Callable[[], float]

    @classmethod
    def after(cls, seconds: float | None, now: Callable[[], float] = time.monotonic) -> Deadline:
        """The moment that is *seconds* from now."""
        return cls(seconds, 0.0 if seconds is None else now() + seconds, now)

    def left(self) -> float | None:
        """The seconds that are left; None without a deadline."""
        return None if self.seconds is None else self.end - self.now()

    def check(self) -> None:
        """
        Raises:
            DeadlineExceeded: the time is up.
        """
        if self.seconds is not None and self.now() >= self.end:
            self.exceeded()

    def exceeded(self) -> None:
        """
        Raises:
            DeadlineExceeded: always.
        """
        raise DeadlineExceeded(
            f"the transaction was not done within {self.seconds:g} s",
            hint="give it more time, or do less in its body; nothing was written",
            seconds=self.seconds,
        )


@attrs.frozen
class Backoff:
    """How long to wait after the n-th failed attempt: up to a bound that doubles, at random.

    The first attempts follow each other at once, because the commit that they met is over.

    >>> Backoff(first=0.001, most=0.1).bound(1), Backoff(first=0.001, most=0.1).bound(5)
    (0.0, 0.008)
    """

    first: float = 0.0005  # seconds
    most: float = 0.05
    at_once: int = 1  # attempts that are not waited for

    def bound(self, failed: int) -> float:
        """The longest wait after *failed* attempts."""
        doubled = failed - self.at_once - 1
        return 0.0 if doubled < 0 else min(self.most, self.first * 2 ** min(doubled, 30))

    def seconds(self, failed: int, chance: random.Random) -> float:
        """The wait after *failed* attempts."""
        return chance.random() * self.bound(failed)


BACKOFF: Final = Backoff()

_PATIENCE: Final = 0.01  # seconds to wait for a turn; a body may take far longer
_HOT: Final = 0.05  # seconds after a conflict in which first attempts queue as well


@attrs.define(eq=False)
class Turn:
    """Lets the bodies of one process that meet in conflicts go one after the other.

    Of several that read one cell and write it, a group commit can only take one, and the work of
    the others is lost; in a queue each is right the first time. It is a courtesy and no lock:
    nothing depends on it, and nobody waits for long. Bodies that never meet never queue.
    """

    _lock: threading.Lock = attrs.field(factory=threading.Lock)
    _hot: float = 0.0

    def met(self) -> None:
        """A conflict has happened."""
        self._hot = time.monotonic() + _HOT

    @contextmanager
    def taken(self, failed: int) -> Iterator[None]:
        """Runs the block in its turn, where that is advisable after *failed* attempts."""
        queue = failed > 0 or (self._hot > 0 and time.monotonic() < self._hot)
        taken = queue and self._lock.acquire(timeout=_PATIENCE)
        try:
            yield
        finally:
            if taken:
                self._lock.release()
