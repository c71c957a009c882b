"""Times contenders in turns (A B, B A, A B …), so that a machine that drifts slows all alike.

Before anything is timed every contender gives its answer, and the answers must be equal: a
benchmark compares work that was done. Then come warm-up rounds, then the measured ones, with the
garbage collector run between samples and never switched off inside them.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

import attrs

T = TypeVar("T")

SAMPLE_MS = 10.0  # short operations are repeated inside a sample until it is this long
WARM_MS = 200.0  # at least this long; caches, statement plans and a JIT settle


class Contender(Protocol):
    """One side of a race."""

    @property
    def name(self) -> str: ...

    def answer(self) -> Any:
        """What the work yields, in a form that compares equal between contenders."""

    def warm(self) -> None:
        """Run until caches, plans and compilers have settled."""

    def observed(self, observe: Callable[..., Any]) -> int:
        """One run of the work, called through *observe*; gives its number of operations."""

    def sample(self) -> float:
        """Milliseconds of one operation."""


class Disagreement(AssertionError):
    """Contenders gave different answers, so their times mean nothing."""


@attrs.frozen
class Spread:
    """A median in the figure's unit, with the extremes and the number of samples."""

    median: float
    least: float
    most: float
    samples: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        return cls(statistics.median(samples), min(samples), max(samples), len(samples))

    def rate(self) -> Spread:
        """Milliseconds per operation turned into operations per second."""
        return Spread(1000 / self.median, 1000 / self.most, 1000 / self.least, self.samples)


@attrs.define
class Call:
    """A contender that runs in this process and can be repeated as it is.

    `operations` is how many operations one run does; a sample is the time of one of them.
    """

    name: str
    run: Callable[[], Any]
    normal: Callable[[Any], Any] = lambda result: result
    operations: int = 1
    _repeat: int = attrs.field(default=1, init=False)

    def answer(self) -> Any:
        return self.normal(self.run())

    def observed(self, observe: Callable[..., Any]) -> int:
        observe(self.run)
        return self.operations

    def warm(self) -> None:
        calls, spent = 0, 0.0
        while spent < WARM_MS and calls < 2000:
            start = perf_counter()
            self.run()
            spent += (perf_counter() - start) * 1000
            calls += 1
        self._repeat = max(1, round(SAMPLE_MS * calls / spent))

    def sample(self) -> float:
        start = perf_counter()
        for _ in range(self._repeat):
            self.run()
        return (perf_counter() - start) * 1000 / (self._repeat * self.operations)


@attrs.define
class Stage(Generic[T]):
    """A contender that changes something: each sample gets a stage of its own, set up untimed.

    `operations` is how many operations one run does; a sample is the time of one of them.
    """

    name: str
    prepare: Callable[[], T]
    run: Callable[[T], Any]
    normal: Callable[[T], Any] = lambda stage: None
    finish: Callable[[T], None] = lambda stage: None
    operations: int = 1

    def answer(self) -> Any:
        stage = self.prepare()
        self.run(stage)
        result = self.normal(stage)
        self.finish(stage)
        return result

    def observed(self, observe: Callable[..., Any]) -> int:
        stage = self.prepare()
        observe(self.run, stage)
        self.finish(stage)
        return self.operations

    def warm(self) -> None:
        """Nothing beyond `answer`, which has run the work once already."""

    def sample(self) -> float:
        stage = self.prepare()
        gc.collect()
        start = perf_counter()
        self.run(stage)
        spent = (perf_counter() - start) * 1000
        self.finish(stage)
        return spent / self.operations


def agree(figure: str, contenders: Sequence[Contender]) -> Any:
    """The answer that all *contenders* give.

    Raises:
        Disagreement: two of them differ; names both and shows how.
    """
    first, *others = contenders
    expected = first.answer()
    for other in others:
        found = other.answer()
        if found != expected:
            raise Disagreement(
                f"{figure}: {first.name} answers {_brief(expected)}, {other.name} {_brief(found)}"
            )
    return expected


def race(
    figure: str,
    contenders: Sequence[Contender],
    rounds: int,
    tick: Callable[[], None],
    *,
    beside: Sequence[Contender] = (),
) -> dict[str, Spread]:
    """Check that *contenders* agree, then time them in turns; medians in milliseconds by name.

    *beside* are timed in the same turns, but ask something else (the same at another instant).
    """
    agree(figure, contenders)
    runners = [*contenders, *beside]
    for contender in runners:
        contender.warm()
    samples: dict[str, list[float]] = {contender.name: [] for contender in runners}
    gc.collect()
    gc.freeze()  # the workload itself is not the contenders' garbage
    try:
        for turn in range(rounds):
            for contender in runners if turn % 2 == 0 else reversed(runners):
                gc.collect()
                samples[contender.name].append(contender.sample())
            tick()
    finally:
        gc.unfreeze()
    return {name: Spread.of(times) for name, times in samples.items()}


def _brief(answer: Any) -> str:
    size = f"{len(answer)} × " if hasattr(answer, "__len__") else ""
    text = repr(answer)
    return size + (text if len(text) < 120 else text[:117] + "…")
