"""The text that `values.write` gives, sooner for what attributes are mostly made of.

`write` encodes a value first, which says whether it is one, and every key of a map again, to order
them. Attributes are known to be values, and their keys are nearly always keywords.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from persistence.values import LIMITS, Keyword, List, Map, Symbol, Value, write

__all__ = ["written"]

_UNSIGNED = 1 << 64


def written(value: Value, depth: int = 0) -> str:
    """The text of *value*, the same that `write` gives.

    >>> written(Map({Keyword("b"): ["x", 1], Keyword("a"): 1.0}))
    '{:a 1.0 :b ["x" 1]}'

    Raises:
        ValueRefused, LimitExceeded: as `write` does.
    """
    kind = type(value)
    if kind is str:
        if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
            return f'"{value}"'
        return write(value)
    if kind is Keyword or kind is Symbol or (kind is int and abs(value) < _UNSIGNED):
        return str(value)
    if depth < LIMITS.nesting:
        depth += 1
        if kind is Map and all(type(key) is Keyword for key in value):
            words = [f"{key} {written(item, depth)}" for key, item in _in_order(value.items())]
            return "{" + " ".join(words) + "}"
        if kind is tuple:
            return "[" + " ".join([written(item, depth) for item in value]) + "]"
        if kind is List:
            return "(" + " ".join([written(item, depth) for item in value]) + ")"
    return write(value)


def _in_order(rows: Iterable[tuple[Keyword, Any]]) -> list[tuple[Keyword, Any]]:
    """By the canonical bytes of the keys: the shorter name first, then by its bytes."""
    return sorted(rows, key=_place)


def _place(row: tuple[Keyword, Any]) -> tuple[int, bytes]:
    name = row[0].name.encode()
    return len(name), name
