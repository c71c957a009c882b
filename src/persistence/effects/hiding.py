"""Takes out of everything that is recorded what the redacting handlers of a run take out.

What a tool was given as a password comes back in its error message. So the texts that were taken
out of the arguments of a call are taken out of whatever else is recorded of it too. Nothing is
remembered from one call to the next: what is recorded of a call depends on that call alone, or
else a replay would not find it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from persistence.effects.call import as_it_is
from persistence.effects.handler import Around, Handler
from persistence.values import Keyword, List, Map, Set, Tagged, Value, encode, identity

Hide: TypeAlias = Callable[[Value], Value]


class Hiding:
    """What the handlers of one run hide."""

    def __init__(self, handlers: Iterable[Handler]) -> None:
        around = [each for each in handlers if isinstance(each, Around)]
        self._redact = [each.redact for each in around if each.redact is not None]
        self._secrets = [each.secrets for each in around if each.secrets is not None]

    def args(self, op: Keyword, args: Mapping[str, Value]) -> tuple[Map, Hide]:
        """Frozen arguments as they are recorded, and what hides the rest of such a call."""
        given = Map.of_frozen([part for name in args for part in (Keyword(name), args[name])])
        assert isinstance(given, Map)
        if not self._redact:
            return given, as_it_is
        recorded = self.value(op, given)
        assert isinstance(recorded, Map)
        if recorded is given:
            return given, partial(self.value, op)
        return recorded, partial(self.value, op, known=self._found(op, given))

    def value(self, op: Keyword, value: Value, known: Mapping[str, str] | None = None) -> Value:
        """*value* as it is recorded of *op*, without the texts *known* to be secret."""
        given = without(value, known) if known else value
        hidden = given
        for redact in self._redact:
            hidden = redact(op, hidden)
        if hidden is given:
            return hidden
        found = self._found(op, given)
        return without(hidden, found) if found else hidden

    def _found(self, op: Keyword, value: Value) -> Mapping[str, str]:
        return {text: other for each in self._secrets for text, other in each(op, value).items()}


def without(value: Value, secrets: Mapping[str, str]) -> Value:
    """*value* with other texts in place of *secrets*, wherever they stand in it."""
    longest_first = sorted(secrets, key=len, reverse=True)

    def change(text: str) -> str:
        for secret in longest_first:
            if secret in text:
                text = text.replace(secret, secrets[secret])
        return text

    return each_text(value, change)


def each_text(value: Value, change: Callable[[str], str]) -> Value:
    """*value* with every string in it changed; itself, if no string was.

    >>> each_text(("a", Map({"b": 1})), str.upper)
    ('A', Map({'B': 1}))
    """
    if type(value) is str:
        return change(value)
    return rebuilt(value, lambda part: each_text(part, change))


def mapped(keys: Sequence[Value], pairs: Sequence[tuple[Value, Value]]) -> Map:
    """The map of *pairs*, made of one that had *keys*. Of keys that have become equal, all but the
    first are numbered, in the order of what they were: no entry is lost, whoever wrote it first.

    >>> mapped(["b", "a"], [("x", 1), ("x", 2)])
    Map({'x 2': 1, 'x': 2})
    """
    made = Map(pairs)
    if len(made) == len(pairs):
        return made
    names = [key for key, _ in pairs]
    taken, next_number = set(map(identity, names)), Counter[Hashable]()
    for n in sorted(range(len(keys)), key=lambda n: encode(keys[n])):
        same = identity(names[n])
        next_number[same] += 1
        while next_number[same] > 1:  # it is not the first of its name
            key = _numbered(names[n], next_number[same])
            if identity(key) not in taken:
                taken.add(identity(key))
                names[n] = key
                break
            next_number[same] += 1
    return Map(zip(names, (item for _, item in pairs), strict=True))


def _numbered(key: Value, number: int) -> Value:
    return f"{key} {number}" if type(key) is str else (key, number)


def rebuilt(value: Value, change: Callable[[Value], Value]) -> Value:
    """*value* with every part of it changed; itself, if no part was, or if it has none."""
    kind: Any = type(value)
    if kind is Map:
        pairs = [(change(key), change(item)) for key, item in value.items()]
        same = all(a is key and b is value[key] for (a, b), key in zip(pairs, value, strict=True))
        return value if same else mapped([*value], pairs)
    if kind is tuple or kind is List or kind is Set:
        items = [change(item) for item in value]
        same = all(a is b for a, b in zip(items, value, strict=True))
        return value if same else kind(items)
    if kind is Tagged:
        inner = change(value.value)
        return value if inner is value.value else Tagged(value.tag, inner)
    return value
