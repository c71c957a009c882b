"""The alphabet of the canonical bytes: CBOR's major types, simple values, floats and tags."""

from __future__ import annotations

import struct
from typing import Final

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG = (major << 5 for major in range(7))
FALSE, TRUE, NIL, NAN = b"\xf4", b"\xf5", b"\xf6", b"\xf9\x7e\x00"
HALF, SINGLE, DOUBLE = struct.Struct(">e"), struct.Struct(">f"), struct.Struct(">d")

# Registered with IANA.
TAG_BIG_POSITIVE: Final = 2
TAG_BIG_NEGATIVE: Final = 3
TAG_DECIMAL: Final = 4
TAG_RATIO: Final = 30
TAG_UUID: Final = 37
TAG_KEYWORD: Final = 39
TAG_SET: Final = 258

# Our own, in the range that RFC 8949 leaves open to all.
TAG_INSTANT: Final = 0xED01
TAG_SYMBOL: Final = 0xED02
TAG_CHAR: Final = 0xED03
TAG_LIST: Final = 0xED04
TAG_TAGGED: Final = 0xED05
TAG_NEGATIVE_ZERO: Final = 0xED06

HEADS: Final = tuple(bytes((first,)) for first in range(256))
HEAD_16, HEAD_32, HEAD_64 = (struct.Struct(form).pack for form in (">BH", ">BI", ">BQ"))


def head(major: int, n: int) -> bytes:
    """The shortest CBOR head of *major* type with argument *n*.

    >>> head(ARRAY, 2).hex(), head(UINT, 1000).hex()
    ('82', '1903e8')
    """
    if n < 24:
        return HEADS[major | n]
    if n < 0x100:
        return HEADS[major | 24] + HEADS[n]
    if n < 0x1_0000:
        return HEAD_16(major | 25, n)
    if n < 0x1_0000_0000:
        return HEAD_32(major | 26, n)
    return HEAD_64(major | 27, n)


INSTANT_HEAD: Final = head(TAG, TAG_INSTANT)
