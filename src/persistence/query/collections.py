"""What queries do with vectors, lists, maps, sets and strings."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from persistence.errors import LimitExceeded
from persistence.query.numbers import add, multiply, number
from persistence.values import LIMITS, Char, List, Map, Set, freeze


def vector(*items: Any) -> tuple[Any, ...]:
    """The vector of *items*."""
    return items


def listed(*items: Any) -> List:
    """The list of *items*."""
    return List(items)


def as_set(items: Any) -> Set:
    """The set of the elements of a collection; of nil, the empty set."""
    return Set(() if items is None else elements(items))


def mapped(*entries: Any) -> Map:
    """The map of keys and values in turn.

    >>> mapped("a", 1, "b", 2)["b"]
    2
    """
    if len(entries) % 2:
        raise TypeError("the last key has no value")
    return Map(zip(entries[::2], entries[1::2], strict=True))


def elements(value: Any) -> list[Any]:
    """What *value* holds: elements, the characters of a string, the entries of a map."""
    if isinstance(value, str):
        return [Char(letter) for letter in value]
    if isinstance(value, Map | dict):
        return list(value.items())
    if isinstance(value, tuple | list | Set | set | frozenset):
        return list(value)
    raise TypeError(f"{value!r} is not a collection")


def count(value: Any) -> int:
    """How many elements; of nil, 0. A string counts its characters (code points)."""
    if value is None:
        return 0
    return len(value) if isinstance(value, str) else len(elements(value))


def empty(value: Any) -> bool:
    """Whether there is no element."""
    return count(value) == 0


def not_empty(value: Any) -> Any:
    """*value*, or nil if it is empty."""
    return value if count(value) else None


def contains(value: Any, key: Any) -> bool:
    """Whether a map has the key, a set the element, a vector or a string the index.

    >>> contains((7, 8), 1), contains((7, 8), 7), contains(Set([7]), 7)
    (True, False, True)
    """
    if value is None:
        return False
    if isinstance(value, Map | Set):
        return key in value
    if isinstance(value, dict | set | frozenset):
        return key in freeze(value)
    if isinstance(value, List) or not isinstance(value, str | tuple | list):
        raise TypeError(f"{value!r} has neither keys nor places")
    return type(key) is int and 0 <= key < len(value)


def get(value: Any, key: Any, default: Any = None) -> Any:
    """What stands under *key*: of a map its value, of a set the element, of a vector or a string
    what is at that place; *default* where nothing is.

    >>> get(Map({"a": 1}), "a"), get((7, 8), 1), get((7, 8), 2, "none")
    (1, 8, 'none')
    """
    if isinstance(value, dict):
        value = freeze(value)
    if isinstance(value, Map):
        return value.get(key, default)
    if isinstance(value, Set | set | frozenset):
        return key if key in freeze(value) else default
    indexed = isinstance(value, str | tuple | list) and not isinstance(value, List)
    if indexed and type(key) is int and 0 <= key < len(value):
        return Char(value[key]) if isinstance(value, str) else value[key]
    return default


def span(first: Any, end: Any = None, step: Any = 1) -> tuple[Any, ...]:
    """The vector of the numbers from *first* (0 if only an end is given) up to *end*, without it.

    >>> span(3), span(1, 8, 3), span(3, 0, -1)
    ((0, 1, 2), (1, 4, 7), (3, 2, 1))

    Raises:
        LimitExceeded: there are more than a query may have rows.
    """
    if end is None:
        first, end = 0, first
    for value in (first, end, step):
        number(value)
    if step == 0:
        raise ValueError("its step is zero")
    length = max(0, math.ceil((Fraction(end) - Fraction(first)) / Fraction(step)))
    if length > LIMITS.query_rows:
        raise LimitExceeded(
            f"a range has at most {LIMITS.query_rows} numbers",
            limit="query_rows",
            allowed=LIMITS.query_rows,
            found=length,
        )
    if type(first) is int and type(end) is int and type(step) is int:
        return tuple(range(first, end, step))
    return tuple(add(first, multiply(step, index)) for index in range(length))
