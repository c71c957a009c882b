"""Rates: no more calls than so many in so long, whoever makes them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword
from persistence.effects import Run, Terminal, rate
from persistence.errors import EffectDenied, InputError
from tests.effects.ways import both_ways, outcomes

TOOLS = Terminal("t", {"tool/x": lambda: "tea", "other/x": lambda: "free"})


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.integers(1, 4), st.floats(0.5, 10), st.lists(st.floats(0, 3), min_size=1, max_size=25))
def test_in_no_stretch_of_time_are_more_calls_let_through(
    calls: int, per: float, pauses: list[float]
) -> None:
    time = Time()
    run = Run("r", [rate("*", calls, per=per, now=time), TOOLS], sleep=time.sleep)
    through = []
    for pause in pauses:
        time.now += pause
        run.perform("tool/x")
        through.append(time.now)
    for first, begin in enumerate(through):
        for last in range(first, len(through)):
            allowed = calls + (through[last] - begin) * calls / per
            assert last - first + 1 <= allowed + 1e-6


def test_a_call_waits_no_longer_than_it_has_to() -> None:
    time = Time()
    run = Run("r", [rate("tool/*", 2, per=10, now=time), TOOLS], sleep=time.sleep)
    at = []
    for _ in range(5):
        run.perform("tool/x")
        run.perform("other/x")
        at.append(time.now)
    assert at == pytest.approx([0, 0, 5, 10, 15])


@both_ways
def test_where_the_wait_would_be_too_long_the_call_is_denied(way: str) -> None:
    time = Time()
    handlers = [rate("tool/*", 2, per=60, longest=0, now=time), TOOLS]
    found, trace = outcomes(way, handlers, [("tool/x", {})] * 3)
    assert found[:2] == ["tea", "tea"] and isinstance(found[2], EffectDenied)
    said = trace[2].verdict
    assert said[Keyword("policy")] == "rate" and said[Keyword("rule")] == "2 in 60 s"


def test_a_denied_call_takes_no_token() -> None:
    time = Time()
    run = Run("r", [rate("*", 1, per=10, longest=0, now=time), TOOLS])
    run.perform("tool/x")
    for _ in range(3):
        time.now += 3
        with pytest.raises(EffectDenied):
            run.perform("tool/x")
    time.now += 1
    assert run.perform("tool/x") == "tea"


def test_threads_share_a_rate() -> None:
    shared = rate("*", 50, per=1e9, longest=0)
    through, lock = [0], threading.Lock()

    def work() -> None:
        run = Run("r", [shared, TOOLS])
        for _ in range(40):
            try:
                run.perform("tool/x")
            except EffectDenied:
                continue
            with lock:
                through[0] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert through == [50]


@pytest.mark.parametrize(("calls", "options"), [(0, {}), (1, {"per": 0}), (1, {"longest": -1})])
def test_a_rate_that_lets_nothing_through_is_refused(calls: int, options: Any) -> None:
    with pytest.raises(InputError):
        rate("*", calls, **options)
