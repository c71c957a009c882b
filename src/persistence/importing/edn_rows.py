"""The rows of an EDN file, one at a time, so that a large file needs little memory.

A file holds maps one after the other, or one vector or list of them. Only brackets, strings and
comments are looked at here, to find where a row ends; the EDN reader reads the row itself, so a
row that is no EDN is refused alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, NoReturn

from persistence.errors import EdnError, InputError
from persistence.values import LIMITS, Tagged, read_all

_WINDOW: Final = 1 << 18
_MARK: Final = re.compile(
    r"""
      "(?:[^"\\]++|\\.)*+"        # a string, a comment, a character that may be a bracket
    | ;[^\n]*+\n
    | \\.
    | ([\[({])                    # 1 opens
    | ([\])}])                    # 2 closes
    | (["\\;])                    # 3 the beginning of what the window cuts off
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANK: Final = re.compile(r"(?:[\s,]++|;[^\n]*+(?:\n|\Z))*+")


def forms(read: Callable[[int], str]) -> Iterator[tuple[int, Any, str | None]]:
    """Each row as (line, value, reason).

    *reason* says why the row is refused; then *value* is its text.

    >>> import io
    >>> [value for _, value, _ in forms(io.StringIO("[{:a 1} {:a 2}] ; done").read)]
    [Map({Keyword('a'): 1}), Map({Keyword('a'): 2})]

    Raises:
        InputError: a bracket without its partner, or text after the one vector of rows.
    """
    for piece in _pieces(read):
        found = _BLANK.match(piece.text)
        assert found is not None
        blank = found.end()
        if blank == len(piece.text):
            continue
        line, column = _moved(piece.line, piece.column, piece.text[:blank])
        text = piece.text[blank:]
        try:
            values = list(read_all(text, default=Tagged))
        except EdnError as error:
            at = error.column + (column - 1 if error.line == 1 else 0)
            reason = error.message.partition(": ")[2]
            yield line, text, f"line {error.line + line - 1}, column {at}: {reason}"
        except InputError as error:
            yield line, text, error.message
        else:
            for value in values:
                yield line, value, None


class _Piece(NamedTuple):
    """Text that ends where a row ends, and where in the file it begins."""

    line: int
    column: int
    text: str


def _moved(line: int, column: int, text: str) -> tuple[int, int]:
    """The place after *text*, which begins at the given one."""
    lines = text.count("\n")
    return line + lines, len(text) - text.rfind("\n") if lines else column + len(text)


def _pieces(read: Callable[[int], str]) -> Iterator[_Piece]:
    text, start, at = "", 0, 0  # the window, where its first piece begins, how far it is scanned
    line, column = 1, 1  # of the start
    depth, base = 0, 0  # base is 1 inside the one bracket around all rows
    virgin, over, ended = True, False, False

    def taken(end: int) -> _Piece:
        nonlocal start, line, column
        piece = _Piece(line, column, text[start:end])
        start, (line, column) = end, _moved(line, column, piece.text)
        return piece

    while True:
        found = _MARK.search(text, at)
        if not ended and (found is None or found.lastindex == 3):
            if len(text) - start > 4 * LIMITS.value_bytes:
                _fail(line, column, "this row is too large, or a bracket is never closed")
            resume = len(text) if found is None else found.start()
            piece = read(max(_WINDOW, len(text) - start))
            ended = not piece
            text, at, start = text[start:] + (piece or "\n"), resume - start, 0
            continue
        if found is None:
            break
        at = found.end()
        if found.lastindex == 1:
            if over:
                _fail(line, column, "the file goes on after its vector of rows")
            if virgin and found[1] != "{" and _BLANK.fullmatch(text, start, found.start()):
                taken(at)
                base = 1
            virgin, depth = False, depth + 1
        elif found.lastindex == 2:
            depth -= 1
            if depth == base:
                yield taken(at)
            elif depth < base:
                if base == 0 or depth < 0:
                    _fail(*_moved(line, column, text[start : at - 1]), f"{found[2]} closes nothing")
                yield taken(at - 1)
                taken(at)
                base, over = 0, True
        elif found.lastindex == 3:
            _fail(*_moved(line, column, text[start : at - 1]), "this string is never closed")
    if depth:
        _fail(line, column, "a bracket that opens here or before is never closed")
    if over and not _BLANK.fullmatch(text, start):
        _fail(line, column, "the file goes on after its vector of rows")
    yield taken(len(text))


def _fail(line: int, column: int, reason: str) -> NoReturn:
    raise EdnError(reason, line=line, column=column)
