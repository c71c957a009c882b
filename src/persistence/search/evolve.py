"""Evolution: good states are changed, and crossed, into others; the best of them stay.

A state that was judged once is never judged again, so children are always new: moves that lead
nowhere, back, or to what another parent had, are passed over. Parents come from a tournament within
the population; when nobody in it has a new child left, the best state outside of it that has one is
the parent. So a space that can be searched to its end is, and then the search is over.
"""

from __future__ import annotations

import heapq
from random import Random
from typing import Any, ClassVar

import attrs

from persistence.errors import SearchError
from persistence.search.exploration import Exploration
from persistence.search.found import Iteration
from persistence.search.moves import Cross, Move
from persistence.search.optimiser import Optimiser, Outcome, Walk
from persistence.values import Keyword, Value


@attrs.frozen
class Evolve(Optimiser):
    """An evolutionary search; with a model that rewrites as *propose*, a prompt optimiser.

    *population* states live at a time. A parent is the best of *tournament* drawn from them; its
    child is one of its moves, drawn by prior. After *population* children the next generation are
    the *elite* best so far and the best of the children. ``crossover(a, b)`` gives the states that
    two have together, as *propose* gives moves; it makes a child with the chance *crossing* (0.3).

    >>> def flip(bits):
    ...     return [(i, bits[:i] + (1 - bits[i],) + bits[i + 1 :]) for i in range(len(bits))]
    >>> found = Evolve().search((0,) * 8, flip, sum, budget={"iterations": 200}, seed=1)
    >>> found.best
    (1, 1, 1, 1, 1, 1, 1, 1)

    Raises:
        SearchError: a number that is none of these.
    """

    name: ClassVar[Keyword] = Keyword("evolve")

    population: int = 16
    tournament: int = 3
    elite: int = 4
    crossover: Cross | None = attrs.field(default=None, repr=False)
    crossing: float = attrs.field()

    @crossing.default
    def _usual(self) -> float:
        return 0.0 if self.crossover is None else 0.3

    def __attrs_post_init__(self) -> None:
        for name in ("population", "tournament", "elite"):
            count = getattr(self, name)
            if type(count) is not int or count < 1:
                raise SearchError(f"{name} of {count!r:.40}", hint=f"let {name} be 1 or more")
        if self.elite > self.population:
            raise SearchError(
                f"an elite of {self.elite} in a population of {self.population}",
                hint="let the elite be no larger than the population",
            )
        if type(self.crossing) not in (int, float) or not 0 <= self.crossing <= 1:
            raise SearchError(f"crossing {self.crossing!r:.40}", hint="a chance is from 0 to 1")

    def begin(self, exploration: Exploration, chance: Random) -> Walk:
        return _Population(exploration, chance, self)

    def ready(self) -> None:
        if self.crossing and self.crossover is None:
            raise SearchError(
                f"with the chance {self.crossing} two states are crossed, and nothing says how",
                hint="give crossover, a function of two states",
            )

    def options(self) -> dict[str, Value]:
        return {
            "population": self.population,
            "tournament": self.tournament,
            "elite": self.elite,
            "crossing": float(self.crossing),
        }


class _Population(Walk):
    def __init__(self, exploration: Exploration, chance: Random, options: Evolve) -> None:
        self._exploration, self._chance, self._options = exploration, chance, options
        self._living: list[Iteration] = []
        self._children: list[Iteration] = []
        self._left: dict[bytes, list[Move]] = {}  # moves that may still lead to a new state
        self._waiting: list[tuple[float, int, Iteration]] = []  # states with such moves, best first

    def step(self) -> bool:
        if not self._living:
            root = self._exploration.judge(self._exploration.root, self._exploration.root_id)
            self._living = [root]
            self._born(root)
            return True
        child = self._crossed() or self._mutated()
        if child is None:
            return False
        self._born(child)
        self._children.append(child)
        if len(self._children) >= self._options.population:
            self._next_generation()
        return True

    def _born(self, state: Iteration) -> None:
        heapq.heappush(self._waiting, (-state.score, state.n, state))

    def _next_generation(self) -> None:
        elite = sorted(self._living + self._children, key=_fitness)[: self._options.elite]
        known = {each.id for each in elite}
        rest = sorted((c for c in self._children if c.id not in known), key=_fitness)
        self._living = [*elite, *rest][: self._options.population]
        self._children = []

    # ------------------------------------------------------------------- children

    def _drawn(self) -> Iteration:
        """The best of a few of the population."""
        size = min(self._options.tournament, len(self._living))
        return min(self._chance.sample(self._living, size), key=_fitness)

    def _crossed(self) -> Iteration | None:
        if len(self._living) < 2 or self._chance.random() >= self._options.crossing:
            return None
        a, b = self._drawn(), self._drawn()
        if a.id == b.id:
            return None
        moves = [move for move in self._exploration.crossed(a, b) if self._is_new(move)]
        return self._judged(self._chosen(moves), a, b) if moves else None

    def _mutated(self) -> Iteration | None:
        parent = self._drawn()
        moves = self._new_moves(parent)
        if not moves:
            found = next(filter(None, map(self._pair, sorted(self._living, key=_fitness))), None)
            found = found or self._outside()
            if found is None:
                return None
            parent, moves = found
        return self._judged(self._chosen(moves), parent)

    def _pair(self, state: Iteration) -> tuple[Iteration, list[Move]] | None:
        moves = self._new_moves(state)
        return (state, moves) if moves else None

    def _outside(self) -> tuple[Iteration, list[Move]] | None:
        """The best state at all that has a new child."""
        while self._waiting:
            found = self._pair(self._waiting[0][2])
            if found is not None:
                return found
            heapq.heappop(self._waiting)
        return None

    def _new_moves(self, state: Iteration) -> list[Move]:
        left = self._left.get(state.id)
        if left is None:
            left = list(self._exploration.moves(state.held, state.id))
        self._left[state.id] = left = [move for move in left if self._is_new(move)]
        return left

    def _is_new(self, move: Move) -> bool:
        return move.id not in self._exploration.judged

    def _chosen(self, moves: list[Move]) -> Move:
        """One of *moves*, drawn by prior."""
        priors = [move.prior for move in moves]
        whole = sum(priors) > 0
        return self._chance.choices(moves, weights=priors if whole else None)[0]

    def _judged(self, move: Move, parent: Iteration, other: Iteration | None = None) -> Iteration:
        return self._exploration.judge(
            move.state,
            move.id,
            parent=parent.id,
            move=move,
            depth=1 + parent.depth,
            other=None if other is None else other.id,
        )

    def outcome(self) -> Outcome:
        return Outcome(population=tuple(sorted(self._living, key=_fitness)))


def _fitness(state: Iteration) -> Any:
    return -state.score, state.n
