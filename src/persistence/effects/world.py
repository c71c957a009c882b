"""The handlers at the end of every run: the clock and chance."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from persistence.clock import Clock
from persistence.effects.call import Call
from persistence.effects.handler import Terminal
from persistence.values import Keyword, digest, encode, from_micros

# What a run asks of itself: limits on what it does outside leave it out.
OWN: Final = frozenset(map(Keyword, ("clock/now", "random/draw", "db/basis", "db/transact")))

_BITS: Final = 53  # of a float from 0.0 up to 1.0


def telling(clock: Clock) -> Terminal:
    """Performs ``:clock/now`` by *clock*."""

    def now() -> datetime:
        return from_micros(clock.now())

    return Terminal("clock", {Keyword("clock/now"): now})


def drawing(seed: int) -> Terminal:
    """Performs ``:random/draw``: a number from 0.0 up to 1.0, by *seed*.

    Each is made of the seed and of the place of the draw alone, so that a run which goes on after
    a crash draws what it would have drawn, and parallel scopes do not depend on each other.

    >>> from persistence.effects import Run
    >>> [Run("dice", [drawing(7)]).random() for _ in range(2)]
    [0.853..., 0.853...]
    """

    def draw(call: Call) -> float:
        bits = digest("trace", encode((seed, call.scope, call.occurrence)))
        return (int.from_bytes(bits[:8]) >> (64 - _BITS)) / (1 << _BITS)

    return Terminal("chance", {Keyword("random/draw"): draw}, takes_call=True)
