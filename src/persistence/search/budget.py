"""What a search may use up, and what it has: every budget that is accepted is honoured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from persistence.errors import SearchError

_COUNTS = frozenset(("iterations", "evaluations", "tokens"))


@attrs.frozen
class Budget:
    """The most of everything; None is no bound, and one bound at least there must be.

    `iterations` and `evaluations` are never passed. `seconds`, `tokens` and `cost` are looked at
    before every call of *propose* and *evaluate*: none is begun after the time is up, nor when one
    as expensive as the most expensive so far would pass the rest. So what can pass them is a
    call that takes longer, or costs more, than any before it.

    >>> Budget(iterations=200, seconds=30)
    Budget(iterations=200, evaluations=None, seconds=30, tokens=None, cost=None)

    Raises:
        SearchError: no bound, or one that is no positive number.
    """

    iterations: int | None = None
    evaluations: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    cost: float | None = None

    def __attrs_post_init__(self) -> None:
        bounds = self.bounds()
        for name, bound in bounds.items():
            if not _positive(name, bound):
                raise SearchError(
                    f"a budget of {bound!r} {name}",
                    hint=f"give {name} as a positive whole number"
                    if name in _COUNTS
                    else f"give {name} as a positive, finite number",
                    budget=name,
                )
        if not bounds:
            raise SearchError(
                "a search without a budget may never end",
                hint="bound at least one of iterations, evaluations, seconds, tokens, cost",
            )

    @classmethod
    def of(cls, given: Budget | Mapping[str, Any]) -> Budget:
        """A budget from one, or from its bounds by name.

        >>> Budget.of({"iterations": 10}).iterations
        10
        >>> Budget.of({"steps": 10})
        Traceback (most recent call last):
        ...
        persistence.errors.SearchError: there is no budget of steps

        Raises:
            SearchError: there is no budget of such a name, or it is none.
        """
        if isinstance(given, Budget):
            return given
        names = [field.name for field in attrs.fields(cls)]
        if not isinstance(given, Mapping):
            raise SearchError(f"{given!r:.80} is no budget", hint=f"bound one of {names}")
        unknown = [str(name) for name in given if name not in names]
        if unknown:
            raise SearchError(
                f"there is no budget of {', '.join(unknown)}",
                hint=f"the budgets are {', '.join(names)}",
                unknown=unknown,
            )
        return cls(**given)

    def bounds(self) -> dict[str, Any]:
        """The bounds there are, by name."""
        return {name: bound for name, bound in attrs.asdict(self).items() if bound is not None}


def _positive(name: str, bound: Any) -> bool:
    kinds = (int,) if name in _COUNTS else (int, float)
    return type(bound) in kinds and bound > 0 and math.isfinite(bound)


@attrs.define
class Spent:
    """What a search has used up so far."""

    iterations: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    most_tokens: int = 0  # of one call, so far
    most_cost: float = 0.0

    def pay(self, tokens: int, cost: float) -> None:
        """Counts one call."""
        self.tokens += tokens
        self.cost += cost
        self.most_tokens = max(self.most_tokens, tokens)
        self.most_cost = max(self.most_cost, cost)

    def over(self, budget: Budget) -> str | None:
        """The budget that leaves no room for another call, if there is one."""
        if budget.iterations is not None and self.iterations >= budget.iterations:
            return "iterations"
        if budget.evaluations is not None and self.evaluations >= budget.evaluations:
            return "evaluations"
        if budget.seconds is not None and self.seconds >= budget.seconds:
            return "seconds"
        if budget.tokens is not None and _full(self.tokens, self.most_tokens, budget.tokens):
            return "tokens"
        if budget.cost is not None and _full(self.cost, self.most_cost, budget.cost):
            return "cost"
        return None


def _full(spent: float, most: float, bound: float) -> bool:
    return spent >= bound or spent + most > bound
