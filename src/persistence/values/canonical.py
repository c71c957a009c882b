"""Canonical bytes: one byte string per value, so that what is hashed or signed is never in doubt.

A deterministic CBOR profile (RFC 8949 §4.2.1) with tags for what EDN has and CBOR lacks;
docs/formats.md holds it byte by byte, enough for a second implementation. Two values are the same
exactly when their canonical bytes are.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NoReturn

from persistence.errors import InputError, ValueRefused
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.refuse import FAILURES, TOO_LARGE, Refused, refusal
from persistence.values.types import (
    FOREVER,
    List,
    Map,
    Set,
    Tagged,
    Value,
    from_micros,
    micros,
)

__all__ = ["decode", "decode_datom", "encode", "encode_datom"]

# Registered tags.
_BIG_POSITIVE, _BIG_NEGATIVE, _DECIMAL, _RATIO, _UUID, _KEYWORD, _SET = 2, 3, 4, 30, 37, 39, 258
# Tags of our own, in the range that RFC 8949 leaves open to all.
_INSTANT, _SYMBOL, _CHAR, _LIST, _TAGGED, _NEGATIVE_ZERO = range(0xED01, 0xED07)

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = (major << 5 for major in range(7))
_SIZES: Final = ((24, 1), (25, 2), (26, 4), (27, 8))

_FALSE, _TRUE, _NIL, _NAN = b"\xf4", b"\xf5", b"\xf6", b"\xf9\x7e\x00"
_double, _single, _half = struct.Struct(">d"), struct.Struct(">f"), struct.Struct(">e")


def _head(major: int, n: int) -> bytes:
    """The shortest CBOR head of *major* type with argument *n*."""
    if n < 24:
        return _HEADS[major | n]
    if n < 0x100:
        return bytes((major | 24, n))
    if n < 0x1_0000:
        return bytes((major | 25, n >> 8, n & 255))
    if n < 0x1_0000_0000:
        return _HEADS[major | 26] + n.to_bytes(4, "big")
    return _HEADS[major | 27] + n.to_bytes(8, "big")


_HEADS = tuple(bytes((first,)) for first in range(256))


def _tag(number: int) -> bytes:
    return _head(_TAG, number)


_T_DECIMAL, _T_RATIO, _T_KEYWORD = _tag(_DECIMAL), _tag(_RATIO), _tag(_KEYWORD)
_T_UUID = _tag(_UUID) + _head(_BYTES, 16)
_T_SET, _T_LIST = _tag(_SET), _tag(_LIST)
_T_INSTANT, _T_SYMBOL, _T_CHAR = _tag(_INSTANT), _tag(_SYMBOL), _tag(_CHAR)
_T_TAGGED = _tag(_TAGGED) + _head(_ARRAY, 2)
_T_NEGATIVE_ZERO = _tag(_NEGATIVE_ZERO)


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
                _T_INSTANT,
                _int(valid_from, 0),
                _NIL if valid_to == FOREVER else _T_INSTANT + _int(valid_to, 0),
                _TRUE if op else _FALSE,
            )
        )
    except FAILURES:
        raise refusal(v) from None


def _int(value: int, depth: int) -> bytes:
    if value >= 0:
        if value < 24:
            return _HEADS[value]
        if value <= 0xFFFF_FFFF_FFFF_FFFF:
            return _head(_UINT, value)
        return _big(_BIG_POSITIVE, value)
    if value >= -0x1_0000_0000_0000_0000:
        return _head(_NEGATIVE, -1 - value)
    return _big(_BIG_NEGATIVE, -1 - value)


def _big(tag: int, n: int) -> bytes:
    if n + (tag == _BIG_NEGATIVE) >= TOO_LARGE:
        raise Refused
    size = (n.bit_length() + 7) // 8
    return _tag(tag) + _head(_BYTES, size) + n.to_bytes(size, "big")


def _float(value: float, depth: int) -> bytes:
    eight = _double.pack(value)
    # Few floats of the world fit in fewer bits: those have nothing in the low 29.
    if eight[4:] == b"\0\0\0\0" or int.from_bytes(eight[4:], "big") & 0x1FFF_FFFF == 0:
        if value != value:
            return _NAN
        for first, size in ((b"\xf9", _half), (b"\xfa", _single)):
            try:
                packed = size.pack(value)
            except OverflowError:
                continue
            if size.unpack(packed)[0] == value:
                return first + packed
    return b"\xfb" + eight if value == value else _NAN


def _str(value: str, depth: int) -> bytes:
    utf8 = value.encode()
    size = len(utf8)
    return (_HEADS[_TEXT | size] if size < 24 else _head(_TEXT, size)) + utf8


def _bytes(value: bytes, depth: int) -> bytes:
    return _head(_BYTES, len(value)) + value


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
    parts = [_head(_ARRAY, len(value))]
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
    parts = [_head(_MAP, len(entries))]
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
    return b"".join((_T_SET, _head(_ARRAY, len(members)), *sorted(members)))


def _tagged(value: Tagged, depth: int) -> bytes:
    if depth >= LIMITS.nesting:
        raise Refused
    inner = value.value
    return _T_TAGGED + _str(value.tag.name, 0) + _ENCODERS[type(inner)](inner, depth + 1)


_ENCODERS: dict[type, Callable[[Any, int], bytes]] = {
    type(None): lambda value, depth: _NIL,
    bool: lambda value, depth: _TRUE if value else _FALSE,
    int: _int,
    float: _float,
    Decimal: _decimal,
    Fraction: _fraction,
    str: _str,
    bytes: _bytes,
    Char: _char,
    Keyword: _keyword,
    Symbol: _symbol,
    dt.datetime: lambda value, depth: _T_INSTANT + _int(micros(value), 0),
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


def decode(data: bytes) -> Value:
    """The value whose canonical bytes *data* is, all of it.

    >>> decode(encode({"a": [1, {2}]}))
    Map({'a': (1, Set([2]))})

    Raises:
        ValueRefused: *data* is not the canonical encoding of any value.
        LimitExceeded: it nests too deeply, or a number in it is too long.
    """
    value, end = _item(data, 0, 0)
    _check(data, end, encode(value))
    return value


def decode_datom(data: bytes) -> tuple[int, Keyword, Value, int, int, bool]:
    """The `(e, a, v, valid_from, valid_to, op)` that `encode_datom` made *data* of.

    >>> decode_datom(encode_datom(1, Keyword("a"), "x", 5, FOREVER, False))
    (1, Keyword('a'), 'x', 5, 9223372036854775807, False)

    Raises:
        ValueRefused: *data* is not the canonical encoding of a datom.
    """
    if data[:1] != b"\x86":
        _broken(0, "a datom begins with 86")
    e, at = _item(data, 1, 1)
    a, at = _item(data, at, 1)
    v, at = _item(data, at, 1)
    valid_from, at = _instant(data, at)
    valid_to, at = (FOREVER, at + 1) if data[at : at + 1] == _NIL else _instant(data, at)
    op, at = _item(data, at, 1)
    if type(e) is not int or type(a) is not Keyword or v is None or type(op) is not bool:
        _broken(0, "a datom is [e a v valid_from valid_to op]")
    _check(data, at, encode_datom(e, a, v, valid_from, valid_to, op))
    return e, a, v, valid_from, valid_to, op


def _instant(data: bytes, at: int) -> tuple[int, int]:
    count, end = _item(data, at + 3, 1)
    if data[at : at + 3] != _T_INSTANT or type(count) is not int:
        _broken(at, "an instant is expected")
    return count, end


def _check(data: bytes, end: int, again: bytes) -> None:
    """Every rule of the profile at once: what is canonical encodes to itself."""
    if end != len(data):
        _broken(end, "the value ends here, the bytes do not")
    if again != data:
        at = next(
            (i for i, (x, y) in enumerate(zip(data, again, strict=False)) if x != y), len(again)
        )
        _broken(at, "another encoding of this value is the canonical one")


def _broken(at: int, why: str) -> NoReturn:
    raise ValueRefused(f"not canonical bytes, at byte {at}: {why}", position=at)


def _argument(data: bytes, at: int) -> tuple[int, int]:
    """The argument of the head at *at*, and where the content begins."""
    short = data[at] & 31
    if short < 24:
        return short, at + 1
    if short > 27:
        _broken(at, "lengths are definite")
    end = at + 1 + (1 << (short - 24))
    if end > len(data):
        _broken(at, "the bytes end inside a head")
    return int.from_bytes(data[at + 1 : end], "big"), end


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at *at*, and where it ends. Nothing is allocated on trust."""
    if at >= len(data):
        _broken(at, "the bytes end too early")
    first = data[at]
    major = first & 0xE0
    if major == 0xE0:
        return _simple(data, at)
    n, start = _argument(data, at)
    if major == _UINT:
        return n, start
    if major == _NEGATIVE:
        return -1 - n, start
    if major == _TAG:
        return _content(data, at, n, start, depth)
    if n > len(data) - start:
        _broken(at, "the bytes end too early")
    if major == _BYTES:
        return data[start : start + n], start + n
    if major == _TEXT:
        try:
            return data[start : start + n].decode(), start + n
        except UnicodeDecodeError:
            _broken(at, "text is valid UTF-8")
    if depth >= LIMITS.nesting:
        raise _too_deep()
    items = []
    for _ in range(n * 2 if major == _MAP else n):
        item, start = _item(data, start, depth + 1)
        items.append(item)
    if major == _ARRAY:
        return tuple(items), start
    return _distinct(at, Map.of_frozen(items[::2], items[1::2])), start


def _distinct(at: int, made: Map | Set | int) -> Map | Set:
    if type(made) is int:
        _broken(at, "a key or element comes twice")
    return made  # type: ignore[return-value]


def _simple(data: bytes, at: int) -> tuple[Any, int]:
    first = data[at : at + 1]
    if first in _CONSTANTS:
        return _CONSTANTS[first], at + 1
    size = _FLOATS.get(first)
    if size is None or at + 1 + size.size > len(data):
        _broken(at, "no value begins so")
    return size.unpack_from(data, at + 1)[0], at + 1 + size.size


_CONSTANTS = {_FALSE: False, _TRUE: True, _NIL: None}
_FLOATS = {b"\xf9": _half, b"\xfa": _single, b"\xfb": _double}


def _content(data: bytes, at: int, tag: int, start: int, depth: int) -> tuple[Any, int]:
    """The value of a tag. The tag is no level of its own, nor is the pair inside a number."""
    builder = _BUILDERS.get(tag)
    if builder is None:
        _broken(at, f"the tag {tag} is not of this format")
    if start < len(data) and data[start] & 0xE0 == _TAG:
        _broken(start, f"the tag {tag} holds no other tag")
    content, end = _item(data, start, depth - (tag in (_DECIMAL, _RATIO)))
    try:
        return builder(content), end
    except Refused:
        _broken(at, f"this is not what the tag {tag} holds")
    except InputError as error:
        _broken(at, error.message)


def _of(kind: type, content: Any) -> Any:
    if type(content) is not kind:
        raise Refused
    return content


def _two(content: Any, first: type, second: type | None = None) -> tuple[Any, Any]:
    if type(content) is not tuple or len(content) != 2 or type(content[0]) is not first:
        raise Refused
    if second is not None and type(content[1]) is not second:
        raise Refused
    return content


def _build_decimal(content: Any) -> Decimal:
    exponent, mantissa = _two(content, int, int)
    if abs(exponent) > LIMITS.exponent or abs(mantissa) >= TOO_LARGE:
        raise refusal(mantissa if abs(mantissa) >= TOO_LARGE else Decimal((0, (0,), exponent)))
    return Decimal((mantissa < 0, tuple(map(int, str(abs(mantissa)))), exponent))


def _build_ratio(content: Any) -> Fraction:
    numerator, denominator = _two(content, int, int)
    if denominator < 2:
        raise Refused
    return Fraction(numerator, denominator)


def _build_big(content: Any) -> int:
    if len(_of(bytes, content)) > LIMITS.number_digits:
        raise refusal(TOO_LARGE)
    n = int.from_bytes(content, "big")
    if n >= TOO_LARGE:
        raise refusal(n)
    return n


def _build_char(content: Any) -> Char:
    if not 0 <= _of(int, content) < 0x11_0000:
        raise Refused
    return Char(chr(content))


def _build_uuid(content: Any) -> uuid.UUID:
    if len(_of(bytes, content)) != 16:
        raise Refused
    return uuid.UUID(bytes=content)


def _build_set(content: Any) -> Set:
    made = Set.of_frozen(list(_of(tuple, content)))
    if type(made) is int:
        raise Refused
    return made  # type: ignore[return-value]


def _too_deep() -> InputError:
    deep: list[Any] = []
    deep.append(deep)
    return refusal(deep)


_BUILDERS: dict[int, Callable[[Any], Any]] = {
    _BIG_POSITIVE: _build_big,
    _BIG_NEGATIVE: lambda content: -1 - _build_big(content),
    _DECIMAL: _build_decimal,
    _RATIO: _build_ratio,
    _UUID: _build_uuid,
    _KEYWORD: lambda content: Keyword(_of(str, content)),
    _SET: _build_set,
    _INSTANT: lambda content: from_micros(_of(int, content)),
    _SYMBOL: lambda content: Symbol(_of(str, content)),
    _CHAR: _build_char,
    _LIST: lambda content: List(_of(tuple, content)),
    _TAGGED: lambda content: Tagged(*_two(content, str)),
    _NEGATIVE_ZERO: lambda content: Decimal((1, (0,), _of(int, content))),
}
