"""Reads canonical bytes back, and nothing else: what is not the one encoding of a value is refused.

The parser only keeps to the lengths and the nesting; every other rule of the profile is checked at
once, by encoding what was read and comparing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NoReturn

from persistence.errors import InputError, ValueRefused
from persistence.values.canonical import encode, encode_datom
from persistence.values.instants import FOREVER, from_micros
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.refuse import TOO_LARGE, Refused, refusal
from persistence.values.types import List, Map, Set, Tagged, Value
from persistence.values.wire import (
    ARRAY,
    BYTES,
    DOUBLE,
    FALSE,
    HALF,
    INSTANT_HEAD,
    MAP,
    NEGATIVE,
    NIL,
    SINGLE,
    TAG,
    TAG_BIG_NEGATIVE,
    TAG_BIG_POSITIVE,
    TAG_CHAR,
    TAG_DECIMAL,
    TAG_INSTANT,
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
)

__all__ = ["decode", "decode_datom"]


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
    valid_to, at = (FOREVER, at + 1) if data[at : at + 1] == NIL else _instant(data, at)
    op, at = _item(data, at, 1)
    if type(e) is not int or type(a) is not Keyword or v is None or type(op) is not bool:
        _broken(0, "a datom is [e a v valid_from valid_to op]")
    _check(data, at, encode_datom(e, a, v, valid_from, valid_to, op))
    return e, a, v, valid_from, valid_to, op


def _instant(data: bytes, at: int) -> tuple[int, int]:
    count, end = _item(data, at + 3, 1)
    if data[at : at + 3] != INSTANT_HEAD or type(count) is not int:
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
    if major == UINT:
        return n, start
    if major == NEGATIVE:
        return -1 - n, start
    if major == TAG:
        return _content(data, at, n, start, depth)
    if n > len(data) - start:
        _broken(at, "the bytes end too early")
    if major == BYTES:
        return data[start : start + n], start + n
    if major == TEXT:
        try:
            return data[start : start + n].decode(), start + n
        except UnicodeDecodeError:
            _broken(at, "text is valid UTF-8")
    if depth >= LIMITS.nesting:
        raise _too_deep()
    items = []
    for _ in range(n * 2 if major == MAP else n):
        item, start = _item(data, start, depth + 1)
        items.append(item)
    if major == ARRAY:
        return tuple(items), start
    return _distinct(at, Map.of_frozen(items)), start


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


_CONSTANTS = {FALSE: False, TRUE: True, NIL: None}
_FLOATS = {b"\xf9": HALF, b"\xfa": SINGLE, b"\xfb": DOUBLE}


def _content(data: bytes, at: int, tag: int, start: int, depth: int) -> tuple[Any, int]:
    """The value of a tag. The tag is no level of its own, nor is the pair inside a number."""
    builder = _BUILDERS.get(tag)
    if builder is None:
        _broken(at, f"the tag {tag} is not of this format")
    if start < len(data) and data[start] & 0xE0 == TAG:
        _broken(start, f"the tag {tag} holds no other tag")
    content, end = _item(data, start, depth - (tag in (TAG_DECIMAL, TAG_RATIO)))
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
    TAG_BIG_POSITIVE: _build_big,
    TAG_BIG_NEGATIVE: lambda content: -1 - _build_big(content),
    TAG_DECIMAL: _build_decimal,
    TAG_RATIO: _build_ratio,
    TAG_UUID: _build_uuid,
    TAG_KEYWORD: lambda content: Keyword(_of(str, content)),
    TAG_SET: _build_set,
    TAG_INSTANT: lambda content: from_micros(_of(int, content)),
    TAG_SYMBOL: lambda content: Symbol(_of(str, content)),
    TAG_CHAR: _build_char,
    TAG_LIST: lambda content: List(_of(tuple, content)),
    TAG_TAGGED: lambda content: Tagged(*_two(content, str)),
    TAG_NEGATIVE_ZERO: lambda content: Decimal((1, (0,), _of(int, content))),
}
