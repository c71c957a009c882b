"""What an optimiser sees of the world: moves and scores, each asked for once.

Between the optimiser and the caller's functions stand the budgets, the record and the log of an
earlier search. What the log answers is not asked again, so the same optimiser goes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

import attrs

from persistence.errors import SearchError
from persistence.search.budget import Budget, Spent
from persistence.search.found import Iteration, real
from persistence.search.moves import Cross, Evaluate, Move, Propose, identify, moves_of, score_of


class Stop(Exception):
    """A budget is used up; `reason` names it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen
class Expansion:
    """The moves of a state, or of a pair of them, as they were proposed."""

    id: bytes
    moves: tuple[Move, ...]
    other: bytes | None = None
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


@attrs.frozen
class Log:
    """What an earlier search was told, and in which order it judged."""

    expansions: Mapping[tuple[bytes, bytes | None], Expansion]
    iterations: tuple[Iteration, ...]


class Record(Protocol):
    """Where a search is written down while it runs."""

    def expanded(self, expansion: Expansion) -> None: ...

    def judged(self, iteration: Iteration) -> None: ...

    def flush(self) -> None:
        """Makes durable what was written down."""


class Exploration:
    """Moves and scores for an optimiser."""

    def __init__(
        self,
        root: Any,
        propose: Propose | None,
        evaluate: Evaluate | None,
        cross: Cross | None,
        *,
        budget: Budget,
        now: Callable[[], float],
        record: Record | None = None,
        log: Log | None = None,
    ) -> None:
        self.root, self.root_id = root, identify(root)
        self._propose, self._evaluate, self._cross = propose, evaluate, cross
        self._budget, self._now, self._record = budget, now, record
        self._log = log or Log({}, ())
        self._begun: float | None = None
        self._before = 0.0  # seconds that the log accounts for
        self.spent = Spent()
        self.iterations: list[Iteration] = []
        self.judged: dict[bytes, Iteration] = {}
        self._expansions: dict[tuple[bytes, bytes | None], Expansion] = {}

    # ------------------------------------------------------------------- asking

    def moves(self, state: Any, id: bytes) -> tuple[Move, ...]:
        """The moves from *state*."""
        return self._expanded("propose", self._propose, (state,), id, None)

    def crossed(self, a: Iteration, b: Iteration) -> tuple[Move, ...]:
        """The states that a pair of states has together."""
        return self._expanded("crossover", self._cross, (a.held, b.held), a.id, b.id)

    def _expanded(
        self,
        told: str,
        ask: Callable[..., Any] | None,
        states: tuple[Any, ...],
        id: bytes,
        other: bytes | None,
    ) -> tuple[Move, ...]:
        key = (id, other)
        if key not in self._expansions:
            logged = self._log.expansions.get(key)
            if logged is None:
                self._expansions[key] = self._asked(told, ask, states, id, other)
            else:
                self._replayed(logged.seconds)
                self.spent.pay(logged.tokens, logged.cost)
                self._expansions[key] = logged
        return self._expansions[key].moves

    def _asked(
        self,
        told: str,
        ask: Callable[..., Any] | None,
        states: tuple[Any, ...],
        id: bytes,
        other: bytes | None,
    ) -> Expansion:
        self._room()
        if ask is None:
            self._missed("the moves of", id)
        given = moves_of(ask(*map(real, states)), self.root, self._told(told, id))
        self._pay(given.tokens, given.cost)
        seconds, moves = self.spent.seconds, tuple(given.moves)
        made = Expansion(id, moves, other, given.tokens, given.cost, seconds)
        if self._record is not None:
            self._record.expanded(made)
        return made

    @property
    def proposals(self) -> dict[bytes, tuple[Move, ...]]:
        """Every move that is known, by the state it is from; a cross is from both its parents."""
        found: dict[bytes, tuple[Move, ...]] = {}
        for (id, other), made in self._expansions.items():
            for each in (id,) if other is None else (id, other):
                found[each] = (*found.get(each, ()), *made.moves)
        return found

    def judge(
        self,
        state: Any,
        id: bytes,
        *,
        parent: bytes | None = None,
        move: Move | None = None,
        depth: int = 0,
        other: bytes | None = None,
    ) -> Iteration:
        """Judges *state*, which nobody judged before: that is one iteration."""
        n = len(self.iterations) + 1
        if n <= len(self._log.iterations):
            made = self._again(n, state, id)
        else:
            made = self._judged(n, state, id)
            if move is not None:
                made = attrs.evolve(
                    made,
                    parent=parent,
                    label=move.label,
                    prior=move.prior,
                    depth=depth,
                    other=other,
                )
            if self._record is not None:
                self._record.judged(made)
        self.iterations.append(made)
        self.judged[id] = made
        self.spent.iterations = self.spent.evaluations = n
        return made

    def _again(self, n: int, state: Any, id: bytes) -> Iteration:
        """The *n*-th iteration, as it is in the log.

        Raises:
            SearchError: the log has another state there.
        """
        known = self._log.iterations[n - 1]
        if known.id != id:
            raise SearchError(
                f"iteration {n} of the log judged {known.id.hex()[:16]}, and run again the search "
                f"comes to {id.hex()[:16]}",
                hint="the log or the optimiser is not what it was; verify the log",
                iteration=n,
                expected=known.id.hex(),
                found=id.hex(),
            )
        self._replayed(known.seconds)
        self.spent.pay(known.tokens, known.cost)
        return attrs.evolve(known, held=state)

    def _judged(self, n: int, state: Any, id: bytes) -> Iteration:
        self._room()
        evaluate = self._evaluate
        if evaluate is None:
            self._missed("the score of", id)
        scored = score_of(evaluate(real(state)), self._told("evaluate", id))
        self._pay(scored.tokens, scored.cost)
        return Iteration(
            n,
            id,
            state,
            scored.score,
            tokens=scored.tokens,
            cost=scored.cost,
            seconds=self.spent.seconds,
        )

    # ------------------------------------------------------------------ budgets

    def _room(self) -> None:
        """
        Raises:
            Stop: there is none for another call.
        """
        self._tick()
        reason = self.spent.over(self._budget)  # also before moves: they are for an iteration
        if reason is not None:
            raise Stop(reason)

    def _pay(self, tokens: int, cost: float) -> None:
        self.spent.pay(tokens, cost)
        self._tick()

    def _tick(self) -> None:
        now = self._now()
        if self._begun is None:
            self._begun = now
        self.spent.seconds = self._before + (now - self._begun)

    def _replayed(self, seconds: float) -> None:
        self._before = max(self._before, seconds)
        self.spent.seconds = max(self.spent.seconds, seconds)

    def _told(self, what: str, id: bytes) -> str:
        return f"iteration {len(self.iterations) + 1}: {what} of {id.hex()[:16]}"

    def _missed(self, what: str, id: bytes) -> NoReturn:
        raise SearchError(
            f"iteration {len(self.iterations) + 1}: the log does not hold {what} {id.hex()[:16]}",
            hint="resume the search to ask for it; a re-run never calls anybody",
            state=id.hex(),
        )
