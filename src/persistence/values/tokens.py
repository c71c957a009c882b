"""Cuts EDN text into tokens and says what each of them stands for.

Plain data is cut by `str.split`, at a fraction of what a regular expression costs. Whatever has
more in it than `split` can be trusted with (comments, escapes, discards, sets, names that are not
ASCII) is cut by the expression, which alone decides what is a token and where it begins: the split
only ever gives the same tokens sooner.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import attrs

from persistence.errors import EdnError, InputError, LimitExceeded, ValueRefused
from persistence.values import atoms
from persistence.values.limits import LIMITS, Limits
from persistence.values.names import Keyword, Symbol

__all__ = [
    "COMMENT",
    "QUOTED",
    "TOP",
    "Mark",
    "Meanings",
    "cut",
    "fail",
    "line_and_column",
    "meanings",
    "position",
    "trouble",
]

_WS = r" \t\n\r\f,"
_REST = rf"[^{_WS}()\[\]{{}};]*+"  # up to white space or a delimiter: what must be one token
_TOKEN = re.compile(
    rf"""
      [^{_WS}()\[\]{{}}"\\;\#]{_REST}                # a number, keyword or symbol
    | "[^"\\]*+(?:\\.[^"\\]*+)*+"(?![^{_WS}()\[\]{{}};])   # a string, set apart from what follows
    | [()\[\]{{}}]
    | \#[{{_]
    | \#{_REST}                                      # a tag, or a float that has no digits
    | \\[^{_WS}]{_REST}                              # a character
    | ;[^\n]*+
    | [^{_WS}]                                       # none of these
    """,
    re.VERBOSE | re.DOTALL,
)
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")

# In what lies between strings: what `split` takes for white space and EDN does not, the beginning
# of a comment or character, and a # that is no tag.
_INTRICATE = re.compile(r"[\\;\x0b\x1c-\x1f]").search
_NO_TAG = re.compile("#(?![A-Za-z])").search
_PLACE = '|"'  # of a string: the bar makes anything that sticks to it no token of EDN

_KEPT = 1 << 15  # names seen before cost one lookup; a table that is full is begun anew
_KEPT_CHARS = 64  # longer ones are no names somebody uses again and again
_SMALL = 3  # digits of the integers kept beside the names


@attrs.frozen(eq=False)
class Mark:
    """A token that is no value: it opens or closes something, or is a comment.

    `closer` is what ends the collection that the mark opens, and None for a prefix, which takes
    the next form: a discard, or a tag, which has a `tag`.
    """

    text: str
    opens: bool = False
    closer: Mark | None = None
    tag: Symbol | None = None
    pending: str | None = None  # what is wrong with a prefix that no form follows


TOP = Mark("")  # what encloses a form that nothing encloses
COMMENT = Mark(";")
QUOTED = Mark('"')  # stands where the next of the strings belongs that were set apart
_BRACKET, _BRACE, _PAREN = Mark("]"), Mark("}"), Mark(")")
_MARKS: dict[str, Any] = {
    "[": Mark("[", opens=True, closer=_BRACKET),
    "{": Mark("{", opens=True, closer=_BRACE),
    "(": Mark("(", opens=True, closer=_PAREN),
    "#{": Mark("#{", opens=True, closer=_BRACE),
    "]": _BRACKET,
    "}": _BRACE,
    ")": _PAREN,
    "#_": Mark("#_", opens=True, pending="this #_ has nothing to discard"),
    _PLACE: QUOTED,
}
_NAMES = frozenset((Keyword, Symbol, Mark, bool, type(None)))


class Meanings(dict[str, Any]):
    """The value or `Mark` of each token; worked out when first asked for.

    >>> from persistence.values.limits import LIMITS
    >>> meanings = Meanings(LIMITS)
    >>> meanings["1.5"], meanings[":a"], meanings["#inst"].tag
    (1.5, Keyword('a'), Symbol('inst'))

    Raises:
        ValueRefused: the token is none of EDN.
        LimitExceeded: a number past the limits.
    """

    __slots__ = ("_limits",)

    def __init__(self, limits: Limits) -> None:
        super().__init__(_MARKS)
        self._limits = limits

    def __missing__(self, token: str) -> Any:
        first = token[0]
        size = len(token)
        if token.isdecimal() and first != "0" and size < 19 and token.isascii():
            meaning: Any = int(token)
            if size <= _SMALL:
                self[token] = meaning
            return meaning
        if first == '"' and token != '"':
            return atoms.string(token)
        if first == ";":
            return COMMENT
        meaning = _hashed(token) if first == "#" else atoms.atom(token, self._limits)
        if type(meaning) in _NAMES and size <= _KEPT_CHARS and len(self) < _KEPT:
            self[token] = meaning
        return meaning


_SHARED = [Meanings(LIMITS)]


def meanings(limits: Limits) -> Meanings:
    """The table for *limits*; the usual one is shared and remembers the names of other texts."""
    if limits is not LIMITS:
        return Meanings(limits)
    if len(_SHARED[0]) >= _KEPT:
        _SHARED[0] = Meanings(LIMITS)
    return _SHARED[0]


def _hashed(token: str) -> Any:
    """A tag, or one of the floats that have no digits."""
    if token in atoms.SPECIAL_FLOATS:
        return atoms.SPECIAL_FLOATS[token]
    if not token[1:2].isalpha():
        raise ValueRefused(f"{token[:40]!r} is no EDN token")
    return Mark("#", opens=True, tag=Symbol(token[1:]), pending="this tag has no value")


def cut(text: str, start: int = 0) -> tuple[list[str], Iterator[str]]:
    """The tokens of *text* from *start* on, and the strings that are set apart from them.

    >>> tokens, strings = cut('{:a "b c"}')
    >>> tokens, list(strings)
    (['{', ':a', '|"', '}'], ['b c'])
    >>> cut('{:a "b c"} ; end')[0]
    ['{', ':a', '"b c"', '}', '; end']

    Raises:
        EdnError: there is a lone surrogate in it.
        TypeError: it is no text.
    """
    if type(text) is not str:
        raise TypeError(f"EDN is read from str, not from {type(text).__name__}")
    if not text.isascii():
        surrogate = _SURROGATE.search(text)
        if surrogate is not None:
            fail(text, surrogate.start(), "a lone surrogate is not Unicode text")
    parts = text[start:].split('"')
    between = _PLACE.join(parts[::2])
    if (
        "\\" in text
        or len(parts) % 2 == 0
        or not between.isascii()
        or _INTRICATE(between)
        or _NO_TAG(between)
    ):
        return _TOKEN.findall(text, start), iter(())
    for delimiter in "()[]{},":
        spaced = " " if delimiter == "," else f" {delimiter} "
        between = between.replace(delimiter, spaced)
    return between.split(), iter(parts[1::2])


def position(text: str, start: int, index: int) -> int:
    """Where the token number *index* begins, counted from *start*."""
    return next(itertools.islice(_TOKEN.finditer(text, start), index, None)).start()


def trouble(text: str, at: int, limits: Limits) -> InputError | None:
    """What is wrong with the token that begins at *at*, whichever way the text was cut."""
    found = _TOKEN.match(text, at)
    token = found[0] if found else ""
    if token == '"':
        if _STRING.match(text, at) is None:
            return ValueRefused("this string is never closed")
        return ValueRefused("a string must be followed by white space or a delimiter")
    exact = Meanings(limits)
    del exact[_PLACE]  # which means nothing where somebody wrote it
    try:
        exact[token]
    except (ValueRefused, LimitExceeded) as error:
        return error
    return None


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """The place of the character number *at*, both counted from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def fail(text: str, at: int, message: str, hint: str | None = None, **details: Any) -> NoReturn:
    """Refuse *text* because of what begins at *at*.

    Raises:
        EdnError: always.
    """
    line, column = line_and_column(text, at)
    raise EdnError(message, line=line, column=column, hint=hint, **details) from None
