"""`s.plan`: plans in a store, and runs that stop, go on elsewhere and are rewound."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from persistence import Keyword, Substrate
from persistence.errors import (
    CasFailed,
    CorruptStore,
    EffectFailed,
    PlanError,
    PlanStopped,
    TraceError,
)
from persistence.plans import Node, Plan
from persistence.replay import replay
from persistence.values import Map

INC = "[:tool-call {:tool :inc :args {:n %s}}]"
TRIP = Plan(
    f"""[:seq {{:params [n]}}
          {INC % "n"}
          [:par {{}} {INC % "$"} [:seq {{}} {INC % "10"} {INC % "$"}]]
          [:checkpoint {{:name "before booking"}}]
          {INC % "(get $ 0)"}]"""
)


class Tools(dict[str, Any]):
    """Tools that count what they do."""

    def __init__(self) -> None:
        super().__init__(inc=self.inc)
        self.calls: list[int] = []

    def inc(self, n: int) -> int:
        self.calls.append(n)
        return n + 1


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


def stopped(s: Substrate, tools: Tools, path: tuple[int, ...], **more: Any) -> UUID:
    """The id of a run of the trip that was stopped before the step at *path*."""
    with pytest.raises(PlanStopped) as caught:
        s.plan.run(TRIP, tools, params={"n": 1}, stop=lambda where: where == path, **more)
    found: UUID = caught.value.data["run"]
    return found


# Plans by name


def test_a_plan_is_loaded_as_it_was_saved(s: Substrate) -> None:
    s.plan.save("trip", TRIP)
    assert s.plan.load("trip") == TRIP and s.plan.load(TRIP.id) == TRIP
    assert s.plan.load("trip").text() == TRIP.text()
    assert s.plan.names() == ["trip"]


def test_every_step_is_stored_once(s: Substrate) -> None:
    step = Node("checkpoint", {"name": "a", "doc": 'with "quotes" and :x'})
    plan = Plan(Node("seq", {}, [step, Node("seq", {}, [step, step])]))
    s.plan.save("a", plan)
    s.plan.save("b", plan.insert_after((1,), step))
    tags = s.fact.db().q("[:find ?tag (count ?n) :where [?n :node/tag ?tag]]")
    assert dict(tags) == {Keyword("checkpoint"): 1, Keyword("seq"): 3}
    assert s.plan.load("a") == plan


def test_a_deep_plan_is_stored_and_loaded(s: Substrate) -> None:
    deep = Plan("[:seq {} " * 300 + "[:seq {}]" + "]" * 300)
    s.plan.save("deep", deep)
    assert s.plan.load("deep") == deep


def test_a_name_that_is_taken_is_not_overwritten_in_silence(s: Substrate) -> None:
    s.plan.save("trip", TRIP)
    s.plan.save("trip", TRIP)
    other = Plan("[:seq {}]")
    with pytest.raises(PlanError) as caught:
        s.plan.save("trip", other)
    assert "expected" in str(caught.value)
    s.plan.save("trip", other, expected=TRIP)
    assert s.plan.load("trip") == other
    with pytest.raises(CasFailed):
        s.plan.save("trip", TRIP, expected=TRIP)


def test_a_name_that_is_not_there_is_told_with_the_nearest(s: Substrate) -> None:
    with pytest.raises(PlanError):
        s.plan.load("trip")
    s.plan.save("trip", TRIP)
    with pytest.raises(PlanError) as caught:
        s.plan.load("trop")
    assert caught.value.hint == "did you mean trip?"
    with pytest.raises(PlanError):
        s.plan.load(b"\0" * 32)


def test_an_edit_is_a_transaction_and_a_stale_one_is_told_so(s: Substrate) -> None:
    seen = s.plan.save("trip", TRIP)
    before = s.fact.db()
    edited = s.plan.edit("trip", (3,), INC % "0", expected=seen)
    assert s.plan.load("trip") == edited == TRIP.edit((3,), INC % "0")
    assert s.fact.db().basis == before.basis + 1
    with pytest.raises(CasFailed) as caught:
        s.plan.delete("trip", (3,), expected=seen)
    assert "again" in str(caught.value.hint)
    assert s.plan.load("trip") == edited
    assert s.plan.load("trip", db=before) == TRIP
    assert [s.plan.load(version.id) for version in s.plan.history("trip")] == [TRIP, edited]


def test_an_edit_that_leaves_no_plan_writes_nothing(s: Substrate) -> None:
    s.plan.save("trip", TRIP)
    basis = s.fact.db().basis
    with pytest.raises(PlanError):
        s.plan.edit("trip", (0,), "[:ref {:name nobody}]")
    assert s.fact.db().basis == basis and s.plan.load("trip") == TRIP


def test_every_edit_there_is(s: Substrate) -> None:
    s.plan.save("trip", TRIP)
    mark = '[:checkpoint {:name "x"}]'
    want = TRIP.insert_before((0,), mark).insert_after((4,), mark).delete((1,))
    s.plan.insert_before("trip", (0,), mark)
    s.plan.insert_after("trip", (4,), mark)
    assert s.plan.delete("trip", (1,)) == want
    assert s.plan.apply("trip", want.diff(TRIP)) == TRIP


def test_writers_that_edit_at_once_lose_no_edit(s: Substrate) -> None:
    s.plan.save("trip", Plan("[:seq {}]"))

    def add(label: int) -> None:
        step = Node("checkpoint", {"name": str(label)})
        while True:
            seen = s.plan.load("trip")
            try:
                s.plan.edit("trip", (), lambda root: root.holding(*root.children, step))
                return
            except CasFailed:
                assert s.plan.load("trip") != seen

    threads = [threading.Thread(target=add, args=(label,)) for label in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {step.get("name") for step in s.plan.load("trip").root.children} == set("0123")


def test_a_stored_step_that_was_changed_is_found_out(s: Substrate) -> None:
    s.plan.save("trip", TRIP)
    node = s.fact.db().q("[:find ?n . :where [?n :node/tag :checkpoint]]")
    s.fact.transact([["db/add", node, "node/attrs", Map({Keyword("name"): "other"})]])
    with pytest.raises(CorruptStore):
        s.plan.load("trip")


# Runs


def test_a_run_is_recorded_and_tells_which_step_made_which_call(s: Substrate, tools: Tools) -> None:
    s.plan.save("trip", TRIP)
    found = s.plan.run("trip", tools, params={"n": 1})
    assert found.value == 4 and sorted(tools.calls) == [1, 2, 3, 10, 11]
    assert s.effect.trace(found.id) == found.trace
    query = "[:find [?args ...] :in $ ?scope :where [?s :step/scope ?scope] [?s :step/args ?args]]"
    assert s.fact.db().q(query, ((1, 1, 0),)) == [Map({Keyword("n"): 10})]
    assert found.done == [(0,), (1, 0), (1, 1, 0), (1, 1, 1), (2,), (3,)]


@pytest.mark.parametrize("path", [(), (0,), (1,), (1, 1, 1), (2,), (3,)])
def test_a_stopped_run_goes_on_and_does_nothing_twice(
    s: Substrate, tools: Tools, path: tuple[int, ...]
) -> None:
    whole = TRIP.run(Tools(), params={"n": 1})
    run = stopped(s, tools, path)
    assert s.effect.trace(run).status is Keyword("stopped")
    found = s.plan.resume(run, tools)
    assert found.value == whole.value
    assert sorted(tools.calls) == [1, 2, 3, 10, 11]
    assert [step.said for step in found.trace.ordered] == [
        step.said for step in whole.trace.ordered
    ]
    with pytest.raises(TraceError):
        s.plan.resume(run, tools)


CHILD = """
import sys
from persistence import Substrate
def inc(n):
    with open(sys.argv[3], "a") as log:
        log.write(f"{n}\\n")
    return n + 1
with Substrate.open(sys.argv[1]) as s:
    print(s.plan.resume(sys.argv[2], {"inc": inc}).value)
"""


def test_a_stopped_run_goes_on_in_another_process(tmp_path: Path, tools: Tools) -> None:
    place, log = str(tmp_path / "s.db"), tmp_path / "log"
    with Substrate.open(place) as s:
        run = stopped(s, tools, (1, 1, 1))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, place, str(run), str(log)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "4\n"
    assert sorted(tools.calls + [int(line) for line in log.read_text().split()]) == [
        1, 2, 3, 10, 11,
    ]  # fmt: skip


def test_a_race_that_was_stopped_is_run_again_on_its_record(s: Substrate, tools: Tools) -> None:
    arm = f"[:seq {{}} {INC % 1} {INC % 2}]"
    plan = Plan(f"[:seq {{}} [:race {{}} {arm}] {INC % 3}]")
    with pytest.raises(PlanStopped) as caught:
        s.plan.run(plan, tools, stop=lambda where: where == (0, 0, 1))
    found = s.plan.resume(caught.value.data["run"], tools)
    assert found.value == 4 and tools.calls == [1, 2, 3]
    again = s.plan.rewind(found.id, tools, upto=3)
    assert again.value == 4 and tools.calls == [1, 2, 3, 3]


def test_what_a_race_gave_up_is_not_done_again_when_its_run_goes_on(s: Substrate) -> None:
    begun, over, asked = threading.Event(), threading.Event(), []

    def slow() -> str:
        asked.append("slow")
        begun.set()
        over.wait(60)
        return "slow"

    def quick() -> str:
        asked.append("quick")
        begun.wait(60)
        return "quick"

    plan = Plan("""[:seq {} [:race {} [:tool-call {:tool :quick}] [:tool-call {:tool :slow}]]
                             [:tool-call {:tool :last}]]""")
    tools = {"quick": quick, "slow": slow, "last": lambda: "done"}
    with pytest.raises(PlanStopped) as caught:
        s.plan.run(plan, tools, stop=lambda where: where == (1,))
    run = caught.value.data["run"]
    before = s.effect.trace(run).steps
    over.set()
    assert s.plan.resume(run, tools).value == "done"
    assert sorted(asked) == ["quick", "slow"]
    assert s.effect.trace(run).steps[: len(before)] == before
    assert s.replay.run(run, plan.play).same


def test_a_run_is_rewound_to_any_step(s: Substrate, tools: Tools) -> None:
    found = s.plan.run(TRIP, tools, params={"n": 1})
    for upto in range(len(found.trace) + 1):
        tools.calls.clear()
        again = s.plan.rewind(found.id, tools, upto=upto)
        calls = sum(step.op.name == "inc" for step in found.trace if step.n >= upto)
        assert again.value == found.value and len(tools.calls) == calls
        assert again.id != found.id and again.trace.parent == found.id


def test_a_run_is_rewound_to_a_checkpoint_and_done_otherwise(s: Substrate, tools: Tools) -> None:
    found = s.plan.run(TRIP, tools, params={"n": 1})
    tools.calls.clear()
    other = TRIP.edit((3,), INC % "100")
    again = s.plan.rewind(found.id, tools, upto="before booking", plan=other)
    assert again.value == 101 and tools.calls == [100]
    with pytest.raises(PlanError):
        s.plan.rewind(found.id, tools, upto="before booking", plan=TRIP.edit((0,), INC % "5"))
    with pytest.raises(TraceError) as caught:
        s.plan.rewind(found.id, tools, upto="nowhere")
    assert "before booking" in str(caught.value.hint)


def test_a_stopped_run_goes_on_with_an_edited_plan(s: Substrate, tools: Tools) -> None:
    s.plan.save("trip", TRIP)
    run = stopped(s, tools, (2,))
    with pytest.raises(PlanError) as caught:
        s.plan.edit("trip", (0,), INC % "7", done=run)
    assert "has run" in str(caught.value)
    other = s.plan.edit("trip", (3,), INC % "7", done=run)
    with pytest.raises(PlanError):
        s.plan.resume(run, tools, plan=TRIP.delete((0,)))
    with pytest.raises(PlanStopped):
        s.plan.resume(run, tools, plan=other, stop=lambda where: where == (3,))
    assert s.plan.resume(run, tools).value == 8


def test_what_failed_is_tried_again_from_before_it(s: Substrate) -> None:
    broken = [True]

    def book() -> str:
        if broken:
            raise ValueError("no seat")
        return "booked"

    plan = Plan('[:seq {} [:checkpoint {:name "a"}] [:tool-call {:tool :book}]]')
    with pytest.raises(EffectFailed):
        s.plan.run(plan, {"book": book})
    run = s.effect.runs()[0].id
    assert s.effect.trace(run).status is Keyword("failed")
    broken.clear()
    with pytest.raises(EffectFailed):
        s.plan.resume(run, {"book": book})
    assert s.plan.rewind(run, {"book": book}, upto="a").value == "booked"


def test_a_branch_keeps_facts_beside_until_they_are_merged(s: Substrate, tools: Tools) -> None:
    write = '[:tool-call {:tool :db/transact :args {:forms [{:db/id "x" :item/n %s}]}}]'
    merged = f'[:branch {{:name "kept" :merge true}} {write % 1}]'
    beside = f'[:branch {{:name "tried"}} [:seq {{}} {write % 2} {write % 3}]]'
    found = s.plan.run(Plan(f"[:seq {{}} {write % 0} {merged} {beside}]"), tools)
    numbers = "[:find [?n ...] :where [_ :item/n ?n]]"
    assert sorted(s.fact.db().q(numbers)) == [0, 1]
    [name] = [line.name for line in s.branch.list() if line.name.startswith("tried")]
    assert sorted(s.branch.open(name).fact.db().q(numbers)) == [0, 1, 2, 3]
    ops = [step.op.name for step in found.trace]
    assert ops.count("plan/branch") == 2 and ops.count("plan/merge") == 1


def test_a_branch_of_what_fails_is_not_merged(s: Substrate, tools: Tools) -> None:
    write = '[:tool-call {:tool :db/transact :args {:forms [{:db/id "x" :item/n 1}]}}]'
    fails = "[:choice {:when [false]} [:seq {}]]"
    plan = Plan(f'[:branch {{:name "b" :merge true}} [:seq {{}} {write} {fails}]]')
    with pytest.raises(EffectFailed):
        s.plan.run(plan, tools)
    assert s.fact.db().q("[:find [?n ...] :where [_ :item/n ?n]]") == []


def test_skills_are_plans_by_their_names(s: Substrate, tools: Tools) -> None:
    s.plan.save("skill/up", Plan(f"[:seq {{:params [n]}} {INC % 'n'}]"))
    plan = Plan("[:call-skill {:skill :skill/up :args {:n 4}}]")
    found = s.plan.run(plan, tools)
    s.plan.edit("skill/up", (0,), "[:ref {:name n}]")
    assert found.value == 5
    assert s.plan.rewind(found.id, tools, upto=1).value == 5
    assert s.plan.rewind(found.id, tools, upto=0).value == 4


def test_a_replay_of_a_stored_run_is_the_same(s: Substrate, tools: Tools) -> None:
    found = s.plan.run(TRIP, tools, params={"n": 1})
    again = replay(s.effect.trace(found.id), lambda run: TRIP.play(run, params={"n": 1}))
    assert again.same, again.divergence


def test_a_run_that_is_none_of_a_plan_is_told_so(s: Substrate, tools: Tools) -> None:
    with s.effect.run("other") as run:
        run.random()
    with pytest.raises(TraceError) as caught:
        s.plan.rewind(run.id, tools, upto=0)
    assert "none of a plan" in str(caught.value)


DYING = """
import os, sys
from persistence import Substrate
from persistence.plans import Plan
def inc(n):
    if os.path.getsize(sys.argv[2]) >= 6:
        os._exit(9)
    with open(sys.argv[2], "a") as log:
        log.write(f"{n}\\n")
    return n + 1
with Substrate.open(sys.argv[1]) as s:
    s.plan.run(Plan(sys.argv[3]), {"inc": inc}, params={"n": 1})
"""


def test_a_run_whose_process_died_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    place, log, tools = str(tmp_path / "s.db"), tmp_path / "log", Tools()
    log.touch()
    died = subprocess.run([sys.executable, "-c", DYING, place, str(log), str(TRIP)], check=False)
    assert died.returncode == 9
    with Substrate.open(place) as s:
        [run] = s.effect.runs()
        assert run.status is Keyword("running")
        assert s.plan.resume(run.id, tools).value == 4
    done = [int(line) for line in log.read_text().split()]
    assert 3 <= len(done) <= 4 and len(tools.calls) >= 1
    # What was under way in another arm when the process died may be done a second time.
    assert {*done, *tools.calls} == {1, 2, 3, 10, 11}
    assert len(done) + len(tools.calls) in (5, 6)


def test_of_those_who_save_under_one_new_name_at_once_one_does(s: Substrate) -> None:
    s.plan.save("declared", TRIP)
    plans = [Plan(Node("seq", {"id": str(n)})) for n in range(4)]

    def save(name: str, plan: Plan, barrier: threading.Barrier) -> bool:
        barrier.wait()
        try:
            s.plan.save(name, plan)
        except (CasFailed, PlanError):
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for name in map(str, range(8)):
            barrier = threading.Barrier(4)
            saved = [*pool.map(lambda plan, n=name, b=barrier: save(n, plan, b), plans)]
            assert sum(saved) == 1
            assert s.plan.load(name) == plans[saved.index(True)]
            assert len(s.plan.history(name)) == 1


def test_a_name_that_is_expected_to_stand_for_something_and_is_not_there(s: Substrate) -> None:
    with pytest.raises(CasFailed):
        s.plan.save("trip", TRIP, expected=Plan("[:seq {}]"))
    assert s.plan.names() == []


def test_steps_that_are_inside_of_themselves_are_found_out(s: Substrate) -> None:
    s.plan.save("trip", TRIP)
    one, other = b"\1" * 32, b"\2" * 32
    s.fact.transact([
        {"node/id": id, "node/tag": Keyword("seq"), "node/attrs": {}, "node/children": [child]}
        for id, child in ((one, other), (other, one))
    ])  # fmt: skip
    with pytest.raises(CorruptStore):
        s.plan.load(one)


def test_a_run_that_is_done_is_given_no_other_plan(s: Substrate, tools: Tools) -> None:
    run = s.plan.run(TRIP, tools, params={"n": 1}).id
    with pytest.raises(TraceError, match="is done"):
        s.plan.resume(run, tools, plan=TRIP.insert_after((3,), INC % "7"))
    assert not s.fact.db().q("[:find [?plan ...] :where [_ :run/plan ?plan]]")
