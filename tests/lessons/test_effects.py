"""Lessons 24 and 25: what earlier systems got wrong about what agents do outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from persistence import AsyncSubstrate, FrozenClock, Keyword, Substrate
from persistence.effects import (
    Around,
    Budget,
    Handlers,
    Run,
    Terminal,
    budget,
    cache,
    dry_run,
    policy,
    rate,
    redact,
    retry,
)
from persistence.errors import EffectError, UnhandledEffect

RULES = '[{:effect :deny :op "bank/*" :id "no-bank" :reason "not yours"} {:effect :allow :op "*"}]'

# ------------------------------------------------------------------------- lesson 24


def stacks() -> dict[str, list[Any]]:
    """Lists of handlers of which some answer without any terminal handler being reached."""
    tools = Terminal("tools", {"tool/known": lambda: "done"})
    return {
        "none": [],
        "tools": [tools],
        "dry run": [dry_run({"*": "stood in"}), tools],
        "cache": [cache("*", of=lambda call: None), tools],
        "policy": [policy('[{:effect :allow :op "*"}]'), tools],
        "all": [
            policy('[{:effect :allow :op "*"}]'),
            budget(Budget()),
            rate("*", 1_000),
            retry("*"),
            cache("*"),
            redact(),
            tools,
        ],
    }


@pytest.mark.parametrize("name", stacks())
@pytest.mark.parametrize("op", ["tool/known", "tool/unknown", "clock/now"])
def test_the_check_before_a_run_says_what_the_run_does(name: str, op: str) -> None:
    """Lesson 24."""
    handlers = Handlers(stacks()[name])
    reached = handlers.check([op]) == []
    run = Run("lesson", handlers)
    if reached:
        assert run.perform(op) in ("done", "stood in")
    else:
        with pytest.raises(UnhandledEffect, match=f"no handler performs :{op}"):
            run.perform(op)


def test_nothing_is_done_before_the_hole_is_told() -> None:
    """Lesson 24: no handler is entered by a call that could never be performed."""
    entered = []

    def enter(call: Any) -> Any:
        entered.append(call)
        return (yield call)

    with pytest.raises(UnhandledEffect):
        Run("lesson", [Around("outer", enter)]).perform("tool/unknown")
    assert not entered


# ------------------------------------------------------------------------- lesson 25


def deny(run: Run) -> None:
    run.perform("bank/pay", amount=5)


def fail(run: Run) -> None:
    run.perform("tool/fail")


def time_out(run: Run) -> None:
    run.perform("tool/slow")


def abort(run: Run) -> None:
    run.perform("tool/stop")


def spend(run: Run) -> None:
    for _ in range(9):
        run.perform("tool/fine")


ENDS = {
    "denied": (deny, "denied", "no-bank", "policy"),
    "failed": (fail, "failed", "rule-2", "policy"),
    "timed out": (time_out, "timed-out", "rule-2", "policy"),
    "aborted": (abort, "aborted", "rule-2", "policy"),
    "spent": (spend, "denied", "calls", "budget"),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_was_not_done_is_found_again_with_the_verdict_and_the_policy(
    store_uri: str, clock: FrozenClock, end: str
) -> None:
    """Lesson 25: by a query, in a store that was closed and opened again."""
    work, status, rule, by = ENDS[end]
    hold = threading.Event()
    with (
        Substrate.open(store_uri, clock=clock) as s,
        pytest.raises((EffectError, KeyboardInterrupt)),
        s.effect.run("lesson", guarded(hold)) as run,
    ):
        work(run)
    hold.set()
    with Substrate.open(store_uri, clock=clock) as s:
        assert found(s.fact.db(), status) == [(Keyword(status), rule, by)]
        assert s.effect.trace(run.id).status.name == "failed"
        assert s.audit.verify() == []


def test_what_was_not_done_by_a_run_that_awaits_is_found_again(store_uri: str) -> None:
    """Lesson 25: a task that was cancelled, too."""

    async def main() -> None:
        entered = asyncio.Event()

        async def never() -> None:
            entered.set()
            await asyncio.Event().wait()

        async with await AsyncSubstrate.open(store_uri) as s:
            handlers: list[Any] = [
                policy(RULES),
                Terminal("t", {"tool/stop": never, "bank/pay": never}),
            ]
            async with s.effect.run("lesson", handlers) as run:
                with pytest.raises(EffectError):
                    await run.perform("bank/pay")
                task = asyncio.create_task(run.perform("tool/stop"))
                await entered.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())
    with Substrate.open(store_uri) as s:
        assert found(s.fact.db(), "denied") == [(Keyword("denied"), "no-bank", "policy")]
        assert found(s.fact.db(), "aborted") == [(Keyword("aborted"), "rule-2", "policy")]


def guarded(hold: threading.Event) -> list[Any]:
    functions: dict[str, Callable[..., Any]] = {
        "bank/pay": lambda amount: "paid",
        "tool/fail": lambda: 1 / 0,
        "tool/slow": hold.wait,
        "tool/stop": interrupt,
        "tool/fine": lambda: "fine",
    }
    within = retry("tool/slow", attempts=1, within=0.05)
    return [policy(RULES), budget(Budget(calls=3)), within, Terminal("tools", functions)]


def interrupt() -> None:
    raise KeyboardInterrupt


def found(db: Any, status: str) -> list[Any]:
    rows = db.q(
        """[:find ?status ?rule ?policy
            :in $ ?status
            :where [?s :step/status ?status] [?s :step/verdict ?v]
                   [(get ?v :rule) ?rule] [(get ?v :policy) ?policy]]""",
        Keyword(status),
    )
    return list(rows)
