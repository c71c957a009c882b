"""What an attribute of a step may be: one check per sort of value, worded as reasons.

A check gives the reason why a value cannot be, or None. What an attribute is made of matters twice:
the expressions in it are held against the names around, and everything else is taken as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

from persistence.plans.expressions import LAST
from persistence.values import Keyword, Map, Symbol, Value, identity

__all__ = ["ELSE", "Attribute"]

Check: TypeAlias = Callable[[Value], str | None]
ELSE: Final = Keyword("else")


@attrs.frozen
class Attribute:
    """One attribute: its name, a line on what it says, its check, and how it is written."""

    name: Keyword
    doc: str
    check: Check
    usage: str  # a value to copy, for fixes and documentation
    expressions: Callable[[Value], Iterable[Value]] | None = None  # None: it is literal
    required: bool = False


def _whole(value: Value) -> Iterable[Value]:
    return (value,)


def any_value(value: Value) -> str | None:
    return None


def text(value: Value) -> str | None:
    return None if type(value) is str else "is a text"


def filled(value: Value) -> str | None:
    return None if type(value) is str and value.strip() else "is a text that is not blank"


def name(value: Value) -> str | None:
    if type(value) is not Symbol or value.namespace is not None:
        return "is a symbol without a slash"
    return "cannot be $, which is the value of the step before" if value is LAST else None


def distinct_names(value: Value) -> str | None:
    if type(value) is not tuple or any(name(item) for item in value):
        return "is a vector of symbols"
    return None if len(set(value)) == len(value) else "names something twice"


def operation(value: Value) -> str | None:
    return None if type(value) is Keyword else "is a keyword"


def flag(value: Value) -> str | None:
    return None if type(value) is bool else "is true or false"


def whole(least: int, most: int) -> Check:
    def check(value: Value) -> str | None:
        if type(value) is int and least <= value <= most:
            return None
        return f"is a whole number from {least} to {most}"

    return check


def seconds(most: int) -> Check:
    def check(value: Value) -> str | None:
        if type(value) in (int, float) and math.isfinite(value) and 0 < value <= most:
            return None
        return f"is a number of seconds above 0 and up to {most}"

    return check


def one_of(*allowed: Value) -> Check:
    def check(value: Value) -> str | None:
        if any(identity(value) == identity(one) for one in allowed):
            return None
        return f"is {' or '.join(map(repr, allowed))}"

    return check


def conditions(value: Value) -> str | None:
    if type(value) is not tuple or not value:
        return "is a vector of conditions"
    if any(condition is ELSE for condition in value[:-1]):
        return "has :else before its end, so that what follows it could never run"
    return None


def cases(value: Value) -> str | None:
    if type(value) is not tuple or not value:
        return "is a vector of values"
    if len({identity(case) for case in value}) < len(value):
        return "holds a value twice, so that the second could never run"
    return None


def arguments(value: Value) -> str | None:
    if type(value) is not Map:
        return "is a map"
    return None if _are_names(tuple(value)) else "has a key that is no keyword without a slash"


@lru_cache(maxsize=1_024)  # plans use the same few names again and again
def _are_names(keys: tuple[Value, ...]) -> bool:
    return all(type(key) is Keyword and key.namespace is None for key in keys)


def each_condition(value: Value) -> Iterable[Value]:
    return (item for item in value if item is not ELSE)


def each_argument(value: Value) -> Iterable[Value]:
    return [value[key] for key in value]


def literal(name: str, doc: str, check: Check, usage: str, *, required: bool = False) -> Attribute:
    """An attribute that is taken as it stands."""
    return Attribute(Keyword(name), doc, check, usage, required=required)


def expression(name: str, doc: str, usage: str, *, required: bool = False) -> Attribute:
    """An attribute that is worked out when the step runs."""
    return Attribute(Keyword(name), doc, any_value, usage, _whole, required)
