"""Searches of Persistence over plans: every move inserts, deletes or edits a step."""

from __future__ import annotations

from itertools import count, pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import attrs

from bench.figure import OURS
from bench.timing import Stage
from persistence import Substrate
from persistence.plans import Plan
from persistence.search import Puct

_ROOT = Plan('[:seq {} [:checkpoint {:name "start"}]]')
_STEPS = tuple(f'[:checkpoint {{:name "{name}"}}]' for name in ("look", "ask", "book"))


def moves(plan: Plan) -> list[tuple[str, Plan]]:
    """Three steps that can come last, and the last one gone."""
    last = (len(plan.root.children) - 1,)
    after = [(f"then {step}", plan.insert_after(last, step)) for step in _STEPS]
    return after if last == (0,) else [*after, ("one less", plan.delete(last))]


def score(plan: Plan) -> float:
    """Some plan is better than another, by its content alone."""
    return int.from_bytes(plan.id[:2]) / 2**16 + min(len(plan.root.children), 6)


@attrs.define
class Searching:
    """Searches of so many iterations, unstored or into the store at *path*."""

    times: int
    path: Path | None = None
    _substrate: Substrate | None = None

    def __attrs_post_init__(self) -> None:
        if self.path is not None:
            self._substrate = Substrate.open(self.path)

    def running(self) -> Stage[Any]:
        names = count()
        best = []

        def run(_: Any) -> None:
            options: dict[str, Any] = {"budget": {"iterations": self.times}, "seed": 7}
            if self._substrate is None:
                found = Puct().search(_ROOT, moves, score, **options)
            else:
                name = f"search {next(names)}"
                found = self._substrate.plan.search(
                    _ROOT, moves, score, optimiser=Puct(), name=name, **options
                )
            assert len(found.iterations) == self.times
            best.append(found.score)

        return Stage(
            OURS,
            prepare=lambda: None,
            run=run,
            normal=lambda _: best[-1],
            operations=self.times,
        )

    def tenths(self) -> tuple[float, float]:
        """Milliseconds of an iteration in the first and in the last tenth of a search."""
        moments: list[float] = []

        def noted(plan: Plan) -> float:
            moments.append(perf_counter())
            return score(plan)

        Puct().search(_ROOT, moves, noted, budget={"iterations": self.times}, seed=7)
        took = [1000 * (after - before) for before, after in pairwise(moments)]
        tenth = len(took) // 10
        return median(took[:tenth]), median(took[-tenth:])

    def close(self) -> None:
        if self._substrate is not None:
            self._substrate.close()
