"""The parts of canonical bytes that hold no others: heads, text, constants and floats.

Each is read in the one form that it may have. Imports the standard library only.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NoReturn

# Major types, as they stand in the first byte of a head.
NATURAL, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG = range(0, 0xE0, 0x20)

_CONSTANTS: Final = {0xF4: False, 0xF5: True, 0xF6: None}
_FLOATS: Final = {0xF9: struct.Struct(">e"), 0xFA: struct.Struct(">f"), 0xFB: struct.Struct(">d")}
_NAN: Final = b"\xf9\x7e\x00"


class CborError(ValueError):
    """Bytes that are no value's canonical bytes; `position` is the byte where that shows."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"not canonical bytes, at byte {position}: {reason}")
        self.position = position
        self.reason = reason


def refuse(at: int, reason: str) -> NoReturn:
    """Says what is wrong at byte *at*."""
    raise CborError(at, reason)


def head(data: bytes, at: int) -> tuple[int, int]:
    """The argument of the head at *at*, in its shortest form, and where the content begins."""
    short = data[at] & 0x1F
    if short < 24:
        return short, at + 1
    if short > 27:
        refuse(at, "lengths are definite")
    size = 1 << (short - 24)
    end = at + 1 + size
    if end > len(data):
        refuse(at, "the bytes end inside a head")
    n = int.from_bytes(data[at + 1 : end], "big")
    if n < 24 or (size > 1 and not n >> 4 * size):
        refuse(at, "a head is as short as it can be")
    return n, end


def text_of(data: bytes, start: int, end: int) -> str:
    """The text whose UTF-8 is there."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        refuse(start + error.start, "text is valid UTF-8")


def simple(data: bytes, at: int) -> tuple[Any, int]:
    """The constant or float at *at*, which is there, and where it ends."""
    first = data[at]
    if first in _CONSTANTS:
        return _CONSTANTS[first], at + 1
    form = _FLOATS.get(first)
    if form is None or at + 1 + form.size > len(data):
        refuse(at, "no value begins so")
    end = at + 1 + form.size
    value: float = form.unpack_from(data, at + 1)[0]
    if value != value and data[at:end] != _NAN:
        refuse(at, "there is one NaN")
    if first != 0xF9 and _fits(_FLOATS[first - 1], value):
        refuse(at, "a float is as short as it can be")
    return value, end


def _fits(form: struct.Struct, value: float) -> bool:
    try:
        return bool(form.unpack(form.pack(value))[0] == value)
    except OverflowError:
        return False
