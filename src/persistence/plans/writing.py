"""The text that `values.write` gives, sooner for what attributes are mostly made of.

`write` encodes a value first, which says whether it is one, and every key of a map again, to order
them. Attributes are known to be values, and their keys are nearly always keywords.
"""

from __future__ import annotations

from functools import lru_cache
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
        if kind is Map:
            rows = _laid_out(tuple(value))
            if rows is not None:
                words = [text + written(value[key], depth) for key, text in rows]
                return "{" + " ".join(words) + "}"
        elif kind is tuple:
            return "[" + " ".join([written(item, depth) for item in value]) + "]"
        elif kind is List:
            return "(" + " ".join([written(item, depth) for item in value]) + ")"
    return write(value)


@lru_cache(maxsize=1_024)  # plans use the same few names again and again
def _laid_out(keys: tuple[Any, ...]) -> tuple[tuple[Keyword, str], ...] | None:
    """The keys in the order of their canonical bytes, each with its text; None if one is no
    keyword. The shorter name comes first, then they go by their bytes."""
    if not all(type(key) is Keyword for key in keys):
        return None
    ordered = sorted(keys, key=lambda key: (len(key.name.encode()), key.name.encode()))
    return tuple((key, f"{key} ") for key in ordered)
