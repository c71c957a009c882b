"""Turns what a file can say into the value that an attribute wants, or says why it cannot.

A conversion never guesses: what would lose something, or could mean two things, is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from persistence.datoms import instant
from persistence.errors import IntervalError, ValueRefused
from persistence.values import LIMITS, Char, Keyword, List, Map, Set, Symbol, freeze


class Unfit(Exception):
    """A value that cannot become what is wanted; the message is the reason."""


_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_FLOAT: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z")
_EXACT: Final = 17  # characters, with sign and point: 15 digits survive as a double
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_LONG: Final = range(-(2**63), 2**63)
_TRUTH: Final = {"true": True, "false": False}
_LISTS: Final = (list, tuple)

Converter = Callable[[Any], Any]


def stamp(value: Any, zone: ZoneInfo | None) -> datetime:
    """The instant that *value* names; *zone* is that of stamps without one.

    >>> stamp("2024-05-01T10:00:00", ZoneInfo("UTC")).isoformat()
    '2024-05-01T10:00:00+00:00'

    Raises:
        Unfit: it is no instant, or has no time zone and none is given.
    """
    if type(value) is str:
        try:
            read = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise Unfit(f"{_show(value)} is no instant") from error
        if read.tzinfo is None and zone is None and _DAY.match(value.strip()):
            zone = ZoneInfo("UTC")  # a date means its midnight there, as everywhere in the library
    elif isinstance(value, datetime):
        read = value
    elif isinstance(value, date):
        read = datetime(value.year, value.month, value.day, tzinfo=zone or ZoneInfo("UTC"))
    else:
        raise Unfit(f"{_show(value)} is no instant")
    if read.tzinfo is None:
        if zone is None:
            raise Unfit(f"{_show(value)} has no time zone; say which with --timezone")
        read = read.replace(tzinfo=zone)
    try:
        instant(read)
    except (IntervalError, OverflowError) as error:
        raise Unfit(f"{_show(value)} is no instant") from error
    return read


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unfit(value: Any, kind: str) -> Unfit:
    return Unfit(f"{_show(value)} is no {kind}")


def _integer(value: Any, kind: str) -> int:
    if type(value) is int:
        return value
    if type(value) is str and len(value) <= LIMITS.number_digits and _INTEGER.match(value.strip()):
        return int(value)
    if type(value) in (float, Decimal) and value == value and value % 1 == 0:
        return int(value)
    raise _unfit(value, kind)


def _long(value: Any) -> int:
    made = _integer(value, "integer")
    if made not in _LONG:
        raise Unfit(f"{_show(value)} does not fit into 64 bits; the type bigint has no bounds")
    return made


def _bigint(value: Any) -> int:
    return _integer(value, "integer")


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int or type(value) is Decimal:
        made = float(value)
        if type(value) is int and int(made) != value:
            raise Unfit(f"{value} would lose digits as a double")
        return made
    if type(value) is str and _FLOAT.match(value.strip()):
        return float(value)
    raise _unfit(value, "number")


def _bigdec(value: Any) -> Decimal:
    if type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    if type(value) is float:
        return Decimal(repr(value))
    if type(value) is str and _FLOAT.match(value.strip()):
        try:
            return Decimal(value.strip())
        except InvalidOperation:
            pass
    raise _unfit(value, "decimal")


def _ratio(value: Any) -> Fraction | int:
    if type(value) is int or type(value) is Fraction:
        return value
    try:
        if type(value) is str:
            made = Fraction(value.strip())
            return made.numerator if made.denominator == 1 else made
    except (ValueError, ZeroDivisionError):
        pass
    raise _unfit(value, "ratio")


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    found = _TRUTH.get(value.strip().lower()) if type(value) is str else None
    if found is None:
        raise _unfit(value, "boolean")
    return found


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) in (int, float, Decimal, Fraction, uuid.UUID):
        return str(value)
    raise _unfit(value, "string")


def _uuid(value: Any) -> uuid.UUID:
    if type(value) is uuid.UUID:
        return value
    try:
        if type(value) is str:
            return uuid.UUID(value.strip())
    except ValueError:
        pass
    raise _unfit(value, "uuid")


def _named(kind: type[Keyword] | type[Symbol], name: str) -> Converter:
    def convert(value: Any) -> Any:
        if type(value) is kind:
            return value
        try:
            if type(value) is str:
                return kind(value)
        except ValueRefused:
            pass
        raise _unfit(value, name)

    return convert


def _char(value: Any) -> Char:
    if type(value) is Char:
        return value
    try:
        if type(value) is str:
            return Char(value)
    except ValueRefused:
        pass
    raise _unfit(value, "character")


def _bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return value
    try:
        if type(value) is str:
            return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise _unfit(value, "base64 text")


def _collection(kinds: tuple[type, ...], name: str, make: Callable[[Any], Any]) -> Converter:
    def convert(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise _unfit(value, name)
        try:
            return freeze(make(value))
        except ValueRefused as error:
            raise Unfit(error.message) from error

    return convert


TYPES: Final[dict[str, Converter | None]] = {
    "string": _string,
    "boolean": _boolean,
    "long": _long,
    "bigint": _bigint,
    "double": _double,
    "float": _double,
    "bigdec": _bigdec,
    "ratio": _ratio,
    "instant": None,  # needs the time zone: see `converter`
    "uuid": _uuid,
    "keyword": _named(Keyword, "keyword"),
    "symbol": _named(Symbol, "symbol"),
    "char": _char,
    "bytes": _bytes,
    "vector": _collection(_LISTS, "array", tuple),
    "tuple": _collection(_LISTS, "array", tuple),
    "list": _collection(_LISTS, "array", List),
    "set": _collection((*_LISTS, Set), "array", Set),
    "map": _collection((Mapping,), "object", Map),
}

# The Python type whose values are what the type wants, as they stand.
PLAIN: Final[dict[str, type]] = {
    "string": str,
    "boolean": bool,
    "long": int,
    "double": float,
    "float": float,
    "bigdec": Decimal,
    "uuid": uuid.UUID,
    "keyword": Keyword,
    "symbol": Symbol,
}

# What an undeclared attribute is declared as, when all its values are of one type.
INFERRED: Final[dict[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "long",
    float: "double",
    Decimal: "bigdec",
    Fraction: "ratio",
    datetime: "instant",
    uuid.UUID: "uuid",
    Keyword: "keyword",
    Symbol: "symbol",
    Char: "char",
    bytes: "bytes",
}


def converter(kind: str, zone: ZoneInfo | None) -> Converter:
    """What makes values of the type *kind*; it raises `Unfit`.

    >>> converter("long", None)("12")
    12
    """
    made = TYPES[kind]
    return made if made is not None else lambda value: stamp(value, zone)


def guess(cells: list[str]) -> str:
    """The narrowest type that every one of these texts has, which is how CSV tells types.

    Digits that name rather than count, such as 007 or +49, are text.

    >>> guess(["1", "22"]), guess(["1", "2.5"]), guess(["007"])
    ('long', 'double', 'string')
    """
    if not cells:
        return "string"
    if all(cell.lower() in _TRUTH for cell in cells):
        return "boolean"
    if all(_canonical(cell) and int(cell) in _LONG for cell in cells):
        return "long"
    if all(len(cell) <= _EXACT and _NUMBER.match(cell) for cell in cells):
        return "double"
    return "string"


def _canonical(cell: str) -> bool:
    return len(cell) <= 20 and bool(_INTEGER.match(cell)) and str(int(cell)) == cell
