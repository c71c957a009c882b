"""ATIF: what is written is valid by the package `atif`, and both ways nothing is lost."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from atif import Trajectory
from hypothesis import given
from hypothesis import strategies as st

from persistence import FrozenClock, Keyword, Substrate
from persistence.effects import Run, Terminal
from persistence.errors import MessageError
from persistence.formats import (
    atif_document,
    atif_trace,
    chat_agent,
    chat_messages,
    chat_trace,
    import_atif,
    read_atif,
    write_atif,
)
from persistence.replay import replay
from persistence.values import freeze

from .conversations import NAMES, objects, tidy, untidy, words

MINUTE = 60_000_000


def same(a: Any, b: Any) -> bool:
    """Equal as JSON, where 1, 1.0 and true are three things."""
    return bool(freeze(a) == freeze(b))


def through_json(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document))


# ------------------------------------------------------- trajectories as others write them

stamps = st.sampled_from(["2026-05-16T12:00:00Z", "2026-05-16T12:00:01.5+02:00", "2026-05-16"])
text_parts = st.builds(lambda text: {"type": "text", "text": text}, words)
image = st.just({"type": "image", "source": {"media_type": "image/png", "path": "a.png"}})
said = words | st.lists(text_parts | image, max_size=2)
anything = {"timestamp": stamps | st.none(), "extra": objects | st.none()}


@st.composite
def agents(draw: st.DrawFn) -> dict[str, Any]:
    step: dict[str, Any] = {"source": "agent", "message": draw(said)}
    ids = [f"c{n}" for n in range(draw(st.integers(0, 3)))]
    if ids or draw(st.booleans()):
        step["tool_calls"] = [
            {
                "tool_call_id": id,
                "function_name": draw(st.sampled_from(NAMES)),
                "arguments": draw(objects),
                **draw(st.fixed_dictionaries({}, optional={"extra": objects})),
            }
            for id in ids
        ]
    if draw(st.booleans()):
        about = st.sampled_from([None, *ids])
        result = st.fixed_dictionaries(
            {}, optional={"source_call_id": about, "content": said, "extra": objects}
        )
        step["observation"] = {"results": draw(st.lists(result, max_size=4))}
    more = st.fixed_dictionaries(
        {},
        optional={
            **anything,
            "model_name": words,
            "reasoning_content": words | st.none(),
            "reasoning_effort": st.sampled_from(["high", 0.5]),
            "metrics": st.fixed_dictionaries(
                {}, optional={"prompt_tokens": st.integers(0, 9), "cost_usd": st.floats(0, 9)}
            ),
            "llm_call_count": st.integers(1, 3),
            "is_copied_context": st.booleans(),
        },
    )
    return step | draw(more)


others = st.fixed_dictionaries(
    {"source": st.sampled_from(["system", "user"]), "message": said}, optional=anything
)


@st.composite
def trajectories(draw: st.DrawFn) -> dict[str, Any]:
    steps = draw(st.lists(agents() | others, max_size=5))
    head = st.fixed_dictionaries(
        {
            "schema_version": st.just("ATIF-v1.8"),
            "agent": st.fixed_dictionaries(
                {"name": words, "version": words},
                optional={"model_name": words, "tool_definitions": st.lists(objects, max_size=2)},
            ),
        },
        optional={"session_id": words, "notes": words, "extra": objects},
    )
    numbered = [{"step_id": n, **step} for n, step in enumerate(steps, 1)]
    return {**draw(head), "steps": numbered}


@given(found=trajectories())
def test_a_trajectory_comes_back_as_it_was(found: dict[str, Any]) -> None:
    Trajectory.model_validate(found)
    trace = atif_trace(found)
    written = through_json(atif_document(trace))
    assert same(written, found)
    assert replay(trace, chat_agent).same
    assert atif_trace(written).encoded == trace.encoded


@given(messages=tidy() | untidy)
def test_a_conversation_comes_back_as_it_was_and_is_valid_on_the_way(messages: list[Any]) -> None:
    trace = chat_trace(messages, settings={"model": "m"})
    written = through_json(atif_document(trace))
    Trajectory.model_validate(written)
    assert atif_trace(written) == trace


# ----------------------------------------------------------------------------------- cases

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}}
SUM = [
    {"role": "user", "content": "1 + 0?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "1"},
    {"role": "assistant", "content": "It is 1."},
]


def test_an_answer_and_its_tools_are_one_step_of_the_agent() -> None:
    steps = atif_document(chat_trace(SUM))["steps"]
    assert steps == [
        {"step_id": 1, "source": "user", "message": "1 + 0?"},
        {
            "step_id": 2,
            "source": "agent",
            "message": "",
            "tool_calls": [{"tool_call_id": "c1", "function_name": "add", "arguments": {"x": 1}}],
            "observation": {"results": [{"source_call_id": "c1", "content": "1"}]},
        },
        {"step_id": 3, "source": "agent", "message": "It is 1."},
    ]


def test_times_and_costs_are_told(tmp_path: Path) -> None:
    clock = FrozenClock(1_700_000_000_000_000)

    def say(call: Any) -> str:
        clock.advance(MINUTE)
        call.notes["cost"] = {Keyword("tokens"): 3, Keyword("money"): Decimal("0.5")}
        return "Hi!"

    heard = iter(["Hi", None])
    world = [
        Terminal("w", {"chat/begin": dict, "user/message": lambda **_: next(heard)}),
        Terminal("m", {"model/chat": say}, takes_call=True),
    ]
    with Run("talk", world, clock=clock) as run:
        chat_agent(run)
    write_atif(run.trace, tmp_path / "run.json")
    document = json.loads((tmp_path / "run.json").read_text())
    Trajectory.model_validate(document)
    assert document["steps"][1]["timestamp"] == "2023-11-14T22:14:20+00:00"
    assert document["steps"][1]["metrics"] == {
        "cost_usd": 0.5,
        "extra": {"total_tokens": 3},
    }
    (again,) = read_atif(tmp_path / "run.json")
    assert again.encoded == run.trace.encoded
    chats = [
        next(step for step in trace if step.op.name == "model/chat") for trace in (again, run.trace)
    ]
    assert chats[0].at == chats[1].at and chats[0].took == MINUTE
    assert chats[0].cost == chats[1].cost


def test_effects_beside_the_conversation_are_steps_without_a_model(tmp_path: Path) -> None:
    with Substrate.open(":memory:") as s:
        heard = iter(["Hi", None])

        def hear(**_: Any) -> Any:
            return next(heard)

        world = Terminal(
            "w",
            {"chat/begin": dict, "user/message": hear, "model/chat": lambda **_: "Hi!"},
        )
        with s.effect.run("talk", [world]) as run:
            run.transact([{"item/name": "tea"}])
            chat_agent(run)
            run.now()
        document = atif_document(run.trace)
    Trajectory.model_validate(document)
    named = [step.get("tool_calls", [{}])[0].get("function_name") for step in document["steps"]]
    assert named == ["db/transact", None, None, "clock/now"]
    assert document["steps"][0]["llm_call_count"] == 0


def test_a_file_of_lines_and_a_document_are_both_read(tmp_path: Path) -> None:
    document = atif_document(chat_trace(SUM))
    (tmp_path / "one.json").write_text(json.dumps(document, indent=2))
    (tmp_path / "two.jsonl").write_text(f"{json.dumps(document)}\n{json.dumps(document)}\n")
    assert [len(list(read_atif(tmp_path / name))) for name in ("one.json", "two.jsonl")] == [1, 2]
    with Substrate.open(":memory:") as s:
        done = import_atif(s, tmp_path / "one.json")
        assert chat_messages(s.effect.trace(done.ids[0])) == chat_messages(chat_trace(SUM))
        assert import_atif(s, tmp_path / "one.json").known == 1


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema_version": "v2"}, "schema_version"),
        ({"agent": {}}, "agent.name"),
        ({"steps": None}, "steps"),
        ({"steps": [1]}, r"steps\[0\]"),
        ({"steps": [{"source": "cat", "message": ""}]}, r"steps\[0\].source"),
        ({"steps": [{"source": "user"}]}, r"steps\[0\].message"),
        ({"steps": [{"source": "agent", "message": "", "tool_calls": [{}]}]}, "tool_calls"),
        ({"steps": [{"source": "agent", "message": "", "observation": [1]}]}, "observation"),
        ({"steps": [{"source": "agent", "message": "", "metrics": [1]}]}, "metrics"),
        ({"extra": {"persistence": {"meta": "{"}}}, "extra.persistence.meta"),
        ({"extra": {"persistence": {"meta": 7}}}, "extra.persistence.meta"),
    ],
)
def test_what_is_no_trajectory_is_refused_at_its_place(
    change: dict[str, Any], place: str, tmp_path: Path
) -> None:
    document = {"schema_version": "ATIF-v1.8", "agent": {"name": "a", "version": "1"}, "steps": []}
    (tmp_path / "run.json").write_text(json.dumps(document | change))
    with pytest.raises(MessageError, match=f"run.json, line 1: .*{place}"):
        list(read_atif(tmp_path / "run.json"))


@pytest.mark.parametrize("odd", [1.0, True])
def test_a_number_that_python_finds_equal_to_another_comes_out_as_it_was(odd: object) -> None:
    step = {"step_id": odd, "source": "user", "message": "Hi"}
    found = {"schema_version": "ATIF-v1.8", "agent": {"name": "a"}, "steps": [step]}
    assert json.dumps(atif_document(atif_trace(found))["steps"][0]) == json.dumps(step)


def test_the_order_of_the_names_of_arguments_changes_nothing() -> None:
    def trace(arguments: dict[str, int]) -> Any:
        call = {"tool_call_id": "c", "function_name": "add", "arguments": arguments}
        step = {"step_id": 1, "source": "agent", "message": "", "tool_calls": [call]}
        return atif_trace({"schema_version": "ATIF-v1.8", "agent": {"name": "a"}, "steps": [step]})

    assert trace({"zeta": 1, "a": 2}).encoded == trace({"a": 2, "zeta": 1}).encoded
