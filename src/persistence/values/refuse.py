"""Says why a Python object is no EDN value, and where it sits.

Encoders run without a path and fail fast; only after a failure is the value walked again, here, to
name the place. So the words cost nothing on the good path and are the same in every room.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from fractions import Fraction
from typing import Any

from persistence.errors import InputError, LimitExceeded, ValueRefused
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol

TOO_LARGE = 10**LIMITS.number_digits  # the first int past the limit of digits


class Refused(Exception):
    """Raised where something cannot be kept and the path to it is not known."""


# What an encoder may fail with; `refusal` finds and words the reason.
FAILURES = (Refused, KeyError, UnicodeEncodeError, ValueRefused)

_LEAVES = frozenset((type(None), bool, Char, Keyword, Symbol, uuid.UUID, bytes, float))

# How each container shows what it holds; types.py adds its own.
CHILDREN: dict[type, Callable[[Any], Iterable[tuple[str, Any]]]] = {}


def _indexed(value: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    return ((f"[{i}]", item) for i, item in enumerate(value))


def _entries(value: Mapping[Any, Any]) -> Iterable[tuple[str, Any]]:
    for key, item in value.items():
        yield f"{{key {key!r}}}", key
        yield f"[{key!r}]", item


def _members(value: AbstractSet[Any]) -> Iterable[tuple[str, Any]]:
    return ((f"{{{item!r}}}", item) for item in value)


CHILDREN.update({list: _indexed, tuple: _indexed, dict: _entries})
CHILDREN.update({set: _members, frozenset: _members})


def refusal(root: Any) -> InputError:
    """The error for the first part of *root* that cannot be kept, with the path to it.

    >>> print(refusal([1, {"a": object()}]))
    object is no EDN value, at [1]['a']
    """
    stack: list[tuple[Any, tuple[str, ...]]] = [(root, ())]
    while stack:
        value, path = stack.pop()
        children = CHILDREN.get(type(value))
        if children is None:
            error = _leaf(value, f", at {''.join(path)}" if path else "")
            if error is not None:
                return error
        elif len(path) >= LIMITS.nesting:
            return LimitExceeded(
                f"values nest at most {LIMITS.nesting} deep",
                limit="nesting",
                allowed=LIMITS.nesting,
            )
        else:
            stack.extend(reversed([(child, (*path, step)) for step, child in children(value)]))
    return ValueRefused(f"{type(root).__name__} is no EDN value")  # pragma: no cover


def _leaf(value: Any, place: str) -> InputError | None:
    kind = type(value)
    if kind in _LEAVES:
        return None
    if kind is str:
        return _text(value, place)
    if kind is int:
        return _digits(abs(value) >= TOO_LARGE, place)
    if kind is Fraction:
        return _digits(max(abs(value.numerator), value.denominator) >= TOO_LARGE, place)
    if kind is Decimal:
        return _decimal(value, place)
    if kind is dt.datetime:
        if value.utcoffset() is None:
            return ValueRefused(
                f"{value!r} has no time zone{place}",
                hint="say which: datetime(..., tzinfo=timezone.utc) or .astimezone()",
            )
        return None
    return ValueRefused(f"{_named(kind)} is no EDN value{place}", hint=_hint(value), type=kind)


def _named(kind: type) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _text(value: str, place: str) -> InputError | None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        return ValueRefused(f"the string holds a lone surrogate U+{code:04X}{place}")
    return None


def _digits(too_many: bool, place: str) -> InputError | None:
    if not too_many:
        return None
    return LimitExceeded(
        f"a number has at most {LIMITS.number_digits} digits{place}",
        limit="number_digits",
        allowed=LIMITS.number_digits,
    )


def _decimal(value: Decimal, place: str) -> InputError | None:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return ValueRefused(
            f"Decimal('{value}') is no number{place}", hint="a float can hold NaN and infinity"
        )
    if abs(exponent) > LIMITS.exponent:
        return LimitExceeded(
            f"a decimal's exponent is at most {LIMITS.exponent} either way{place}",
            limit="exponent",
            allowed=LIMITS.exponent,
            found=exponent,
        )
    return _digits(len(digits) > LIMITS.number_digits, place)


def _hint(value: Any) -> str | None:
    kind = type(value)
    if kind.__module__.partition(".")[0] == "numpy":
        return "call .item() or .tolist() first: it gives the plain Python value"
    if isinstance(value, dt.date):
        return "use an aware datetime; a date alone names no instant"
    if kind in (bytearray, memoryview):
        return "use bytes(...)"
    if callable(getattr(value, "plain", None)):
        return "call .plain() first: it gives the plain Python value, nested ones too"
    for plain in (str, int, float, tuple, list, dict, set, frozenset):
        if isinstance(value, plain):
            return f"{kind.__name__} is a subclass of {plain.__name__}; pass {plain.__name__}(...)"
    if isinstance(value, Mapping):
        return "pass dict(...)"
    return None
