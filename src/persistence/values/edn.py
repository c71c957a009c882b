"""Reads EDN: the specification and no more, in one pass and without recursion.

Whatever is hashed or signed passes through here, so doubtful text is an error and never a guess.
The text comes cut into tokens whose meanings are looked up (`tokens`); here a stack of open
collections takes the place of recursive calls. Tokens carry no positions: line and column are
worked out once something is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from operator import length_hint
from typing import Any, NoReturn

import attrs

from persistence.errors import InputError, LimitExceeded, ValueRefused
from persistence.values import atoms, tokens
from persistence.values.limits import LIMITS, Limits
from persistence.values.names import Symbol
from persistence.values.tokens import COMMENT, QUOTED, TOP, Mark
from persistence.values.types import List, Map, Set, Value, freeze

__all__ = ["read", "read_all"]

Handler = Callable[[Any], Any]
Default = Callable[[Symbol, Any], Any]


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
    tokens.fail(text, len(text), "there is no form to read")


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
    cut, strings = tokens.cut(source.text, source.start)
    pending, total = iter(cut), len(cut)
    # What encloses the current collection: (its mark, its items, the index of its mark).
    stack: list[tuple[Mark, list[Any], int]] = []
    mark, items, opened = TOP, list[Any](), 0
    inside = False  # in a real collection, where a finished value only needs to be appended
    append = items.append
    try:
        for value in map(tokens.meanings(source.limits).__getitem__, pending):
            if value is QUOTED:
                value = next(strings, QUOTED)
            if type(value) is not Mark:
                if inside:
                    append(value)
                    continue
                index = total - length_hint(pending) - 1
            elif value.opens:
                index = total - length_hint(pending) - 1
                if len(stack) >= source.limits.nesting:
                    source.too_deep(index)
                stack.append((mark, items, opened))
                mark, items, opened = value, [], index
                append = items.append
                inside = value.closer is not None
                continue
            elif value is COMMENT:
                continue
            else:
                if value is not mark.closer:
                    index = total - length_hint(pending) - 1
                    source.unbalanced(value, index, mark, opened)
                value = tuple(items) if mark.text == "[" else source.build(mark, items, opened)
                index = opened
                mark, items, opened = stack.pop()
                append = items.append
                inside = mark.closer is not None
                if inside:
                    append(value)
                    continue
            # A tag, a discard or the top level takes the value; a tag makes another one of it.
            while not inside:
                if mark is TOP:
                    yield value, index
                    break
                tag = mark.tag
                if tag is not None:
                    value = source.tagged(tag, value, opened)
                    index = opened
                mark, items, opened = stack.pop()
                append = items.append
                inside = mark.closer is not None
                if tag is None:
                    break
                if inside:
                    append(value)
    except (ValueRefused, LimitExceeded) as error:
        source.no_meaning(total - length_hint(pending) - 1, error)
    if mark is not TOP:
        source.fail(opened, mark.pending or f"this {mark.text} is never closed")


@attrs.frozen
class _Source:
    """The text with what it is read by, and the words for what is wrong with it."""

    text: str
    readers: Mapping[str, Handler]
    default: Default | None
    limits: Limits
    start: int = 0

    def build(self, mark: Mark, items: list[Any], opened: int) -> Value:
        """The list, map or set of *items*."""
        if mark.text == "{":
            if len(items) % 2:
                self.fail(opened, "this map has a key without a value")
            entries = Map.of_frozen(items)
            if type(entries) is int:
                self.repeated(opened, entries * 2, "key of this map")
            return entries
        if mark.text == "(":
            return List(items)
        members = Set.of_frozen(items)
        if type(members) is int:
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
        return tokens.position(self.text, self.start, index)

    def no_meaning(self, index: int, error: InputError | None = None) -> NoReturn:
        found = tokens.trouble(self.text, self.position(index), self.limits) or error
        assert found is not None
        self.fail(index, found.message, found)

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
        tokens.fail(self.text, self.position(index), message, hint, **details)

    def too_deep(self, index: int) -> NoReturn:
        allowed = self.limits.nesting
        message = f"forms nest at most {allowed} deep"
        self.fail(index, message, LimitExceeded(message, limit="nesting", allowed=allowed))

    def unbalanced(self, closer: Mark, index: int, mark: Mark, opened: int) -> NoReturn:
        if closer is QUOTED:
            self.no_meaning(index)
        if mark is TOP:
            self.fail(index, f"this {closer.text} closes nothing")
        if mark.pending is not None:
            self.fail(opened, mark.pending)
        line, column = tokens.line_and_column(self.text, self.position(opened))
        place = f"line {line}, column {column}"
        self.fail(index, f"this {closer.text} cannot close the {mark.text} of {place}")
