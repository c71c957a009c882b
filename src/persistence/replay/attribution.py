"""Which of several changes an outcome is owed to: Shapley values, within a budget of replays.

The value of a player is its mean marginal contribution over all orders in which the players may
come in. Orders are sampled, which needs few replays and leaves a known error: J. Castro, D. Gómez,
J. Tejada, "Polynomial calculation of the Shapley value based on sampling", C&OR 36 (2009).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from math import factorial
from statistics import fmean
from typing import Any, Final

import attrs

from persistence.effects import Trace
from persistence.errors import SearchError
from persistence.replay.intervention import Body, Intervention
from persistence.replay.replaying import replay
from persistence.replay.scoring import Score, scored
from persistence.replay.student import interval
from persistence.values import write

BUDGET: Final = 256
CONFIDENCE: Final = 0.95

Worth = Callable[[int], float]  # of a coalition, given as bits


@attrs.frozen
class Share:
    """What one player contributed: its Shapley value, with a confidence interval [low, high]."""

    player: Any
    value: float
    low: float
    high: float


@attrs.frozen
class Attribution:
    """How an outcome is divided among players: the shares add up to `full` − `base`.

    `base` is the score with no player, `full` that with all. `evaluations` counts the coalitions
    that were played. If they were all, the shares are `exact`, and their intervals are points; else
    each interval holds the true value with a probability of about `confidence`, on its own. `str`
    gives a table.
    """

    shares: tuple[Share, ...]
    base: float
    full: float
    evaluations: int
    samples: int
    exact: bool
    confidence: float

    def __getitem__(self, n: int) -> Share:
        return self.shares[n]

    def __str__(self) -> str:
        lines = [f"{'share':>12}  {f'{self.confidence:.0%} interval':>26}  player"]
        lines += [
            f"{each.value:>12.4g}  {f'[{each.low:.4g}, {each.high:.4g}]':>26}  {_name(each.player)}"
            for each in sorted(self.shares, key=lambda share: -abs(share.value))
        ]
        how = "exact" if self.exact else f"{self.samples} samples"
        whole = f"{self.base:g} became {self.full:g}"
        return "\n".join([*lines, f"{whole}; {how}, {self.evaluations} replays"])


def attribute(
    trace: Trace,
    body: Body,
    players: Sequence[Intervention],
    score: Score,
    *,
    budget: int = BUDGET,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    antithetic: bool = True,
    **options: Any,
) -> Attribution:
    """What each intervention among *players* contributes to the score, in replays of *trace*.

    Every coalition of players is one replay, and none is played twice. At most *budget* are
    played; if that is enough for all of them, the result is exact. *options* are those of `replay`.
    The same seed gives the same result.

    >>> from persistence.effects import Run, Terminal
    >>> from persistence.replay import do
    >>> def agent(run):
    ...     x, y = run.perform("tool/x"), run.perform("tool/y")
    ...     return 3 * x + y + 2 * x * y
    >>> with Run("sum", [Terminal("t", {"tool/x": lambda: 0, "tool/y": lambda: 0})]) as run:
    ...     run.result = agent(run)
    >>> players = [do.observation(0, 1), do.observation(1, 1)]
    >>> [share.value for share in attribute(run.trace, agent, players, lambda t: t.result).shares]
    [4.0, 2.0]

    Raises:
        SearchError: a score is no finite number, or the budget is too small.
        Diverged: *body* is not the program that was recorded, or a coalition needs what must not
            be performed.
    """

    def worth(coalition: int) -> float:
        chosen = [each for n, each in enumerate(players) if coalition >> n & 1]
        return scored(score, replay(trace, body, do=chosen, **options).check().trace)

    return shapley(
        worth,
        players,
        budget=budget,
        seed=seed,
        confidence=confidence,
        antithetic=antithetic,
    )


def shapley(
    worth: Worth,
    players: Sequence[Any],
    *,
    budget: int = BUDGET,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    antithetic: bool = True,
) -> Attribution:
    """The Shapley values of *players* in the game *worth*, which is asked for coalitions as bits:
    the first player is the lowest.

    With *antithetic* every order is followed by its reverse, and the two are one sample; that
    narrows the intervals wherever contributions grow or shrink as players come in.

    >>> print(shapley(lambda bits: bits.bit_count() ** 2, ["a", "b"]))
           share                95% interval  player
               2                      [2, 2]  a
               2                      [2, 2]  b
    0 became 4; exact, 4 replays

    Raises:
        SearchError: the budget is too small for two samples, or an option is none.
    """
    _check(len(players), budget, confidence, antithetic)
    cached: dict[int, float] = {}

    def value(coalition: int) -> float:
        if coalition not in cached:
            cached[coalition] = worth(coalition)
        return cached[coalition]

    n, everyone = len(players), (1 << len(players)) - 1
    base, full = value(0), value(everyone)
    exact = 1 << n <= budget
    if exact:
        values = [_exact(value, player, n) for player in range(n)]
        spans, samples = [(each, each) for each in values], 0
    else:
        found = _sampled(value, cached, n, budget, random.Random(seed), antithetic)
        values = [fmean(each) for each in found]
        spans, samples = [interval(each, confidence) for each in found], len(found[0])
    shares = tuple(
        Share(player, each, *span)
        for player, each, span in zip(players, values, spans, strict=True)
    )
    return Attribution(shares, base, full, len(cached), samples, exact, confidence)


def _exact(value: Worth, player: int, n: int) -> float:
    """The Shapley value by its definition: a sum over all coalitions without the player."""
    total = 0.0
    for coalition in range(1 << n):
        if not coalition >> player & 1:
            size = coalition.bit_count()
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            total += weight * (value(coalition | 1 << player) - value(coalition))
    return total


def _sampled(
    value: Worth,
    cached: dict[int, float],
    n: int,
    budget: int,
    chance: random.Random,
    antithetic: bool,
) -> list[list[float]]:
    """The contributions of each player, one for each sample, as far as the budget goes.

    Whether there is another sample does not depend on what the last ones gave, or the mean of
    those that were taken would be biased.
    """
    each = (n - 1) * (2 if antithetic else 1)
    found: list[list[float]] = [[] for _ in range(n)]
    taken = 0
    while taken < budget and len(cached) + each <= budget:
        order = chance.sample(range(n), n)
        orders = [order, order[::-1]] if antithetic else [order]
        gains = [_gains(value, each) for each in orders]
        for player in range(n):
            found[player].append(fmean(gain[player] for gain in gains))
        taken += 1
    return found


def _gains(value: Worth, order: Iterable[int]) -> dict[int, float]:
    """What each player adds when they come in in this order."""
    coalition, before, gains = 0, value(0), {}
    for player in order:
        coalition |= 1 << player
        after = value(coalition)
        gains[player] = after - before
        before = after
    return gains


def _check(n: int, budget: int, confidence: float, antithetic: bool) -> None:
    if not n:
        raise SearchError("there are no players", hint="give at least one intervention")
    if not 0 < confidence < 1:
        raise SearchError(
            f"a confidence of {confidence} is none", hint="it lies between 0 and 1, as 0.95"
        )
    least = min(1 << n, 2 + 2 * (n - 1) * (2 if antithetic else 1))
    if budget < least:
        raise SearchError(
            f"a budget of {budget} replays is too small for {n} players",
            hint=f"give at least {least}: two samples, without which there is no interval",
            budget=budget,
            least=least,
        )


def _name(player: Any) -> str:
    return write(player.form) if isinstance(player, Intervention) else str(player)
