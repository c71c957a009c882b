"""Pairs of runs as preference trainers read them: a prompt, the better and the worse way on.

A pair is only a pair if both runs are the same up to where they part. That is not taken from
whoever made it: what the lines share is held against both conversations when they are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import takewhile
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import attrs

from persistence.effects import Step, Trace
from persistence.errors import InputError, TraceError
from persistence.formats.calls import calls
from persistence.formats.messages import chat_messages, settings_of
from persistence.formats.plain import to_json
from persistence.values import Map


class Preference(Protocol):
    """What a pair has: the steps that both runs share, and the two runs."""

    @property
    def prefix(self) -> Iterable[Step]: ...
    @property
    def chosen(self) -> Trace: ...
    @property
    def rejected(self) -> Trace: ...


@attrs.frozen
class Pair:
    """The better and the worse of two runs, and the steps that they share."""

    prefix: tuple[Step, ...]
    chosen: Trace
    rejected: Trace

    @classmethod
    def of(cls, chosen: Trace, rejected: Trace) -> Pair:
        """The pair of two runs: they share as many steps as are equal at the beginning.

        >>> from persistence.formats import chat_trace
        >>> hello = {"role": "user", "content": "Hi"}
        >>> good, bad = (
        ...     chat_trace([hello, {"role": "assistant", "content": text}])
        ...     for text in ("Hi!", "What?")
        ... )
        >>> [str(step.op) for step in Pair.of(good, bad).prefix]
        [':chat/begin', ':user/message']
        """
        both = zip(chosen.ordered, rejected.ordered, strict=False)
        shared = takewhile(lambda steps: steps[0].id == steps[1].id, both)
        return cls(tuple(one for one, _ in shared), chosen, rejected)


def preference_line(
    pair: Preference, *, turns: int | None = None, objects: bool = False
) -> dict[str, Any]:
    """*pair* as JSON: `prompt` is what both conversations share, `chosen` and `rejected` how each
    goes on, to its end or for so many *turns* of the assistant; `tools` are those that were
    declared. With *objects* the arguments of calls are objects, as the chat templates of
    transformers want them, and not the text that the model wrote.

    >>> from persistence.formats import chat_trace
    >>> hello = {"role": "user", "content": "Hi"}
    >>> good, bad = (
    ...     chat_trace([hello, {"role": "assistant", "content": text}]) for text in ("Hi!", "What?")
    ... )
    >>> line = preference_line(Pair.of(good, bad))
    >>> line["prompt"], line["chosen"], line["rejected"], line["tools"]
    ([{'role': 'user', 'content': 'Hi'}], [{'role': 'assistant', 'content': 'Hi!'}],
     [{'role': 'assistant', 'content': 'What?'}], [])

    Raises:
        TraceError: the two do not share the prefix, or one of them does not go on after it.
    """
    prefix = [*pair.prefix]
    prompt = chat_messages(prefix)
    shown = _with_objects if objects else to_json
    made: dict[str, Any] = {"prompt": [shown(message) for message in prompt]}
    for name, trace in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        _share(prefix, trace, name)
        messages = chat_messages(trace)
        rest = messages[len(prompt) :]
        if messages[: len(prompt)] != prompt or not rest:
            raise TraceError(
                f"the {name} run does not go on after what is shared",
                hint="pair runs that part in what was said",
                run=trace.id,
            )
        made[name] = [shown(message) for message in _turns(rest, turns)]
    return made | {"tools": to_json(settings_of(prefix).get("tools", ()))}


def _share(prefix: list[Step], trace: Trace, name: str) -> None:
    there = {step.key: step for step in trace}
    for step in prefix:
        found = there.get(step.key)
        if found is None or found.id != step.id:
            raise TraceError(
                f"the {name} run does not hold step {step.n} ({step.op}) of the prefix",
                hint="a pair has a prefix that is equal in both runs",
                run=trace.id,
                step=step.n,
            )


def _with_objects(message: Map) -> Any:
    """*message* as JSON, with the arguments of its calls read, where they can be."""
    made = to_json(message)
    asked = calls(message) if made.get("role") == "assistant" else ()
    for n, call in enumerate(asked):
        if isinstance(call.read, Map):
            made["tool_calls"][n]["function"]["arguments"] = to_json(call.read)
    return made


def _turns(messages: list[Any], turns: int | None) -> list[Any]:
    """*messages* up to the assistant's message number *turns*."""
    if turns is None:
        return messages
    if turns < 1:
        raise InputError(f"{turns} turns say nothing", hint="ask for one or more")
    said = [n for n, message in enumerate(messages) if message.get("role") == "assistant"]
    return messages if len(said) < turns else messages[: said[turns - 1] + 1]


def write_preferences(
    pairs: Iterable[Preference],
    path: str | PathLike[str],
    *,
    turns: int | None = None,
    objects: bool = False,
) -> int:
    """Writes a line for each pair into the JSONL file at *path*; gives their number.

    *pairs* are those of `persistence.replay.preferences`, or `Pair.of` two runs; see
    :func:`preference_line`.

    >>> write_preferences([], "pairs.jsonl")
    0

    Raises:
        TraceError: a pair that is none; the file holds those before it.
    """
    count = 0
    with Path(path).open("w", encoding="utf-8") as file:
        for each in pairs:
            line = preference_line(each, turns=turns, objects=objects)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count
