"""What a race does: arms at the same time until one succeeds, and a record from which the same arm
wins again."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Final

import attrs

from persistence.plans.engine import Halt, Play, Step, Where, failure
from persistence.values import Keyword, Map, Value

__all__ = ["RACE", "race"]

RACE: Final = Keyword("plan/race")
_WINNER, _RAN, _LOST = Keyword("winner"), Keyword("ran"), Keyword("lost")


def race(step: Step) -> Play:
    """The arms run inside of the effect that records who won, and which effects each had made.

    When the record answers instead, the arms are run up to there, so that the same effects are
    asked for and no other.
    """
    yield from ()
    live: list[Value] = []
    step.engine.races[step.where] = partial(_raced, step, live)
    told = step.perform(RACE, arms=len(step.node.children))
    winner = told[_WINNER]
    value = live[0] if live else _again(step, winner, told[_RAN])
    if told[_LOST]:
        raise Halt(step.path, lost=True)
    if winner is None:
        raise failure(step, "race", "every child failed", "look at the failures in the trace")
    return value


def _raced(step: Step, live: list[Value]) -> Map:
    """Runs the arms at the same time; leaves the value of the first to succeed in *live*.

    Raises:
        Halt: the run is stopped. That another race around has been lost is a result.
    """
    winners: list[int] = []
    count: Counter[Where] = Counter()
    outer = step.context

    def lost() -> bool:
        return bool(winners) or outer.lost()

    inner = attrs.evolve(outer, lost=lost, counts=(*outer.counts, count))

    def first(index: int) -> Value:
        value = step.arm(index, inner)()
        winners.append(index)
        return value

    arms = [partial(first, index) for index in range(len(step.node.children))]
    found = step.engine.together(arms)
    for error in found:
        ended = isinstance(error, Exception) or (isinstance(error, Halt) and error.lost)
        if isinstance(error, BaseException) and not ended:
            raise error
    winner = winners[0] if winners else None
    live.append(None if winner is None else found[winner])
    halted = winner is None and any(isinstance(error, Halt) for error in found)
    return Map({_WINNER: winner, _RAN: Map(dict(count)), _LOST: halted})


def _again(step: Step, winner: int | None, ran: Map) -> Value:
    """The value of the arm that won, on record; the others go as far as they went."""
    allowed: Counter[Where] = Counter(dict(ran.items()))
    inner = attrs.evolve(step.context, allowed=allowed)
    value: Value = None
    for index in range(len(step.node.children)):
        try:
            found = step.arm(index, inner)()
        except Halt as halt:
            if not halt.lost:
                raise
        except Exception:
            if index == winner:
                raise
        else:
            value = found if index == winner else value
    return value
