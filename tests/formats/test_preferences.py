"""Preference pairs: what is shared is equal in both, and the file is what trainers read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import InputError, TraceError
from persistence.formats import Pair, chat_messages, chat_trace, preference_line, write_preferences
from persistence.formats.plain import to_json

from .conversations import tidy

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
ASK: list[dict[str, Any]] = [
    {"role": "system", "content": "You add."},
    {"role": "user", "content": "0?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "0"},
]
GOOD = [*ASK, {"role": "assistant", "content": "0."}, {"role": "user", "content": "Thanks"}]
BAD = [*ASK, {"role": "assistant", "content": "1."}, {"role": "user", "content": "No!"}]


def pair_of(good: list[Any], bad: list[Any]) -> Pair:
    settings = {"tools": TOOLS}
    return Pair.of(chat_trace(good, settings=settings), chat_trace(bad, settings=settings))


def _without_system(messages: list[Any]) -> list[Any]:
    return [message for message in messages if message["role"] != "system"]


rests = tidy().map(_without_system)


@given(start=tidy(), good=rests, bad=rests, turns=st.none() | st.integers(1, 3))
def test_a_line_is_both_conversations(
    start: list[Any], good: list[Any], bad: list[Any], turns: int | None
) -> None:
    sides = [chat_trace([*start, *rest]) for rest in (good, bad)]
    try:
        line = preference_line(Pair.of(*sides), turns=turns)
    except TraceError:
        shorter = min(map(chat_messages, sides), key=len)
        assert all(chat_messages(side)[: len(shorter)] == shorter for side in sides)
        return
    assert list(line) == ["prompt", "chosen", "rejected", "tools"]
    for name, side in zip(("chosen", "rejected"), sides, strict=True):
        whole = [to_json(message) for message in chat_messages(side)]
        told = line["prompt"] + line[name]
        assert told == whole[: len(told)] and line[name]
        if turns is None:
            assert told == whole
    assert line["chosen"][0] != line["rejected"][0]


def test_the_prompt_ends_where_the_two_part() -> None:
    line = preference_line(pair_of(GOOD, BAD))
    assert line == {"prompt": ASK, "chosen": GOOD[4:], "rejected": BAD[4:], "tools": TOOLS}
    one = preference_line(pair_of(GOOD, BAD), turns=1)
    assert (one["chosen"], one["rejected"]) == ([GOOD[4]], [BAD[4]])


def test_arguments_are_objects_if_the_trainer_wants_them() -> None:
    odd = {"id": "c2", "type": "function", "function": {"name": "add", "arguments": "{"}}
    said = {"role": "assistant", "content": None, "tool_calls": [CALL, odd]}
    line = preference_line(pair_of([*ASK[:2], said], BAD), objects=True)
    given = [call["function"]["arguments"] for call in line["chosen"][0]["tool_calls"]]
    assert given == [{}, "{"]
    assert line["rejected"][0]["tool_calls"][0]["function"]["arguments"] == {}


def test_two_results_of_a_tool_part_after_the_call() -> None:
    other = [*ASK[:3], {**ASK[3], "content": "7"}, GOOD[4]]
    line = preference_line(pair_of(GOOD, other))
    assert line["prompt"] == ASK[:3]
    assert line["chosen"][0]["content"] == "0" and line["rejected"][0]["content"] == "7"


def test_what_is_not_shared_is_no_pair() -> None:
    sound = pair_of(GOOD, BAD)
    for broken in (
        attrs.evolve(sound, prefix=sound.chosen.steps),
        attrs.evolve(sound, rejected=chat_trace(GOOD[:2])),
        Pair.of(sound.chosen, sound.chosen),
    ):
        with pytest.raises(TraceError):
            preference_line(broken)
    with pytest.raises(InputError, match="0 turns"):
        preference_line(sound, turns=0)


def test_the_file_has_a_line_for_each_pair(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    assert write_preferences([pair_of(GOOD, BAD), pair_of(BAD, GOOD)], file) == 2
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0]["chosen"] == lines[1]["rejected"] == GOOD[4:]
