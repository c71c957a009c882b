"""Traces as OpenTelemetry spans, by the semantic conventions for generative AI.

A run is one `invoke_agent` span; its steps are its children: `chat` for what a model was asked,
`execute_tool` for tools, and a span named by its operation for everything else. Times are those on
record. The package opentelemetry-api is enough: who exports the spans is the caller's affair.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from persistence.effects import Step, Trace
from persistence.errors import InputError
from persistence.formats.atif_steps import RIDES
from persistence.formats.calls import ToolCall, calls, tool_name
from persistence.formats.chat import BEGIN, CHAT, spoken
from persistence.formats.messages import settings_of
from persistence.formats.plain import to_json
from persistence.values import Keyword, Map, Value, write

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_NS: Final = 1_000  # nanoseconds in a microsecond
_KIND: Final = Keyword("kind")
_MESSAGE: Final = Keyword("message")
_MODEL: Final = "model"  # the namespace of operations that ask a model
_TOKENS: Final = Keyword("tokens")
_USAGE: Final = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "input_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
}

Attributes = dict[str, Any]


def export_spans(
    trace: Trace,
    tracer: Tracer,
    *,
    provider: str | None = None,
    content: bool = False,
) -> int:
    """Tells *trace* to *tracer* as spans, and gives their number.

    *provider* is who serves the model ("openai", "anthropic"). Messages, arguments and results
    may hold what nobody else shall read: they are told with *content* only.

    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from persistence.effects import Run, Terminal
    >>> with Run("shop", [Terminal("t", {"tool/find": lambda q: [q]})]) as run:
    ...     _ = run.perform("tool/find", q="tea")
    >>> export_spans(run.trace, TracerProvider().get_tracer("shop"))
    2

    Raises:
        InputError: opentelemetry-api is not installed.
    """
    api = _api()
    steps = sorted(trace.steps, key=lambda step: step.n)
    begun = min((step.at for step in steps if step.at), default=trace.started) or trace.started
    model = settings_of(steps).get("model")
    about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": trace.name}
    root = tracer.start_span(
        f"invoke_agent {trace.name}",
        kind=api.SpanKind.INTERNAL,
        attributes=about | _known(provider, model) | {"gen_ai.conversation.id": str(trace.id)},
        start_time=begun * _NS,
    )
    within = api.set_span_in_context(root)
    ids = _call_ids(steps)
    end = begun
    for step in steps:
        start = step.at or begun
        end = max(end, start + step.took)
        name, kind, attributes = _told(step, model, provider, ids.get(step.n))
        span = tracer.start_span(
            name,
            context=within,
            kind=getattr(api.SpanKind, kind),
            attributes=attributes | (_content(step) if content else {}),
            start_time=start * _NS,
        )
        _fail(api, span, step.error)
        span.end((start + step.took) * _NS)
    _fail(api, root, trace.error)
    root.end(end * _NS)
    return len(steps) + 1


def _api() -> Any:
    try:
        from opentelemetry import trace  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise InputError(
            "spans need OpenTelemetry, which is not installed",
            hint="pip install 'persistence-substrate[otel]'",
        ) from error
    return trace


def _known(provider: str | None, model: Value) -> Attributes:
    found = {"gen_ai.provider.name": provider, "gen_ai.request.model": model}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _told(
    step: Step, model: Value, provider: str | None, call: ToolCall | None
) -> tuple[str, str, Attributes]:
    """The name, the kind and the attributes of the span of *step*."""
    common: Attributes = {"persistence.step": step.n, "persistence.status": step.status.name}
    if step.scope:
        common["persistence.scope"] = write(step.scope)
    tool = tool_name(step.op)
    if tool is not None:
        common |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        common["gen_ai.tool.type"] = "function"
        if call is not None and isinstance(call.id, str):
            common["gen_ai.tool.call.id"] = call.id
        return f"execute_tool {tool}", "INTERNAL", common
    if step.op.namespace == _MODEL:
        asked = step.args.get(Keyword("model"), model)
        common |= {"gen_ai.operation.name": step.op.local} | _known(provider, asked) | _usage(step)
        if step.op is CHAT and step.error is None:
            wants = "tool_calls" if calls(spoken(step.result)) else "stop"
            common["gen_ai.response.finish_reasons"] = [wants]
        name = f"{step.op.local} {asked}" if isinstance(asked, str) else step.op.local
        return name, "CLIENT", common
    return step.op.name, "INTERNAL", common


def _usage(step: Step) -> Attributes:
    """The tokens that the model's answer tells under "usage", or, from ATIF, in its metrics."""
    reply = step.result if isinstance(step.result, Map) else Map()
    rides = reply.get(RIDES)
    told = reply.get("usage") or (rides.get("metrics") if isinstance(rides, Map) else None)
    told = told if isinstance(told, Map) else Map()
    found: Attributes = {
        name: told[key] for key, name in _USAGE.items() if type(told.get(key)) is int
    }
    if step.cost and _TOKENS in step.cost:
        found["persistence.cost.tokens"] = step.cost[_TOKENS]
    return found


def _call_ids(steps: Sequence[Step]) -> dict[int, ToolCall]:
    """The call of the model's that each step of a tool performs, by the number of the step."""
    found: dict[int, ToolCall] = {}
    asked: deque[ToolCall] = deque()
    for step in steps:
        if step.op is CHAT:
            asked = deque(calls(spoken(step.result))) if step.error is None else deque()
        elif asked and step.op is asked[0].op:
            found[step.n] = asked.popleft()
    return found


def _fail(api: Any, span: Any, error: Map | None) -> None:
    if error is None:
        return
    span.set_attribute("error.type", str(error.get(_KIND, "error")))
    span.set_status(api.Status(api.StatusCode.ERROR, str(error.get(_MESSAGE, ""))))


# ------------------------------------------------------------------------- content


def _content(step: Step) -> Attributes:
    if tool_name(step.op) is not None:
        arguments = {key.name: to_json(value) for key, value in step.args.items()}
        told: Attributes = {"gen_ai.tool.call.arguments": _dumped(arguments)}
        if step.error is None:
            told["gen_ai.tool.call.result"] = _dumped(to_json(step.result))
        return told
    if step.op is CHAT:
        given = step.args.get(Keyword("messages"), ())
        told = {"gen_ai.input.messages": _dumped([_message(to_json(one)) for one in given])}
        if step.error is None:
            told["gen_ai.output.messages"] = _dumped([_message(to_json(spoken(step.result)))])
        return told
    if step.op is BEGIN and step.error is None and step.result.get("tools"):
        return {"gen_ai.tool.definitions": _dumped(to_json(step.result["tools"]))}
    return {}


def _dumped(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _message(message: Any) -> Any:
    """A chat message in parts, as the conventions have it."""
    if not isinstance(message, dict):
        return message
    parts: list[Any] = []
    content, role = message.get("content"), message.get("role")
    if role == "tool":
        id = message.get("tool_call_id")
        parts.append({"type": "tool_call_response", "id": id, "response": content})
    elif isinstance(content, str):
        parts.append({"type": "text", "content": content})
    elif isinstance(content, list):
        parts += content
    for call in calls(message) if role == "assistant" else ():
        arguments = to_json(Map(call.args))
        parts.append(
            {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}
        )
    return {"role": role, "parts": parts}
