"""The clock and chance of a run: on record, and the same again by the same seed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import FrozenClock, Substrate
from persistence.effects import Run, Terminal, cache, drawing, policy, redact, retry, telling
from persistence.values import from_micros


@given(st.integers(), st.integers(1, 20))
def test_the_same_seed_draws_the_same_and_another_seed_others(seed: int, n: int) -> None:
    def draws(seed: int) -> list[float]:
        run = Run("dice", [drawing(seed)])
        return [run.random() for _ in range(n)]

    assert draws(seed) == draws(seed) != draws(seed + 1)
    assert len(set(draws(seed))) == n and all(0 <= draw < 1 for draw in draws(seed))


def test_draws_of_parallel_scopes_do_not_depend_on_their_order() -> None:
    def draws(order: str) -> dict[str, list[float]]:
        run = Run("dice", [drawing(7)])
        scopes = {label: run.scope(label) for label in "ab"}
        found: dict[str, list[float]] = {label: [] for label in "ab"}
        for label in order:
            found[label].append(scopes[label].random())
        return found

    assert draws("abab") == draws("bbaa")


def test_draws_are_spread_evenly() -> None:
    run = Run("dice", [drawing(1)])
    counts = [0] * 10
    for _ in range(2_000):
        counts[run.choice(range(10))] += 1
    assert all(150 < count < 250 for count in counts)


def test_a_resumed_run_sees_the_time_and_the_draws_of_the_first(store_uri: str) -> None:
    clock = FrozenClock(1_000_000)

    def work(run: Run) -> list[Any]:
        seen: list[Any] = []
        for _ in range(3):
            seen += [run.now(), run.random(), run.choice("abcdef")]
            clock.advance(1)
        return seen

    with (
        Substrate.open(store_uri, clock=clock) as s,
        pytest.raises(SystemError),
        s.effect.run("look") as run,
    ):
        first = work(run)
        raise SystemError
    assert first[0] == from_micros(1_000_000)
    with Substrate.open(store_uri, clock=clock) as s, s.effect.resume(run.id) as again:
        assert work(again) == first
        assert run.trace.steps == again.trace.steps


HANDLERS = [
    policy('[{:effect :allow :op "*"}]'),
    retry("tool/*", backoff=0),
    cache("tool/echo"),
    redact(),
    Terminal("t", {"tool/echo": lambda **args: args}),
]


@given(
    st.lists(st.sampled_from(["draw", "now", "echo", "secret", "same"]), min_size=1, max_size=8),
    st.data(),
)
def test_a_run_that_is_rewound_to_any_step_says_the_same(acts: list[str], data: Any) -> None:
    def work(run: Run) -> None:
        for n, act in enumerate(acts):
            if act == "draw":
                run.random()
            elif act == "now":
                run.now()
            else:
                args = {"echo": {"n": n}, "secret": {"password": f"secret-{n}"}, "same": {}}
                run.perform("tool/echo", **args[act])

    with Substrate.open(":memory:", clock=FrozenClock(5)) as s:
        with s.effect.run("law", HANDLERS, seed=3) as run:
            work(run)
        upto = data.draw(st.integers(0, len(acts)))
        with s.effect.resume(run.id, HANDLERS, upto=upto, seed=3) as again:
            work(again)
        assert s.effect.trace(again.id).encoded == s.effect.trace(run.id).encoded
        assert s.replay.run(run.id, work, live=[redact()]).same


def test_a_run_without_a_store_tells_the_time_by_its_clock() -> None:
    assert Run("t", [telling(FrozenClock(7))]).now() == from_micros(7)
