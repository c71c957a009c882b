"""The header of a transaction, its content id, and its leaf in the Merkle log.

Three things are written in the same commit as the facts they speak of:

    datoms root   RFC 6962 tree hash over the canonical bytes of the transaction's datoms
    tx id         BLAKE3 of the header: parent, datoms root, branch, time, author, metadata
    leaf          SHA-256(0x00 || entry), where the entry is the header, the tx id and the
                  previous leaf; the leaf of transaction t has index t - 1 in the log

SHA-256 in the trees because third-party verifiers read it; BLAKE3 for content ids. The tree
shapes are those of RFC 6962 section 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

import attrs

from persistence.audit.merkle import leaf_hash as leaf_hash
from persistence.audit.merkle import tree_hash
from persistence.errors import CorruptStore, LimitExceeded
from persistence.values import Keyword, Map, decode, digest, encode

ENTRY_BYTES: Final = 65_535  # the longest entry that tlog-tiles can carry
NO_PARENT: Final = bytes(32)
NO_LEAF: Final = bytes(32)
UNSIGNED: Final = Keyword("persistence.entry/v1")
SIGNED: Final = Keyword("persistence.entry/v2")

# Canonical heads: vectors of so many elements, byte strings of 32 and of 64.
_FOUR: Final = b"\x84"
_SIX: Final = b"\x86"
_SEVEN: Final = b"\x87"
_EIGHT: Final = b"\x88"
_HASH: Final = b"\x58\x20"
_SIGNATURE: Final = b"\x58\x40"
_UNSIGNED: Final = encode(UNSIGNED)
_SIGNED: Final = encode(SIGNED)
_SHAPES: Final = ((UNSIGNED, 3), (SIGNED, 5))


def datoms_root(encoded: Iterable[bytes]) -> bytes:
    """The root over the canonical bytes of a transaction's datoms, in log order."""
    return tree_hash([sha256(b"\x00" + data).digest() for data in encoded])


@attrs.frozen(slots=True)
class Header:
    """What a transaction's id names: everything it says and everything before it.

    `event` is what it says of the log itself, see `persistence.audit.roster`.
    """

    parent: bytes
    datoms_root: bytes
    datoms: int
    branch: int
    time: int
    author: str | None
    metadata: bytes
    event: tuple[Any, ...] | None = None

    def encoded(self) -> bytes:
        """The canonical bytes: a vector of the fields in order, so that each place has one
        meaning. Put together by hand, because every commit waits for it."""
        return b"".join(
            (
                _SEVEN if self.event is None else _EIGHT,
                _HASH,
                self.parent,
                _HASH,
                self.datoms_root,
                encode(self.datoms),
                encode(self.branch),
                encode(self.time),
                encode(self.author),
                _HASH,
                self.metadata,
                b"" if self.event is None else encode(self.event),
            )
        )

    def id(self) -> bytes:
        """The content id of the transaction."""
        return digest("transaction", self.encoded())


@attrs.frozen(slots=True)
class Entry:
    """What a leaf hashes: a header with its id, the leaf before it, and the author's signature
    when the log is signed."""

    id: bytes
    previous_leaf: bytes
    body: bytes  # the header, encoded
    header: Header
    public: bytes | None = None
    signature: bytes | None = None

    def encoded(self) -> bytes:
        """The bytes of the leaf.

        Raises:
            LimitExceeded: they would not fit a Merkle log's leaf.
        """
        parts = [_HASH, self.id, _HASH, self.previous_leaf, encode(self.body)]
        if self.public is None or self.signature is None:
            parts[:0] = (_FOUR, _UNSIGNED)
        else:
            parts[:0] = (_SIX, _SIGNED)
            parts += (_HASH, self.public, _SIGNATURE, self.signature)
        data = b"".join(parts)
        if len(data) > ENTRY_BYTES:
            raise LimitExceeded(
                f"the header of a transaction may take {ENTRY_BYTES} bytes, "
                f"this one takes {len(data)}",
                hint="shorten the author",
                limit="entry bytes",
                allowed=ENTRY_BYTES,
                found=len(data),
            )
        return data


def entry(header: Header, previous_leaf: bytes = NO_LEAF) -> Entry:
    """The unsigned entry of *header*."""
    body = header.encoded()
    return Entry(digest("transaction", body), previous_leaf, body, header)


def parse_entry(data: bytes) -> Entry:
    """The entry with these bytes; the inverse of `Entry.encoded`.

    Raises:
        CorruptStore, EdnError: they are no entry, or not the canonical bytes of one.
    """
    try:
        version, *fields = decode(data)
        if (version, len(fields)) not in _SHAPES:
            raise CorruptStore("an entry of the log has an unknown version or shape")
        tx_id, previous_leaf, body, *signed = fields
        found = Entry(tx_id, previous_leaf, body, Header(*decode(body)), *signed)
        same = found.encoded() == data and found.header.encoded() == body
    except (TypeError, ValueError) as error:
        raise CorruptStore(f"an entry of the log cannot be read: {error}") from error
    if not same:
        raise CorruptStore("an entry of the log is not in its canonical form")
    return found


def metadata_digest(meta: Mapping[Any, Any]) -> bytes:
    """What a header says of its transaction's metadata."""
    return digest("transaction", encode(Map(meta))) if meta else _NO_METADATA


_NO_METADATA: Final = digest("transaction", encode(Map()))
