"""The objects of a JSON file, one at a time, so that a large file needs little memory.

Python's own decoder reads each object out of a sliding window of text; when an object crosses the
end of the window, more text is read and the object is read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, NoReturn

from persistence.errors import InputError
from persistence.values import LIMITS

_WINDOW: Final = 1 << 18  # large enough that few objects are read twice, small against the memory
_MARGIN: Final = 16  # a number, a literal or an escape that is cut off fails this near the end
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_UNTERMINATED: Final = "Unterminated string"


class _Refused(ValueError):
    """An object that is JSON and still says nothing certain."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise _Refused(f"the name {', '.join(map(repr, twice))} comes twice in one object")
    return made


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is no JSON number")


# What a decoder raises for text that is JSON by its shape; `why` words it.
FAILURES: Final = (_Refused, ValueError, RecursionError)


def why(error: BaseException) -> str:
    """The reason in words."""
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return str(error) if isinstance(error, _Refused) else "a number in it is too long"


def decoder(decimals: bool) -> json.JSONDecoder:
    """Reads one object; refuses what another reader would take for something else."""
    return json.JSONDecoder(
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_float=Decimal if decimals else None,
    )


# Finds where an object ends that the strict decoder refuses, and what it says.
_LENIENT: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def objects(
    read: Callable[[int], str], decimals: bool = False
) -> Iterator[tuple[int, str | None, Any, str | None]]:
    """Each element of an array, or each member of an object, as (line, key, value, reason).

    *reason* says why the element is refused; then *value* is what stands there.

    >>> import io
    >>> list(objects(io.StringIO('{"a": {"x": 1}, "b": {}}').read))
    [(1, 'a', {'x': 1}, None), (1, 'b', {}, None)]

    Raises:
        InputError: the text is not JSON, or neither an array nor an object.
    """
    window = _Window(read, decimals)
    opening = window.peek()
    if opening not in ("[", "{"):
        window.fail("an array of objects or an object of objects is expected here")
    window.skip(1)
    closing = "]" if opening == "[" else "}"
    if window.peek() == closing:
        window.skip(1)
    else:
        yield from _elements(window, closing)
    if window.peek():
        hint = "a file with one object on each line is JSON lines: --format jsonl"
        window.fail("the file goes on after its end", hint=hint)


def _elements(window: _Window, closing: str) -> Iterator[tuple[int, str | None, Any, str | None]]:
    while True:
        following = window.peek()
        line = window.line()
        key = None
        if closing == "}":
            if following != '"':
                window.fail("a name in double quotes is expected here")
            key, _ = window.value()
            if window.peek() != ":":
                window.fail("a colon is expected here")
            window.skip(1)
            window.peek()
        value, reason = window.value()
        if key is not None and reason is None and type(value) is not dict:
            window.fail(
                f"an array of objects or an object of objects is expected, and {key!r} is none",
                hint="put a single object into an array",
            )
        yield line, key, value, reason
        following = window.peek()
        if following == closing:
            window.skip(1)
            return
        if following != ",":
            window.fail(f"a comma or {closing} is expected here")
        window.skip(1)


class _Window:
    """The part of the text that is in memory, and where in the file it begins."""

    def __init__(self, read: Callable[[int], str], decimals: bool) -> None:
        self._read = read
        self._scan = decoder(decimals).raw_decode
        self._text = ""
        self._at = 0
        self._ended = False
        self._lines = 0  # that end before the window
        self._counted = 0  # up to here the lines are counted
        self._column = 0  # how much of the first line of the window is gone

    def peek(self) -> str:
        """The next character that is no white space, "" at the end; it is not consumed."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def skip(self, count: int) -> None:
        self._at += count

    def value(self) -> tuple[Any, str | None]:
        """The value that begins here, and why it is refused, if it is."""
        while True:
            scan, reason = self._scan, None
            try:
                try:
                    value, end = scan(self._text, self._at)
                except json.JSONDecodeError:
                    raise
                except FAILURES as error:
                    reason = why(error)
                    value, end = _LENIENT.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._cut_off(error) or not self._more():
                    self._at = error.pos
                    self.fail(error.msg[:1].lower() + error.msg[1:], error)
                continue
            except RecursionError as error:
                self.fail("this nests too deeply", error)
            if end == len(self._text) and type(value) not in (dict, list) and self._more():
                continue  # a number may go on
            self._at = end
            return value, reason

    def _cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether *error* may come from the end of the window alone."""
        if len(self._text) - self._at > 4 * LIMITS.value_bytes:
            self.fail("this value is too large to be one row", error)
        return error.msg.startswith(_UNTERMINATED) or error.pos >= len(self._text) - _MARGIN

    def _more(self) -> bool:
        """Reads on; what was consumed leaves the window."""
        if self._ended:
            return False
        kept = len(self._text) - self._at
        piece = self._read(max(_WINDOW, kept))
        if not piece:
            self._ended = True
            return False
        self.line()
        newline = self._text.rfind("\n", 0, self._at)
        self._column = self._at - newline - 1 if newline >= 0 else self._column + self._at
        self._text = self._text[self._at :] + piece
        self._at = self._counted = 0
        return True

    def line(self) -> int:
        """The line of the current place, counted from 1."""
        self._lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._lines + 1

    def fail(
        self, reason: str, cause: BaseException | None = None, *, hint: str | None = None
    ) -> NoReturn:
        newline = self._text.rfind("\n", 0, self._at)
        column = self._at - newline if newline >= 0 else self._column + self._at + 1
        line = self.line()
        raise InputError(
            f"line {line}, column {column}: {reason}", hint=hint, line=line, column=column
        ) from cause
