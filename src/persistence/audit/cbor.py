"""Canonical bytes read a second time, so that the verifier shares no reader with the store.

Written from docs/formats.md alone. `values.decoding` finds what is not canonical by encoding again
what it read; here each rule of the profile is checked where it applies. Imports the standard
library, `heads` and `terms` only.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import gcd
from typing import Any, Final

from persistence.audit.heads import (
    ARRAY,
    BYTES,
    MAP,
    NATURAL,
    NEGATIVE,
    TAG,
    TEXT,
    CborError,
    head,
    refuse,
    simple,
    text_of,
)
from persistence.audit.terms import Char, Instant, Keyword, List, Map, Set, Symbol, Tagged

__all__ = ["CborError", "decode", "decode_datom", "read_integer"]

NESTING: Final = 256  # collections and tagged literals within each other
DIGITS: Final = 4096  # of an integer, mantissa, numerator or denominator
EXPONENT: Final = 6144  # of a decimal, either way

_TOO_LARGE: Final = 10**DIGITS
_BIGNUM_BYTES: Final = (_TOO_LARGE.bit_length() + 7) // 8
_YEARS: Final = (-62_135_596_800_000_000, 253_402_300_800_000_000)  # 1 to 9999, in microseconds
_INSTANT_HEAD: Final = b"\xd9\xed\x01"
_NIL: Final = b"\xf6"


def decode(data: bytes) -> Any:
    """The value whose canonical bytes *data* is, all of it.

    >>> decode(bytes.fromhex("8301f93c00d8276161"))
    (1, 1.0, Keyword(name='a'))

    Raises:
        CborError: it is not the canonical encoding of any value.
    """
    value, end = _item(data, 0, 0)
    return _whole(data, end, value)


def decode_datom(data: bytes) -> tuple[Any, ...]:
    """The `(e, a, v, valid_from, valid_to, op)` of a datom's canonical bytes.

    The instants of a datom may lie outside the years 1 to 9999.

    >>> decode_datom(bytes.fromhex("8601d82761616178d9ed0100f6f5"))
    (1, Keyword(name='a'), 'x', Instant(micros=0), None, True)

    Raises:
        CborError: it is not the canonical encoding of a datom.
    """
    if data[:1] != b"\x86":
        refuse(0, "a datom is a vector of six")
    e, at = _item(data, 1, 1)
    a, at = _item(data, at, 1)
    v, at = _item(data, at, 1)
    valid_from, at = _end(data, at)
    valid_to, at = (None, at + 1) if data[at : at + 1] == _NIL else _end(data, at)
    op, at = _item(data, at, 1)
    if type(e) is not int or type(a) is not Keyword or v is None or type(op) is not bool:
        refuse(0, "a datom is [e a v valid_from valid_to op]")
    return _whole(data, at, (e, a, v, valid_from, valid_to, op))  # type: ignore[no-any-return]


def read_integer(data: bytes, at: int) -> tuple[int, int]:
    """The integer of at most 64 bits and a sign that begins at *at*, and where it ends.

    Raises:
        CborError: none begins there, or not in its shortest form.
    """
    if at < len(data) and data[at] & 0xE0 in (NATURAL, NEGATIVE):
        return _item(data, at, 0)
    refuse(at, "an integer is expected")


def _end(data: bytes, at: int) -> tuple[Instant, int]:
    if data[at : at + 3] != _INSTANT_HEAD:
        refuse(at, "an instant is expected")
    count, after = _item(data, at + 3, 1)
    if type(count) is not int or not -(1 << 63) <= count < 1 << 63:
        refuse(at, "an instant has an integer of 64 bits")
    return Instant(count), after


def _whole(data: bytes, end: int, value: Any) -> Any:
    if end != len(data):
        refuse(end, "the value ends here, the bytes do not")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at *at*, and where it ends; *depth* levels are around it."""
    if at >= len(data):
        refuse(at, "the bytes end too early")
    major = data[at] & 0xE0
    if major == 0xE0:
        return simple(data, at)
    n, start = head(data, at)
    if major == NATURAL:
        return n, start
    if major == NEGATIVE:
        return -1 - n, start
    if major == TAG:
        reader = _TAGS.get(n)
        return reader(data, start, depth) if reader else refuse(at, f"the tag {n} is unknown")
    # Before anything is allocated: a member takes a byte at least.
    if n > (len(data) - start) >> (major == MAP):
        refuse(at, "the bytes end too early")
    if major == BYTES:
        return data[start : start + n], start + n
    if major == TEXT:
        return text_of(data, start, start + n), start + n
    if depth >= NESTING:
        refuse(at, f"values nest at most {NESTING} deep")
    return (_map if major == MAP else _array)(data, start, n, depth + 1)


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[tuple[Any, ...], int]:
    items = []
    for _ in range(count):
        item, at = _item(data, at, depth)
        items.append(item)
    return tuple(items), at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[Map, int]:
    pairs, before = [], b""
    for _ in range(count):
        key, middle = _item(data, at, depth)
        before = _later(data, at, middle, before)
        value, at = _item(data, middle, depth)
        pairs.append((key, value))
    return Map(tuple(pairs)), at


def _later(data: bytes, at: int, end: int, before: bytes) -> bytes:
    """The bytes of a key or element, which come after those *before* it."""
    encoded = data[at:end]
    if encoded <= before:
        refuse(at, "keys and elements are sorted, none twice")
    return encoded


# ---------------------------------------------------------------------- tags


def _members(data: bytes, at: int, depth: int) -> tuple[int, int]:
    """How many members the array at *at* has, and where they begin."""
    if at >= len(data) or data[at] & 0xE0 != ARRAY:
        refuse(at, "an array is expected")
    n, start = head(data, at)
    if n > len(data) - start:
        refuse(at, "the bytes end too early")
    if depth >= NESTING:
        refuse(at, f"values nest at most {NESTING} deep")
    return n, start


def _list(data: bytes, at: int, depth: int) -> tuple[List, int]:
    count, at = _members(data, at, depth)
    items = []
    for _ in range(count):
        item, at = _item(data, at, depth + 1)
        items.append(item)
    return List(tuple(items)), at


def _set(data: bytes, at: int, depth: int) -> tuple[Set, int]:
    count, at = _members(data, at, depth)
    items, before = [], b""
    for _ in range(count):
        item, end = _item(data, at, depth + 1)
        before, at = _later(data, at, end, before), end
        items.append(item)
    return Set(tuple(items)), at


def _tagged(data: bytes, at: int, depth: int) -> tuple[Tagged, int]:
    start = at
    count, at = _members(data, at, depth)
    if count != 2:
        refuse(start, "a tagged literal is a tag and a value")
    tag, at = _text(data, at)
    value, at = _item(data, at, depth + 1)
    return _made(start, Tagged, tag, value), at


def _text(data: bytes, at: int) -> tuple[str, int]:
    if at >= len(data) or data[at] & 0xE0 != TEXT:
        refuse(at, "text is expected")
    return _item(data, at, 0)


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """The integer at *at*, of whatever size."""
    if data[at : at + 1] in (b"\xc2", b"\xc3"):
        return _item(data, at, 0)
    return read_integer(data, at)


def _bignum(data: bytes, at: int, negative: bool) -> tuple[int, int]:
    if at >= len(data) or data[at] & 0xE0 != BYTES:
        refuse(at, "bytes are expected")
    size, start = head(data, at)
    if size > _BIGNUM_BYTES:
        refuse(at, f"a number has at most {DIGITS} digits")
    content, end = _item(data, at, 0)
    if size <= 8 or not content[0]:
        refuse(start, "a bignum has no leading zeros and more than 64 bits")
    n = int.from_bytes(content, "big")
    if n + negative >= _TOO_LARGE:
        refuse(at, f"a number has at most {DIGITS} digits")
    return (-1 - n if negative else n), end


def _pair(data: bytes, at: int) -> tuple[int, int, int]:
    if data[at : at + 1] != b"\x82":
        refuse(at, "two integers are expected")
    first, at = _integer(data, at + 1)
    second, at = _integer(data, at)
    return first, second, at


def _decimal(data: bytes, at: int, depth: int) -> tuple[Decimal, int]:
    exponent, mantissa, end = _pair(data, at)
    return _scaled(at, exponent, abs(mantissa), mantissa < 0), end


def _negative_zero(data: bytes, at: int, depth: int) -> tuple[Decimal, int]:
    exponent, end = read_integer(data, at)
    return _scaled(at, exponent, 0, True), end


def _scaled(at: int, exponent: int, mantissa: int, negative: bool) -> Decimal:
    if abs(exponent) > EXPONENT:
        refuse(at, f"the exponent of a decimal is at most {EXPONENT} either way")
    return Decimal((negative, tuple(map(int, str(mantissa))), exponent))


def _ratio(data: bytes, at: int, depth: int) -> tuple[Fraction, int]:
    numerator, denominator, end = _pair(data, at)
    if denominator < 2 or gcd(numerator, denominator) != 1:
        refuse(at, "a ratio is in lowest terms, and no integer")
    return Fraction(numerator, denominator), end


def _uuid(data: bytes, at: int, depth: int) -> tuple[uuid.UUID, int]:
    if data[at : at + 1] != b"\x50" or at + 17 > len(data):
        refuse(at, "sixteen bytes are expected")
    return uuid.UUID(bytes=data[at + 1 : at + 17]), at + 17


def _keyword(data: bytes, at: int, depth: int) -> tuple[Keyword, int]:
    name, end = _text(data, at)
    return _made(at, Keyword, name), end


def _symbol(data: bytes, at: int, depth: int) -> tuple[Symbol, int]:
    name, end = _text(data, at)
    return _made(at, Symbol, name), end


def _char(data: bytes, at: int, depth: int) -> tuple[Char, int]:
    code, end = read_integer(data, at)
    if not 0 <= code < 0x11_0000:
        refuse(at, f"{code} is no character")
    return _made(at, Char, chr(code)), end


def _made(at: int, kind: Callable[..., Any], *parts: Any) -> Any:
    try:
        return kind(*parts)
    except ValueError as error:
        refuse(at, str(error))


def _instant(data: bytes, at: int, depth: int) -> tuple[Instant, int]:
    count, end = read_integer(data, at)
    if not _YEARS[0] <= count < _YEARS[1]:
        refuse(at, "an instant lies in the years 1 to 9999")
    return Instant(count), end


_TAGS: Final[dict[int, Callable[[bytes, int, int], tuple[Any, int]]]] = {
    2: lambda data, at, depth: _bignum(data, at, False),
    3: lambda data, at, depth: _bignum(data, at, True),
    4: _decimal,
    30: _ratio,
    37: _uuid,
    39: _keyword,
    258: _set,
    0xED01: _instant,
    0xED02: _symbol,
    0xED03: _char,
    0xED04: _list,
    0xED05: _tagged,
    0xED06: _negative_zero,
}
