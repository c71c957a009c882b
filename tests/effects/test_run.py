"""A run: what it asks for is performed through its handlers, and on record."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
import pytest

from persistence import Keyword, Substrate
from persistence.effects import (
    Around,
    AsyncRun,
    Call,
    Handlers,
    Run,
    Terminal,
    Trace,
    Within,
    bulk,
    named,
)
from persistence.effects.ledger import Memory
from persistence.errors import (
    Diverged,
    EffectAborted,
    EffectFailed,
    EffectTimedOut,
    InputError,
    PolicyError,
    TraceError,
    UnhandledEffect,
    ValueRefused,
)
from persistence.replay import do
from persistence.values import List, encode

STATUS = "[:find ?n ?op ?status :where [?s :step/n ?n] [?s :step/op ?op] [?s :step/status ?status]]"


def search(query: str) -> list[Any]:
    return [query, {"hits": 2}]


def fail() -> None:
    raise KeyError("seat")


TOOLS = Terminal("tools", {"tool/search": search, "tool/fail": fail})


def agent(run: Run) -> Any:
    """Calls alike, draws, the time, facts, a failure."""
    found = [run.perform("tool/search", query="tea") for _ in range(2)]
    if run.random() < 2:
        run.random()
    run.now()
    ids = run.transact([{"db/id": "tea", "item/name": "tea"}])
    names = run.db().q("[:find [?n ...] :where [_ :item/name ?n]]")
    with pytest.raises(EffectFailed) as failed:
        run.perform("tool/fail")
    return [found, ids["tea"], list(names), failed.value.kind]


def test_every_step_is_a_fact_of_the_store(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        with s.effect.run("shop", [TOOLS]) as run:
            run.result = agent(run)
        rows = sorted(s.fact.db().q(STATUS))
    ops = ["tool/search", "tool/search", "random/draw", "random/draw", "clock/now"]
    ops += ["db/transact", "db/basis", "tool/fail"]
    assert [(n, op.name) for n, op, _ in rows] == [*enumerate(ops)]
    assert [status.name for *_, status in rows] == ["done"] * 7 + ["failed"]


def test_what_is_loaded_is_what_was_recorded(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        with s.effect.run("shop", [TOOLS], meta={"task": 7}, code="v1") as run:
            run.result = agent(run)
        loaded = s.effect.trace(run.id)
    assert loaded == run.trace
    assert loaded.encoded == run.trace.encoded and loaded.digest == run.trace.digest
    assert loaded.meta == {Keyword("task"): 7} and loaded.code == "v1"


@pytest.mark.parametrize("commit", ["step", "end"])
def test_a_run_that_was_cut_off_goes_on_and_does_nothing_twice(tmp_path: Path, commit: str) -> None:
    place, done = tmp_path / "s.db", list[str]()

    def count(query: str) -> str:
        done.append(query)
        return query

    def work(run: Run, cut: bool) -> list[Any]:
        first = run.perform("tool/search", query="a")
        run.transact([{"item/name": "once"}])
        if cut:
            raise SystemError
        return [first, run.perform("tool/search", query="b"), run.random()]

    tools = [Terminal("tools", {"tool/search": count})]
    with (
        Substrate.open(place) as s,
        pytest.raises(SystemError),
        s.effect.run("work", tools, commit=commit) as run,
    ):
        work(run, cut=True)
    with Substrate.open(place) as s:
        assert s.effect.trace(run.id).status.name == "failed"
        with s.effect.resume(run.id, tools) as again:
            again.result = work(again, cut=False)
        assert done == ["a", "b"]
        assert s.fact.db().q("[:find (count ?e) . :where [?e :item/name]]") == 1
        assert [step.n for step in s.effect.trace(run.id)] == [0, 1, 2, 3]
        assert s.fact.db().get(["run/id", run.id], "run/error") is None
        with pytest.raises(TraceError, match="is done"):
            s.effect.resume(run.id, tools)


def test_a_run_is_rewound_to_any_step(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        with s.effect.run("shop", [TOOLS]) as run:
            run.result = agent(run)
        before = s.effect.trace(run.id)
        for upto in range(len(before) + 1):
            with s.effect.resume(run.id, [TOOLS], upto=upto) as again:
                again.result = agent(again)
            after = s.effect.trace(again.id)
            assert (after.parent, after.upto) == (run.id, upto)
            assert after.steps[:upto] == before.steps[:upto]
            assert [step.op for step in after] == [step.op for step in before]
        assert s.effect.trace(run.id) == before
        with pytest.raises(TraceError, match="has 8 steps"):
            s.effect.resume(run.id, upto=9)


def test_a_program_that_has_changed_is_told_at_the_first_step_that_differs(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "s.db") as s:
        with pytest.raises(SystemError), s.effect.run("work", [TOOLS]) as run:
            run.perform("tool/search", query="a")
            raise SystemError
        with (
            pytest.raises(Diverged, match="step 0: the record holds :tool/search") as told,
            s.effect.resume(run.id, [TOOLS]) as again,
        ):
            again.perform("tool/search", query="b")
    assert told.value.data["expected"].args[Keyword("query")] == "a"


def bank(seen: list[UUID], *, interrupt: bool) -> Terminal:
    def pay(call: Call) -> str:
        seen.append(call.key)
        if interrupt:
            raise KeyboardInterrupt
        return "paid"

    return Terminal("bank", {"bank/pay": pay}, takes_call=True)


def test_an_interrupted_effect_is_on_record_and_performed_again_by_the_same_key(
    store_uri: str,
) -> None:
    keys: list[UUID] = []
    with Substrate.open(store_uri) as s:
        with (
            pytest.raises(KeyboardInterrupt),
            s.effect.run("buy", [bank(keys, interrupt=True)]) as run,
        ):
            run.perform("bank/pay", amount=3)
        interrupted = s.fact.db()
        (step,) = s.effect.trace(run.id)
        assert (step.status.name, step.error[Keyword("kind")]) == ("aborted", "KeyboardInterrupt")
        with s.effect.resume(run.id, [bank(keys, interrupt=False)]) as again:
            assert again.perform("bank/pay", amount=3) == "paid"
        (step,) = s.effect.trace(run.id)
        assert (step.status.name, step.result, step.error) == ("done", "paid", None)
        assert [each.name for *_, each in interrupted.q(STATUS)] == ["aborted"]
        with s.effect.resume(run.id, [bank(keys, interrupt=False)], upto=0) as other:
            other.perform("bank/pay", amount=3)
    assert keys[0] == keys[1] != keys[2], "another run is another payment"


_DIES = """
import os, sys
from uuid import UUID
from persistence import Substrate
from persistence.effects import Terminal

s = Substrate.open(sys.argv[1])
run = s.effect.run("buy", [Terminal("bank", {"bank/pay": lambda amount: os._exit(9)})],
                   id=UUID(int=7), write_ahead=["bank/*"])
run.transact([{"order/number": 1}])
run.perform("bank/pay", amount=3)
"""


def test_a_process_that_dies_in_an_effect_written_ahead_leaves_word_of_it(store_uri: str) -> None:
    died = subprocess.run([sys.executable, "-c", _DIES, store_uri], check=False)
    assert died.returncode == 9
    with Substrate.open(store_uri) as s:
        trace = s.effect.trace(UUID(int=7))
        assert [step.status.name for step in trace] == ["done", "begun"]
        with s.effect.resume(trace.id, [bank([], interrupt=False)]) as run:
            run.transact([{"order/number": 1}])
            run.result = run.perform("bank/pay", amount=3)
        assert s.fact.db().q("[:find (count ?o) . :where [?o :order/number]]") == 1
        assert [step.status.name for step in s.effect.trace(trace.id)] == ["done", "done"]


def test_who_lost_a_run_to_another_process_cannot_add_to_it(store_uri: str) -> None:
    with Substrate.open(store_uri) as one, Substrate.open(store_uri) as two:
        first = one.effect.run("work", [TOOLS])
        first.perform("tool/search", query="a")
        second = two.effect.resume(first.id, [TOOLS])
        for stale in (lambda: first.perform("tool/search", query="b"), lambda: first.transact([])):
            with pytest.raises(TraceError, match="taken up elsewhere"):
                stale()
        second.perform("tool/search", query="a")
        second.perform("tool/search", query="b")
        assert [step.n for step in two.effect.trace(first.id)] == [0, 1]


def test_an_interrupt_that_the_agent_went_on_after_stays_what_it_was(tmp_path: Path) -> None:
    def agent(run: Run) -> None:
        with pytest.raises((KeyboardInterrupt, EffectAborted)):
            run.perform("bank/pay", amount=3)
        run.perform("tool/search", query="another way")

    keys: list[UUID] = []
    handlers = [bank(keys, interrupt=True), TOOLS]
    with Substrate.open(tmp_path / "s.db") as s:
        with pytest.raises(SystemError), s.effect.run("buy", handlers) as run:
            agent(run)
            raise SystemError
        with s.effect.resume(run.id, handlers) as again:
            agent(again)
    assert len(keys) == 1


def test_parallel_scopes_give_one_record_whoever_is_faster(tmp_path: Path) -> None:
    def trace(order: list[str]) -> bytes:
        with Run("race", [TOOLS]) as run:
            scopes = {label: run.scope(label) for label in "ab"}
            for label in order:
                scopes[label].perform("tool/search", query="same")
        return run.trace.encoded

    assert trace(["a", "b", "a"]) == trace(["a", "a", "b"]) != trace(["b", "b", "a"])


def test_the_check_before_a_run_and_the_run_agree() -> None:
    handlers = Handlers([Around("cache", _half, ops=lambda op: op.name == "tool/x"), TOOLS])
    run = Run("check", handlers)
    for op in ("tool/search", "tool/x", "clock/now"):
        hole = handlers.check([op]) == [Keyword(op)]
        if hole:
            with pytest.raises(UnhandledEffect, match="no handler performs"):
                run.perform(op)
        else:
            assert run.perform(op, query="x")
    with pytest.raises(UnhandledEffect):
        run.check(["tool/search", "tool/x"])


def _half(call: Any) -> Any:
    return "cached"
    yield


def test_a_named_handler_is_reached_by_its_name_through_the_handlers_around() -> None:
    def loud(call: Any) -> Any:
        result = yield call
        return result + "!"

    handlers = [
        Around("loud", loud),
        Terminal("one", {"ask": lambda: "one"}),
        named("two", Terminal("one", {"ask": lambda: "two"})),
    ]
    run = Run("named", handlers)
    assert run.perform("ask") == "one!"
    assert run.named("two").perform("ask") == "two!"
    assert run.mask("loud").perform("ask") == "one"
    assert run.mask("one").perform("ask") == "two!"
    with pytest.raises(UnhandledEffect, match="named 'three'"):
        run.named("three").perform("ask")


def test_a_guard_cannot_be_masked() -> None:
    run = Run("guarded", [Around("policy", _half, guard=True), TOOLS])
    with pytest.raises(PolicyError, match="guard"):
        run.mask("policy").perform("tool/search", query="x")


def test_a_result_that_is_no_value_is_a_failure_on_record() -> None:
    run = Run("odd", [Terminal("tools", {"tool/odd": lambda: object()})])
    with pytest.raises(EffectFailed, match="ValueRefused"):
        run.perform("tool/odd")
    assert run.trace[0].status.name == "failed"
    with pytest.raises(ValueRefused):
        run.perform("tool/odd", x=object())


def test_a_call_that_takes_too_long_is_timed_out_and_says_so_again_when_answered() -> None:
    def limit(call: Any) -> Any:
        return (yield Within(call, 0.01))

    hold = threading.Event()
    run = Run("slow", [Around("limit", limit), Terminal("t", {"tool/slow": hold.wait})])
    with pytest.raises(EffectTimedOut):
        run.perform("tool/slow")
    hold.set()
    assert run.trace[0].status.name == "timed-out"


def test_a_run_that_awaits_records_the_same(tmp_path: Path) -> None:
    async def asearch(query: str) -> list[Any]:
        await asyncio.sleep(0)
        return search(query)

    async def main() -> bytes:
        tools = [Terminal("tools", {"tool/search": asearch, "tool/fail": fail})]
        async with AsyncRun("shop", tools) as run:
            await run.perform("tool/search", query="tea")
            with pytest.raises(EffectFailed):
                await run.perform("tool/fail")
        return run.trace.encoded

    with Run("shop", [TOOLS]) as run:
        run.perform("tool/search", query="tea")
        with pytest.raises(EffectFailed):
            run.perform("tool/fail")
    assert asyncio.run(main()) == run.trace.encoded


def test_a_cancelled_task_leaves_an_aborted_step(tmp_path: Path) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    async def main() -> str:
        run = AsyncRun("stuck", [Terminal("tools", {"tool/never": never})])
        task = asyncio.create_task(run.perform("tool/never"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run.trace[0].status.name

    assert asyncio.run(main()) == "aborted"


def test_a_scope_is_another_than_every_other_one_however_it_came_to_be() -> None:
    with Run("arms", [TOOLS]) as run:
        one, other = run.scope("arm"), run.scope("arm")
        for scope in (one.scope(1), other, run.scope(1), run.scope(True), run.scope(1.0)):
            scope.perform("tool/search", query="tea")
    assert [step.place for step in run.trace] == [0] * 5
    assert len({encode(step.scope) for step in run.trace}) == 5
    with pytest.raises(InputError, match="cannot be the label of a scope"):
        run.scope(List([1]))


def test_what_was_cut_off_is_no_part_of_a_rewound_run(tmp_path: Path) -> None:
    calls: list[str] = []

    def pay(key: str) -> str:
        calls.append(key)
        return key

    tools = Terminal("bank", {"bank/pay": pay})
    with Substrate.open(tmp_path / "runs.db") as s:
        lost = s.effect.run("pay", [tools], write_ahead="bank/*")  # its process dies in the middle
        asked = lost._begin("bank/pay", {"key": "a"})
        lost._write_ahead(asked)
        assert [step.status.name for step in s.effect.trace(lost.id)] == ["begun"]
        with s.effect.resume(lost.id, [tools], upto=1) as run:
            run.perform("bank/pay", key="a")
        kept = s.effect.trace(run.id)
        assert [step.status.name for step in kept] == ["done"] and calls == ["a"]
        assert kept.digest == run.trace.digest
        assert s.replay.run(run.id, lambda run: run.perform("bank/pay", key="a") and None).same


def test_what_is_no_id_of_a_run_is_refused_as_such(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "runs.db") as s:
        for odd in (5, None, "x", b"\0" * 16):
            with pytest.raises(TraceError, match="is no id of a run"):
                s.effect.trace(odd)  # type: ignore[arg-type]


def test_a_run_may_have_more_ancestors_than_python_has_calls(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "runs.db") as s:
        first = Trace(UUID(int=1), "line", (), status=Keyword("done"))
        line = [attrs.evolve(first, id=UUID(int=n), parent=UUID(int=n - 1), upto=0)
                for n in range(2, 1_500)]  # fmt: skip
        for each in ([first], line):
            bulk.write(s.fact, each)
        assert s.effect.trace(UUID(int=1_499)).parent == UUID(int=1_498)


def test_a_step_that_is_being_written_is_on_record_before_a_cancelled_run_ends() -> None:
    class Slow(Memory):
        """Takes until it is told to write, as a store may."""

        waits = True

        def __init__(self) -> None:
            self.begun, self.go = threading.Event(), threading.Event()
            self.told: list[str] = []

        def add(self, step: Any) -> None:
            self.begun.set()
            assert self.go.wait(10)
            self.told.append("step")

        def end(self, *how: Any) -> None:
            self.told.append("end")

    slow = Slow()

    async def main() -> None:
        async with AsyncRun("shop", [TOOLS], recorder=slow) as run:
            await run.perform("tool/search", query="tea")

    async def cancelled() -> None:
        task = asyncio.create_task(main())
        await asyncio.to_thread(slow.begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # who is impatient asks twice
        await asyncio.sleep(0)
        slow.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert slow.told == ["step", "end"]


def test_an_agent_that_goes_by_the_order_of_entries_does_the_same_in_a_replay(
    store_uri: str,
) -> None:
    found = {"zeta": 1, "a": [{"y": 1, "b": 2, "ä": 3}], Keyword("k"): {"z", "aa", "b"}}
    tools = Terminal("t", {"tool/find": lambda: found, "tool/say": lambda text: text})

    def agent(run: Run) -> str:
        seen = run.perform("tool/find")
        ids = run.transact([{"db/id": name, "item/name": name} for name in ("zeta", "b", "ab")])
        words = [*seen, *seen["a"][0], *seen[Keyword("k")], *ids]
        return str(run.perform("tool/say", text=" ".join(map(str, words))))

    with Substrate.open(store_uri) as s:
        with s.effect.run("order", [tools]) as run:
            run.result = agent(run)
        again = s.replay.run(run.id, agent)
        assert again.same and again.divergence is None
        looked = do.observation(0, {**found, "more": 1})
        other = s.replay.run(
            run.id, agent, do=[looked], live=[tools], allow="tool/say", record=True
        )
        assert s.replay.run(other.trace.id, agent).same
