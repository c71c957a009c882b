"""JSON that says one thing only, read within limits.

A file of messages comes from elsewhere. What two readers could take for two things is refused: a
name that comes twice, NaN, a number that becomes infinite. What would cost more than it says is
refused before it is read: a line without an end, brackets without an end, a number of a million
digits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from persistence.errors import InputError, MessageError
from persistence.values import LIMITS, Value, encode, freeze

LINE_BYTES: Final = 4 * LIMITS.value_bytes  # several large values in one run
NESTING: Final = LIMITS.nesting - 16  # what a message is put into takes the rest

_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKET: Final = re.compile(r"[^][{}]++")
_TELL: Final = "each line is one JSON value that all readers read alike; mend it, or drop the line"


class Unreadable(ValueError):
    """JSON by its shape that says nothing certain, or too much."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unreadable(f"the name {short(twice)} comes twice in one object")
    return made


def _whole(digits: str) -> int:
    if len(digits) > LIMITS.number_digits:
        raise Unreadable(f"a number in it has more than {LIMITS.number_digits} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > LIMITS.number_digits:
        raise Unreadable(f"a number in it has more than {LIMITS.number_digits} digits")
    made = float(digits)
    if math.isinf(made):
        raise Unreadable(f"the number {short(digits)} is too large")
    return made


def _constant(text: str) -> NoReturn:
    raise Unreadable(f"{text} is no JSON number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_whole,
    parse_float=_fraction,
    parse_constant=_constant,
)


def loads(text: str) -> Any:
    """The Python value of the JSON *text*.

    >>> loads('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}

    Raises:
        Unreadable: it is no JSON, nests too deeply, or holds a number or a name as above.
    """
    if _deep(text):
        raise Unreadable(f"it nests more than {NESTING} deep")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        raise Unreadable(f"this is no JSON: {what} at column {error.pos + 1}") from error


def _deep(text: str) -> bool:
    """Whether brackets nest too deeply; told without reading any value."""
    if text.count("[") + text.count("{") <= NESTING:
        return False
    depth = 0
    for bracket in _NO_BRACKET.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > NESTING:
            return True
    return False


def lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The JSON value of each line of the file at *path* that is not blank, with its number.

    Raises:
        MessageError: a line cannot be read; says which, and why.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                if len(line) > LINE_BYTES:
                    raise at(path, number, f"the line is longer than {LINE_BYTES} bytes")
                if line.strip():
                    yield number, _line(path, number, line)
    except OSError as error:
        raise unopened(path, error) from error


def document(path: Path) -> Any:
    """The one JSON value that the file at *path* holds.

    Raises:
        MessageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LINE_BYTES + 1)
    except OSError as error:
        raise unopened(path, error) from error
    if len(data) > LINE_BYTES:
        raise at(path, 1, f"the document is longer than {LINE_BYTES} bytes")
    return _line(path, 1, data)


def _line(path: Path, number: int, data: bytes) -> Any:
    try:
        return loads(data.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise at(path, number, f"byte {error.start + 1} of the line is not UTF-8") from error
    except Unreadable as error:
        raise at(path, number, str(error), hint=_TELL) from error


def unopened(path: Path, error: OSError) -> MessageError:
    return MessageError(
        f"{path}: {error.strerror or error}", hint="check the path", place=str(path)
    )


def at(path: Path, line: int, why: str, *, hint: str | None = None) -> MessageError:
    """The error of *line* in the file at *path*."""
    place = f"{path.name}, line {line}"
    return MessageError(f"{place}: {why}", hint=hint, place=place, line=line)


def frozen(value: Any, path: str) -> Value:
    """*value*, read from JSON, as an EDN value that a store can keep.

    Raises:
        MessageError: it holds half a character, or is larger than a value may be.
    """
    try:
        made = freeze(value)
        size = len(encode(made))
    except InputError as error:
        raise refused(path, error.message) from error
    if size > LIMITS.value_bytes:
        raise refused(path, f"a message has at most {LIMITS.value_bytes} bytes, this has {size}")
    return made


def refused(path: str, why: str, *, hint: str | None = None) -> MessageError:
    """The error of a message that stands at *path* in its conversation."""
    return MessageError(f"{path}: {why}", hint=hint, place=path)


def short(text: str) -> str:
    """*text* for a message: at most 60 characters of it."""
    return repr(text if len(text) <= 60 else text[:59] + "…")
