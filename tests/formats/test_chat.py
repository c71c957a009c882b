"""Chat messages and traces: nothing is lost either way, and a replay gives the same bytes."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword, Substrate
from persistence.effects import Around, AsyncRun, Run, Terminal, Trace, bulk
from persistence.errors import (
    BudgetSpent,
    EffectDenied,
    MessageError,
    TransactionError,
    UnhandledEffect,
)
from persistence.formats import (
    achat_agent,
    chat_agent,
    chat_line,
    chat_messages,
    chat_trace,
    conversation,
    import_chats,
    read_chats,
    settings_of,
    write_chats,
)
from persistence.formats import messages as messages_module
from persistence.formats.calls import calls, tool_name, tool_op
from persistence.formats.plain import to_json
from persistence.replay import do, replay
from persistence.values import freeze

from .conversations import tidy, untidy, words

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x":1,"y":2}'}}
SUM: list[dict[str, Any]] = [
    {"role": "system", "content": "You add."},
    {"role": "user", "content": "1 + 2?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
    {"role": "assistant", "content": "It is 3."},
    {"role": "user", "content": "Thanks!"},
]


def back(trace: Trace) -> Any:
    return [to_json(message) for message in chat_messages(trace)]


def same(a: Any, b: Any) -> bool:
    """Equal as JSON, where 1, 1.0 and true are three things."""
    return bool(freeze(a) == freeze(b))


# ------------------------------------------------------------------------------- laws


@given(messages=tidy() | untidy)
def test_messages_come_back_as_they_were(messages: list[dict[str, Any]]) -> None:
    assert same(back(chat_trace(messages)), messages)


@given(messages=tidy() | untidy)
def test_a_replay_without_a_change_gives_the_same_bytes(messages: list[dict[str, Any]]) -> None:
    trace = chat_trace(messages)
    again = replay(trace, chat_agent)
    assert again.same and again.trace.encoded == trace.encoded
    assert again.divergence is None and again.misses == 0


@given(messages=tidy() | untidy)
def test_the_same_words_are_the_same_run(messages: list[dict[str, Any]]) -> None:
    assert chat_trace(messages) == chat_trace(messages)
    assert chat_trace(messages).id != chat_trace([*messages, {"role": "user"}]).id


@given(
    runs=st.lists(
        st.fixed_dictionaries(
            {"messages": tidy() | untidy},
            optional={
                "reward": st.floats(allow_nan=False, allow_infinity=False),
                "model": words | st.none(),
                "tools": st.lists(st.builds(lambda name: {"function": {"name": name}}, words)),
            },
        )
        | tidy(),
        max_size=3,
    )
)
def test_a_file_that_is_read_and_written_is_the_same_json(
    runs: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = tmp_path_factory.mktemp("chat") / "a.jsonl"
    second = first.with_name("b.jsonl")
    first.write_text("".join(json.dumps(run) + "\n" for run in runs))
    assert write_chats(read_chats(first), second) == len(runs)
    lines = [json.loads(line) for line in second.read_text().split("\n") if line]
    assert same(lines, runs)


@given(messages=untidy)
def test_every_call_that_was_answered_is_a_step_with_its_result(messages: list[Any]) -> None:
    trace = chat_trace(messages)
    asked = [call.op for m in messages if m["role"] == "assistant" for call in calls(freeze(m))]
    assert [step.op for step in trace if tool_name(step.op)] == asked


@given(name=words.filter(bool))
def test_every_name_of_a_tool_is_an_operation(name: str) -> None:
    assert tool_name(tool_op(name)) == name


@given(messages=tidy(), data=st.data())
def test_what_is_changed_changes_every_question_after_it(
    messages: list[dict[str, Any]], data: st.DataObject
) -> None:
    before = [n for n, m in enumerate(messages) if m["role"] != "assistant"]
    if not before:
        return
    n = data.draw(st.sampled_from(before))
    other = [*messages]
    other[n] = {**messages[n], "content": messages[n]["content"] + "!"}
    a, b = chat_trace(messages), chat_trace(other)
    asks = [[step.asked for step in trace if Keyword("context") in step.args] for trace in (a, b)]
    differ = [one != two for one, two in zip(*asks, strict=True)]
    assert differ == sorted(differ), "equal up to the change, and different from there on"


# ---------------------------------------------------------------------- the live agent


class World:
    """A model and a user that say what they were given, in turn."""

    def __init__(self, said: list[Any], heard: list[Any], **tools: Any) -> None:
        self.said, self.heard = iter(said), iter(heard)
        self.asked: list[int] = []
        fixed = {
            "chat/begin": lambda: {"messages": [SUM[0]]},
            "user/message": self.hear,
            "model/chat": self.say,
        }
        named = {f"tool/{name}": function for name, function in tools.items()}
        self.terminal = Terminal("world", {**fixed, **named})

    def hear(self, context: str, said: Any, waiting: bool) -> Any:
        return next(self.heard) if waiting else []

    def say(self, context: str, messages: Any) -> Any:
        self.asked.append(len(messages))
        return next(self.said)


def sums() -> World:
    asked = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    return World([asked, "It is 3."], ["1 + 2?", {"last": "Thanks!"}], add=lambda x, y: x + y)


def test_a_live_conversation_is_the_trace_that_its_messages_make() -> None:
    with Run("chat", [sums().terminal]) as run:
        assert chat_agent(run) == "It is 3."
    assert back(run.trace) == SUM
    assert [step.op for step in run.trace] == [step.op for step in chat_trace(SUM)]


def test_an_agent_that_awaits_records_the_same() -> None:
    async def main() -> Trace:
        async with AsyncRun("chat", [sums().terminal]) as run:
            await achat_agent(run)
        return run.trace

    with Run("chat", [sums().terminal]) as run:
        chat_agent(run)
    assert asyncio.run(main()).encoded == run.trace.encoded


def test_the_model_gets_the_whole_conversation_and_the_record_stays_short(tmp_path: Path) -> None:
    world = World(["a", "b", "c"], ["1", "2", "3", None])
    with Run("chat", [conversation(), world.terminal]) as run:
        chat_agent(run)
    assert world.asked == [2, 4, 6]
    kept = [len(s.args[Keyword("messages")]) for s in run.trace if s.op.name == "model/chat"]
    assert kept == [2, 1, 1]


def test_after_a_crash_the_model_gets_what_was_said_before(tmp_path: Path) -> None:
    def crash(n: int) -> Any:
        heard = iter(["1", "2"][:n])

        def hear(**_: Any) -> Any:
            try:
                return next(heard)
            except StopIteration:
                raise SystemError from None

        return hear

    with Substrate.open(tmp_path / "s.db") as s:
        world = World(["a", "b"], [])
        terminal = Terminal("crash", {"user/message": crash(2)})
        with pytest.raises(Exception), s.effect.run("chat", [terminal, world.terminal]) as run:  # noqa: B017
            chat_agent(run)
        world = World(["c"], [])
        heard = Terminal("more", {"user/message": lambda **_: "3" if not world.asked else None})
        assert s.effect.trace(run.id).status.name == "failed"
        upto = len(s.effect.trace(run.id)) - 1
        with s.effect.resume(run.id, [conversation(), heard, world.terminal], upto=upto) as again:
            assert chat_agent(again) == "c"
    assert world.asked == [6]


def test_the_model_learns_what_was_denied_and_what_failed() -> None:
    def guard(call: Any) -> Any:
        raise EffectDenied("not on Sundays", operation=call.op)
        yield

    def fail(x: int, y: int) -> int:
        raise KeyError("seat")

    for handler, told in (
        (Around("guard", guard, ops=lambda op: op.namespace == "tool"), "Error: not on Sundays"),
        (Terminal("failing", {"tool/add": fail}), "Error: :tool/add failed: KeyError: 'seat'"),
    ):
        with Run("chat", [handler, sums().terminal]) as run:
            chat_agent(run)
        assert back(run.trace)[3] == {"role": "tool", "tool_call_id": "c1", "content": told}
        assert replay(run.trace, chat_agent).same


def test_a_spent_budget_ends_the_conversation() -> None:
    def spent(call: Any) -> Any:
        raise BudgetSpent("no calls are left", operation=call.op)
        yield

    budget = Around("budget", spent, ops=lambda op: op.namespace == "tool")
    with pytest.raises(BudgetSpent), Run("chat", [budget, sums().terminal]) as run:
        chat_agent(run)
    assert run.trace.status.name == "failed"


def test_a_tool_that_nobody_has_is_told_to_the_model_if_the_tools_are_known() -> None:
    world = sums()
    del world.terminal.functions[Keyword("tool/add")]  # type: ignore[attr-defined]
    with pytest.raises(UnhandledEffect), Run("chat", [world.terminal]) as run:
        chat_agent(run)
    world, known = sums(), {"messages": [SUM[0]], "tools": [{"function": {"name": "sub"}}]}
    del world.terminal.functions[Keyword("tool/add")]  # type: ignore[attr-defined]
    with Run("chat", [Terminal("b", {"chat/begin": lambda: known}), world.terminal]) as run:
        chat_agent(run)
    assert back(run.trace)[3]["content"] == "Error: there is no tool add"


def test_values_of_tools_are_told_as_json_and_recorded_as_they_are() -> None:
    world = World(
        [{"content": None, "tool_calls": [CALL]}, "Done."],
        ["Go", None],
        add=lambda x, y: {"sum": [x, y]},
    )
    with Run("chat", [world.terminal]) as run:
        chat_agent(run)
    assert back(run.trace)[3]["content"] == '{"sum": [1, 2]}'
    (step,) = [step for step in run.trace if tool_name(step.op)]
    assert step.result == {"sum": (1, 2)}


def test_another_observation_is_told_to_the_model_and_the_rest_is_derived_again() -> None:
    with Run("chat", [sums().terminal]) as run:
        chat_agent(run)
    world = World(["Is it 4?"], [None])
    again = replay(
        run.trace, chat_agent, do=[do.observation(("tool/add", 0), 4)], live=[world.terminal],
        allow=["model/*", "user/*"],
    )  # fmt: skip
    assert [m["content"] for m in back(again.trace)][3:] == ["4", "Is it 4?"]
    assert again.prefix == 3


def test_another_action_is_in_the_messages_as_what_it_came_to() -> None:
    with Run("chat", [sums().terminal]) as run:
        chat_agent(run)
    world = World(["It is 7."], [None], add=lambda x, y: x + y, think=lambda: "7")
    again = replay(
        run.trace, chat_agent, do=[do.action(("tool/add", 0), "tool/think")],
        live=[world.terminal], allow=["model/*", "user/*", "tool/*"],
    )  # fmt: skip
    assert [str(step.op) for step in again.trace][3] == ":tool/think"
    assert [m["content"] for m in back(again.trace)][3:] == ["7", "It is 7."]


@pytest.mark.parametrize("heard", [7, [7], {"content": "Hi"}, [None]])
def test_what_is_no_message_is_refused(heard: Any) -> None:
    world = World(["Hm."], [heard])
    with pytest.raises(MessageError, match="is no message"), Run("chat", [world.terminal]) as run:
        chat_agent(run)


def test_a_model_that_says_nothing_is_refused() -> None:
    world = World([None], ["Hi"])
    with pytest.raises(MessageError, match="no answer"), Run("chat", [world.terminal]) as run:
        chat_agent(run)
    assert run.trace.status.name == "failed"


def test_a_run_that_is_too_long_for_one_transaction_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messages_module, "STEPS", 4)
    assert len(chat_trace(SUM[:2])) <= 4
    with pytest.raises(MessageError, match="at most 4 steps"):
        chat_trace(SUM)


# ---------------------------------------------------------------------------- the store


def test_imported_runs_are_facts_and_come_back(store_uri: str, tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    odd = {"role": "user", "content": "a\0b", "\0": ["\U0001f6ab", 1e300, -0.0, 10**40]}
    lines = [{"traj": SUM, "reward": 1.0, "task_id": 7}, {"messages": [*SUM[:2], odd]}, SUM]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Substrate.open(store_uri) as s:
        done = import_chats(s, file, name="sums", author="ada")
        assert (len(done.ids), done.known) == (3, 0)
        traces = [s.effect.trace(id) for id in done.ids]
        assert [chat_line(trace) for trace in traces] == lines
        assert all(replay(trace, chat_agent).same for trace in traces)
        found = s.fact.db().q(
            "[:find ?result :in $ ?args :where [?s :step/op :tool/add] [?s :step/args ?args]"
            " [?s :step/result ?result]]",
            freeze({Keyword("x"): 1, Keyword("y"): 2}),
        )
        assert found == [("3",)]
        assert {info.name for info in s.effect.runs()} == {"sums"}
        assert s.check() == []


def test_a_file_brings_nothing_twice_and_a_grown_one_what_is_new(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(json.dumps(SUM) + "\n" + json.dumps(SUM) + "\n")
    with Substrate.open(":memory:") as s:
        assert len(import_chats(s, file).ids) == 2, "the same words twice are two runs"
        basis = s.fact.db().basis
        assert import_chats(s, file).known == 2 and s.fact.db().basis == basis
        with file.open("a") as grown:
            grown.write(json.dumps(SUM[:2]) + "\n")
        done = import_chats(s, file)
        assert (len(done.ids), done.known) == (1, 2)


def test_a_bad_line_means_that_nothing_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(json.dumps(SUM) + '\n{"traj": [{"content": "x"}]}\n')
    with Substrate.open(":memory:") as s:
        with pytest.raises(MessageError, match=r"runs.jsonl, line 2: traj\[0\]: ") as told:
            import_chats(s, file)
        assert s.effect.runs() == []
    assert told.value.data["line"] == 2


def test_runs_go_to_the_branch_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    write_chats([chat_trace(SUM)], file)
    with Substrate.open(":memory:") as s:
        line = s.branch.create("imports")
        (id,) = import_chats(line, file).ids
        assert s.effect.runs() == [] and len(line.effect.trace(id)) == len(chat_trace(SUM))


def test_a_run_without_its_parent_is_refused(tmp_path: Path) -> None:
    orphan = attrs.evolve(chat_trace(SUM), parent=uuid4(), upto=2)
    with Substrate.open(":memory:") as s, pytest.raises(TransactionError):
        bulk.write(s.fact, [orphan])


def test_settings_tell_the_tools_and_the_model() -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    trace = chat_trace(SUM, settings={"tools": tools, "model": "m-1"})
    assert to_json(settings_of(trace)) == {"tools": tools, "model": "m-1", "messages": SUM[:1]}


def test_an_agent_of_another_kind_has_the_messages_it_handed_over_last() -> None:
    def agent(run: Run) -> None:
        messages = [{"role": "user", "content": "Hi"}]
        for _ in range(2):
            messages.append(run.perform("model/chat", messages=messages))
            messages.append({"role": "user", "content": "And?"})

    reply = {"role": "assistant", "content": "Hm."}
    with Run("other", [Terminal("m", {"model/chat": lambda messages: reply})]) as run:
        agent(run)
    assert [message["content"] for message in back(run.trace)] == ["Hi", "Hm.", "And?", "Hm."]


def test_a_long_conversation_is_held_once_and_not_anew_for_each_turn() -> None:
    turns, sizes = 1_500, []
    world = Terminal(
        "world",
        {
            "chat/begin": dict,
            "user/message": lambda said, **_: "go on" if len(sizes) < turns else None,
            "model/chat": lambda messages, **_: sizes.append(len(messages)) or f"turn {len(sizes)}",
        },
    )
    around = conversation()
    gc.collect()
    before = sum(map(sys.getsizeof, gc.get_objects()))
    with Run("talk", [around, world]) as run:
        chat_agent(run)
    assert sizes == [2 * n + 1 for n in range(turns)]
    del run
    gc.collect()
    assert sum(map(sys.getsizeof, gc.get_objects())) - before < turns * 4_000
    assert around.name == "conversation"
