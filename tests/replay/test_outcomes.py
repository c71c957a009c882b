"""What runs did differently, what that is owed to, and which decision was the better one."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword
from persistence.effects import Run, Terminal, Trace
from persistence.errors import Diverged, SearchError
from persistence.replay import attribute, diff, do, preferences, replay, shapley
from tests.replay.agents import agent, programs
from tests.replay.test_replay import recorded

# ---------------------------------------------------------------------------- diff


@given(programs(state=False), programs(state=False))
def test_a_diff_accounts_for_every_step_of_both(one: list[Any], other: list[Any]) -> None:
    a, b = recorded(one), recorded(other)
    found = diff(a, b)
    kinds = [change.kind for change in found.changes]
    assert len(b) == len(a) + kinds.count("added") - kinds.count("removed")
    assert bool(found) == (a.encoded != b.encoded) or not found.changes
    assert found.prefix <= min(len(a), len(b))
    before = {change.before.n for change in found.changes if change.before is not None}
    assert all(n >= found.prefix or a[n].scope for n in before)
    assert len(str(found).splitlines()) >= 1 + len(kinds)


@given(programs(state=False))
def test_a_run_differs_from_itself_in_nothing(program: list[Any]) -> None:
    trace = recorded(program)
    again = replay(trace, agent(program)).trace
    assert not diff(trace, again) and diff(trace, again).prefix == len(trace)


def test_a_diff_tells_what_a_step_said_otherwise_and_what_that_is_worth() -> None:
    def shop(run: Run) -> Any:
        price = run.perform("tool/price", of="tea")
        if price < 10:
            run.perform("tool/buy", n=10 - price)
        return -price

    tools = Terminal("t", {"tool/price": lambda of: 12, "tool/buy": lambda n: n})
    with Run("shop", [tools]) as run:
        run.result = shop(run)
    again = replay(run.trace, shop, do=[do.observation(0, 9)], live=[tools], allow="tool/*")
    found = diff(run.trace, again.trace, lambda trace: trace.result)
    assert [(change.kind, change.step.n) for change in found.changes] == [
        ("outcome", 0),
        ("added", 1),
    ]
    assert found.first is not None and str(found.first.differing[0]) == "12 became 9"
    assert found.scores == (-12, -9) and found.gain == 3
    assert str(found).splitlines()[-1] == "score -12 became -9 (+3)"
    with pytest.raises(SearchError, match="no finite number"):
        diff(run.trace, again.trace, lambda trace: math.nan)


# -------------------------------------------------------------------------- shapley

WEIGHTS = [3.0, -2.0, 0.5, 1.0, 4.0, 0.0]


def model(run: Run) -> Any:
    """A linear outcome and one interaction, of the first with the last but one."""
    x = [run.perform("tool/see", what=n) for n in range(len(WEIGHTS))]
    linear = sum(w * each for w, each in zip(WEIGHTS, x, strict=True))
    return linear + 8.0 * x[0] * x[4]


def planted() -> tuple[Trace, list[Any], list[float]]:
    """The record with all at 0, players that put each to 1, and their true values."""
    with Run("model", [Terminal("t", {"tool/see": lambda what: 0})]) as run:
        run.result = model(run)
    truth = [w + (4.0 if n in (0, 4) else 0.0) for n, w in enumerate(WEIGHTS)]
    return run.trace, [do.observation(n, 1) for n in range(len(WEIGHTS))], truth


def outcome(trace: Trace) -> float:
    assert isinstance(trace.result, float)
    return trace.result


def test_a_planted_model_is_found_exactly_where_the_budget_is_enough() -> None:
    trace, players, truth = planted()
    found = attribute(trace, model, players, outcome, budget=64)
    assert found.exact and found.evaluations == 64
    assert [share.value for share in found.shares] == pytest.approx(truth)
    assert found.full - found.base == pytest.approx(sum(truth))


def test_a_planted_model_is_found_within_its_intervals_where_it_is_not() -> None:
    trace, players, truth = planted()
    found = attribute(trace, model, players, outcome, budget=40, antithetic=False, seed=3)
    assert not found.exact and found.evaluations <= 40 and found.samples >= 2
    for share, value in zip(found.shares, truth, strict=True):
        assert share.low - 1e-9 <= value <= share.high + 1e-9
    assert sum(share.value for share in found.shares) == pytest.approx(found.full - found.base)
    assert (
        attribute(trace, model, players, outcome, budget=40, antithetic=False, seed=3) == found
    ), "the same seed gives the same"


def cubic(weights: list[float]) -> Any:
    """A game with interactions of two and three."""

    def worth(bits: int) -> float:
        return sum(w for n, w in enumerate(weights) if bits >> n & 1) ** 3 / 100

    return worth


@pytest.mark.parametrize("antithetic", [True, False])
def test_the_intervals_hold_the_truth_as_often_as_they_say(antithetic: bool) -> None:
    weights = [1.0, 2.0, -1.5, 3.0, 0.5, 2.5, -0.5, 1.5, 1.0, 2.0]
    truth = [share.value for share in shapley(cubic(weights), weights, budget=1024).shares]
    held = []
    for seed in range(150):
        found = shapley(
            cubic(weights), weights, budget=300, seed=seed, confidence=0.9, antithetic=antithetic
        )
        pairs = zip(found.shares, truth, strict=True)
        held += [share.low <= value <= share.high for share, value in pairs]
    assert 0.87 <= sum(held) / len(held) <= 0.94


def test_orders_and_their_reverses_settle_interactions_of_two() -> None:
    weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]

    def square(bits: int) -> float:
        return sum(w for n, w in enumerate(weights) if bits >> n & 1) ** 2

    found = shapley(square, weights, budget=60)
    assert [s.value for s in found.shares] == pytest.approx([w * sum(weights) for w in weights])
    assert all(share.high - share.low < 1e-9 for share in found.shares)


@given(st.integers(1, 7), st.integers(0, 2**32), st.booleans(), st.integers(0, 100))
def test_shares_add_up_and_the_budget_is_kept(
    n: int, seed: int, antithetic: bool, extra: int
) -> None:
    chance = random.Random(seed)
    worths = [chance.uniform(-5, 5) for _ in range(1 << n)]
    asked = []

    def worth(bits: int) -> float:
        asked.append(bits)
        return worths[bits]

    budget = min(1 << n, 2 + 4 * n) + extra
    found = shapley(worth, range(n), budget=budget, seed=seed, antithetic=antithetic)
    assert sum(share.value for share in found.shares) == pytest.approx(worths[-1] - worths[0])
    assert len(asked) == len(set(asked)) == found.evaluations <= budget
    if found.exact:
        orders = [*itertools.permutations(range(n))][:5040]
        for player in range(n):
            gains = []
            for order in orders:
                before = sum(1 << each for each in order[: order.index(player)])
                gains.append(worths[before | 1 << player] - worths[before])
            assert found[player].value == pytest.approx(sum(gains) / len(gains), abs=1e-9)


def test_what_cannot_be_attributed_is_told() -> None:
    trace, players, _ = planted()
    with pytest.raises(SearchError, match="budget of 11 replays is too small for 6 players"):
        attribute(trace, model, players, outcome, budget=11)
    with pytest.raises(SearchError, match="no players"):
        attribute(trace, model, [], outcome)
    with pytest.raises(SearchError, match="confidence"):
        attribute(trace, model, players, outcome, confidence=1.0)
    with pytest.raises(SearchError, match="no finite number"):
        attribute(trace, model, players, lambda trace: math.inf)
    with pytest.raises(Diverged):
        attribute(trace, lambda run: run.perform("tool/other"), players, outcome)


# ---------------------------------------------------------------------- preferences


def talker(run: Run) -> Any:
    """Looks, asks a model twice, acts."""
    seen = run.perform("tool/look")
    first = run.perform("model/chat", prompt=f"{seen}?")
    second = run.perform("model/chat", prompt=f"{seen}? {first}")
    return run.perform("tool/act", what=second)


def talked(seen: str, first: str, second: str, worth: float) -> Trace:
    said = iter([first, second])
    functions: dict[str, Any] = {
        "tool/look": lambda: seen,
        "model/chat": lambda prompt: next(said),
        "tool/act": lambda what: worth,
    }
    with Run("talker", [Terminal("t", functions)]) as run:
        run.result = talker(run)
    return run.trace


def test_pairs_come_from_equal_prefixes_that_part_in_an_output() -> None:
    a, b = talked("x", "go", "left", 1.0), talked("x", "go", "right", 3.0)
    c, d = talked("x", "stop", "left", 0.0), talked("y", "go", "left", 9.0)
    pairs = preferences([a, b, c, d], score=outcome, margin=1.0)
    assert [(p.at, p.better.result, p.worse.result, p.margin) for p in pairs] == [
        *((1, "go", "stop", 1.0), (1, "go", "stop", 3.0), (2, "right", "left", 2.0)),
    ]
    for pair in pairs:
        assert [s.id for s in pair.prefix] == [s.id for s in pair.rejected.steps[: pair.at]]
        assert pair.better.key == pair.worse.key and pair.kind == "output"
    assert len(preferences([a, b, c, d], score=outcome, margin=2.0)) == 2
    assert preferences([a, d], score=outcome) == [], "they saw different things"
    assert preferences([b, b, a, a], score=lambda trace: 1) == [], "neither is better"


def test_actions_are_decisions_where_they_are_named() -> None:
    def act(*names: str) -> Trace:
        with Run("acts", [Terminal("t", {"tool/go": lambda to: len(to)})]) as run:
            for name in names:
                run.perform("tool/go", to=name)
        return run.trace

    a, b = act("home", "bed"), act("home", "school")
    assert preferences([a, b], score=lambda trace: trace[1].result) == []
    (pair,) = preferences([a, b], score=lambda trace: trace[1].result, actions="tool/go")
    assert pair.kind == "action" and pair.better.args[Keyword("to")] == "school"
    assert preferences([a, act("home")], score=len, actions="tool/go") == []


def test_a_counterfactual_and_its_record_are_a_pair() -> None:
    trace = talked("x", "go", "left", 1.0)
    act = Terminal("t", {"tool/act": lambda what: 5.0})
    better = replay(trace, talker, do=[do.output(2, "up")], live=[act], allow="tool/act").trace
    (pair,) = preferences([trace, better], score=outcome, margin=1)
    assert (pair.better.result, pair.worse.result, pair.margin) == ("up", "left", 4.0)


@pytest.mark.parametrize("score", [math.nan, math.inf, None, "high", 10**400])
def test_a_score_that_is_no_number_is_refused(score: Any) -> None:
    with pytest.raises(SearchError, match="no finite number"):
        preferences([talked("x", "go", "left", 1.0)], score=lambda trace: score)
    for margin in (-1.0, math.nan, math.inf):
        with pytest.raises(SearchError, match="margin"):
            preferences([], score=outcome, margin=margin)
