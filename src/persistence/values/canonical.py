"""Canonical bytes: one byte string per value, so that what is hashed or signed is never in doubt.

A deterministic CBOR profile (RFC 8949 §4.2.1) with tags for what EDN has and CBOR lacks;
docs/formats.md holds it byte by byte, enough for a second implementation. Two values are the same
exactly when their canonical bytes are.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from persistence.values.instants import FOREVER, micros
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.refuse import FAILURES, TOO_LARGE, Refused, refusal
from persistence.values.types import List, Map, Set, Tagged, Value
from persistence.values.wire import (
    ARRAY,
    BYTES,
    DOUBLE,
    FALSE,
    HALF,
    HEAD_32,
    HEADS,
    INSTANT_HEAD,
    MAP,
    NAN,
    NEGATIVE,
    NIL,
    SINGLE,
    TAG,
    TAG_BIG_NEGATIVE,
    TAG_BIG_POSITIVE,
    TAG_CHAR,
    TAG_DECIMAL,
    TAG_KEYWORD,
    TAG_LIST,
    TAG_NEGATIVE_ZERO,
    TAG_RATIO,
    TAG_SET,
    TAG_SYMBOL,
    TAG_TAGGED,
    TAG_UUID,
    TEXT,
    TRUE,
    UINT,
    head,
)

__all__ = ["encode", "encode_datom"]


def _tag(number: int) -> bytes:
    return head(TAG, number)


_T_DECIMAL, _T_RATIO, _T_KEYWORD = _tag(TAG_DECIMAL), _tag(TAG_RATIO), _tag(TAG_KEYWORD)
_T_UUID = _tag(TAG_UUID) + head(BYTES, 16)
_T_SET, _T_LIST = _tag(TAG_SET), _tag(TAG_LIST)
_T_SYMBOL, _T_CHAR = _tag(TAG_SYMBOL), _tag(TAG_CHAR)
_T_TAGGED = _tag(TAG_TAGGED) + head(ARRAY, 2)
_T_NEGATIVE_ZERO = _tag(TAG_NEGATIVE_ZERO)


def encode(value: Value) -> bytes:
    """The canonical bytes of *value*.

    >>> encode([1, 1.0, True]).hex(), encode(Keyword("a")).hex()
    ('8301f93c00f5', 'd8276161')

    Raises:
        ValueRefused: a part of it is no EDN value; names the type and the path.
        LimitExceeded: it nests too deeply, or a number in it is too long.
    """
    try:
        return _ENCODERS[type(value)](value, 0)
    except FAILURES:
        raise refusal(value) from None


def encode_datom(e: int, a: Keyword, v: Value, valid_from: int, valid_to: int, op: bool) -> bytes:
    """The canonical bytes of the vector `[e a v valid_from valid_to op]` that a datom's id covers.

    Instants are microseconds; a `valid_to` of `FOREVER` becomes nil; *op* is true for an assertion.

    >>> encode_datom(1, Keyword("a"), "x", 0, FOREVER, True).hex()
    '8601d82761616178d9ed0100f6f5'

    Raises:
        ValueRefused, LimitExceeded: as `encode` does.
    """
    try:
        return b"".join(
            (
                b"\x86",
                _int(e, 0),
                a._bytes or _keyword(a, 0),
                _ENCODERS[type(v)](v, 1),
                _instant(valid_from),
                NIL if valid_to == FOREVER else _instant(valid_to),
                TRUE if op else FALSE,
            )
        )
    except FAILURES:
        raise refusal(v) from None


def encode_datoms(
    rows: Iterable[tuple[int, int, int, Any, int, int, int]],
    names: Mapping[int, Keyword],
    values: Mapping[tuple[int, Any], Value],
) -> list[bytes]:
    """What `encode_datom` gives for each of *rows*, in less time: the datoms of one transaction
    share nearly all of their ends, and neighbours often their entity.

    A row is `(e, a, k, payload, valid_from, valid_to, op)`; *names* has its attribute by `a`,
    *values* its value by `(k, payload)`.

    >>> encode_datoms([(1, 7, 9, "x", 0, FOREVER, 1)], {7: Keyword("a")}, {(9, "x"): "x"})[0].hex()
    '8601d82761616178d9ed0100f6f5'

    Raises:
        ValueRefused, LimitExceeded: as `encode` does.
    """
    ends: dict[tuple[int, int, int], bytes] = {}
    heads = {number: _keyword(name, 0) for number, name in names.items()}
    encoders, encoded = _ENCODERS, []
    v: Value = None
    entity: int | None = None
    start = b""
    try:
        for e, a, k, payload, valid_from, valid_to, op in rows:
            if e != entity:
                entity, start = e, b"\x86" + _int(e, 0)
            end = ends.get((valid_from, valid_to, op))
            if end is None:
                to = NIL if valid_to == FOREVER else _instant(valid_to)
                end = _instant(valid_from) + to + (TRUE if op else FALSE)
                ends[valid_from, valid_to, op] = end
            v = values[k, payload]
            encoded.append(start + heads[a] + encoders[type(v)](v, 1) + end)
    except FAILURES:
        raise refusal(v) from None
    return encoded


@functools.lru_cache(maxsize=256)  # the datoms of one transaction share a few instants
def _instant(microseconds: int) -> bytes:
    return INSTANT_HEAD + _int(microseconds, 0)


def _int(value: int, depth: int) -> bytes:
    if value >= 0:
        if value < 24:
            return HEADS[value]
        # Entities and most values: what `head` does, without the call.
        if 0xFFFF < value <= 0xFFFF_FFFF:
            return HEAD_32(26, value)
        if value <= 0xFFFF_FFFF_FFFF_FFFF:
            return head(UINT, value)
        return _big(TAG_BIG_POSITIVE, value)
    if value >= -0x1_0000_0000_0000_0000:
        return head(NEGATIVE, -1 - value)
    return _big(TAG_BIG_NEGATIVE, -1 - value)


def _big(tag: int, n: int) -> bytes:
    if n + (tag == TAG_BIG_NEGATIVE) >= TOO_LARGE:
        raise Refused
    size = (n.bit_length() + 7) // 8
    return _tag(tag) + head(BYTES, size) + n.to_bytes(size, "big")


def _float(value: float, depth: int) -> bytes:
    eight = DOUBLE.pack(value)
    # Few floats of the world fit in fewer bits: those have nothing in the low 29.
    if not eight[7] and int.from_bytes(eight[4:], "big") & 0x1FFF_FFFF == 0:
        if value != value:
            return NAN
        for first, size in ((b"\xf9", HALF), (b"\xfa", SINGLE)):
            try:
                packed = size.pack(value)
            except OverflowError:
                continue
            if size.unpack(packed)[0] == value:
                return first + packed
    return b"\xfb" + eight if value == value else NAN


def _str(value: str, depth: int) -> bytes:
    utf8 = value.encode()
    size = len(utf8)
    return (HEADS[TEXT | size] if size < 24 else head(TEXT, size)) + utf8


def _bytes(value: bytes, depth: int) -> bytes:
    return head(BYTES, len(value)) + value


def _keyword(value: Keyword, depth: int) -> bytes:
    found = value._bytes
    if found is None:
        found = _T_KEYWORD + _str(value.name, 0)
        object.__setattr__(value, "_bytes", found)
    return found


def _symbol(value: Symbol, depth: int) -> bytes:
    found = value._bytes
    if found is None:
        found = _T_SYMBOL + _str(value.name, 0)
        object.__setattr__(value, "_bytes", found)
    return found


def _char(value: Char, depth: int) -> bytes:
    return _T_CHAR + _int(ord(value.text), 0)


def _decimal(value: Decimal, depth: int) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if (
        not isinstance(exponent, int)
        or abs(exponent) > LIMITS.exponent
        or len(digits) > LIMITS.number_digits
    ):
        raise Refused
    mantissa = int("".join(map(str, digits)))
    if sign and not mantissa:
        return _T_NEGATIVE_ZERO + _int(exponent, 0)
    return b"%b\x82%b%b" % (
        _T_DECIMAL,
        _int(exponent, 0),
        _int(-mantissa if sign else mantissa, 0),
    )


def _fraction(value: Fraction, depth: int) -> bytes:
    if value.denominator == 1:
        return _int(value.numerator, 0)
    if max(abs(value.numerator), value.denominator) >= TOO_LARGE:
        raise Refused
    return b"%b\x82%b%b" % (_T_RATIO, _int(value.numerator, 0), _int(value.denominator, 0))


# The containers use loops where a comprehension would do: it would cost a frame per level.


def _array(value: Any, depth: int) -> bytes:
    if depth >= LIMITS.nesting:
        raise Refused
    depth += 1
    parts = [head(ARRAY, len(value))]
    for item in value:
        parts.append(_ENCODERS[type(item)](item, depth))
    return b"".join(parts)


def _list(value: List, depth: int) -> bytes:
    return _T_LIST + _array(value, depth)


def _map(value: Any, depth: int) -> bytes:
    if depth >= LIMITS.nesting:
        raise Refused
    depth += 1
    entries: dict[bytes, bytes] = {}
    for key, item in value.items():
        entries[_ENCODERS[type(key)](key, depth)] = _ENCODERS[type(item)](item, depth)
    parts = [head(MAP, len(entries))]
    for pair in sorted(entries.items()):
        parts += pair
    return b"".join(parts)


def _set(value: Any, depth: int) -> bytes:
    if depth >= LIMITS.nesting:
        raise Refused
    depth += 1
    members: set[bytes] = set()
    for item in value:
        members.add(_ENCODERS[type(item)](item, depth))
    return b"".join((_T_SET, head(ARRAY, len(members)), *sorted(members)))


def _tagged(value: Tagged, depth: int) -> bytes:
    if depth >= LIMITS.nesting:
        raise Refused
    inner = value.value
    return _T_TAGGED + _str(value.tag.name, 0) + _ENCODERS[type(inner)](inner, depth + 1)


_ENCODERS: dict[type, Callable[[Any, int], bytes]] = {
    type(None): lambda value, depth: NIL,
    bool: lambda value, depth: TRUE if value else FALSE,
    int: _int,
    float: _float,
    Decimal: _decimal,
    Fraction: _fraction,
    str: _str,
    bytes: _bytes,
    Char: _char,
    Keyword: _keyword,
    Symbol: _symbol,
    dt.datetime: lambda value, depth: _instant(micros(value)),
    uuid.UUID: lambda value, depth: _T_UUID + value.bytes,
    tuple: _array,
    list: _array,
    List: _list,
    Map: _map,
    dict: _map,
    Set: _set,
    set: _set,
    frozenset: _set,
    Tagged: _tagged,
}
