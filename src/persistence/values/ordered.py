"""Values as a store gives them back.

A map keeps its entries in the order in which they were given and an instant its time zone, and what
is stored is in the order of canonical bytes and in UTC. Who must not see a difference between the
two gets the latter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from persistence.values.canonical import encode
from persistence.values.instants import from_micros, micros
from persistence.values.names import Keyword
from persistence.values.types import List, Map, Set, Tagged, Value

_HOLDING = frozenset((Map, tuple, List, Set, Tagged))


def in_order(value: Value) -> Value:
    """A frozen *value*, with the entries of every map and set in it by their canonical bytes, and
    its instants in UTC.

    >>> in_order(Map({"zeta": 1, "a": (Map({"c": 2, "b": 3}),)}))
    Map({'a': (Map({'b': 3, 'c': 2}),), 'zeta': 1})
    """
    kind: Any = type(value)
    if kind is dt.datetime:
        is_utc = value.tzinfo is dt.UTC and not value.fold
        return value if is_utc else from_micros(micros(value))
    if kind not in _HOLDING:
        return value
    if kind is Map:
        return _map(value)
    if kind is Tagged:
        inner = in_order(value.value)
        return value if inner is value.value else Tagged(value.tag, inner)
    given = [*value]
    items = [in_order(item) for item in (_sorted(given) if kind is Set else given)]
    return value if all(map(_is, given, items)) else kind(items)


def _map(value: Map) -> Value:
    given = [*value.items()]
    keys = _sorted(key for key, _ in given) if len(given) > 1 else [*value]
    items = [(in_order(key), in_order(value[key])) for key in keys]
    same = all(a is key and b is item for (a, b), (key, item) in zip(items, given, strict=True))
    return value if same else Map(items)


def _is(a: Value, b: Value) -> bool:
    return a is b


def _sorted(values: Iterable[Value]) -> list[Value]:
    given = [*values]
    kinds = set(map(type, given))
    if kinds == {str}:
        return sorted(given, key=_bytes)
    return sorted(given, key=_name if kinds == {Keyword} else encode)


def _bytes(text: str) -> tuple[int, bytes]:
    data = text.encode()
    return len(data), data  # the length stands first in canonical bytes too


def _name(keyword: Keyword) -> tuple[int, bytes]:
    return _bytes(keyword.name)
