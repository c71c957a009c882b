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

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import attrs

from persistence.errors import LimitExceeded
from persistence.values import Keyword, Map, decode, digest, encode

ENTRY_BYTES: Final = 65_535  # the longest entry that tlog-tiles can carry
NO_PARENT: Final = bytes(32)
NO_LEAF: Final = bytes(32)
EMPTY_ROOT: Final = sha256(b"").digest()
VERSION: Final = Keyword("persistence.entry/v1")

# Canonical heads: a vector of so many elements, a byte string of 32.
_FOUR: Final = b"\x84"
_SEVEN: Final = b"\x87"
_HASH: Final = b"\x58\x20"
_VERSION: Final = encode(VERSION)


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one leaf (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """The root over already hashed *leaves* (RFC 6962 section 2.1).

    Pairing neighbours level by level and carrying an odd last one up gives the same tree as the
    recursive definition, which splits at the largest power of two.
    """
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        paired = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def datoms_root(encoded: Iterable[bytes]) -> bytes:
    """The root over the canonical bytes of a transaction's datoms, in log order."""
    return tree_hash([sha256(b"\x00" + data).digest() for data in encoded])


@attrs.frozen(slots=True)
class Header:
    """What a transaction's id names: everything it says and everything before it."""

    parent: bytes
    datoms_root: bytes
    datoms: int
    branch: int
    time: int
    author: str | None
    metadata: bytes

    def encoded(self) -> bytes:
        """The canonical bytes: a vector of the fields in order, so that each place has one
        meaning. Put together by hand, because every commit waits for it."""
        return b"".join(
            (
                _SEVEN,
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
            )
        )

    def id(self) -> bytes:
        """The content id of the transaction."""
        return digest("transaction", self.encoded())


def entry(header: Header, previous_leaf: bytes) -> tuple[bytes, bytes]:
    """The transaction's id and the entry whose hash is its leaf.

    Raises:
        LimitExceeded: the entry would not fit a Merkle log's leaf.
    """
    body = header.encoded()
    tx_id = digest("transaction", body)
    data = b"".join((_FOUR, _VERSION, _HASH, tx_id, _HASH, previous_leaf, encode(body)))
    if len(data) > ENTRY_BYTES:
        raise LimitExceeded(
            f"the header of a transaction may take {ENTRY_BYTES} bytes, this one takes {len(data)}",
            hint="shorten the author",
            limit="entry bytes",
            allowed=ENTRY_BYTES,
            found=len(data),
        )
    return tx_id, data


def parse_entry(data: bytes) -> tuple[bytes, bytes, Header]:
    """The tx id, the previous leaf and the header of an entry; the inverse of :func:`entry`."""
    _, tx_id, previous_leaf, body = decode(data)
    return tx_id, previous_leaf, Header(*decode(body))


def metadata_digest(meta: Mapping[Any, Any]) -> bytes:
    """What a header says of its transaction's metadata."""
    return digest("transaction", encode(Map(meta))) if meta else _NO_METADATA


_NO_METADATA: Final = digest("transaction", encode(Map()))
