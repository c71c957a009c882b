"""The one interface of all searches: a root, moves, scores, a budget, a seed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, ClassVar

import attrs

from persistence.errors import SearchError
from persistence.search.budget import Budget
from persistence.search.exploration import Exploration, Log, Record, Stop
from persistence.search.found import Found
from persistence.search.moves import Cross, Evaluate, Propose
from persistence.values import Keyword, Value


@attrs.frozen
class Outcome:
    """What is particular to an optimiser: its tree, or its population."""

    tree: tuple[Any, ...] = ()
    population: tuple[Any, ...] = ()


class Optimiser(ABC):
    """Looks for the state with the highest score."""

    name: ClassVar[Keyword]
    crossover: Cross | None = None

    def search(
        self,
        root: Any,
        propose: Propose,
        evaluate: Evaluate,
        *,
        budget: Budget | Mapping[str, Any],
        seed: int = 0,
        record: Record | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> Found:
        """Searches from *root* until the budget is used up, or nothing is left to judge.

        A state is a plan, another object with an `id` of bytes, or any EDN value. Equal ids are one
        state: it is judged once, and its moves are asked for once. ``propose(state)`` gives its
        moves as (label, state) or (label, state, prior), in a `Proposed` if they cost something;
        ``evaluate(state)`` gives its score, in a `Scored` if it cost something. Equal arguments,
        the seed included, give an equal outcome, unless seconds end it: *now* tells those.

        >>> from persistence.search import Evolve, Puct
        >>> def steps(n):
        ...     return [("up", n + 1), ("down", n - 1)]
        >>> for optimiser in (Puct(), Evolve()):
        ...     found = optimiser.search(0, steps, lambda n: -abs(n - 5), budget={"iterations": 60})
        ...     print(found.best, found.stopped_by)
        5 iterations
        5 iterations

        Raises:
            SearchError: a budget, a move or a score that is none. What *propose* and *evaluate*
                raise ends the search too; the record keeps all that was done before.
        """
        self.ready()
        return self.explored(
            root, propose, evaluate, budget=budget, seed=seed, record=record, now=now
        )

    def explored(
        self,
        root: Any,
        propose: Propose | None,
        evaluate: Evaluate | None,
        *,
        budget: Budget | Mapping[str, Any],
        seed: int,
        record: Record | None = None,
        log: Log | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> Found:
        """As :meth:`search`; what *log* knows is not asked for, and without the functions never."""
        if type(seed) is not int:
            raise SearchError(f"the seed {seed!r:.40}", hint="a seed is a whole number")
        exploration = Exploration(
            root,
            propose,
            evaluate,
            self.crossover,
            budget=Budget.of(budget),
            now=now,
            record=record,
            log=log,
        )
        walk = self.begin(exploration, Random(seed))
        try:
            stopped_by = _ended(walk.step)
        finally:
            if record is not None:
                record.flush()
        outcome = walk.outcome()
        return Found(
            iterations=tuple(exploration.iterations),
            stopped_by=stopped_by,
            spent=exploration.spent,
            proposals=exploration.proposals,
            tree=outcome.tree,
            population=outcome.population,
        )

    @abstractmethod
    def ready(self) -> None:
        """
        Raises:
            SearchError: a function is missing, without which only a log can be run again.
        """

    @abstractmethod
    def begin(self, exploration: Exploration, chance: Random) -> Walk:
        """A search that has not taken a step yet."""

    @abstractmethod
    def options(self) -> dict[str, Value]:
        """The arguments by which an equal optimiser is made, but for functions."""


class Walk(ABC):
    """One search under way."""

    @abstractmethod
    def step(self) -> bool:
        """Judges one more state; False when there is none."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """What has come of it so far."""


def _ended(step: Callable[[], bool]) -> str:
    try:
        while step():
            pass
    except Stop as stop:
        return stop.reason
    return "exhausted"
