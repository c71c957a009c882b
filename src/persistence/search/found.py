"""What a search found: the best of all, the best at every depth, and how it got there."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

import attrs

from persistence.search.budget import Spent
from persistence.search.moves import Move
from persistence.values import Value


@attrs.frozen
class Kept:
    """A state that is in the log, and is read when somebody wants to see it."""

    id: bytes
    read: Any = attrs.field(repr=False)

    @property
    def state(self) -> Any:
        return self.read(self.id)


def real(state: Any) -> Any:
    """The state itself, of one that may still be in the log."""
    return state.state if type(state) is Kept else state


@attrs.frozen(eq=False)
class Iteration:
    """One state that was judged: the *n*-th, by the move *label* from *parent*.

    `parent` is the id of a state, None for the root; `other` that of the second parent of a cross.
    """

    n: int
    id: bytes
    held: Any = attrs.field(repr=False)
    score: float
    parent: bytes | None = None
    label: Value = None
    prior: float = 1.0
    depth: int = 0
    other: bytes | None = None
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    @property
    def state(self) -> Any:
        """The state that was judged."""
        return real(self.held)


@attrs.frozen
class Visits:
    """How often a state of the tree was visited, and each move from it: to which state, how often.

    The visits of a state are one, when it was judged, and those of its moves.
    """

    id: bytes
    visits: int
    moves: tuple[tuple[Value, bytes, int], ...]


@attrs.frozen(eq=False, slots=False)
class Found:
    """The outcome of a search.

    `stopped_by` names the budget that ended it, or "exhausted": there was nothing left to judge.
    `iterations` has every state that was judged, in order; `tree` the visits, where the search
    keeps a tree, and `population` the last one, where it keeps that. `id` names the record.
    """

    iterations: tuple[Iteration, ...]
    stopped_by: str
    spent: Spent
    proposals: Mapping[bytes, tuple[Move, ...]] = attrs.field(repr=False)
    tree: tuple[Visits, ...] = attrs.field(default=(), repr=False)
    population: tuple[Iteration, ...] = attrs.field(default=(), repr=False)
    id: UUID | None = None

    @cached_property
    def winner(self) -> Iteration:
        """The iteration with the highest score, the earliest of several."""
        return max(self.iterations, key=lambda each: (each.score, -each.n))

    @property
    def best(self) -> Any:
        """The state with the highest score."""
        return self.winner.state

    @property
    def score(self) -> float:
        """The score of the best."""
        return self.winner.score

    @property
    def path(self) -> tuple[Value, ...]:
        """The moves that lead from the root to the best, as they were found."""
        known = {each.id: each for each in self.iterations}
        at, labels = self.winner, []
        while at.parent is not None:
            labels.append(at.label)
            at = known[at.parent]
        return tuple(reversed(labels))

    def best_at(self, depth: int) -> Iteration | None:
        """The best of the states that are exactly *depth* moves from the root, by the shortest way
        that is known; None when none was judged there.

        >>> from persistence.search import Budget, Puct
        >>> def steps(n):
        ...     return [("add", n + 1), ("double", n * 2)] if n < 8 else []
        >>> found = Puct().search(1, steps, lambda n: -abs(n - 10), budget=Budget(iterations=99))
        >>> found.best, found.path, found.best_at(2).state
        (10, ('add', 'double', 'add', 'double'), 4)
        """
        return self._bests.get(depth)

    @cached_property
    def depths(self) -> Mapping[bytes, int]:
        """How many moves each known state is from the root, by the shortest way."""
        root = self.iterations[0].id
        found, waiting = {root: 0}, deque((root,))
        while waiting:
            at = waiting.popleft()
            for move in self.proposals.get(at, ()):
                if move.id not in found:
                    found[move.id] = found[at] + 1
                    waiting.append(move.id)
        return found

    @cached_property
    def _bests(self) -> dict[int, Iteration]:
        bests: dict[int, Iteration] = {}
        for each in self.iterations:
            depth = self.depths[each.id]
            if depth not in bests or each.score > bests[depth].score:
                bests[depth] = each
        return bests
