"""Files of conversations, one on each line, as traces and as runs of a store.

A line is an object with ``messages``, as trainers and chat APIs have it, or with ``traj``, as
τ-bench has it; or the list of the messages alone. What else the object holds is kept with the
run, and written again.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol
from uuid import UUID

import attrs

from persistence.effects import Trace, bulk
from persistence.errors import MessageError
from persistence.formats.messages import chat_messages, chat_trace, settings_of
from persistence.formats.plain import to_json
from persistence.formats.strict import LINE_BYTES, at, frozen, lines
from persistence.values import Keyword, Map

FIELDS: Final = Keyword("chat/fields")  # what the line holds beside the conversation
KEY: Final = Keyword("chat/key")  # the name of the messages in it; "" if it is a list

_KEYS: Final = ("messages", "traj")
_SETTINGS: Final = ("tools", "model")


class Store(Protocol):
    """A store, or a branch of one."""

    fact: Any


@attrs.frozen
class Imported:
    """What an import brought; `known` are runs that were in the store, `seconds` is wall time."""

    ids: tuple[UUID, ...]
    steps: int
    known: int
    seconds: float


def read_chats(
    path: str | PathLike[str], *, name: str = "chat", started: int = 0
) -> Iterator[Trace]:
    """The conversations of the JSONL file at *path*, as traces named *name*, one after the other.

    >>> from pathlib import Path
    >>> _ = Path("runs.jsonl").write_text('{"messages": [{"role": "user", "content": "Hi"}]}')
    >>> [len(trace) for trace in read_chats("runs.jsonl")]
    [2]

    Raises:
        MessageError: a line is no conversation; names file, line and the place in it. The traces
            before it were given.
    """
    place = Path(path)
    copies: Counter[UUID] = Counter()
    for number, line in lines(place):
        try:
            trace = _trace(line, name, started, 0)
            copies[trace.id] += 1
            if copies[trace.id] > 1:  # the same words again are another run
                trace = _trace(line, name, started, copies[trace.id] - 1)
        except MessageError as error:
            raise at(place, number, error.message, hint=error.hint) from error
        yield trace


def _trace(line: Any, name: str, started: int, copy: int) -> Trace:
    key, messages, rest = _parts(line)
    settings = {each: rest.pop(each) for each in _SETTINGS if _is_setting(each, rest.get(each))}
    meta = {KEY: key, FIELDS: frozen(rest, "the line")}
    frozen(settings, "tools")
    return chat_trace(
        messages, name=name, settings=settings, meta=meta, started=started, path=key or "messages",
        copy=copy,
    )  # fmt: skip


def _parts(line: Any) -> tuple[str, list[Any], dict[str, Any]]:
    if isinstance(line, list):
        return "", line, {}
    if isinstance(line, dict):
        for key in _KEYS:
            if isinstance(line.get(key), list):
                rest = dict(line)
                return key, rest.pop(key), rest
    raise MessageError(
        "no list of messages is in it",
        hint="a line is an object with a list `messages` or `traj`, or that list",
        place="",
    )


def _is_setting(name: str, value: Any) -> bool:
    return isinstance(value, list if name == "tools" else str)


def write_chats(traces: Iterable[Trace], path: str | PathLike[str]) -> int:
    """Writes the conversation of each trace as a line of the file at *path*; gives their number.

    What was read from such a file comes out the same: read again, it is the same JSON.

    >>> hello = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}]
    >>> write_chats([chat_trace(hello)], "runs.jsonl"), len([*read_chats("runs.jsonl")])
    (1, 1)
    """
    count = 0
    with Path(path).open("w", encoding="utf-8") as file:
        for trace in traces:
            file.write(json.dumps(chat_line(trace), ensure_ascii=False) + "\n")
            count += 1
    return count


def chat_line(trace: Trace) -> Any:
    """The conversation of *trace* as JSON has it: what a line of a file holds."""
    messages = [to_json(message) for message in chat_messages(trace)]
    key = trace.meta.get(KEY, _KEYS[0])
    if not key:
        return messages
    settings = settings_of(trace)
    about = {name: to_json(settings[name]) for name in _SETTINGS if name in settings}
    fields = trace.meta.get(FIELDS, Map())
    return {**to_json(fields), **about, key: messages}


def import_chats(
    s: Store, path: str | PathLike[str], *, name: str = "chat", author: str | None = None
) -> Imported:
    """Imports the conversations of the JSONL file at *path* as runs of *s*, a store or a branch.

    All of them or none: the file is read to its end before anything is written. A run is known by
    what it says, so the same file brings nothing twice, and one that has grown what is new.

    >>> _ = write_chats([chat_trace([{"role": "user", "content": "Hi"}])], "runs.jsonl")
    >>> import_chats(s, "runs.jsonl").steps, import_chats(s, "runs.jsonl").known
    (2, 1)

    Raises:
        MessageError: a line is no conversation; nothing was written.
    """
    started = s.fact.db().instant
    read = partial(read_chats, path, name=name, started=started)
    return import_traces(s, read, Path(path), author=author)


def import_traces(
    s: Store, read: Callable[[], Iterable[Trace]], path: Path, *, author: str | None = None
) -> Imported:
    """Writes the traces that *read* gives of the file at *path* as runs of *s*, once all of them
    could be read. A large file is read twice, so that it need not be in memory."""
    began = perf_counter()
    small = path.is_file() and path.stat().st_size <= LINE_BYTES
    traces = read()
    if small:
        traces = [*traces]
    else:
        deque(traces, maxlen=0)
        traces = read()
    meta: Mapping[Keyword, Any] = {Keyword("import/file"): path.name}
    done = bulk.write(s.fact, traces, meta=meta, author=author)
    return Imported(done.ids, done.steps, done.known, perf_counter() - began)
