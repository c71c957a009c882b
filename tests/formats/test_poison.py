"""Files that were made to hurt: they are refused, with line and place, in no time and no memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Substrate
from persistence.errors import MessageError, PersistenceError
from persistence.formats import (
    atif_document,
    chat_agent,
    chat_trace,
    files,
    import_atif,
    import_chats,
    read_atif,
    read_chats,
)
from persistence.formats.strict import LINE_BYTES, NESTING
from persistence.replay import replay
from persistence.values import LIMITS

from .conversations import untidy, values

HELLO = {"role": "user", "content": "Hi"}
GOOD = json.dumps({"messages": [HELLO]})
DEEP = 1_000_000
HANGS = 60  # seconds; all of it takes one or two


def line(content: str) -> str:
    return f'{{"messages": [{{"role": "user", "content": {content}}}]}}'


POISON = {
    "deep arrays": line("[" * DEEP + "]" * DEEP),
    "deep objects": line('{"a":' * DEEP + "1" + "}" * DEEP),
    "brackets that never close": "[" * DEEP,
    "brackets that were never open": "]" * DEEP,
    "one level too deep": line("[" * NESTING + "]" * NESTING),
    "a huge integer": line("9" * 5_000_000),
    "an integer past the limit": line("9" * (LIMITS.number_digits + 1)),
    "a fraction without end": line("0." + "1" * 5_000_000),
    "a number beyond all floats": line("1e999999999"),
    "not a number": line("NaN"),
    "infinite": line("-Infinity"),
    "a name twice": '{"messages": [], "messages": []}',
    "a name twice inside": line('{"a": 1, "a": 2}'),
    "half a character": line('"\\ud800"'),
    "half a character as a name": line('{"\\udfff": 1}'),
    "a string without an end": '{"messages": "' + '\\"' * 1_000_000,
    "no JSON": "messages",
    "cut off": GOOD[:-3],
    "two on a line": f"{GOOD} {GOOD}",
    "a number": "7",
    "nothing of the kind": "{}",
    "messages that are no list": '{"messages": {"role": "user"}}',
    "a message that is a text": '{"messages": ["Hi"]}',
    "a message without a role": '{"messages": [{"content": "Hi"}]}',
    "a role that is none": '{"messages": [{"role": 7}]}',
    "calls that are no list": '{"messages": [{"role": "assistant", "tool_calls": {}}]}',
    "a call that is none": '{"messages": [{"role": "assistant", "tool_calls": [7]}]}',
    "a call of nothing": '{"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}',
    "a name that is none": '{"messages": [{"role": "assistant", "tool_calls":'
    ' [{"function": {"name": 7}}]}]}',
}


@pytest.mark.parametrize("text", POISON.values(), ids=POISON)
def test_a_poisoned_line_is_refused_with_its_place_and_nothing_is_lost(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(f"{GOOD}\n\n{text}\n{GOOD}\n")
    began = perf_counter()
    with Substrate.open(":memory:") as s:
        with pytest.raises(MessageError, match=r"runs.jsonl, line 3: ") as told:
            import_chats(s, file)
        assert s.effect.runs() == [], "all or nothing"
    assert perf_counter() - began < HANGS
    assert told.value.data["line"] == 3
    assert len(told.value.message) < 300, "poison is not repeated in the words of the error"
    assert len(list(_readable(file))) == 1, "what was good before it can be read"


def _readable(file: Path) -> Any:
    try:
        yield from read_chats(file)
    except MessageError:
        pass


def test_what_is_not_closed_is_told_with_its_column(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text('{"messages": [{"role": "us')
    with pytest.raises(MessageError, match="no JSON: unterminated string starting at column 24"):
        list(read_chats(file))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_bytes(GOOD.encode() + b"\n\xff\xfe\n")
    with pytest.raises(MessageError, match="line 2: byte 1 of the line is not UTF-8"):
        list(read_chats(file))


def test_a_mark_of_byte_order_is_no_poison(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert len(list(read_chats(file))) == 1


def test_a_line_without_an_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    with file.open("wb") as out:
        out.truncate(8 * LINE_BYTES)  # a sparse file: half a gigabyte of nothing
    tracemalloc.start()
    with pytest.raises(MessageError, match=f"line 1: the line is longer than {LINE_BYTES} bytes"):
        list(read_chats(file))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * LINE_BYTES
    with pytest.raises(MessageError, match="document is longer"):
        list(read_atif(file.rename(tmp_path / "run.json")))


def test_a_file_too_large_for_memory_is_read_twice_and_still_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LINE_BYTES", 10)
    file = tmp_path / "runs.jsonl"
    file.write_text(f"{GOOD}\n{GOOD}\n")
    with Substrate.open(":memory:") as s:
        assert len(import_chats(s, file).ids) == 2
        file.write_text(f"{GOOD}\n{GOOD}\n{GOOD}\n7\n")
        with pytest.raises(MessageError):
            import_chats(s, file)
        assert len(s.effect.runs()) == 2


def test_a_number_at_the_limit_is_read(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(line("9" * LIMITS.number_digits))
    assert len(list(read_chats(file))) == 1


def test_the_deepest_message_is_stored_and_replayed(tmp_path: Path) -> None:
    deep = NESTING - 3  # the line, the list and the message are the other three
    file = tmp_path / "runs.jsonl"
    file.write_text(line("[" * deep + "]" * deep))
    with Substrate.open(":memory:") as s:
        (id,) = import_chats(s, file).ids
        assert replay(s.effect.trace(id), chat_agent).same


def test_a_message_larger_than_a_value_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text(line('"' + "x" * LIMITS.value_bytes + '"'))
    with pytest.raises(MessageError, match=r"messages\[0\]: a message has at most 16777216 bytes"):
        list(read_chats(file))
    half = json.dumps({"role": "user", "content": "x" * (LIMITS.value_bytes // 2)})
    file.write_text(f'{{"messages": [{half}, {half}]}}')
    with pytest.raises(MessageError, match="one turn has at most 16777216 bytes"):
        list(read_chats(file))


def test_many_calls_in_one_message_take_no_more_than_their_share() -> None:
    count = 20_000
    asked = [{"id": f"c{n}", "function": {"name": f"t{n}", "arguments": "{"}} for n in range(count)]
    answers = [{"role": "tool", "tool_call_id": f"c{n}", "content": ""} for n in range(count)]
    said = {"role": "assistant", "tool_calls": asked}
    began = perf_counter()
    trace = chat_trace([said, *reversed(answers)])
    assert perf_counter() - began < HANGS
    assert len(trace) == count + 4


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    for read in (read_chats, read_atif):
        with pytest.raises(MessageError, match="No such file"):
            list(read(tmp_path / "no.json"))
        with pytest.raises(MessageError):
            list(read(tmp_path))


# --------------------------------------------------------------------------- anything at all


@given(text=st.text() | st.binary() | values.map(json.dumps) | untidy.map(json.dumps))
def test_no_file_does_more_than_be_read_or_refused(
    text: str | bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / "any.jsonl"
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    file.write_bytes(data)
    for read in (read_chats, read_atif):
        try:
            traces = list(read(file))
        except MessageError as error:
            assert error.message.startswith("any.jsonl, line ")
        else:
            assert all(replay(trace, chat_agent).same for trace in traces)


@st.composite
def bent(draw: st.DrawFn, document: Any) -> Any:
    """*document* with something else at one place in it."""
    if not isinstance(document, dict | list) or not document or draw(st.integers(0, 4)) == 0:
        return draw(values)
    keys = list(document) if isinstance(document, dict) else range(len(document))
    key = draw(st.sampled_from(keys))
    made = dict(document) if isinstance(document, dict) else list(document)
    made[key] = draw(bent(document[key]))
    return made


@given(data=st.data(), messages=untidy)
def test_a_bent_file_is_read_or_refused(
    data: st.DataObject, messages: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("bent") / "bent.json"
    document = json.loads(json.dumps(atif_document(chat_trace(messages))))
    for form, importing in ((document, import_atif), ({"traj": messages}, import_chats)):
        file.write_text(json.dumps(data.draw(bent(form))))
        with Substrate.open(":memory:") as s:
            try:
                done = importing(s, file)
            except PersistenceError as error:
                assert isinstance(error, MessageError) and s.effect.runs() == []
            else:
                assert all(replay(s.effect.trace(id), chat_agent).same for id in done.ids)
