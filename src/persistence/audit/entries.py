"""Entries of the log read by fixed offsets, because a verifier reads a million of them.

Written from docs/formats.md, not from `record`. Every byte of an entry is looked at: heads and
lengths here, the few parts of varying form by `cbor`. Imports the standard library and `cbor` only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from persistence.audit import cbor

ENTRY_BYTES: Final = 65_535
AUTHORS: Final = 256  # kept decoded; a log has few, and a stranger's may be long

_HASH: Final = b"\x58\x20"
_SIGNATURE: Final = b"\x58\x40"
_UNSIGNED: Final = b"\x84\xd8\x27\x74persistence.entry/v1" + _HASH
_SIGNED: Final = b"\x86\xd8\x27\x74persistence.entry/v2" + _HASH
_ID: Final = len(_SIGNED)  # where the transaction's id begins
_BODY: Final = _ID + 32 + 2 + 32  # where the head of the header is
_NUMBERS: Final = 1 + 2 * 34  # where the numbers of a header begin
_TAIL: Final = 34 + 66  # public key and signature, with their heads

ID: Final = slice(_ID, _ID + 32)  # the id, in bytes that were read as an entry


class EntryError(ValueError):
    """Bytes that are no entry of the log, in its canonical form."""


class Entry(NamedTuple):
    """What a leaf hashes; `body` is the header's bytes, the fields after it are the header's."""

    id: bytes
    previous_leaf: bytes
    body: bytes
    parent: bytes
    datoms_root: bytes
    datoms: int
    branch: int
    time: int
    author: str | None
    metadata: bytes
    event: tuple[Any, ...] | None
    public: bytes | None
    signature: bytes | None


def read_entry(data: bytes) -> Entry:
    """The entry with these bytes.

    Raises:
        EntryError: they are none, or not the canonical bytes of one.
    """
    start = data[:_ID]
    if start not in (_SIGNED, _UNSIGNED):
        _refuse("an unknown version or shape")
    signed = start == _SIGNED
    try:
        at, end = _body(data)
    except IndexError:
        _refuse("the entry ends too early")
    if data[_ID + 32 : _ID + 34] != _HASH or end + signed * _TAIL != len(data):
        _refuse("its parts have not the lengths that they must have")
    public = signature = None
    if signed:
        public, signature = data[end + 2 : end + 34], data[end + 36 :]
        if data[end : end + 2] != _HASH or data[end + 34 : end + 36] != _SIGNATURE:
            _refuse("its key and signature have not the lengths that they must have")
    body = data[at:end]
    header = _header(body)
    return Entry(data[ID], data[_ID + 34 : _BODY], body, *header, public, signature)


def _body(data: bytes) -> tuple[int, int]:
    """Where the header begins and ends."""
    first = data[_BODY]
    if first == 0x58:
        at, size, least = _BODY + 2, data[_BODY + 1], 24
    elif first == 0x59:
        at, size, least = _BODY + 3, data[_BODY + 1] << 8 | data[_BODY + 2], 256
    else:
        _refuse("its header is not a byte string")
    if size < least:
        _refuse("a head is as short as it can be")
    return at, at + size


_Header = tuple[bytes, bytes, int, int, int, str | None, bytes, tuple[Any, ...] | None]


def _header(body: bytes) -> _Header:
    if body[:1] == b"\x88":
        return _event_header(body)
    try:
        datoms, at = _natural(body, _NUMBERS)
        branch, at = _natural(body, at)
        time, at = _integer(body, at)
    except IndexError:
        _refuse("its header ends too early")
    if (
        body[:1] != b"\x87"
        or body[1:3] != _HASH
        or body[35:37] != _HASH
        or body[-34:-32] != _HASH
        or at > len(body) - 34
    ):
        _refuse("its header has not the shape of one")
    author = _author(body[at:-34])
    return body[3:35], body[37:69], datoms, branch, time, author, body[-32:], None


def _natural(data: bytes, at: int) -> tuple[int, int]:
    n, end = _integer(data, at)
    if n < 0:
        _refuse("a count or branch below zero")
    return n, end


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """The integer at *at*; most are small, or instants."""
    first = data[at]
    if first < 24:
        return first, at + 1
    if first == 0x1B:
        end = at + 9
        n = int.from_bytes(data[at + 1 : end], "big")
        if n > 0xFFFF_FFFF and end <= len(data):
            return n, end
    try:
        return cbor.read_integer(data, at)
    except cbor.CborError as error:
        _refuse(f"its header is {error}")


@lru_cache(maxsize=AUTHORS)
def _author(data: bytes) -> str | None:
    try:
        author = cbor.decode(data)
    except cbor.CborError as error:
        raise EntryError(f"its author is {error}") from None
    if author is not None and type(author) is not str:
        _refuse("its author is neither text nor nil")
    return author


def _event_header(body: bytes) -> _Header:
    """A header with an event; there are few, so they are read as any other value."""
    try:
        parts = cbor.decode(body)
    except cbor.CborError as error:
        _refuse(f"its header is {error}")
    parent, root, datoms, branch, time, author, metadata, event = parts
    sound = all(type(part) is bytes and len(part) == 32 for part in (parent, root, metadata))
    for number in (datoms, branch, time):
        sound = sound and type(number) is int and -1 << 64 <= number < 1 << 64
    if not sound or datoms < 0 or branch < 0 or type(event) is not tuple:
        _refuse("its header has not the shape of one")
    if author is not None and type(author) is not str:
        _refuse("its author is neither text nor nil")
    return parent, root, datoms, branch, time, author, metadata, event


def _refuse(reason: str) -> NoReturn:
    raise EntryError(reason)
