"""One step of an ATIF trajectory as chat messages, and back.

Each way the other one is tried too: what would not come out as it went in is kept, messages in the
`extra` of the step, fields of a step under "atif" in the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from persistence.effects import Step
from persistence.formats.calls import calls
from persistence.formats.plain import dumps, to_json
from persistence.formats.script import Told
from persistence.formats.strict import Unreadable, loads, refused
from persistence.values import Keyword, Map, from_micros, micros

RIDES: Final = "atif"  # in a message: the fields of its step that no message has
VERBATIM: Final = "chat_messages"  # in the extra of a step: messages it could not hold otherwise
_RAW: Final = "chat_arguments"  # in the extra of a call: its arguments as they were written

_SOURCES: Final = {"system": "system", "user": "user", "developer": "system", "tool": "system"}
_COUNTED: Final = ("prompt_tokens", "completion_tokens")
_TOKENS: Final = Keyword("tokens")
_MONEY: Final = Keyword("money")

Json = dict[str, Any]


def step_of(
    head: Json,
    answers: Sequence[Json],
    named: bool = False,
    *,
    effect: Step | None = None,
    timed: bool = True,
) -> Json:
    """The step that *head*, a message, and the *answers* of the tools that it called make.

    *effect* is the step of a trace that *head* came with: its cost stands in the metrics, and,
    with *timed*, the time.
    """
    if RIDES in head:
        plain = {key: value for key, value in head.items() if key != RIDES}
        return {**_step(plain, answers), **head[RIDES]}
    made = _step(head, answers)
    if _messages(made, named) != [head, *answers]:
        made["extra"] = {VERBATIM: [head, *answers]}
    if effect is not None and effect.at and timed:
        made["timestamp"] = from_micros(effect.at + effect.took).isoformat()
    if effect is not None and effect.cost and made["source"] == "agent":
        made["metrics"] = _metrics(effect.cost)
    return made


def _metrics(cost: Map) -> Json:
    made: Json = {}
    if _MONEY in cost:
        made["cost_usd"] = float(cost[_MONEY])
    if _TOKENS in cost:
        made["extra"] = {"total_tokens": cost[_TOKENS]}
    return made


def _cost(metrics: Json) -> Map | None:
    """What *metrics* say, as the cost of an effect."""
    counts = [metrics[name] for name in _COUNTED if type(metrics.get(name)) is int]
    extra = metrics.get("extra")
    if not counts and isinstance(extra, dict) and type(extra.get("total_tokens")) is int:
        counts = [extra["total_tokens"]]
    made: dict[Keyword, Any] = {_TOKENS: sum(counts)} if sum(counts) > 0 else {}
    money = metrics.get("cost_usd", 0)
    if isinstance(money, int | float) and money > 0:
        made[_MONEY] = Decimal(str(money))
    return Map(made) if made else None


def _step(head: Json, answers: Sequence[Json]) -> Json:
    return _agent(head, answers) if head.get("role") == "assistant" else _other(head)


def _other(message: Json) -> Json:
    source = _SOURCES.get(message["role"], "user")
    return {"source": source, "message": _content(message.get("content"))}


def _agent(message: Json, answers: Sequence[Json]) -> Json:
    made: Json = {"source": "agent", "message": _content(message.get("content"))}
    if isinstance(message.get("reasoning_content"), str):
        made["reasoning_content"] = message["reasoning_content"]
    asked = calls(message)
    if asked:
        made["tool_calls"] = [
            _call(place, given) for place, given in enumerate(message["tool_calls"])
        ]
    known = {call["tool_call_id"] for call in made.get("tool_calls", ())}
    results: list[Json] = []
    for answer in answers:
        id = answer.get("tool_call_id")
        about = {"source_call_id": id} if isinstance(id, str) and id in known else {}
        results.append({**about, "content": _content(answer.get("content"))})
    if results:
        made["observation"] = {"results": results}
    return made


def _call(place: int, given: Json) -> Json:
    function = given["function"]
    id, raw = given.get("id"), function.get("arguments")
    arguments = raw
    if isinstance(raw, str):
        try:
            arguments = loads(raw)
        except Unreadable:
            arguments = None
    made: Json = {
        "tool_call_id": id if isinstance(id, str) else f"call-{place}",
        "function_name": function["name"],
        "arguments": arguments if isinstance(arguments, dict) else {},
    }
    if raw != _compact(made["arguments"]):
        made["extra"] = {_RAW: raw}
    return made


def _compact(arguments: Json) -> str:
    """One text for equal arguments, since no order of the names is kept."""
    return json.dumps(arguments, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _content(content: Any) -> Any:
    """What ATIF can hold of *content*: a text, or a list of parts that are texts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and _is_text(part)]
        return [{"type": "text", "text": part["text"]} for part in parts]
    return "" if content is None else dumps(content)


def _is_text(part: Json) -> bool:
    return part.get("type") == "text" and isinstance(part.get("text"), str)


def dispatched(step: Step) -> Json:
    """An effect that is no part of the conversation, as a step that called no model."""
    id = f"step-{step.n}"
    told = {"error": to_json(step.error)} if step.error is not None else to_json(step.result)
    made: Json = {
        "source": "agent",
        "message": "",
        "llm_call_count": 0,
        "tool_calls": [
            {
                "tool_call_id": id,
                "function_name": step.op.name,
                "arguments": {key.name: to_json(value) for key, value in step.args.items()},
            }
        ],
        "observation": {"results": [{"source_call_id": id, "content": _content_of(told)}]},
    }
    if step.at:
        made["timestamp"] = from_micros(step.at + step.took).isoformat()
    return made


def _content_of(told: Any) -> str:
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)


# ------------------------------------------------------------------------ reading


def messages_of(step: Any, path: str, *, named: bool) -> list[Json]:
    """The messages of *step*, which stands at *path* in a trajectory that was written here.

    Raises:
        MessageError: it is no step.
    """
    _check(step, path)
    return _verbatim(step) or _messages(step, named)


def foreign_messages_of(step: Any, path: str, number: int) -> list[Json]:
    """As `messages_of`, for a step of any origin, with the *number* in its trajectory.

    Raises:
        MessageError: it is no step.
    """
    _check(step, path)
    found = _messages(step, named=False)
    made = {"step_id": number, **_step(found[0], found[1:])}
    rides = {key: value for key, value in step.items() if not _alike(made, key, value)}
    return [{**found[0], RIDES: rides}, *found[1:]] if rides else found


def _alike(made: Json, key: str, value: Any) -> bool:
    """Whether *made* holds this very value: Python finds 1, 1.0 and true equal."""
    return key in made and type(made[key]) is type(value) and bool(made[key] == value)


def _verbatim(step: Json) -> list[Json] | None:
    """The messages that `step_of` kept whole, if they are still what they were."""
    extra = step.get("extra")
    kept = extra.get(VERBATIM) if isinstance(extra, dict) else None
    if not isinstance(kept, list) or not kept:
        return None
    if not all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in kept):
        return None
    made = _step(kept[0], kept[1:])
    return kept if all(step.get(name) == value for name, value in made.items()) else None


def _messages(step: Json, named: bool) -> list[Json]:
    if step["source"] != "agent":
        return [{"role": step["source"], "content": step["message"]}]
    asked = step.get("tool_calls") or ()
    said = step["message"]
    head: Json = {"role": "assistant", "content": None if asked and said == "" else said}
    if step.get("reasoning_content") is not None:
        head["reasoning_content"] = step["reasoning_content"]
    if asked:
        head["tool_calls"] = [_asked(call) for call in asked]
    return [head, *_answers(step, asked, named)]


def _asked(call: Json) -> Json:
    extra = call.get("extra")
    raw = _compact(call["arguments"])
    if isinstance(extra, dict) and _RAW in extra:
        raw = extra[_RAW]
    function = {"name": call["function_name"], "arguments": raw}
    return {"id": call["tool_call_id"], "type": "function", "function": function}


def _answers(step: Json, asked: Sequence[Json], named: bool) -> list[Json]:
    """The results that answer a call, each the first one to do so."""
    names = {call["tool_call_id"]: call["function_name"] for call in asked}
    found = []
    for result in (step.get("observation") or {}).get("results", ()):
        id = result.get("source_call_id")
        if isinstance(id, str) and id in names:
            name = names.pop(id)
            made = {"role": "tool", "tool_call_id": id, **({"name": name} if named else {})}
            found.append({**made, "content": result.get("content")})
    return found


def told(step: Json, group: Sequence[Json]) -> list[Told]:
    """When the messages of *step* were there, and what the first one cost."""
    at = None
    if isinstance(step.get("timestamp"), str):
        try:
            moment = datetime.fromisoformat(step["timestamp"].replace("Z", "+00:00"))
            at = micros(moment) if moment.tzinfo is not None else None
        except (ValueError, OverflowError):
            at = None
    return [Told(at, _cost(step.get("metrics") or {})), *[Told(at)] * (len(group) - 1)]


def _check(step: Any, path: str) -> None:
    if not isinstance(step, Mapping):
        raise refused(path, "a step is an object")
    if step.get("source") not in ("system", "user", "agent"):
        raise refused(f"{path}.source", "a step comes from the system, the user or the agent")
    if not isinstance(step.get("message"), str | list):
        raise refused(f"{path}.message", "a message is a text or a list of parts")
    asked = step.get("tool_calls")
    if asked is not None and not isinstance(asked, list):
        raise refused(f"{path}.tool_calls", "a list of calls is expected here")
    for n, call in enumerate(asked or ()):
        _check_call(call, f"{path}.tool_calls[{n}]")
    if not isinstance(step.get("metrics") or {}, dict):
        raise refused(f"{path}.metrics", "an object is expected here")
    seen = step.get("observation") or {}
    results = seen.get("results", []) if isinstance(seen, dict) else None
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise refused(f"{path}.observation", "an observation is an object with a list of results")


def _check_call(call: Any, path: str) -> None:
    if not isinstance(call, dict) or not isinstance(call.get("tool_call_id"), str):
        raise refused(path, "a call is an object with a tool_call_id")
    if not isinstance(call.get("function_name"), str) or not call["function_name"]:
        raise refused(f"{path}.function_name", "the name of a function is a text that is not empty")
    if not isinstance(call.get("arguments"), dict):
        raise refused(f"{path}.arguments", "arguments are an object")
