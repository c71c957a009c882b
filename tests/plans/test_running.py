"""Plans that run: what every kind does, what it fails on, and which effects it costs."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.effects import Around, Call, Run, Terminal
from persistence.errors import (
    EffectDenied,
    EffectFailed,
    EffectTimedOut,
    LimitExceeded,
    PlanError,
    PlanStopped,
    UnhandledEffect,
)
from persistence.plans import KINDS, Node, Plan
from persistence.plans.plays import PLAYS
from persistence.replay import replay
from persistence.values import Keyword, Map
from tests.plans.strategies import nodes

CALL = "[:tool-call {:tool :inc :args {:n %s}}]"
INC = CALL % "(or $ 0)"
GIVE = "[:let {:name v :value %s} [:ref {:name v}]]"


def inc(n: int) -> int:
    return n + 1


def fail() -> None:
    raise KeyError("seat")


TOOLS: dict[str, Callable[..., Any]] = {
    "inc": inc,
    "fail": fail,
    "echo": lambda **given: given,
    "model/chat": lambda messages, model=None, **options: f"{model}: {messages[-1]['content']}",
}


def give(value: str) -> str:
    return GIVE % value


def ran(text: str, **settings: Any) -> tuple[Any, list[str]]:
    """The value of a plan, and what it cost: the effects it performed."""
    found = Plan(text).run(TOOLS, **settings)
    return found.value, [step.op.name for step in found.trace.ordered]


def failing(text: str, **settings: Any) -> EffectFailed:
    with pytest.raises(EffectFailed) as caught:
        Plan(text).run(TOOLS, **settings)
    return caught.value


def test_every_kind_has_what_runs_it() -> None:
    assert PLAYS.keys() == KINDS.keys()


# What every kind does, fails on and costs


def test_seq_runs_its_children_in_order_and_hands_the_value_on() -> None:
    assert ran(f"[:seq {{}} {INC} {INC} {INC}]") == (3, ["inc"] * 3)
    assert ran("[:seq {}]") == (None, [])
    failed = failing(f"[:seq {{}} {INC} [:tool-call {{:tool :fail}}] {INC}]")
    assert failed.kind == "KeyError" and failed.data["path"] == (1,)


def test_par_runs_all_children_at_the_same_time_and_gives_all_values() -> None:
    meet = threading.Barrier(2, timeout=10)
    tools = {"meet": lambda n: (meet.wait(), n)[1]}
    arms = "[:tool-call {:tool :meet :args {:n 1}}] [:tool-call {:tool :meet :args {:n 2}}]"
    found = Plan(f"[:par {{}} {arms}]").run(tools)
    assert found.value == (1, 2) and len(found.trace) == 2
    assert ran(f"[:seq {{}} {INC} [:par {{}} {INC} {INC}]]") == ((2, 2), ["inc"] * 3)


def test_par_fails_as_its_first_child_that_does_once_all_have_ended() -> None:
    done: list[int] = []
    tools = TOOLS | {"note": lambda n: done.append(n)}
    plan = Plan(
        "[:par {} [:tool-call {:tool :fail}] [:choice {:when [false]} [:seq {}]]"
        " [:tool-call {:tool :note :args {:n 7}}]]"
    )
    with pytest.raises(EffectFailed) as caught:
        plan.run(tools)
    assert caught.value.kind == "KeyError" and done == [7]


def test_par_runs_no_more_than_max_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0
    free = threading.Semaphore(0)

    def busy(n: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        free.release()
        free.acquire(timeout=10)
        with lock:
            now -= 1

    arms = " ".join(f"[:tool-call {{:tool :busy :args {{:n {n}}}}}]" for n in range(8))
    Plan(f"[:par {{:max 2}} {arms}]").run({"busy": busy})
    assert 1 <= most <= 2


def test_choice_runs_one_child_and_no_other() -> None:
    text = f"[:choice {{:when [(= 1 1.0) (= 1 1) :else]}} {CALL % 1} {CALL % 2} {CALL % 3}]"
    assert ran(text) == (3, ["inc"])
    assert failing("[:choice {:when [nil false]} [:seq {}] [:seq {}]]").kind == "choice"


def test_case_runs_the_child_of_the_same_value() -> None:
    text = f'[:case {{:on %s :of [1 "1" :a]}} {CALL % 1} {CALL % 2} {CALL % 3} {CALL % 4}]'
    assert [ran(text % on)[0] for on in ("1", '"1"', ":a", "1.0", "true")] == [2, 3, 4, 5, 5]
    assert ran(text % "1")[1] == ["inc"]
    assert failing("[:case {:on 1 :of [2]} [:seq {}]]").kind == "case"


def test_loop_loops_a_number_of_times() -> None:
    assert ran(f"[:loop {{:times 4}} {INC}]") == (4, ["inc"] * 4)
    assert ran(f"[:loop {{:times 0}} {INC}]") == (None, [])


def test_loop_loops_while_a_condition_holds_and_always_ends() -> None:
    text = f"[:loop {{:while (< (or $ 0) 3) :max %d}} {INC}]"
    assert ran(text % 3) == (3, ["inc"] * 3)
    failed = failing(text % 2)
    assert failed.kind == "loop" and "2 turns" in str(failed)


def test_loop_goes_over_elements_and_gives_every_value() -> None:
    assert ran(f"[:loop {{:for x :in [1 2 3]}} {CALL % '(+ x 1)'}]") == ((3, 4, 5), ["inc"] * 3)
    assert ran("[:loop {:for x :in #{}} [:ref {:name x}]]") == ((), [])
    assert failing("[:loop {:for x :in 3} [:seq {}]]").kind == "loop"


def test_race_gives_the_first_to_succeed_and_stops_the_others() -> None:
    late, calls = threading.Event(), list[str]()

    def slow() -> str:
        calls.append("slow")
        late.wait(10)
        return "slow"

    def fast() -> str:
        calls.append("fast")
        return "fast"

    tools = TOOLS | {"slow": slow, "fast": fast, "never": lambda: calls.append("never")}
    opened = Around("opens", lambda call: opening(call, late))
    found = Plan(
        "[:race {} [:seq {} [:tool-call {:tool :slow}] [:tool-call {:tool :never}]]"
        " [:tool-call {:tool :fail}] [:tool-call {:tool :fast}]]"
    ).run(tools, handlers=[opened])
    assert found.value == "fast" and "never" not in calls
    assert found.trace.steps[-1].op == Keyword("plan/race")


def opening(call: Call, late: threading.Event) -> Iterator[Any]:
    result = yield call
    if call.op is Keyword("fast"):
        threading.Timer(0.05, late.set).start()
    return result


def test_race_fails_when_every_child_does() -> None:
    failed = failing("[:race {} [:tool-call {:tool :fail}] [:choice {:when [false]} [:seq {}]]]")
    assert failed.kind == "race"


def test_let_binds_within_its_body() -> None:
    assert ran(f"[:let {{:name x}} {CALL % 4} {CALL % 'x'}]") == (6, ["inc"] * 2)
    assert ran(give("{:a [1 (+ 1 1)]}")) == (Map({Keyword("a"): (1, 2)}), [])
    inner = "[:seq {} [:let {:name x :value 2} [:ref {:name x}]] [:ref {:name x}]]"
    assert ran(f"[:let {{:name x :value 1}} {inner}]") == (1, [])
    assert failing(give('(+ 1 "a")')).kind == "expression"


def test_branch_needs_a_store() -> None:
    with pytest.raises(PlanError) as caught:
        Plan('[:seq {} [:branch {:name "b"} [:seq {}]]]').run()
    assert caught.value.data["path"] == (0,) and "s.plan.run" in caught.value.hint  # type: ignore[operator]


def test_tool_call_calls_a_tool_with_its_arguments() -> None:
    text = "[:seq {} %s [:tool-call {:tool :echo :args {:a $ :b [(+ $ 1)] :c (quote x)}}]]"
    value, cost = ran(text % (CALL % 1))
    assert str(value) == "Map({'a': 2, 'b': (3,), 'c': Symbol('x')})" and cost == ["inc", "echo"]
    assert failing("[:tool-call {:tool :fail}]").data["operation"] is Keyword("fail")


def test_retries_try_again_and_cost_an_effect_each() -> None:
    left = [KeyError(), KeyError()]

    def shaky() -> str:
        if left:
            raise left.pop()
        return "in the end"

    found = Plan("[:tool-call {:tool :shaky :retries 2}]").run({"shaky": shaky})
    assert found.value == "in the end"
    assert [step.status.name for step in found.trace] == ["failed", "failed", "done"]
    assert len(left) == 0


def test_what_was_denied_is_not_tried_again() -> None:
    asked: list[Call] = []

    def deny(call: Call) -> Iterator[Any]:
        asked.append(call)
        raise EffectDenied("no")
        yield

    with pytest.raises(EffectDenied):
        Plan("[:tool-call {:tool :inc :args {:n 1} :retries 5}]").run(
            TOOLS, handlers=[Around("deny", deny, guard=True)]
        )
    assert len(asked) == 1


def test_a_tool_that_nobody_handles_is_told_before_anything_is_done() -> None:
    done: list[int] = []
    plan = Plan("[:seq {} [:tool-call {:tool :note}] [:par {} [:tool-call {:tool :noet}]]]")
    with pytest.raises(PlanError) as caught:
        plan.run({"note": lambda: done.append(1)})
    assert caught.value.data["path"] == (1, 0) and "did you mean :note" in str(caught.value)
    assert done == []


def test_llm_call_asks_a_model() -> None:
    assert ran('[:llm-call {:model "m" :prompt (str "a" 1)}]') == ("m: a1", ["model/chat"])
    talk = '[{"role" "user" "content" "hello"}]'
    assert ran(f'[:llm-call {{:model "m" :messages {talk} :options {{:temperature 0.0}}}}]') == (
        "m: hello",
        ["model/chat"],
    )
    with pytest.raises(PlanError):
        Plan('[:llm-call {:model "m" :prompt "a"}]').run()


def test_checkpoint_leaves_a_mark_and_the_value() -> None:
    assert ran(f'[:seq {{}} {INC} [:checkpoint {{:name "a"}}]]') == (1, ["inc", "plan/checkpoint"])


def test_reflect_shows_a_model_the_value() -> None:
    text = f'[:reflect {{:prompt "Good?" :model "m"}} {CALL % 1}]'
    assert ran(text) == ("m: Good?\n\n2", ["model/chat", "inc"])
    assert ran('[:seq {} [:reflect {:prompt "So?"}]]') == ("None: So?\n\nnil", ["model/chat"])


def test_verify_fails_unless_the_value_is_right() -> None:
    assert ran(f"[:verify {{:that (= $ 2)}} {CALL % 1}]") == (2, ["inc"])
    failed = failing(f"[:seq {{}} [:verify {{:that (= $ 3)}} {CALL % 1}]]")
    assert failed.kind == "verify" and failed.data["path"] == (0,)

    def conform(spec: Keyword, value: Any) -> None:
        if type(value) is not int:
            raise ValueError(f"{spec} wants a number")

    text = "[:verify {:spec :spec/n} %s]"
    assert ran(text % (CALL % 1), specs=conform) == (2, ["plan/conform", "inc"])
    assert "wants a number" in str(failing(text % give('"a"'), specs=conform))
    with pytest.raises(PlanError):
        Plan(text % "[:seq {}]").run()


def test_call_skill_runs_another_plan_with_arguments() -> None:
    skills = {"skill/twice": Plan(f"[:seq {{:params [n]}} {CALL % 'n'} {CALL % '$'}]")}
    text = "[:call-skill {:skill :skill/twice :args {:n 5}}]"
    assert ran(text, skills=skills) == (7, ["plan/skill", "inc", "inc"])
    assert failing("[:call-skill {:skill :skill/twice}]", skills=skills).kind == "skill"
    assert failing("[:call-skill {:skill :skill/none}]", skills=skills).kind == "KeyError"
    circle = {"a": Plan("[:call-skill {:skill :a}]")}
    assert "circle" in str(failing("[:call-skill {:skill :a}]", skills=circle).hint)
    unknown = {"a": Plan("[:tool-call {:tool :nobody}]")}
    assert ":nobody" in str(failing("[:call-skill {:skill :a}]", skills=unknown))


# The code step


def code(source: str, **more: Any) -> str:
    held = " ".join(f":{name.replace('_', '-')} {value}" for name, value in more.items())
    text = source.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'[:code {{:source "{text}" {held}}}]'


def test_code_gives_what_the_program_calls_result() -> None:
    source = "import math\nresult = {'n': n + 1, 'all': [math.floor(2.5), None, names]}"
    value, cost = ran(code(source, input='{:n 3 :names {:a ["x" :b]}}'))
    assert value == {"n": 4, "all": (2, None, Map({"a": ("x", "b")}))} and cost == ["code/run"]
    assert ran(code("print('not the result')")) == (None, ["code/run"])


def test_code_that_fails_says_what_went_wrong_in_its_own_words() -> None:
    failed = failing(code("x = 1\nx / 0"))
    assert failed.kind == "CodeFailed" and "ZeroDivisionError" in str(failed)
    assert "line 2" in str(failed) and "code_child" not in str(failed)
    unknown = str(failing(code("result = object()")))
    assert unknown.endswith("CodeFailed: the result is no plain data: it holds object")
    assert "status 3" in str(failing(code("raise SystemExit(3)")))
    assert failing(code("pass", input="{:d 1M}")).kind == "CodeFailed"


@pytest.mark.parametrize("source", ["while True: pass", "import time; time.sleep(60)"])
def test_code_that_takes_too_long_is_ended(source: str) -> None:
    began = time.monotonic()
    with pytest.raises(EffectTimedOut):
        Plan(code(source, seconds="0.5")).run()
    assert time.monotonic() - began < 20


def test_code_cannot_take_memory_files_or_answers_without_limit() -> None:
    assert "MemoryError" in str(failing(code("x = bytearray(10 ** 10)")))
    large = str(failing(code("result = 'x' * 5_000_000")))
    assert large.endswith("the result has 5000002 bytes, and at most 4194304 are taken")
    flood = "import os\nwhile True: os.write(3, b'x' * 65536)"
    assert failing(code(flood)).kind == "CodeFailed"
    assert "File too large" in str(failing(code("open('f', 'wb').write(b'x' * 10 ** 8)")))


def test_code_sees_no_environment_no_input_and_an_empty_directory_of_its_own() -> None:
    source = "import os, sys\nresult = [sorted(os.environ), sys.stdin.read(), os.listdir('.')]"
    assert ran(code(source))[0] == (("LC_CTYPE",), "", ()) or ran(code(source))[0] == ((), "", ())
    with pytest.raises(EffectFailed) as caught:
        Plan(code("import attrs")).run()
    assert "ModuleNotFoundError" in str(caught.value)


def test_what_code_leaves_behind_is_ended_with_it() -> None:
    source = """
import os, time
result = None
try:
    result = os.fork()
except BlockingIOError:  # the limit on processes, which does not bind an administrator
    pass
if result == 0:
    time.sleep(60)
"""
    began = time.monotonic()
    pid = ran(code(source, seconds="30"))[0]
    assert time.monotonic() - began < 20
    if pid is None or not hasattr(os, "pidfd_open"):  # only Linux tells of others' children
        return
    try:
        left = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([left], [], [], 20)[0], "the process goes on"
    os.close(left)


# Runs


def test_a_step_of_the_trace_names_the_step_of_the_plan() -> None:
    text = f"[:seq {{}} [:loop {{:times 2}} [:seq {{}} {INC}]] [:par {{}} {INC} {INC}]]"
    trace = Plan(text).run(TOOLS).trace
    assert [step.scope[0] for step in trace.ordered] == [(0, 0, 0), (0, 0, 0), (1, 0), (1, 1)]


def test_the_record_of_parallel_arms_does_not_depend_on_who_was_faster() -> None:
    arms = " ".join(f"[:seq {{}} {CALL % n} {INC}]" for n in range(6))
    plan = Plan(f"[:par {{}} {arms}]")
    one, other = plan.run(TOOLS), plan.run(TOOLS)
    assert one.trace.encoded == other.trace.encoded


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_arms_within_arms_go_on_when_every_thread_is_taken(threads: int) -> None:
    inner = f"[:par {{}} {CALL % 1} {CALL % 2}]"
    middle = f"[:race {{}} [:par {{}} {inner} {inner}] [:par {{}} {inner} {inner}]]"
    with ThreadPoolExecutor(threads) as pool:
        found = Plan(f"[:par {{}} {middle} {middle} {middle}]").run(TOOLS, executor=pool)
    assert found.value == (((2, 3), (2, 3)),) * 3


def test_a_chain_of_steps_may_be_deeper_than_pythons_calls() -> None:
    for kind in ("[:seq {} ", "[:loop {:times 1} ", "[:let {:name x :value 1} "):
        assert ran(kind * 600 + CALL % 1 + "]" * 600) == (2, ["inc"])
    assert ran("[:par {} [:seq {}] " * 100 + CALL % 1 + "]" * 100)[1] == ["inc"]
    failed = failing("[:seq {} " * 600 + "[:tool-call {:tool :fail}]" + "]" * 600)
    assert failed.data["path"] == (0,) * 600


def test_values_of_params_are_given_to_the_run() -> None:
    plan = Plan(f"[:seq {{:params [n]}} {CALL % 'n'}]")
    assert plan.run(TOOLS, params={"n": 1}).value == 2
    for wrong in ({}, {"n": 1, "m": 2}):
        with pytest.raises(PlanError) as caught:
            plan.run(TOOLS, params=wrong)
        assert caught.value.hint


def test_a_value_that_doubles_in_a_loop_ends_before_the_memory_does() -> None:
    for form in ("[$ $]", '(str "ab" $ $)', "(* (or $ 9) (or $ 9))"):
        failed = failing(f"[:loop {{:times 200}} {give(form)}]")
        assert failed.kind == "expression" and "too" in str(failed)


def test_handlers_stand_around_the_tools() -> None:
    def twice(call: Call) -> Iterator[Any]:
        first = yield call
        return first * 2

    assert ran(CALL % 1, handlers=[Around("twice", twice)])[0] == 4
    tools = [Around("twice", twice), Terminal("t", {"inc": inc})]
    assert Plan(CALL % 1).run(tools).value == 4


def test_a_run_is_stopped_at_the_step_that_is_told() -> None:
    plan = Plan(f"[:seq {{}} {INC} [:par {{}} {INC} [:seq {{}} {INC}]] {INC}]")
    for path, count in [((), 0), ((1,), 1), ((1, 1, 0), 2), ((2,), 3)]:
        with pytest.raises(PlanStopped) as caught:
            plan.run(TOOLS, stop=lambda where, path=path: where == path)
        assert caught.value.data["path"] == path
        assert len(caught.value.data["trace"]) == count


RACE = f"[:seq {{}} {INC} [:race {{}} [:seq {{}} {INC} {INC} {INC}] [:par {{}} {INC} {INC}]] {INC}]"


@given(st.sampled_from([RACE, f"[:loop {{:times 2}} {RACE}]", f"[:par {{}} {RACE} {RACE}]"]))
def test_a_replay_of_a_plan_does_nothing_and_gives_the_same(text: str) -> None:
    plan = Plan(text)
    found = plan.run(TOOLS)
    again = replay(found.trace, plan.play)
    assert again.same, again.divergence
    assert again.trace.encoded == found.trace.encoded


def test_a_plan_is_played_as_a_part_of_an_agents_run() -> None:
    with Run("agent", [Terminal("tools", TOOLS)]) as run:
        run.perform("inc", n=1)
        assert Plan(f"[:race {{}} [:verify {{:that false}} [:seq {{}}]] {CALL % 4}]").play(run) == 5
        with pytest.raises(UnhandledEffect):
            Plan("[:tool-call {:tool :nobody}]").play(run)
    assert [step.op.name for step in run.trace] == ["inc", "inc", "plan/race"]


ANY = {
    "model/chat": lambda **asked: asked["messages"],
    "code/run": lambda **asked: None,
    "plan/branch": lambda **asked: "b",
    "plan/merge": lambda **asked: None,
}


@given(nodes())
def test_whatever_a_plan_does_a_replay_does_again(root: Node) -> None:
    plan = Plan(root)
    tools = {tool: lambda **args: [*args.values()][:1] for tool in plan.tools()}
    settings = {"skills": lambda skill: Plan("[:seq {}]"), "specs": lambda spec, value: None}

    def body(run: Run) -> Any:
        return plan.play(run, **settings)

    run = Run("any", [Terminal("tools", {**tools, **ANY})])
    try:
        with run:
            run.result = body(run)
    except (EffectFailed, LimitExceeded):
        pass
    again = replay(run.trace, body)
    assert again.same, again.divergence
