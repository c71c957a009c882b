"""Pairs of a better and a worse decision, taken in the same situation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from persistence.effects import Step, Trace
from persistence.effects.handler import matching
from persistence.effects.step import BEGUN
from persistence.errors import SearchError
from persistence.replay.record import Patterns
from persistence.replay.scoring import Score, scored

OUTPUT: Final = "output"  # the same question to a model, and two answers
ACTION: Final = "action"  # two actions after the same steps


@attrs.frozen
class Preference:
    """Two runs that are the same up to the step `at`, where one did better.

    `kind` is "output" if both asked the same there and were answered differently, and "action" if
    they asked for different things. `chosen` and `rejected` are the runs, `scores` theirs.
    """

    kind: str
    at: int
    chosen: Trace
    rejected: Trace
    scores: tuple[float, float]

    @property
    def prefix(self) -> tuple[Step, ...]:
        """The steps that both took before."""
        return self.chosen.steps[: self.at]

    @property
    def better(self) -> Step:
        """The critical step as the chosen run took it."""
        return self.chosen.steps[self.at]

    @property
    def worse(self) -> Step:
        """The critical step as the rejected run took it."""
        return self.rejected.steps[self.at]

    @property
    def margin(self) -> float:
        return self.scores[0] - self.scores[1]

    def __repr__(self) -> str:
        return f"<preference at step {self.at}, {self.better.op}: {self.margin:+g}>"


def preferences(
    traces: Iterable[Trace],
    *,
    score: Score,
    margin: float = 0.0,
    outputs: Patterns = "model/*",
    actions: Patterns = (),
) -> list[Preference]:
    """The pairs among *traces* that differ first in a decision, and in score by *margin* or more.

    The steps before must be equal: their content ids, which are made anew from what they say, not
    taken from a store. Where two runs part, both must have put the same question to one of the
    *outputs*, and been answered otherwise; or one of them must have asked for one of the *actions*
    instead of what the other asked for. Runs that part in an observation had other luck and made
    no other decision; they give no pair. Neither do two runs with equal scores.

    Counterfactuals are the best source: `replay` with `do.output` keeps the prefix, so that the
    pair differs in that one step and in what follows from it.

    >>> from persistence.effects import Run, Terminal
    >>> def said(answer):
    ...     with Run("ask", [Terminal("m", {"model/chat": lambda prompt: answer})]) as run:
    ...         run.result = run.perform("model/chat", prompt="2 + 2?")
    ...     return run.trace
    >>> right = lambda trace: float(trace.result == "4")
    >>> pairs = preferences([said("5"), said("4")], score=right, margin=0.5)
    >>> [(pair.better.result, pair.worse.result, pair.margin) for pair in pairs]
    [('4', '5', 1.0)]

    Raises:
        SearchError: a score or the margin is no finite number, or the margin is negative.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise SearchError(f"a margin of {margin} is none", hint="give a number from 0 on")
    output, action = matching(outputs), matching(actions)
    given = [*traces]
    scores = [scored(score, trace) for trace in given]
    found = []
    for at, groups in _partings(given):
        for one, other in _pairs(groups):
            better, worse = (one, other) if scores[one] > scores[other] else (other, one)
            gain = scores[better] - scores[worse]
            if not (gain > 0 and gain >= margin):
                continue
            first, second = given[better].steps[at], given[worse].steps[at]
            if (first.scope, first.place) != (second.scope, second.place):
                continue  # parallel work that ended in another order
            kind = OUTPUT if first.key == second.key else ACTION
            decides = output if kind is OUTPUT else action
            if decides(first.op) or (kind is ACTION and decides(second.op)):
                pair = (scores[better], scores[worse])
                found.append(Preference(kind, at, given[better], given[worse], pair))
    return found


def _partings(traces: list[Trace]) -> Iterator[tuple[int, list[list[int]]]]:
    """The places where runs that were equal so far part, with the runs that stay together.

    All runs go from step to step side by side, so that each step is looked at once.
    """
    together = [[*range(len(traces))]]
    at = 0
    while together:
        after = []
        for group in together:
            parted: dict[bytes, list[int]] = defaultdict(list)
            for run in group:
                if at < len(traces[run]) and traces[run].steps[at].status is not BEGUN:
                    parted[_said(traces[run].steps[at])].append(run)
            if len(parted) > 1:
                yield at, [*parted.values()]
            after += [runs for runs in parted.values() if len(runs) > 1]
        together, at = after, at + 1


def _said(step: Step) -> bytes:
    """The content id, from what the step says now."""
    return attrs.evolve(step).id


def _pairs(groups: list[list[int]]) -> Iterator[tuple[int, int]]:
    for n, group in enumerate(groups):
        for other in groups[n + 1 :]:
            yield from ((a, b) for a in group for b in other)
