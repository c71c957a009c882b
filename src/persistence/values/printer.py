"""Writes EDN that reads back to the identical value, and the same text for the same value.

Maps and sets are ordered by the canonical bytes of their keys, so two equal values print alike
whatever the order they were built in.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from persistence.values.atoms import NAMED_CHARS, SPECIAL_FLOATS
from persistence.values.canonical import encode
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.types import List, Map, Set, Tagged, Value

__all__ = ["write"]

_UNSAFE = re.compile(r'[\x00-\x1f"\\\x7f-\x9f\u2028\u2029\ufeff]')
_ESCAPES = {"\t": "\\t", "\r": "\\r", "\n": "\\n", '"': '\\"', "\\": "\\\\"}
_CHAR_NAMES = {text: name for name, text in NAMED_CHARS.items()}


def write(value: Value, *, pretty: bool = False, width: int = 80) -> str:
    """The EDN text of *value*. *pretty* breaks lines that would be longer than *width*.

    >>> write({"b": 1.0, "a": [None, True, Decimal("1.50")]})
    '{"a" [nil true 1.50M] "b" 1.0}'

    Raises:
        ValueRefused: a part of it is no EDN value; names the type and the path.
        LimitExceeded: it nests too deeply, or a number in it is too long.
    """
    encode(value)  # From here on every part is known to be a value.
    return _pretty(value, 0, width) if pretty else _write(value)


def _write(value: Any) -> str:
    kind = type(value)
    atom = _ATOMS.get(kind)
    if atom is not None:
        return atom(value)
    if kind is Tagged:
        return f"#{value.tag} {_write(value.value)}"
    opening, closing, rows = _parts(value)
    words = []
    for row in rows:
        for item in row:
            words.append(_write(item))
    return f"{opening}{' '.join(words)}{closing}"


def _pretty(value: Any, indent: int, width: int) -> str:
    line = _write(value)
    if indent + len(line) <= width or type(value) in _ATOMS:
        return line
    if type(value) is Tagged:
        head = f"#{value.tag} "
        return head + _pretty(value.value, indent + len(head), width)
    opening, closing, rows = _parts(value)
    column = indent + len(opening)
    lines = []
    for row in rows:
        text = ""
        for item in row:
            text += " " if text else ""
            text += _pretty(item, column + len(text), width)
        lines.append(text)
    return opening + ("\n" + " " * column).join(lines) + closing


def _parts(value: Any) -> tuple[str, str, list[tuple[Any, ...]]]:
    """The brackets of a collection and its rows: (key, value) of a map, (item,) of all others."""
    kind = type(value)
    if kind is Map or kind is dict:
        pairs = {encode(key): (key, item) for key, item in value.items()}
        return "{", "}", [pairs[key] for key in sorted(pairs)]
    if kind is Set or kind is set or kind is frozenset:
        items = {encode(item): (item,) for item in value}
        return "#{", "}", [items[key] for key in sorted(items)]
    rows = [(item,) for item in value]
    return ("(", ")", rows) if kind is List else ("[", "]", rows)


def _str(value: str) -> str:
    return f'"{_UNSAFE.sub(_escape, value)}"'


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _float(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return next(
        text for text, x in SPECIAL_FLOATS.items() if x == value or (x != x and value != value)
    )


def _char(value: Char) -> str:
    text = value.text
    if text in _CHAR_NAMES:
        return "\\" + _CHAR_NAMES[text]
    if text == "," or (text <= "\uffff" and not text.isprintable()):
        return f"\\u{ord(text):04x}"
    return "\\" + text


def _instant(value: dt.datetime) -> str:
    text = value.astimezone(dt.UTC).replace(tzinfo=None).isoformat()
    return f'#inst "{text}Z"'


_ATOMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "nil",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    Decimal: lambda value: f"{value}M",
    Fraction: str,
    str: _str,
    Char: _char,
    Keyword: str,
    Symbol: str,
    dt.datetime: _instant,
    uuid.UUID: lambda value: f'#uuid "{value}"',
    bytes: lambda value: f'#bytes "{base64.b64encode(value).decode()}"',
}
