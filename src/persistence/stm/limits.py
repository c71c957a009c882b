"""How long a transaction may take, and how it waits between attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
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
