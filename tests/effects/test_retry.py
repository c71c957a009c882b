"""Retries: what failed by chance is tried again, and every attempt is on record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword
from persistence.effects import AsyncRun, Call, Run, Terminal, cache, policy, retry
from persistence.errors import (
    EffectDenied,
    EffectFailed,
    EffectTimedOut,
    InputError,
    PersistenceError,
)
from tests.effects.ways import both_ways, outcomes

ATTEMPTS, KIND = Keyword("attempts"), Keyword("kind")


def flaky(answers: Iterator[Any], keys: list[Any] | None = None) -> Terminal:
    def perform(call: Call) -> Any:
        if keys is not None:
            keys.append(call.key)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Terminal("t", {"tool/x": perform}, takes_call=True)


def kinds(step: Any) -> list[str]:
    return [each[KIND] for each in step.verdict[ATTEMPTS]]


@both_ways
def test_a_call_is_tried_again_by_the_same_key_until_it_succeeds(way: str) -> None:
    keys: list[Any] = []
    answers = iter([ConnectionError("one"), OSError("two"), "tea"])
    handlers = [retry("tool/*", backoff=0), flaky(answers, keys)]
    found, trace = outcomes(way, handlers, [("tool/x", {})])
    assert found == ["tea"] and len(keys) == 3 and len(set(keys)) == 1
    assert kinds(trace[0]) == ["ConnectionError", "OSError"] and len(trace) == 1


@both_ways
def test_the_last_error_is_raised_when_no_attempt_is_left(way: str) -> None:
    answers = iter([ConnectionError(str(n)) for n in range(9)])
    handlers = [retry("tool/*", attempts=4, backoff=0), flaky(answers)]
    (found,), trace = outcomes(way, handlers, [("tool/x", {})])
    assert isinstance(found, EffectFailed) and "ConnectionError: 3" in str(found)
    assert kinds(trace[0]) == ["ConnectionError"] * 4
    assert trace[0].status.name == "failed"


@pytest.mark.parametrize(
    ("on", "error", "again"),
    [
        (ConnectionError, ConnectionResetError(), True),
        (ConnectionError, ValueError(), False),
        (("RateLimitError", OSError), type("RateLimitError", (Exception,), {})(), True),
        ("KeyError", KeyError(), True),
        (lambda error: "again" in str(error), ValueError("again"), True),
        (lambda error: "again" in str(error), ValueError("never"), False),
    ],
)
def test_what_is_tried_again_is_told_by_on(on: Any, error: Exception, again: bool) -> None:
    run = Run("r", [retry("tool/*", on=on, backoff=0), flaky(iter([error, "tea"]))])
    if again:
        assert run.perform("tool/x") == "tea"
    else:
        with pytest.raises(EffectFailed):
            run.perform("tool/x")
        assert run.trace[0].verdict is None


@pytest.mark.parametrize("error", [InputError("wrong"), PersistenceError("x"), EffectDenied("no")])
def test_what_stays_wrong_is_not_tried_again(error: Exception) -> None:
    run = Run("r", [retry("*", backoff=0), flaky(iter([error, "tea"]))])
    with pytest.raises(PersistenceError):
        run.perform("tool/x")


def test_a_denied_call_is_not_tried_again() -> None:
    run = Run("r", [retry("*", backoff=0), policy("[]"), flaky(iter(["tea"]))])
    with pytest.raises(EffectDenied):
        run.perform("tool/x")
    assert ATTEMPTS not in run.trace[0].verdict


def test_an_attempt_that_takes_too_long_is_one_that_failed() -> None:
    hold = threading.Event()
    answers = iter([lambda: hold.wait(10), lambda: "tea"])
    tools = Terminal("t", {"tool/x": lambda: next(answers)()})
    run = Run("r", [retry("*", within=0.02, backoff=0), tools])
    assert run.perform("tool/x") == "tea"
    hold.set()
    assert kinds(run.trace[0]) == ["EffectTimedOut"]


def test_an_awaited_attempt_that_takes_too_long_is_cancelled() -> None:
    cancelled = []

    async def perform() -> str:
        if not cancelled:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)
        return "tea"

    async def main() -> Any:
        tools = Terminal("t", {"tool/x": perform})
        async with AsyncRun("r", [retry("*", within=0.02, backoff=0), tools]) as run:
            return await run.perform("tool/x"), kinds(run.trace[0])

    assert asyncio.run(main()) == ("tea", ["EffectTimedOut"])


def test_a_call_whose_every_attempt_took_too_long_is_timed_out() -> None:
    hold = threading.Event()
    run = Run("r", [retry("*", within=0.01, backoff=0), Terminal("t", {"tool/x": hold.wait})])
    with pytest.raises(EffectTimedOut):
        run.perform("tool/x")
    hold.set()
    assert run.trace[0].status.name == "timed-out" and len(kinds(run.trace[0])) == 3


@given(st.floats(0.001, 10), st.integers(2, 9), st.floats(0.001, 40))
def test_the_waits_double_up_to_the_longest_and_are_the_same_again(
    backoff: float, attempts: int, longest: float
) -> None:
    def waits() -> list[float]:
        slept: list[float] = []
        handlers = [
            retry("*", attempts=attempts, backoff=backoff, longest=longest),
            flaky(iter([OSError()] * attempts)),
        ]
        run = Run("r", handlers, id=Call(Keyword("x"), {}).run, sleep=slept.append)
        with pytest.raises(EffectFailed):
            run.perform("tool/x")
        return slept

    slept = waits()
    assert slept == waits() and len(slept) == attempts - 1
    for n, wait in enumerate(slept):
        most = min(longest, backoff * 2**n)
        assert most / 2 <= wait <= most


def test_a_cache_outside_of_a_retry_keeps_what_it_gave() -> None:
    answers = iter([OSError(), "tea", "coffee"])
    run = Run("r", [cache("*"), retry("*", backoff=0), flaky(answers)])
    assert [run.perform("tool/x"), run.perform("tool/x")] == ["tea", "tea"]


@pytest.mark.parametrize("options", [{"attempts": 0}, {"within": 0}, {"backoff": -1}, {"on": [5]}])
def test_a_retry_that_makes_no_sense_is_refused(options: Any) -> None:
    with pytest.raises(InputError):
        retry("*", **options)
