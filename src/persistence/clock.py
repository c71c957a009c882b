"""Where instants come from. Injected everywhere, so that tests and replays own time.

An instant is an integer: microseconds since 1970-01-01T00:00:00Z. Comparing instants is
comparing integers, never text or offsets.
"""

from __future__ import annotations

import time
from typing import Protocol

import attrs


class Clock(Protocol):
    """Anything that tells the current instant in microseconds since the epoch."""

    def now(self) -> int: ...


@attrs.frozen
class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1000


@attrs.define
class FrozenClock:
    """A clock that moves only when told.

    >>> clock = FrozenClock(1_000)
    >>> clock.advance(5)
    >>> clock.now()
    1005
    """

    instant: int

    def now(self) -> int:
        return self.instant

    def advance(self, microseconds: int) -> None:
        self.instant += microseconds
