"""Spans: one for the run and one for each step, by the conventions, with the times on record."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest
from hypothesis import given
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from persistence import FrozenClock, Keyword
from persistence.effects import Run, Terminal, Trace
from persistence.errors import EffectFailed, InputError
from persistence.formats import chat_agent, chat_trace, export_spans

from .conversations import tidy, untidy

START = 1_700_000_000_000_000
KNOWN = {
    value
    for name, value in vars(gen_ai_attributes).items()
    if name.startswith("GEN_AI_") and isinstance(value, str)
}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}


def spans_of(trace: Trace, **options: Any) -> list[ReadableSpan]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    count = export_spans(trace, provider.get_tracer("test"), **options)
    found = sorted(kept.get_finished_spans(), key=lambda span: span.context.span_id)
    assert len(found) == count == len(trace) + 1
    return sorted(found, key=lambda span: _attributes(span).get("persistence.step", -1))


def _attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def talk() -> Trace:
    clock = FrozenClock(START)
    usage = {"prompt_tokens": 12, "completion_tokens": 3}
    answers = iter([{"content": None, "tool_calls": [CALL], "usage": usage}, "1."])
    heard = iter(["1 + 0?", None])

    def say(call: Any) -> Any:
        clock.advance(2_000_000)
        call.notes["cost"] = {Keyword("tokens"): 15}
        return next(answers)

    def add(call: Any) -> int:
        clock.advance(5)
        return 1

    def hear(call: Any) -> Any:
        return next(heard) if call.args["waiting"] else []

    def begin(call: Any) -> Any:
        return {"model": "m-1", "tools": [{"function": {"name": "add"}}]}

    world = {"chat/begin": begin, "user/message": hear, "model/chat": say, "tool/add": add}
    with Run("sums", [Terminal("w", world, takes_call=True)], clock=clock) as run:
        chat_agent(run)
    return run.trace


def test_a_run_is_a_tree_of_spans_with_the_times_on_record() -> None:
    root, *steps = spans_of(talk(), provider="openai")
    assert root.name == "invoke_agent sums" and root.parent is None
    assert [span.name for span in steps] == [
        "chat/begin",
        "user/message",
        "chat m-1",
        "execute_tool add",
        "user/message",
        "chat m-1",
        "user/message",
    ]
    assert {span.parent and span.parent.span_id for span in steps} == {root.context.span_id}
    chat, tool = steps[2], steps[3]
    assert (chat.kind, tool.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    assert (chat.start_time, chat.end_time) == (START * 1000, (START + 2_000_000) * 1000)
    assert tool.start_time == chat.end_time and tool.end_time == (START + 2_000_005) * 1000
    assert (root.start_time, root.end_time) == (START * 1000, (START + 4_000_005) * 1000)


def test_attributes_have_the_names_of_the_conventions() -> None:
    trace = talk()
    root, *steps = map(_attributes, spans_of(trace, provider="openai"))
    assert root["gen_ai.operation.name"] == "invoke_agent"
    assert root["gen_ai.conversation.id"] == str(trace.id)
    assert steps[2] == {
        "persistence.step": 2,
        "persistence.status": "done",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m-1",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 3,
        "persistence.cost.tokens": 15,
        "gen_ai.response.finish_reasons": ("tool_calls",),
    }
    assert steps[3] == {
        "persistence.step": 3,
        "persistence.status": "done",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c1",
    }


def test_what_was_said_is_told_only_when_asked_for() -> None:
    quiet = [value for span in spans_of(talk()) for value in _attributes(span).values()]
    assert not any("1 + 0?" in str(value) for value in quiet)
    _, begin, _, chat, tool, *_ = map(_attributes, spans_of(talk(), content=True))
    assert json.loads(begin["gen_ai.tool.definitions"]) == [{"function": {"name": "add"}}]
    assert json.loads(chat["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "1 + 0?"}]}
    ]
    assert json.loads(chat["gen_ai.output.messages"])[0]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"x": 1}}
    ]
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"x": 1}
    assert tool["gen_ai.tool.call.result"] == "1"


def test_what_failed_is_an_error_with_its_kind() -> None:
    def fail() -> None:
        raise KeyError("seat")

    with pytest.raises(EffectFailed), Run("f", [Terminal("t", {"tool/fail": fail})]) as run:
        run.scope("arm").perform("tool/fail")
    root, step = spans_of(run.trace)
    assert step.status.status_code is StatusCode.ERROR and step.status.description == "'seat'"
    assert _attributes(step)["error.type"] == "KeyError"
    assert _attributes(step)["persistence.scope"] == '["arm"]'
    assert root.status.status_code is StatusCode.ERROR


@given(messages=tidy() | untidy)
def test_every_conversation_can_be_told(messages: list[Any]) -> None:
    trace = chat_trace(messages, started=START)
    for content in (False, True):
        spans = spans_of(trace, content=content)
        assert {span.start_time for span in spans} == {START * 1000}, "nobody knows when it was"
        names = {name for span in spans for name in _attributes(span)}
        assert {name for name in names if name.startswith("gen_ai.")} <= KNOWN


def test_without_opentelemetry_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="not installed") as told:
        export_spans(chat_trace([]), None)  # type: ignore[arg-type]
    assert "persistence-substrate[otel]" in str(told.value.hint)
