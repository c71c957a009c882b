"""What a race does: arms at the same time until one succeeds, and a record from which the same arm
wins again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Final

import attrs

from persistence.effects import Call, GivenUp
from persistence.errors import EffectAborted
from persistence.plans.engine import Context, Halt, Play, Step, Where, failure
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
    try:
        told = step.perform(RACE, arms=len(step.node.children))
    except EffectAborted:
        if not live and step.context.allowed is not None:  # given up by a race around, on record
            _again(step, None, step.context)
        raise
    winner = told[_WINNER]
    if live:
        value = live[0]
    else:
        allowed: Counter[Where] = Counter(dict(told[_RAN].items()))
        value = _again(step, winner, attrs.evolve(step.context, allowed=allowed))
    if told[_LOST]:
        raise Halt(step.path, lost=True)
    if winner is None:
        raise failure(step, "race", "every child failed", "look at the failures in the trace")
    return value


def _raced(step: Step, live: list[Value]) -> Map:
    """Runs the arms at the same time, until one succeeds or all have ended; leaves the value of the
    first to succeed in *live*. What others are doing then is given up.

    Raises:
        Halt: the run is stopped. That another race around has been lost is a result.
    """
    outer, count = step.context, len(step.node.children)
    over = threading.Condition()
    winners: list[int] = []
    ended: dict[int, Value | BaseException] = {}
    runs = [outer.run.leashed() for _ in range(count)]

    def lost() -> bool:
        return bool(winners) or outer.lost()

    def arm(index: int) -> None:
        found: Value | BaseException
        try:
            found = step.arm(index, attrs.evolve(outer, run=runs[index][0], lost=lost))()
        except BaseException as error:
            found = error
        with over:
            ended[index] = found
            if not isinstance(found, BaseException):
                winners.append(index)
            over.notify_all()

    try:
        step.engine.launch([partial(arm, index) for index in range(count)], lambda: bool(winners))
        with over:
            over.wait_for(lambda: bool(winners) or len(ended) == count)
    finally:
        calls = [call for _, give_up in runs for call in give_up()]
    with over:  # arms that were given up may come back at any time
        winner, found = winners[0] if winners else None, dict(ended)
    halted = _halted(found.values(), won=winner is not None)
    live.append(None if winner is None else found[winner])
    return Map({_WINNER: winner, _RAN: Map(_ran(calls)), _LOST: halted})


def _halted(ended: Iterable[Value | BaseException], *, won: bool) -> bool:
    """Whether the race ended because one around it was lost.

    Raises:
        Halt: the run is stopped; or something that is no failure of an arm.
    """
    errors = [error for error in ended if isinstance(error, BaseException)]
    lost = [e for e in errors if isinstance(e, GivenUp) or (isinstance(e, Halt) and e.lost)]
    for error in errors:
        if error not in lost and not isinstance(error, Exception):
            raise error
    return bool(lost) and not won


def _ran(calls: Iterable[Call]) -> Counter[Where]:
    """How many effects each step made."""
    return Counter(tuple(part for part in call.scope if type(part) is tuple) for call in calls)


def _again(step: Step, winner: int | None, context: Context) -> Value:
    """The value of the arm that won, on record; the others go as far as they went."""
    value: Value = None
    for index in range(len(step.node.children)):
        try:
            found = step.arm(index, context)()
        except Halt as halt:
            if not halt.lost:
                raise
        except Exception:
            if index == winner:
                raise
        else:
            value = found if index == winner else value
    return value
