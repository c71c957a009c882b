"""Content ids: BLAKE3-256 in derive-key mode, one context per kind of object.

The context keeps the kinds apart: the bytes of a datom can never pass for those of a plan
node, even when they are the same bytes. The strings are part of the format and never change.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, TypeAlias

from blake3 import blake3

from persistence.values.canonical import encode, encode_datom
from persistence.values.names import Keyword
from persistence.values.types import Value

__all__ = ["CONTEXTS", "ObjectKind", "datom_id", "digest", "same_digest", "value_id"]

ObjectKind: TypeAlias = Literal["datom", "transaction", "plan", "blob", "trace"]

CONTEXTS: Final[dict[ObjectKind, str]] = {
    "datom": "persistence 2026-11 datom v1",
    "transaction": "persistence 2026-11 transaction v1",
    "plan": "persistence 2026-11 plan node v1",
    "blob": "persistence 2026-11 blob v1",
    "trace": "persistence 2026-11 trace step v1",
}

# Deriving the key costs a compression of its own; a prepared hasher is only copied.
_PREPARED = {kind: blake3(derive_key_context=text) for kind, text in CONTEXTS.items()}
_copy_datom_hasher = _PREPARED["datom"].copy


def digest(kind: ObjectKind, data: bytes) -> bytes:
    """The 32-byte content id of *data* as an object of *kind*.

    >>> digest("blob", b"").hex()[:16] != digest("plan", b"").hex()[:16]
    True
    """
    return _PREPARED[kind].copy().update(data).digest()


def datom_id(e: int, a: Keyword, v: Value, valid_from: int, valid_to: int, op: bool) -> bytes:
    """The content id of a datom: of what it states, whichever transaction or branch states it.

    >>> len(datom_id(1, Keyword("a"), "x", 0, 10, True))
    32

    Raises:
        ValueRefused, LimitExceeded: as `encode` does.
    """
    data = encode_datom(e, a, v, valid_from, valid_to, op)
    return _copy_datom_hasher().update(data).digest()


def value_id(value: Value) -> bytes:
    """The content id under which a long value is interned: that of its canonical bytes.

    >>> value_id([1]) == value_id((1,)) != value_id([True])
    True
    """
    return digest("blob", encode(value))


def same_digest(one: bytes, other: bytes) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ.

    >>> same_digest(b"a" * 32, b"a" * 32)
    True
    """
    return hmac.compare_digest(one, other)
