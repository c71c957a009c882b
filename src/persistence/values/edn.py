"""Reads EDN: the specification and no more, in one pass and without recursion.

Whatever is hashed or signed passes through here, so doubtful text is an error and never a guess.
One regular expression cuts the text into tokens; a stack of open collections takes the place of
recursive calls. Tokens carry no positions: line and column are worked out once something is wrong.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from operator import length_hint
from typing import Any, NoReturn

import attrs

from persistence.errors import EdnError, InputError, LimitExceeded
from persistence.values import atoms
from persistence.values.limits import LIMITS, Limits
from persistence.values.names import Keyword, Symbol
from persistence.values.types import List, Map, Set, Value, freeze

__all__ = ["read", "read_all"]

Handler = Callable[[Any], Any]
Default = Callable[[Symbol, Any], Any]

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
_OPENER = {"[": "]", "{": "}", "(": ")", "#{": "}"}
_PENDING = {"#": "this tag has no value", "#_": "this #_ has nothing to discard"}

_NAMES = frozenset((Keyword, Symbol, bool))
_MEMO_SIZE = 1 << 15  # names seen before cost one lookup; the table is emptied when full
_MEMO_CHARS = 64  # longer ones are no names somebody uses again and again
_MEMO: dict[str, Any] = {}


def read(
    text: str,
    *,
    readers: Mapping[str, Handler] | None = None,
    default: Default | None = None,
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
    source = _Source(text, readers or {}, default, limits)
    forms = _forms(source)
    for value, _ in forms:
        for _, extra in forms:
            source.fail(extra, "one form is expected, here begins a second")
        return value
    _fail(text, len(text), "there is no form to read")


def read_all(
    text: str,
    *,
    readers: Mapping[str, Handler] | None = None,
    default: Default | None = None,
    limits: Limits = LIMITS,
) -> Iterator[Value]:
    """Every form of *text* in turn, read as it is asked for.

    >>> list(read_all("1 :a #_ignored [x]"))
    [1, Keyword('a'), (Symbol('x'),)]

    Raises:
        EdnError: on reaching something that is not EDN.
    """
    return (value for value, _ in _forms(_Source(text, readers or {}, default, limits)))


def _forms(source: _Source) -> Iterator[tuple[Value, int]]:
    """Yields (value, index of its first token). The hot loop: one turn per token, few calls."""
    tokens = iter(source.tokens())
    total = length_hint(tokens)
    # What encloses the current collection: (its opener, its items, the index of its opener).
    stack: list[tuple[str, list[Any], int]] = []
    opener = ""  # of the current collection; "" at the top, "#" after a tag, "#_" after a discard
    items: list[Any] = []
    opened = index = 0
    inside = False  # in a real collection, where a finished value only needs to be appended
    append = items.append
    get = _MEMO.get
    for token in tokens:
        value = get(token)
        if value is None:
            first = token[0]
            if first == '"' and token != '"':
                value = token[1:-1]
                if "\\" in value:
                    value = source.unescape(value, total - length_hint(tokens) - 1)
            elif token in _OPENER or first == "#":
                index = total - length_hint(tokens) - 1
                if token[:2] != "##":
                    if len(stack) >= source.limits.nesting:
                        source.too_deep(index)
                    stack.append((opener, items, opened))
                    opened = index
                    inside = token in _OPENER
                    opener, items = (token, []) if inside else source.prefix(token, index)
                    append = items.append
                    continue
                value = source.special_float(token, index)
            elif token in ")]}":
                if _OPENER.get(opener) != token:
                    index = total - length_hint(tokens) - 1
                    source.unbalanced(token, index, opener, opened)
                value = tuple(items) if opener == "[" else source.build(opener, items, opened)
                index = opened
                opener, items, opened = stack.pop()
                append = items.append
                inside = opener in _OPENER
                if inside:
                    append(value)
                    continue
            elif first == ";":
                continue
            elif token != "nil":
                try:
                    value = atoms.atom(token, source.limits)
                except InputError as error:
                    source.no_atom(token, total - length_hint(tokens) - 1, error)
                if type(value) in _NAMES and len(token) <= _MEMO_CHARS:
                    if len(_MEMO) >= _MEMO_SIZE:
                        _MEMO.clear()
                    _MEMO[token] = value
        if inside:
            append(value)
            continue
        if token not in ")]}":
            index = total - length_hint(tokens) - 1
        # A tag, a discard or the top level takes the value; a tag makes another one of it.
        while not inside:
            if not opener:
                yield value, index
                break
            discard = opener == "#_"
            if not discard:
                value = source.tagged(items[0], value, opened)
                index = opened
            opener, items, opened = stack.pop()
            append = items.append
            inside = opener in _OPENER
            if discard:
                break
            if inside:
                append(value)
    if opener:
        source.fail(opened, _PENDING.get(opener, f"this {opener} is never closed"))


@attrs.frozen
class _Source:
    """The text with what it is read by, and the words for what is wrong with it."""

    text: str
    readers: Mapping[str, Handler]
    default: Default | None
    limits: Limits
    start: int = 0

    def tokens(self) -> list[str]:
        if type(self.text) is not str:
            raise TypeError(f"EDN is read from str, not from {type(self.text).__name__}")
        if not self.text.isascii():
            surrogate = _SURROGATE.search(self.text)
            if surrogate is not None:
                _fail(self.text, surrogate.start(), "a lone surrogate is not Unicode text")
        return _TOKEN.findall(self.text, self.start)

    def no_atom(self, token: str, index: int, error: InputError) -> NoReturn:
        if token != '"':
            self.fail(index, error.message, error)
        if _STRING.match(self.text, self.position(index)) is None:
            self.fail(index, "this string is never closed")
        self.fail(index, "a string must be followed by white space or a delimiter")

    def unescape(self, body: str, index: int) -> str:
        try:
            return atoms.unescape(body)
        except InputError as error:
            self.fail(index, error.message, error)

    def special_float(self, token: str, index: int) -> float:
        if token not in atoms.SPECIAL_FLOATS:
            self.fail(index, f"{token[:40]!r} is no EDN token")
        return atoms.SPECIAL_FLOATS[token]

    def prefix(self, token: str, index: int) -> tuple[str, list[Any]]:
        """What a `#_` or a tag opens: it waits for the next form."""
        if token == "#_":
            return "#_", []
        try:
            if token[1:2].isalpha():
                return "#", [Symbol(token[1:])]
        except InputError as error:
            self.fail(index, error.message, error)
        self.fail(index, f"{token[:40]!r} is no EDN token")

    def build(self, opener: str, items: list[Any], opened: int) -> Value:
        """The list, map or set of *items*."""
        if opener == "(":
            return List(items)
        if opener == "{":
            if len(items) % 2:
                self.fail(opened, "this map has a key without a value")
            entries = Map.of_frozen(items[::2], items[1::2])
            if isinstance(entries, int):
                self.repeated(opened, entries * 2, "key of this map")
            return entries
        members = Set.of_frozen(items)
        if isinstance(members, int):
            self.repeated(opened, members, "element of this set")
        return members

    def repeated(self, opened: int, which: int, what: str) -> NoReturn:
        """The form number *which* inside the collection came before; reads it again to find it."""
        start = self.position(opened)
        start += 2 if self.text[start] == "#" else 1
        inner = attrs.evolve(self, start=start)
        _, index = next(itertools.islice(_forms(inner), which, None))
        inner.fail(index, f"this {what} comes twice")

    def tagged(self, tag: Symbol, value: Any, index: int) -> Value:
        name = tag.name
        try:
            if name in self.readers:
                return freeze(self.readers[name](value))
            if name in atoms.BUILT_IN:
                return atoms.BUILT_IN[name](value)
            if self.default is not None:
                return freeze(self.default(tag, value))
        except (InputError, ValueError) as error:
            self.fail(index, getattr(error, "message", None) or str(error), error)
        self.fail(index, f"nothing reads the tag #{name}", hint="give it a handler in readers=")

    def position(self, index: int) -> int:
        """Where the token number *index* begins."""
        found = _TOKEN.finditer(self.text, self.start)
        return next(itertools.islice(found, index, None)).start()

    def fail(
        self,
        index: int,
        message: str,
        cause: BaseException | None = None,
        hint: str | None = None,
    ) -> NoReturn:
        details: dict[str, Any] = {}
        if isinstance(cause, InputError):
            hint = hint or cause.hint
            details = {key: cause.data[key] for key in ("limit", "allowed") if key in cause.data}
        _fail(self.text, self.position(index), message, hint, **details)

    def too_deep(self, index: int) -> NoReturn:
        allowed = self.limits.nesting
        message = f"forms nest at most {allowed} deep"
        self.fail(index, message, LimitExceeded(message, limit="nesting", allowed=allowed))

    def unbalanced(self, closer: str, index: int, opener: str, opened: int) -> NoReturn:
        if not opener:
            self.fail(index, f"this {closer} closes nothing")
        if opener in _PENDING:
            self.fail(opened, _PENDING[opener])
        line, column = _line_and_column(self.text, self.position(opened))
        place = f"line {line}, column {column}"
        self.fail(index, f"this {closer} cannot close the {opener} of {place}")


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _fail(
    text: str, position: int, message: str, hint: str | None = None, **details: Any
) -> NoReturn:
    line, column = _line_and_column(text, position)
    raise EdnError(message, line=line, column=column, hint=hint, **details) from None
