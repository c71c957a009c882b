"""Parsed values as JSON has them, so that what was conformed can be sent on and conformed again."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from persistence.errors import InputError
from persistence.specs.problems import shown
from persistence.specs.spec import DEPTH, MAPS, SEQUENCES, SETS
from persistence.values import Char, Keyword, Symbol


def as_json(value: Any) -> Any:
    """*value* made of what `json.dumps` takes, in the form in which its spec takes it again.

    >>> as_json({"at": dt.datetime(2026, 4, 14, tzinfo=dt.UTC), "price": Decimal("10.50")})
    {'at': '2026-04-14T00:00:00Z', 'price': '10.50'}

    Raises:
        InputError: a part of it has no form in JSON, or it nests too deeply.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _SAME:
        return value
    if kind in _WRITTEN:
        return _WRITTEN[kind](value)
    if isinstance(value, enum.Enum):
        return _plain(enum_form(value), depth)
    if depth > DEPTH:
        raise InputError(f"the value nests more than {DEPTH} levels deep, or holds itself")
    if kind in SEQUENCES or kind in SETS:
        return [_plain(item, depth + 1) for item in value]
    if kind in MAPS:
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if attrs.has(kind) or dataclasses.is_dataclass(kind):
        return {key: _plain(getattr(value, name), depth + 1) for key, name in _fields(kind)}
    raise InputError(f"{shown(value)} has no form in JSON", hint="give it one before it gets here")


def enum_form(member: enum.Enum) -> Any:
    """How a member is written: by its value if all members have plain ones, else by its name."""
    kinds = {type(other.value) for other in type(member)}
    return member.value if kinds <= _SAME else member.name


def _fields(kind: type) -> list[tuple[str, str]]:
    if attrs.has(kind):
        return [(field.alias, field.name) for field in attrs.fields(kind) if field.init]
    return [(field.name, field.name) for field in dataclasses.fields(kind) if field.init]


def _key(key: Any) -> str:
    kind = type(key)
    written = str(key) if kind is int else _plain(key, DEPTH)
    if type(written) is not str:
        raise InputError(
            f"{shown(key)} cannot be the key of a JSON object", hint="use text or an int"
        )
    return written


def _instant(value: dt.datetime) -> str:
    try:
        text = value.astimezone(dt.UTC).isoformat()
    except OverflowError:
        return value.isoformat()
    return text.replace("+00:00", "Z")


_SAME: Final = frozenset((type(None), bool, int, float, str))
_WRITTEN: Final[dict[type, Callable[[Any], str]]] = {
    dt.datetime: _instant,
    uuid.UUID: str,
    Decimal: str,
    Fraction: str,
    Keyword: str,
    Symbol: str,
    Char: str,
    bytes: lambda value: base64.b64encode(value).decode("ascii"),
}
