"""Reads EDN: the specification and no more, in one pass and without recursion.

Whatever is hashed or signed passes through here, so doubtful text is an error and never a guess.
One regular expression cuts the text into tokens; a stack of open collections takes the place of
recursive calls. Line and column are worked out only once something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from persistence.errors import EdnError, InputError, LimitExceeded
from persistence.values import atoms
from persistence.values.limits import LIMITS, Limits
from persistence.values.names import Symbol
from persistence.values.types import List, Map, Set, Value, freeze

__all__ = ["read", "read_all"]

_WS = r" \t\n\r\f,"
_END = rf"(?=[{_WS}()\[\]{{}};]|\Z)"
_TOKEN = re.compile(
    rf"""
    [{_WS}]*+ (?: ;[^\n]*+ [{_WS}]*+ )*+
    (?: "([^"\\]*+)" {_END}                                     # 1 a string without escapes
    |   ([^{_WS}()\[\]{{}}"\\;\#][^{_WS}()\[\]{{}}"\\;]*+) {_END}  # 2 number, keyword, symbol
    |   (\[|\{{|\(|\#\{{)                                       # 3 opens a collection
    |   (\]|\}}|\))                                             # 4 closes one
    |   "([^"\\]*+(?:\\.[^"\\]*+)*+)" {_END}                    # 5 a string with escapes
    |   (\#_)                                                   # 6 discards the next form
    |   \#([^\W\d_][^{_WS}()\[\]{{}}"\\;]*+) {_END}             # 7 tags the next form
    |   (\\(?:newline|return|space|tab|formfeed|backspace|u[0-9a-fA-F]{{4}}|[^{_WS}])) {_END}  # 8
    |   (\#\#-?[A-Za-z]++) {_END}                               # 9 a float that has no digits
    |   (.)                                                     # 10 none of these
    |   \Z
    )
    """,
    re.VERBOSE | re.DOTALL,
).finditer

_CLOSER = {"[": "]", "{": "}", "(": ")", "#{": "}"}
_MEMO_SIZE = 1 << 15  # names seen before cost one dict lookup; the table is dropped when full
_MEMO: dict[str, Any] = {}
_SURROGATE = re.compile("[\ud800-\udfff]")

Handler = Callable[[Any], Any]


def read(
    text: str,
    *,
    readers: Mapping[str, Handler] | None = None,
    default: Callable[[Symbol, Any], Any] | None = None,
    limits: Limits = LIMITS,
) -> Value:
    """The one form that *text* holds.

    *readers* maps a tag to a function from the tagged value to what shall stand for it; *default*
    is called with tag and value where no reader is found (pass `Tagged` to keep them as they are).

    >>> from persistence.values import Keyword, Tagged
    >>> read('{:name "Ada", :born #inst "1815-12-10T00:00:00Z"}')[Keyword("name")]
    'Ada'
    >>> read("#money 3M", default=Tagged)
    Tagged(Symbol('money'), Decimal('3'))
    >>> read("[1 2")
    Traceback (most recent call last):
    ...
    persistence.errors.EdnError: line 1, column 1: this [ is never closed

    Raises:
        EdnError: anything but exactly one form of valid EDN; carries line and column.
    """
    forms = _forms(text, readers, default, limits)
    for value, _ in forms:
        for _, extra in forms:
            _fail(text, extra, "one form is expected, here begins a second")
        return value
    _fail(text, len(text), "there is no form to read")


def read_all(
    text: str,
    *,
    readers: Mapping[str, Handler] | None = None,
    default: Callable[[Symbol, Any], Any] | None = None,
    limits: Limits = LIMITS,
) -> Iterator[Value]:
    """Every form of *text* in turn, read as it is asked for.

    >>> list(read_all("1 :a #_ignored [x]"))
    [1, Keyword('a'), (Symbol('x'),)]

    Raises:
        EdnError: on reaching something that is not EDN.
    """
    return (value for value, _ in _forms(text, readers, default, limits))


def _forms(
    text: str,
    readers: Mapping[str, Handler] | None,
    default: Callable[[Symbol, Any], Any] | None,
    limits: Limits,
    position: int = 0,
) -> Iterator[tuple[Value, int]]:
    """Yields (value, where it begins). The hot loop: one turn per token, few calls."""
    if type(text) is not str:
        raise TypeError(f"EDN is read from str, not from {type(text).__name__}")
    if not text.isascii() and (bad := _SURROGATE.search(text)) is not None:
        _fail(text, bad.start(), "a lone surrogate is not Unicode text")
    # What encloses the current collection: (its opener, its items, where it opened).
    stack: list[tuple[str, list[Any], int]] = []
    opener = ""  # of the current collection; "" at the top, "#" after a tag, "#_" after a discard
    items: list[Any] = []
    opened = 0
    inside = False  # in a real collection, where a finished value only needs to be appended
    append = items.append
    memo = _MEMO
    value: Any
    for match in _TOKEN(text, position):
        kind = match.lastindex
        if kind == 2:
            token = match[2]
            try:
                value = memo[token]
            except KeyError:
                value = _atom(text, match, limits)
        elif kind == 1:
            value = match[1]
        elif kind == 3 or kind == 6 or kind == 7:
            if len(stack) >= limits.nesting:
                _too_deep(text, _start(match), limits)
            stack.append((opener, items, opened))
            opened = match.start(kind) - (kind == 7)
            opener = match[3] or ("#_" if kind == 6 else "#")
            items = [] if kind != 7 else [match[7]]
            append = items.append
            inside = kind == 3
            continue
        elif kind == 4:
            if _CLOSER.get(opener) != match[4]:
                _unbalanced(text, match, opener, opened)
            value = _collection(text, opener, items, opened, (readers, default, limits))
            start = opened
            opener, items, opened = stack.pop()
            append = items.append
            inside = opener in _CLOSER
            if inside:
                append(value)
                continue
        elif kind is None:
            break
        else:
            value = _rare(text, match, kind)
        if inside:
            append(value)
            continue
        if kind != 4:
            start = _start(match)
        # A tag, a discard or the top level takes the value; a tag makes another one of it.
        while not inside:
            if opener == "":
                yield value, start
                break
            discard = opener == "#_"
            if not discard:
                value = _tagged(text, opened, items[0], value, readers, default)
                start = opened
            opener, items, opened = stack.pop()
            append = items.append
            inside = opener in _CLOSER
            if discard:
                break
            if inside:
                append(value)
    if opener:
        what = {"#": "this tag has no value", "#_": "this #_ has nothing to discard"}
        _fail(text, opened, what.get(opener, f"this {opener} is never closed"))


def _start(match: re.Match[str]) -> int:
    kind = match.lastindex
    assert kind is not None
    return match.start(kind) - (kind in (1, 5, 7))  # the quote or # before the group


def _atom(text: str, match: re.Match[str], limits: Limits) -> Value:
    token = match[2]
    try:
        value = atoms.atom(token, limits)
    except InputError as error:
        _fail(text, match.start(2), error.message, error)
    if len(token) < 64:
        if len(_MEMO) >= _MEMO_SIZE:
            _MEMO.clear()
        _MEMO[token] = value
    return value


def _rare(text: str, match: re.Match[str], kind: int) -> Value:
    start = _start(match)
    try:
        if kind == 5:
            return atoms.unescape(match[5])
        if kind == 8:
            return atoms.character(match[8])
        if kind == 9 and match[9] in atoms.SPECIAL_FLOATS:
            return atoms.SPECIAL_FLOATS[match[9]]
    except InputError as error:
        _fail(text, start, error.message, error)
    _garbage(text, start)


def _collection(
    text: str, opener: str, items: list[Any], opened: int, options: tuple[Any, Any, Limits]
) -> Value:
    if opener == "[":
        return tuple(items)
    if opener == "(":
        return List(items)
    made: Map | Set | int
    if opener == "{":
        if len(items) % 2:
            _fail(text, opened, "this map has a key without a value")
        made = Map.of_frozen(items[::2], items[1::2])
        if type(made) is int:
            made *= 2
    else:
        made = Set.of_frozen(items)
    if type(made) is int:
        inner = _forms(text, *options, opened + len(opener))
        for _ in range(made):
            next(inner)
        what = "key of this map" if opener == "{" else "element of this set"
        _fail(text, next(inner)[1], f"this {what} comes twice")
    return made


def _tagged(
    text: str,
    start: int,
    tag: str,
    value: Any,
    readers: Mapping[str, Handler] | None,
    default: Callable[[Symbol, Any], Any] | None,
) -> Value:
    try:
        symbol = Symbol(tag)
        if readers is not None and tag in readers:
            return freeze(readers[tag](value))
        if tag in atoms.BUILT_IN:
            return atoms.BUILT_IN[tag](value)
        if default is not None:
            return freeze(default(symbol, value))
    except atoms.Refused as error:
        _fail(text, start, getattr(error, "message", None) or str(error), error)
    _fail(text, start, f"nothing reads the tag #{tag}", hint="give it a handler in readers=")


def _fail(
    text: str,
    position: int,
    message: str,
    cause: BaseException | None = None,
    hint: str | None = None,
) -> NoReturn:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    details: dict[str, Any] = {}
    if isinstance(cause, InputError):
        hint = hint or cause.hint
        details = {key: cause.data[key] for key in ("limit", "allowed") if key in cause.data}
    raise EdnError(message, line=line, column=column, hint=hint, **details) from None


def _too_deep(text: str, position: int, limits: Limits) -> NoReturn:
    message = f"forms nest at most {limits.nesting} deep"
    cause = LimitExceeded(message, limit="nesting", allowed=limits.nesting)
    _fail(text, position, message, cause)


def _unbalanced(text: str, match: re.Match[str], opener: str, opened: int) -> NoReturn:
    closer = match[4]
    if opener in ("#", "#_"):
        what = "this tag has no value" if opener == "#" else "this #_ has nothing to discard"
        _fail(text, opened, what)
    if not opener:
        _fail(text, match.start(4), f"this {closer} closes nothing")
    line = text.count("\n", 0, opened) + 1
    column = opened - text.rfind("\n", 0, opened)
    _fail(
        text,
        match.start(4),
        f"this {closer} cannot close the {opener} of line {line}, column {column}",
    )


_CONSTITUENT = re.compile(rf'[^{_WS}()\[\]{{}}"\\;]*+')
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CHAR = re.compile(rf"\\[^{_WS}][^{_WS}()\[\]{{}};\"]*+")


def _garbage(text: str, position: int) -> NoReturn:
    """Words the error for text that is no token at all."""
    first = text[position]
    if first == '"':
        if _STRING.match(text, position) is None:
            _fail(text, position, "this string is never closed")
        _fail(text, position, "a string must be followed by white space or a delimiter")
    if first == "\\":
        found = _CHAR.match(text, position)
        token = found[0] if found else "\\"
        _fail(text, position, f"{token[:40]!r} is no EDN character")
    found = _CONSTITUENT.match(text, position)
    token = found[0] if found else first
    following = text[position + len(token) : position + len(token) + 1]
    if first == "#" or following not in ('"', "\\"):
        _fail(text, position, f"{token[:40]!r} is no EDN token")
    _fail(text, position, f"{token[:40]!r} must be set apart from what follows it")
