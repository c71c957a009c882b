"""Where a run finds what it need not perform, because it is on record already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Protocol

from persistence.db import Db
from persistence.effects.call import Call, Scope
from persistence.effects.step import BEGUN, Step
from persistence.errors import Diverged
from persistence.values import Map, write

_SHOWN: Final = 200  # characters of arguments in a message


class Answers(Protocol):
    """Answers calls from a record; `stored` says whether they stand in the run's own."""

    stored: bool

    def answer(self, call: Call, asked: bytes) -> Step | Call | None:
        """The recorded step that answers *call*; a call to perform instead; or None to perform it.

        *asked* are the canonical bytes of operation and arguments, as they are recorded.

        Raises:
            Diverged: the record does not hold it, and it must not be performed.
        """

    def database(self, db: Db, place: int) -> Db:
        """What the run shall see in place of *db*, which it asked for at *place*."""


class Prefix:
    """The first steps of a run, for going on with it: they must be asked for as they were.

    When the steps of a scope are used up, its next calls are performed.
    """

    stored = True

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps: dict[Scope, dict[int, Step]] = defaultdict(dict)
        for step in steps:
            if step.status is not BEGUN:
                self._steps[step.scope][step.place] = step

    def answer(self, call: Call, asked: bytes) -> Step | Call | None:
        step = self._steps[call.scope].get(call.place)
        if step is None or step.asked == asked:
            return step
        raise diverged(call, step)

    def database(self, db: Db, place: int) -> Db:
        return db


def _shown(args: Map) -> str:
    text = write(args)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"


def diverged(call: Call, expected: Step | None) -> Diverged:
    """The error of a run that asks for something else than its record holds at this place."""
    where = f"step {call.place}" + (f" of scope {list(call.scope)}" if call.scope else "")
    held = "nothing more" if expected is None else f"{expected.op} {_shown(expected.args)}"
    return Diverged(
        f"{where}: the record holds {held}, and the program asks for {call.op} "
        f"{_shown(call.hide(call.form))}",
        hint="the program, its prompts or its settings have changed since the run was recorded",
        operation=call.op,
        place=call.place,
        scope=call.scope,
        expected=expected,
        found=call,
    )
