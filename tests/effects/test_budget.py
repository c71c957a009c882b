"""Budgets: what is paid for is counted, and ends."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword, Substrate
from persistence.effects import (
    Budget,
    Call,
    Cost,
    Run,
    Terminal,
    budget,
    cache,
    dry_run,
    policy,
    retry,
    usage,
)
from persistence.errors import (
    BudgetSpent,
    EffectDenied,
    EffectFailed,
    EffectTimedOut,
    InputError,
)
from persistence.values import Map
from tests.effects.ways import both_ways, outcomes

TOKENS, MONEY, CALLS = Keyword("tokens"), Keyword("money"), Keyword("calls")


def chat(prompt: str = "", **rest: Any) -> Any:
    return {"text": "Hi", "usage": {"prompt_tokens": 30, "completion_tokens": 10}}


MODEL = Terminal("model", {"model/chat": chat, "tool/x": lambda: "tea"})


@both_ways
def test_a_budget_of_tokens_ends_and_says_how_much_was_spent(way: str) -> None:
    limits = Budget(tokens=70)
    found, trace = outcomes(way, [budget(limits), MODEL], [("model/chat", {})] * 3)
    assert isinstance(found[2], BudgetSpent)
    data = found[2].data
    assert (data["budget"], data["allowed"], data["spent"]) == ("budget", 70, 80)
    assert [step.cost for step in trace] == [Map({TOKENS: 40})] * 2 + [None]
    assert trace[2].status.name == "denied"
    said = trace[2].verdict
    assert (said[Keyword("policy")], said[Keyword("rule")]) == ("budget", "tokens")
    assert limits.spent.tokens == 80 and limits.spent.calls == 2


def test_money_is_exact() -> None:
    limits = Budget(money=Decimal("0.3"))
    run = Run("b", [budget(limits, cost=lambda call, result: {"money": Decimal("0.1")}), MODEL])
    for _ in range(3):
        run.perform("tool/x")
    with pytest.raises(BudgetSpent, match=r"0\.3 of 0\.3 money of budget are spent"):
        run.perform("tool/x")
    assert limits.spent.money == Decimal("0.3") and run.trace[0].cost == {MONEY: Decimal("0.1")}


@both_ways
def test_time_is_up_before_a_call_and_in_the_middle_of_one(way: str) -> None:
    now = [0.0]
    limits = Budget(seconds=10, now=lambda: now[0])

    def work(seconds: float) -> str:
        now[0] += seconds
        return "done"

    handlers = [budget(limits), Terminal("t", {"tool/x": work})]
    found, _ = outcomes(way, handlers, [("tool/x", {"seconds": 6})] * 3)
    assert found[:2] == ["done", "done"] and isinstance(found[2], BudgetSpent)
    assert limits.spent.seconds == 12


def test_a_call_gets_no_more_time_than_is_left() -> None:
    hold = threading.Event()
    run = Run("b", [budget(Budget(seconds=0.02)), Terminal("t", {"tool/x": hold.wait})])
    with pytest.raises(EffectTimedOut):
        run.perform("tool/x")
    hold.set()
    assert run.trace[0].verdict[Keyword("rule")] == "seconds"
    with pytest.raises(BudgetSpent):
        run.perform("tool/x")


@given(st.integers(0, 40), st.integers(1, 4), st.integers(1, 20))
def test_the_number_of_calls_is_never_exceeded_by_threads(
    allowed: int, threads: int, each: int
) -> None:
    limits, done = Budget(calls=allowed), []
    guard = budget(limits)

    def work() -> None:
        run = Run("b", [guard, Terminal("t", {"tool/x": lambda: done.append(1)})])
        for _ in range(each):
            try:
                run.perform("tool/x")
            except BudgetSpent:
                pass

    crowd = [threading.Thread(target=work) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert len(done) == min(allowed, threads * each) == limits.spent.calls


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(0, 100))
def test_with_the_most_that_a_call_can_cost_set_aside_tokens_are_never_exceeded(
    costs: list[int], allowed: int
) -> None:
    limits = Budget(tokens=allowed)
    guard = budget(
        limits,
        cost=lambda call, result: {"tokens": result},
        expect=lambda call: {"tokens": call.args["n"]},
    )
    shared, lock = iter(costs), threading.Lock()

    def work() -> None:
        run = Run("b", [guard, Terminal("t", {"tool/x": lambda n: n // 2})])
        while True:
            with lock:
                n = next(shared, None)
            if n is None:
                return
            try:
                run.perform("tool/x", n=n)
            except BudgetSpent:
                pass

    crowd = [threading.Thread(target=work) for _ in range(3)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert limits.spent.tokens <= allowed


def test_what_was_not_done_costs_nothing() -> None:
    limits = Budget(calls=1)
    guard = policy('[{:effect :deny :op "tool/*"} {:effect :allow :op "*"}]')
    run = Run("b", [budget(limits), guard, MODEL])
    for _ in range(3):
        with pytest.raises(EffectDenied):
            run.perform("tool/x")
    assert limits.spent.calls == 0
    run.perform("model/chat")
    free = Run("b", [budget(limits), dry_run({"*": 1}), MODEL])
    with pytest.raises(BudgetSpent):
        free.perform("tool/x")


@pytest.mark.parametrize("inner", [dry_run({"*": chat()}), cache("*", of=lambda call: STEP)])
def test_a_stand_in_and_a_cached_answer_are_free(inner: Any) -> None:
    limits = Budget(calls=1, tokens=1)
    run = Run("b", [budget(limits), inner, MODEL])
    for _ in range(3):
        run.perform("model/chat")
    assert (limits.spent.calls, limits.spent.tokens) == (0, 0)
    assert run.trace[0].cost is None


def _step() -> Any:
    run = Run("b", [MODEL])
    run.perform("model/chat")
    return run.trace[0]


STEP = _step()


def test_a_failed_call_is_one_of_the_calls() -> None:
    limits = Budget(calls=2)
    run = Run("b", [budget(limits), Terminal("t", {"tool/x": lambda: 1 / 0})])
    for _ in range(2):
        with pytest.raises(EffectFailed):
            run.perform("tool/x")
    with pytest.raises(BudgetSpent):
        run.perform("tool/x")


def test_inside_of_a_retry_every_attempt_counts_and_is_recorded() -> None:
    answers = iter([OSError(), OSError(), chat()])

    def flaky() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    limits = Budget(calls=5)
    tools = Terminal("t", {"model/chat": flaky})
    run = Run("b", [retry("*", backoff=0), budget(limits), tools])
    run.perform("model/chat")
    assert limits.spent.calls == 3
    assert run.trace[0].cost == {TOKENS: 40, CALLS: 3}
    again = Budget(calls=5)
    seen = budget(again).seen
    assert seen is not None
    seen(run.trace[0])
    assert again.spent.calls == 3 and again.spent.tokens == 40


def test_the_clock_of_a_run_is_free(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "s.db") as s, s.effect.run("b", budget=Budget(calls=0)) as run:
        run.now()
        run.random()
        run.transact([{"a": 1}])
        run.db()


def test_a_run_is_given_a_budget_and_a_resumed_run_has_spent_what_is_on_record(
    store_uri: str,
) -> None:
    with Substrate.open(store_uri) as s:
        first = Budget(calls=5, name="small")
        with pytest.raises(SystemError), s.effect.run("b", [MODEL], budget=first) as run:
            run.perform("model/chat")
            run.perform("tool/x")
            raise SystemError
    with Substrate.open(store_uri) as s:
        again = Budget(calls=3, name="small")
        with s.effect.resume(run.id, [MODEL], budget=again) as on:
            on.perform("model/chat")
            on.perform("tool/x")
            assert again.spent.calls == first.spent.calls == 2
            assert again.spent.tokens == first.spent.tokens == 40
            on.perform("tool/x")
            with pytest.raises(BudgetSpent, match="3 of 3 calls of small"):
                on.perform("tool/x")
        found = s.fact.db().q(
            "[:find ?rule . :where [?s :step/status :denied] [?s :step/verdict ?v] "
            "[(get ?v :rule) ?rule]]"
        )
        assert found == "calls"
        with pytest.raises(InputError, match="no budget"):
            s.effect.run("b", [MODEL], budget=5)


USAGES: list[tuple[Any, int]] = [
    ({"usage": {"input_tokens": 3, "output_tokens": 4}}, 7),
    ({Keyword("usage"): {Keyword("input-tokens"): 3, Keyword("output-tokens"): 4}}, 7),
    ({"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9}}, 9),
    ({"response": {"usage": {"input_tokens": 3}}, "usage": {"output_tokens": 4}}, 7),
    ({"usage": {"input_tokens": None, "output_tokens": True}}, 0),
    ({"usage": 5}, 0),
    ([{"usage": {"input_tokens": 3}}], 0),
    ("usage", 0),
]


@pytest.mark.parametrize(("result", "tokens"), USAGES)
def test_the_usage_that_an_answer_tells(result: Any, tokens: int) -> None:
    assert usage(Call(Keyword("x"), {}), result).tokens == tokens


def test_the_cost_that_an_answer_tells_is_money() -> None:
    told = usage(Call(Keyword("x"), {}), {"usage": {"input_tokens": 1, "cost": 0.1}})
    assert told == Cost(1, Decimal("0.1"))


@pytest.mark.parametrize(
    "cost", [5, {"tokens": -1}, {"tokens": 1.5}, {"dollars": 1}, {"money": "x"}, {"money": -1}]
)
def test_a_cost_that_cannot_be_counted_is_a_failure(cost: Any) -> None:
    run = Run("b", [budget(Budget(calls=9), cost=lambda call, result: cost), MODEL])
    with pytest.raises(EffectFailed, match="InputError"):
        run.perform("tool/x")


@pytest.mark.parametrize(
    "limits", [{"tokens": -1}, {"calls": 1.5}, {"money": 0.5}, {"money": -1}, {"seconds": 0}]
)
def test_a_limit_that_is_none_is_refused(limits: Any) -> None:
    with pytest.raises(InputError):
        Budget(**limits)


def test_a_budget_shows_itself() -> None:
    assert repr(Budget()) == "<budget: no limits>"


def test_a_time_that_was_bounded_further_inside_is_no_verdict_of_the_budget() -> None:
    now = iter([0.0, 0.0, 90.0, 91.0, 91.0, 91.0, 91.0, 91.0])
    limits = Budget(seconds=100, now=lambda: next(now, 91.0))

    def late() -> None:
        raise EffectTimedOut("the tool gave up")

    tools = Terminal("t", {"tool/find": lambda: "tea", "tool/late": late})
    found, trace = outcomes("sync", [budget(limits), tools], [("tool/find", {}), ("tool/late", {})])
    assert isinstance(found[1], EffectTimedOut)
    assert trace[1].verdict is None and limits.spent.seconds > 90
