"""What speaks for a plan: runs of it on tasks it was not made from, beside runs of a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from statistics import fmean, stdev
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.effects import Trace
from persistence.errors import InputError
from persistence.replay.student import quantile
from persistence.search.moves import finite
from persistence.values import Value, freeze, identity

FEWEST: Final = 5  # below that many differences a spread says nothing


def _run(given: UUID | str) -> UUID:
    return given if isinstance(given, UUID) else UUID(given)


def _training(given: Collection[Any]) -> tuple[Value, ...]:
    """
    Raises:
        InputError: *given* is a text, or no collection at all.
    """
    if isinstance(given, str) or not isinstance(given, Collection):
        raise InputError(
            f"{given!r:.80} is no training set",
            hint="give all tasks and runs that had a part in making the plan; () if there are none",
        )
    return tuple(map(freeze, given))


@attrs.frozen
class Case:
    """One held-out task: what names it, and a run of the plan and one of the baseline on it.

    Runs are those of `s.effect` or `s.plan`, by id. Scores are your own; higher is better.
    """

    task: Value = attrs.field(converter=freeze)
    run: UUID = attrs.field(converter=_run)
    score: float
    baseline_run: UUID = attrs.field(converter=_run)
    baseline_score: float

    @property
    def is_scored(self) -> bool:
        """Whether both scores are finite numbers."""
        return finite(self.score) is not None and finite(self.baseline_score) is not None

    @property
    def difference(self) -> float:
        """How much better the plan was than the baseline."""
        return self.score - self.baseline_score


def _cases(given: Iterable[Case]) -> tuple[Case, ...]:
    return tuple(given)


@attrs.frozen
class Evidence:
    """Cases, and the *training* set: all tasks and runs that had a part in making the plan."""

    cases: Sequence[Case] = attrs.field(converter=_cases)
    training: Collection[Value] = attrs.field(converter=_training, repr=False)

    def flaws(self, fewest: int) -> list[str]:
        """What keeps these cases from being held-out evidence, as sentences."""
        found = []
        if len(self.cases) < fewest:
            found.append(f"{fewest} held-out cases are needed, and there are {len(self.cases)}")
        known = set(map(identity, self.training))
        for case in self.cases:
            used = [each for each in (case.task, *_runs(case)) if identity(each) in known]
            if used:
                found.append(f"{used[0]!r:.80} is in the training set, so it is not held out")
            if not case.is_scored:
                found.append(f"the scores of task {case.task!r:.80} are not both finite numbers")
        return found + _repeated(self.cases)

    def gain(self, confidence: float) -> Gain | None:
        """The gain that the cases show; None when there are fewer than two, or no scores."""
        if len(self.cases) < 2 or not all(case.is_scored for case in self.cases):
            return None
        return gain([case.difference for case in self.cases], confidence)


def _runs(case: Case) -> tuple[UUID, UUID]:
    return case.run, case.baseline_run


def _repeated(cases: Iterable[Case]) -> list[str]:
    """A task, or a run, that comes twice counts twice, and would make few cases look like many."""
    seen, twice = set(), {}
    for case in cases:
        for name, each in (("task", case.task), *(("run", run) for run in _runs(case))):
            key = (name, identity(each))
            if key in seen:
                twice[key] = f"the {name} {each!r:.80} comes more than once"
            seen.add(key)
    return list(twice.values())


@attrs.frozen
class Gain:
    """How much better the plan is: the mean difference over the cases, and its lower bound.

    With *confidence*, the mean over all tasks of the kind is above `bound`: the one-sided bound of
    Student's t for paired differences, mean - t * s / sqrt(n). It takes the cases for a random
    sample of such tasks, and the mean of so many differences for roughly normal.
    """

    mean: float
    bound: float
    cases: int
    confidence: float


def gain(differences: Sequence[float], confidence: float) -> Gain:
    """The gain that paired *differences* show.

    >>> found = gain([0.2, 0.1, 0.3, 0.2, 0.2, 0.2, 0.1, 0.3], 0.95)
    >>> round(found.mean, 3), round(found.bound, 3)
    (0.2, 0.149)
    """
    n, mean = len(differences), fmean(differences)
    spread = stdev(differences) / math.sqrt(n)
    return Gain(mean, mean - quantile(2 * (1 - confidence), n - 1) * spread, n, confidence)


def measured(
    trace: Callable[[UUID], Trace],
    runs: Iterable[tuple[Value, UUID, UUID]],
    score: Callable[[Trace], float],
    *,
    training: Collection[Value],
) -> Evidence:
    """Evidence from recorded *runs*, each (task, run of the plan, run of the baseline), by *score*.

    *trace* gives the trace of a run: `s.effect.trace`.

    Raises:
        InputError: *score* gives no finite number.
        TraceError: there is no such run.
    """

    def scored(run: UUID) -> float:
        given = score(trace(run))
        found = finite(given)
        if found is None:
            raise InputError(
                f"run {run} is scored {given!r:.40}", hint="a score is a finite number", run=run
            )
        return found

    cases = [Case(task, a, scored(a), b, scored(b)) for task, a, b in runs]
    return Evidence(cases, training)
