"""How a value becomes a row: a small integer for its kind, and a payload the engine can compare.

Within one kind the payload sorts as the values do (`order.compare`), so that the engine itself
joins, range-scans and aggregates. A payload that would be long is cut to a prefix and the content
id of the whole; the value's canonical bytes are then interned under that id.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any, Final, TypeAlias

from persistence.errors import CorruptStore, LimitExceeded, ValueRefused
from persistence.values.canonical import encode
from persistence.values.decoding import decode
from persistence.values.digest import digest
from persistence.values.instants import from_micros, micros
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.order import (
    decimal_key,
    elements_key,
    escape,
    rational,
    read_decimal,
    read_elements,
    read_rational,
    unescape,
)
from persistence.values.refuse import FAILURES, refusal
from persistence.values.types import List, Map, Set, Tagged, Value

__all__ = [
    "ERASED",
    "INTERNED",
    "NUMERIC",
    "Kind",
    "Payload",
    "columns",
    "float_from_order",
    "float_order",
    "from_columns",
    "interned_id",
    "to_columns",
]

Payload: TypeAlias = int | float | str
Row: TypeAlias = tuple[int, Payload, bytes | None]


class Kind(IntEnum):
    """The kind of a stored value; the numbers are part of the format."""

    BOOL = 1
    INT = 2
    BIGINT = 3
    FLOAT = 4
    DECIMAL = 5
    RATIO = 6
    INST = 7
    CHAR = 8
    STRING = 9
    KEYWORD = 10
    SYMBOL = 11
    UUID = 12
    BYTES = 13
    VECTOR = 14
    LIST = 15
    MAP = 16
    SET = 17
    TAGGED = 18


ERASED: Final = 0  # the kind of what the log held, and holds no more; its payload is 0
INTERNED: Final = 32  # added to the kind of a value whose bytes lie in the blob table
NUMERIC: Final = frozenset((Kind.INT, Kind.BIGINT, Kind.FLOAT, Kind.DECIMAL, Kind.RATIO))

_INLINE: Final = LIMITS.inline_chars
_PREFIX: Final = 128  # enough to keep range scans of long strings narrow
_MARK: Final = "\x1f"


def columns(value: Value) -> Row:
    """The kind, the payload, and the canonical bytes to intern (None for a short value).

    >>> columns(42), columns("Ada"), columns(Keyword("db/id"))
    ((2, 42, None), (9, 'Ada', None), (10, 'db/id', None))
    >>> k, payload, data = columns("long " * 100)
    >>> k == Kind.STRING + INTERNED, len(payload), len(data)
    (True, 193, 503)

    Raises:
        ValueRefused: no EDN value, or nil, which is no value of a fact.
        LimitExceeded: longer than `LIMITS.value_bytes`, or another limit.
    """
    try:
        return _ROWS[type(value)](value)
    except FAILURES:
        if value is None:
            raise ValueRefused(
                "nil is no value of a fact", hint="retract the fact instead"
            ) from None
        raise refusal(value) from None


def to_columns(value: Value) -> tuple[int, Payload]:
    """The kind and the payload alone: what a query compares with.

    >>> to_columns(True)
    (1, 1)

    Raises:
        ValueRefused, LimitExceeded: as `columns` does.
    """
    k, payload, _ = columns(value)
    return k, payload


def from_columns(k: int, payload: Payload, interned: bytes | None = None) -> Value:
    """The value that `columns` made a row of; *interned* are the bytes kept for a long one.

    >>> from_columns(*columns([1, "a"]))
    (1, 'a')

    Raises:
        CorruptStore: no such kind, or the interned bytes are missing or are not those.
    """
    try:
        if k < INTERNED:
            return _VALUES[k](payload)
    except (KeyError, ValueError, TypeError, IndexError, ValueRefused):
        raise CorruptStore(f"no value of kind {k} is stored as {payload!r}", k=k) from None
    return _interned_value(k, payload, interned)


def interned_id(payload: str) -> bytes:
    """The content id that the payload of an interned value ends with.

    >>> _, payload, data = columns("long " * 100)
    >>> interned_id(payload) == digest("blob", data)
    True
    """
    return bytes.fromhex(payload[-64:])


def float_order(value: float) -> int:
    """A signed 64-bit integer that sorts as *value*: -0.0 just below 0.0, NaN above infinity.

    >>> float_order(-1.5) < float_order(-0.0) < float_order(0.0) < float_order(1e-300)
    True
    """
    if value != value:
        return 0x7FF8_0000_0000_0000
    bits: int = _int64.unpack(_double.pack(value))[0]
    return bits if bits >= 0 else bits ^ 0x7FFF_FFFF_FFFF_FFFF


def float_from_order(order: int) -> float:
    """The float whose `float_order` is *order*.

    >>> float_from_order(float_order(-2.5))
    -2.5
    """
    bits = order if order >= 0 else order ^ 0x7FFF_FFFF_FFFF_FFFF
    value: float = _double.unpack(_int64.pack(bits))[0]
    return value


_double, _int64 = struct.Struct(">d"), struct.Struct(">q")


def _interned_value(k: int, payload: Payload, interned: bytes | None) -> Value:
    if interned is None or type(payload) is not str:
        raise CorruptStore(f"the bytes of an interned value of kind {k} are missing", k=k)
    if digest("blob", interned) != interned_id(payload):
        raise CorruptStore("interned bytes do not have the content id they are kept under", k=k)
    return decode(interned)


def _long(kind: int, prefix: str, data: bytes) -> Row:
    """The row of an interned value; *prefix* begins its ordinary payload."""
    if len(data) > LIMITS.value_bytes:
        raise _too_long(len(data))
    return kind + INTERNED, f"{prefix[:_PREFIX]}{_MARK}{digest('blob', data).hex()}", data


def _too_long(size: int) -> LimitExceeded:
    return LimitExceeded(
        f"a value has at most {LIMITS.value_bytes} bytes, this one {size}",
        hint="keep large objects elsewhere, and their content id here",
        limit="value_bytes",
        allowed=LIMITS.value_bytes,
        found=size,
    )


def _text(kind: int, payload: str, value: Value) -> Row:
    if len(payload) <= _INLINE:
        return kind, payload, None
    return _long(kind, payload, encode(value))


def _int(value: int) -> Row:
    if -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
        return 2, value, None
    encode(value)
    return _text(3, rational(value, 1), value)


def _float(value: float) -> Row:
    # SQLite turns NaN into NULL and finds -0.0 equal to 0.0: both are kept as text.
    if value != value:
        return 4, "NaN", None
    if value == 0 and str(value) == "-0.0":
        return 4, "-0.0", None
    return 4, value, None


def _str(value: str) -> Row:
    if len(value) <= _INLINE:
        if value.isprintable():  # nothing to escape, nothing to refuse
            return 9, value, None
        value.encode()  # refuses lone surrogates
        return _text(9, escape(value), value)
    if len(value) > LIMITS.value_bytes:
        raise _too_long(len(value))
    data = encode(value)
    return _long(9, escape(value[:_PREFIX]), data)


def _keyword(value: Keyword) -> Row:
    name = value.name
    return (10, name, None) if len(name) <= _INLINE else _text(10, name, value)


def _bytes(value: bytes) -> Row:
    if len(value) > LIMITS.value_bytes:
        raise _too_long(len(value))
    if len(value) * 2 <= _INLINE:
        return 13, value.hex(), None
    return _long(13, value[:_PREFIX].hex(), encode(value))


def _decimal(value: Decimal) -> Row:
    encode(value)  # refuses what is past the limits, before the long division
    return _text(5, decimal_key(value), value)


def _fraction(value: Fraction) -> Row:
    if value.denominator == 1:
        return _int(value.numerator)
    encode(value)
    return _text(6, rational(value.numerator, value.denominator), value)


def _vector(value: Any) -> Row:
    return _text(14, elements_key(value), value)


def _encoded(kind: int) -> Callable[[Any], Row]:
    def row(value: Any) -> Row:
        data = encode(value)
        if len(data) * 2 <= _INLINE:
            return kind, data.hex(), None
        return _long(kind, data[:_PREFIX].hex(), data)

    return row


_ROWS: dict[type, Callable[[Any], Row]] = {
    bool: lambda value: (1, 1 if value else 0, None),
    int: _int,
    float: _float,
    Decimal: _decimal,
    Fraction: _fraction,
    dt.datetime: lambda value: (7, micros(value), None),
    Char: lambda value: (8, ord(value.text), None),
    str: _str,
    Keyword: _keyword,
    Symbol: lambda value: _text(11, value.name, value),
    uuid.UUID: lambda value: (12, value.hex, None),
    bytes: _bytes,
    tuple: _vector,
    list: _vector,
    List: lambda value: _text(15, elements_key(value), value),
    Map: _encoded(16),
    dict: _encoded(16),
    Set: _encoded(17),
    set: _encoded(17),
    frozenset: _encoded(17),
    Tagged: _encoded(18),
}


def _ratio(payload: Any) -> Fraction:
    numerator, denominator, _ = read_rational(payload, 0)
    return Fraction(numerator, denominator)


def _decode(payload: Any) -> Value:
    return decode(bytes.fromhex(payload))


_VALUES: dict[int, Callable[[Any], Value]] = {
    1: bool,
    2: int,
    3: lambda payload: read_rational(payload, 0)[0],
    4: float,
    5: lambda payload: read_decimal(payload, 0)[0],
    6: _ratio,
    7: from_micros,
    8: lambda payload: Char(chr(payload)),
    9: unescape,
    10: Keyword,
    11: Symbol,
    12: uuid.UUID,
    13: bytes.fromhex,
    14: read_elements,
    15: lambda payload: List(read_elements(payload)),
    16: _decode,
    17: _decode,
    18: _decode,
}
