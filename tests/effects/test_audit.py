"""Audit: somebody else hears of every call that ended, and cannot change what came of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from persistence import FrozenClock
from persistence.effects import (
    AsyncRun,
    Attempt,
    Budget,
    Run,
    Terminal,
    audit,
    budget,
    cache,
    policy,
    rate,
    redact,
    retry,
)
from persistence.errors import EffectDenied, EffectFailed, PolicyError
from tests.effects.ways import awaited, both_ways, outcomes

DENY = policy('[{:effect :deny :op "bank/*"} {:effect :allow :op "*"}]')
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("tool/add", {"x": 1}),
    ("tool/fail", {}),
    ("bank/pay", {}),
]


def fail() -> None:
    raise LookupError("down")


TOOLS = Terminal("t", {"tool/add": lambda x: x + 1, "tool/fail": fail, "bank/pay": fail})


@both_ways
def test_whatever_came_of_a_call_is_told(way: str) -> None:
    told: list[Attempt] = []
    sink = awaited(told.append) if way == "async" else told.append
    _, trace = outcomes(way, [audit(sink), DENY, TOOLS], CALLS)
    for attempt, step in zip(told, trace, strict=True):
        assert (attempt.op, attempt.args, attempt.status) == (step.op, step.args, step.status)
        assert (attempt.result, attempt.error) == (step.result, step.error)
        assert (attempt.verdict, attempt.place) == (step.verdict, step.place)
    assert [str(each) for each in told][1] == "1 :tool/fail failed"


def test_inside_of_a_retry_every_attempt_is_told() -> None:
    answers, told = iter([OSError(), OSError(), "tea"]), list[Attempt]()

    def flaky() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    tools = Terminal("t", {"x": flaky})
    run = Run("a", [retry("*", backoff=0), audit(told.append), tools])
    run.perform("x")
    assert [each.status.name for each in told] == ["failed", "failed", "done"]


@both_ways
def test_a_sink_that_raises_is_logged_and_changes_nothing(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(attempt: Attempt) -> None:
        raise OSError("the log is full")

    sink = awaited(broken) if way == "async" else broken
    with caplog.at_level(logging.ERROR, "persistence"):
        found, trace = outcomes(way, [audit(sink), DENY, TOOLS], CALLS)
    assert found[0] == 2 and isinstance(found[1], EffectFailed)
    assert isinstance(found[2], EffectDenied)
    assert [step.status.name for step in trace] == ["done", "failed", "denied"]
    assert caplog.text.count("could not be told") == 3
    assert "down" not in caplog.text, "what a tool said is logged by nobody"


def test_a_sink_that_has_to_be_awaited_is_logged_by_a_run_that_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def sink(attempt: Attempt) -> None:
        raise AssertionError

    run = Run("a", [audit(sink), TOOLS])
    assert run.perform("tool/add", x=1) == 2
    assert "could not be told" in caplog.text


def test_an_interrupt_is_told_as_aborted(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Attempt] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    run = Run("a", [audit(told.append), Terminal("t", {"x": interrupt})])
    with pytest.raises(KeyboardInterrupt):
        run.perform("x")
    assert [each.status.name for each in told] == ["aborted"]

    async def never() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        run = AsyncRun("a", [audit(awaited(told.append)), Terminal("t", {"x": never})])
        task = asyncio.create_task(run.perform("x"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert "its sink has to wait" in caplog.text


def test_how_long_it_took_is_told_by_the_clock() -> None:
    clock, told = FrozenClock(5), list[Attempt]()
    tools = Terminal("t", {"x": lambda: clock.advance(7)})
    Run("a", [audit(told.append, clock=clock), tools]).perform("x")
    assert told[0].took == 7


def test_secrets_are_not_told() -> None:
    told: list[Attempt] = []
    tools = Terminal("t", {"x": lambda password: f"with {password}"})
    Run("a", [audit(told.append), redact(), tools]).perform("x", password="hunter2")
    assert "hunter2" not in repr(told)


def test_guards_cannot_be_masked() -> None:
    guards = [audit(print), DENY, budget(Budget()), redact()]
    run = Run("a", [*guards, rate("*", 9), retry("*"), cache("*"), TOOLS])
    for guard in guards:
        with pytest.raises(PolicyError, match="guard"):
            run.mask(guard.name)
    for name in ("rate", "retry", "cache"):
        run.mask(name)


@both_ways
def test_all_of_them_in_one_list(way: str) -> None:
    told, limits = list[Attempt](), Budget(calls=4, tokens=1_000)
    answers = iter([OSError("reset by s3cr3t-token"), {"usage": {"total_tokens": 9}}])

    def flaky(**args: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    handlers = [
        audit(told.append),
        DENY,
        budget(limits),
        rate("*", 100),
        retry("*", backoff=0),
        cache("*"),
        redact(),
        Terminal("t", {"x": flaky, "bank/pay": flaky}),
    ]
    calls = [("x", {"token": "s3cr3t-token"})] * 2 + [("bank/pay", {})]
    found, trace = outcomes(way, handlers, calls)
    assert found[0] == found[1] and isinstance(found[2], EffectDenied)
    said = [{key.name for key in step.verdict} for step in trace]
    judged = {"policy", "effect", "rule"}
    assert said == [judged | {"attempts"}, judged | {"cached"}, judged]
    assert limits.spent.calls == 1 and limits.spent.tokens == 9
    assert trace[1].cost is None and len(told) == 3
    assert "s3cr3t-token" not in repr((trace, told))
