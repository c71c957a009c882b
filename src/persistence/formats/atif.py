"""Trajectories in the Agent Trajectory Interchange Format, ATIF 1.8, as traces, and back.

An agent's step of ATIF is the model's answer together with what its tools gave, so it becomes one
`:model/chat` and a `:tool/…` for each call. What a chat message has no field for (metrics,
timestamps, sub-agents) rides along in it under "atif", and comes out where it was. What ATIF has
no field for rides in its `extra`. So both ways nothing is lost.

Source: https://github.com/harbor-framework/harbor/blob/main/rfcs/0001-trajectory-format.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final

from persistence.effects import Step, Trace
from persistence.errors import InputError, MessageError
from persistence.formats.atif_steps import (
    dispatched,
    foreign_messages_of,
    messages_of,
    step_of,
    told,
)
from persistence.formats.chat import BEGIN, CHAT, HEAR
from persistence.formats.files import Imported, Store, import_traces
from persistence.formats.messages import chat_messages, chat_trace, placed, settings_of
from persistence.formats.plain import to_json
from persistence.formats.strict import at, document, frozen, lines, refused
from persistence.values import Keyword, Map, Value, read, write

VERSION: Final = "ATIF-v1.8"
DOCUMENT: Final = Keyword("atif/document")  # all of a foreign trajectory but its steps

_OURS: Final = "persistence"
_LOOP: Final = (BEGIN, HEAR, CHAT)
_UNKNOWN: Final = "unknown"


def read_atif(
    path: str | PathLike[str], *, name: str | None = None, started: int = 0
) -> Iterator[Trace]:
    """The trajectories of the file at *path*: one document, or, in a .jsonl file, one a line.

    A trace is named *name*, or as its agent is. The package `atif` is not needed.

    >>> hello = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}]
    >>> write_atif(chat_trace(hello), "run.json")
    >>> [trace] = read_atif("run.json")
    >>> trace == chat_trace(hello)
    True

    Raises:
        MessageError: it is no such file; names file, line and the place in it.
    """
    place = Path(path)
    whole = place.suffix not in (".jsonl", ".ndjson")
    for number, found in [(1, document(place))] if whole else lines(place):
        try:
            yield atif_trace(found, name=name, started=started)
        except MessageError as error:
            raise at(place, number, error.message, hint=error.hint) from error


def atif_trace(found: Any, *, name: str | None = None, started: int = 0) -> Trace:
    """The trace of a trajectory *found* as JSON.

    Raises:
        MessageError: it is none; names the place.
    """
    agent, steps = _checked(found)
    ours = _ours(found)
    named = bool(ours.get("named"))
    groups = [
        messages_of(step, f"steps[{n}]", named=named)
        if ours
        else foreign_messages_of(step, f"steps[{n}]", n + 1)
        for n, step in enumerate(steps)
    ]
    times = [one for step, group in zip(steps, groups, strict=True) for one in told(step, group)]
    settings = {"tools": agent.get("tool_definitions"), "model": agent.get("model_name")}
    settings = {key: value for key, value in settings.items() if value is not None}
    frozen(settings, "agent")
    return chat_trace(
        [message for group in groups for message in group],
        name=name or agent["name"],
        settings=settings,
        meta=_meta(found, ours),
        told=times,
        started=started,
        path="messages",
    )


def _checked(found: Any) -> tuple[dict[str, Any], list[Any]]:
    if not isinstance(found, dict):
        raise refused("the document", "a trajectory is an object")
    version, agent, steps = found.get("schema_version"), found.get("agent"), found.get("steps")
    if not isinstance(version, str) or not version.startswith("ATIF-v1."):
        raise refused(
            "schema_version", f"this version reads ATIF-v1, as in {VERSION}", hint="convert it"
        )
    if not isinstance(agent, dict) or not isinstance(agent.get("name"), str):
        raise refused("agent.name", "an agent has a name")
    if not isinstance(steps, list):
        raise refused("steps", "a list of steps is expected here")
    return agent, steps


def _ours(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `atif_document` has put into the extra of a trajectory."""
    extra = found.get("extra")
    ours = extra.get(_OURS) if isinstance(extra, Mapping) else None
    return ours if isinstance(ours, Mapping) else {}


def _meta(found: Mapping[str, Any], ours: Mapping[str, Any]) -> Mapping[Keyword, Value]:
    if not ours:
        about = {key: value for key, value in found.items() if key != "steps"}
        return {DOCUMENT: frozen(about, "the document")}
    try:
        return dict(read(ours.get("meta", "{}")))
    except (InputError, TypeError, ValueError) as error:
        raise refused(f"extra.{_OURS}.meta", "this is no EDN map") from error


# --------------------------------------------------------------------------- writing


def write_atif(trace: Trace, path: str | PathLike[str]) -> None:
    """Writes *trace* as a trajectory into the file at *path*: one document."""
    text = json.dumps(atif_document(trace), ensure_ascii=False, indent=1)
    Path(path).write_text(text + "\n", encoding="utf-8")


def atif_document(trace: Trace) -> dict[str, Any]:
    """*trace* as a trajectory, as JSON has it.

    Steps beside the conversation, such as transactions, are steps of the agent that called no
    model (`llm_call_count` 0).

    >>> found = atif_document(chat_trace([{"role": "user", "content": "Hi"}]))
    >>> found["schema_version"], found["steps"]
    ('ATIF-v1.8', [{'step_id': 1, 'source': 'user', 'message': 'Hi'}])
    """
    settings, kept = settings_of(trace), trace.meta.get(DOCUMENT)
    groups = [*_groups(trace)]
    named = _named(groups)
    steps: list[dict[str, Any]] = []
    for group in groups:
        (effect, head), *rest = group
        if head is None:
            made = dispatched(effect)
        else:
            answers = [to_json(message) for _, message in rest]
            made = step_of(to_json(head), answers, named, effect=effect, timed=kept is None)
        steps.append({"step_id": len(steps) + 1, **made})
    if kept is not None:
        return {**to_json(kept), "steps": steps}
    return {**_head(trace, settings, named), "steps": steps}


def _head(trace: Trace, settings: Map, named: bool) -> dict[str, Any]:
    agent: dict[str, Any] = {"name": trace.name, "version": trace.code or _UNKNOWN}
    if "model" in settings:
        agent["model_name"] = settings["model"]
    if "tools" in settings:
        agent["tool_definitions"] = to_json(settings["tools"])
    ours: dict[str, Any] = {"meta": write(Map(trace.meta)), "status": trace.status.name}
    if named:
        ours["named"] = True
    return {
        "schema_version": VERSION,
        "trajectory_id": str(trace.id),
        "agent": agent,
        "extra": {_OURS: ours},
    }


Group = Sequence[tuple[Step, Map | None]]


def _groups(trace: Trace) -> Iterator[Group]:
    """The messages of *trace* as steps have them: an answer of the model with those of its tools.

    A step that is no part of the conversation is a group without a message.
    """
    said = _said(trace.ordered)
    ours = any(step.op is BEGIN for step in trace)
    there = {step.n for step, _ in said}
    beside = [
        step
        for step in trace.ordered
        if step.n not in there
        and step.op not in _LOOP
        and step.status.name != "aborted"
        and (ours or step.op.namespace != "tool")
    ]
    waiting: list[tuple[Step, Map | None]] = []
    for step, message in said:
        if waiting and message["role"] == "tool" and step.op is not HEAR:
            waiting.append((step, message))
            continue
        if waiting:
            yield waiting
        while beside and beside[0].n < step.n:
            yield [(beside.pop(0), None)]
        waiting = [(step, message)]
    if waiting:
        yield waiting
    yield from ([(step, None)] for step in beside)


def _named(groups: Iterable[Group]) -> bool:
    """Whether the first result of a tool tells the name of the tool."""
    answers = (message for group in groups for _, message in group[1:])
    return "name" in (next(answers, None) or ())


def _said(steps: Iterable[Step]) -> list[tuple[Step, Map]]:
    ordered = [step for step in steps if not step.scope]
    if any(step.op is BEGIN for step in ordered):
        return placed(ordered)
    chats = [step for step in ordered if step.op is CHAT]
    return [(chats[-1], message) for message in chat_messages(ordered)] if chats else []


def import_atif(
    s: Store, path: str | PathLike[str], *, name: str | None = None, author: str | None = None
) -> Imported:
    """Imports the trajectories of the file at *path* as runs of *s*, a store or a branch.

    All of them or none, and nothing twice, as with :func:`import_chats`.

    >>> write_atif(chat_trace([{"role": "user", "content": "Hi"}]), "run.json")
    >>> import_atif(s, "run.json").steps
    2

    Raises:
        MessageError: it is no such file; nothing was written.
    """
    read_all = partial(read_atif, path, name=name, started=s.fact.db().instant)
    return import_traces(s, read_all, Path(path), author=author)
