"""Runs, replays, plans and searches of Persistence, in the shape that the figures ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import attrs

from bench.figure import OURS
from bench.timing import Call, Stage
from persistence import Substrate
from persistence.effects import (
    Budget,
    Handler,
    Run,
    Terminal,
    Trace,
    budget,
    cache,
    policy,
    rate,
    redact,
    retry,
)
from persistence.replay import replay

ANSWER = Terminal("tools", {"tool/ask": lambda question: [question]})
RULES = """
    [{:effect :deny, :op "tool/delete", :id "nothing-is-deleted"}
     {:effect :allow, :op "tool/*", :id "tools"}]
"""


def six() -> list[Handler]:
    """Six handlers around the tool, in the order in which an agent in earnest would have them."""
    return [
        redact(),
        policy(RULES),
        budget(Budget(calls=10**9, tokens=10**12, money=Decimal(10**9))),
        rate("*", calls=10**9),
        retry("tool/*", attempts=3),
        cache("tool/*", size=100),
        ANSWER,
    ]


def _ask(run: Run, questions: Iterable[str]) -> None:
    for question in questions:
        run.perform("tool/ask", question=question)


@attrs.define
class Effects:
    """Runs that ask a tool so many times, each step recorded."""

    times: int
    path: Path | None = None  # of a store where every step is committed; else in memory
    handlers: Callable[[], list[Handler]] = six
    name: str = OURS
    _substrate: Substrate | None = None

    def __attrs_post_init__(self) -> None:
        if self.path is not None:
            self._substrate = Substrate.open(self.path)

    def running(self) -> Stage[Run]:
        upcoming = count()

        def prepare() -> Run:
            name = f"run {next(upcoming)}"
            if self._substrate is None:
                return Run(name, self.handlers())
            return self._substrate.effect.run(name, self.handlers())

        def run(made: Run) -> None:
            _ask(made, [f"question {n}" for n in range(self.times)])

        def normal(made: Run) -> Any:
            trace = made.trace
            if self._substrate is not None:
                trace = self._substrate.effect.trace(made.id)
            return [list(step.result) for step in trace]

        def finish(made: Run) -> None:
            with made:
                pass

        return Stage(self.name, prepare, run, normal, finish, operations=self.times)

    def close(self) -> None:
        if self._substrate is not None:
            self._substrate.close()


def recorded(times: int) -> Trace:
    """The trace of a run that asks, draws and looks at the clock."""
    with Run("agent", [ANSWER]) as run:
        _agent(run, times)
    return run.trace


def _agent(run: Run, times: int) -> None:
    for n in range(times):
        run.perform("tool/ask", question=f"question {n % 50}")


def replaying(times: int) -> Call:
    """A replay with no change, from a trace in memory; it must be the same to the byte."""
    trace = recorded(times)

    def again() -> bool:
        replayed = replay(trace, lambda run: _agent(run, times))
        assert replayed.same, replayed.divergence
        return True

    return Call(OURS, again, operations=times)
