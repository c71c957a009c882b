"""Conversations as Hypothesis makes them: tidy ones, and all that files hold in fact."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NAMES = ("search", "book", "files/read", "3d", "think")
IDS = ("c1", "c2", "c3")

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, values, max_size=3)
parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, words), max_size=2)
contents = words | st.none() | parts
odd_contents = contents | values


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    given = draw(objects)
    text = draw(st.sampled_from([json.dumps(given), json.dumps(given, separators=(",", ":"))]))
    arguments = draw(st.sampled_from([text, text, given, "{", "", "[1]"]))
    made: dict[str, Any] = {
        "function": {"name": draw(st.sampled_from(NAMES)), "arguments": arguments}
    }
    if draw(st.booleans()):
        made |= {"id": draw(st.sampled_from(IDS)), "type": "function"}
    return made


def _extras(message: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fixed = ("role", "tool_calls", "atif")
    more = st.dictionaries(words.filter(lambda name: name not in fixed), values, max_size=1)
    return more.map(lambda extra: {**extra, **message})


assistants = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": odd_contents},
    optional={"tool_calls": st.lists(calls(), max_size=3) | st.none()},
).flatmap(_extras)
others = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "function"])},
    optional={"content": odd_contents, "tool_calls": values},
).flatmap(_extras)
answers = st.fixed_dictionaries(
    {"role": st.just("tool")},
    optional={
        "content": odd_contents,
        "tool_call_id": st.sampled_from(IDS),
        "name": st.sampled_from(NAMES),
    },
).flatmap(_extras)

untidy = st.lists(assistants | others | answers, max_size=8)


@st.composite
def tidy(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A conversation as it should be: every call is answered, in order, with its name."""
    made: list[dict[str, Any]] = []
    if draw(st.booleans()):
        made.append({"role": "system", "content": draw(words)})
    for turn in range(draw(st.integers(0, 4))):
        made.append({"role": "user", "content": draw(words)})
        for number in range(draw(st.integers(0, 2))):
            asked = [
                {
                    "id": f"call-{turn}-{number}-{n}",
                    "type": "function",
                    "function": {"name": draw(st.sampled_from(NAMES)), "arguments": text},
                }
                for n, text in enumerate(
                    draw(st.lists(objects.map(json.dumps), max_size=3, min_size=1))
                )
            ]
            made.append({"role": "assistant", "content": None, "tool_calls": asked})
            made += [
                {
                    "role": "tool",
                    "tool_call_id": call["id"],
                    "name": call["function"]["name"],
                    "content": draw(words),
                }
                for call in asked
            ]
        made.append({"role": "assistant", "content": draw(words)})
    return made
