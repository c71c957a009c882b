"""The state of an agent: 100 values, one changed per step, 1 000 steps, beside LangGraph's saver.

Both sync every step. The head and an old state are all values at once; a fork begins another line
at an old step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import agent
from bench.figure import at_most, within
from bench.lab import Lab, Section
from bench.peers.langgraph import ABSENT, NAME, LangGraph
from bench.timing import Call, Stage

WRITE, WEIGHT = "agent: all steps", "agent: size of the file"
HEAD, OLD, FORK = "agent: head read", "agent: old state read", "agent: fork"

Kind = Callable[[Path], Any]


def _kinds(lab: Lab) -> list[Kind]:
    """Ours, LangGraph's saver where it is installed, and that with all that its loop writes."""
    kinds: list[Kind] = []
    if lab.ours is not None:
        from bench.ours_agent import OurAgent  # noqa: PLC0415  # floors run without the library

        kinds.append(OurAgent)
    try:
        LangGraph(lab.file()).close()
        kinds += [LangGraph, lambda path: LangGraph(path, writes=True)]
    except ImportError:
        lab.skip(NAME, ABSENT)
    return kinds


def _writing(lab: Lab, kind: Kind, name: str) -> Stage[Any]:
    """All steps, on a fresh store for each sample."""
    scale = lab.scale
    values, changes = agent.initial(scale.keys), list(agent.changes(scale.keys, scale.steps))

    def prepare() -> Any:
        made = kind(lab.file())
        made.begin(values)
        return made

    return Stage(
        name,
        prepare=prepare,
        run=lambda made: made.run(changes),
        normal=lambda made: made.head(),
        finish=lambda made: made.close(),
    )


def measure(lab: Lab) -> None:
    scale = lab.scale
    kinds = _kinds(lab)
    if not kinds:
        return
    agents = [lab.open(kind(lab.file())) for kind in kinds]
    for made in agents:
        made.begin(agent.initial(scale.keys))
        made.run(agent.changes(scale.keys, scale.steps))
    expected, midway = agent.state(scale.keys, scale.steps), scale.steps // 2
    if any(made.head() != expected for made in agents):
        raise AssertionError("an agent does not hold what was written")

    if lab.wants(WRITE):
        writing = [_writing(lab, k, a.name) for k, a in zip(kinds, agents, strict=True)]
        lab.measure(WRITE, writing, within(1, NAME), base=NAME, slow=True)
    sizes = {made.name: made.size() / 1e6 for made in agents}
    lab.amount(WEIGHT, "MB", sizes, at_most(1, "MB"), base=NAME)

    def race(figure: str, limit: float, call: Callable[[Any], Callable[[], Any]]) -> None:
        contenders = [Call(made.name, call(made)) for made in agents[:2]]
        lab.measure(figure, contenders, at_most(limit, "ms"), base=NAME)

    race(HEAD, 0.2, lambda made: made.head)
    race(OLD, 0.5, lambda made: partial(made.at, midway))
    forks = [Call(made.name, partial(made.fork, midway)) for made in agents[:2]]
    lab.measure(FORK, forks, within(1, NAME), base=NAME)


SECTION = Section(
    "agent",
    "Agent state, 100 values, 1 000 steps",
    (WRITE, WEIGHT, HEAD, OLD, FORK),
    measure,
)
