"""Seals the sensitive values of a transaction in the bytes that are hashed.

A datom of a sensitive attribute is hashed with a commitment in place of its value, under a salt
of its own. What was sealed is kept beside the log, so that the hashes can be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, TypeAlias

from persistence.datoms import ASSERT, Change, ValueKey
from persistence.values import SALT_BYTES, Keyword, commitment, encode, encode_datom, sealed

Salts: TypeAlias = Callable[[int], bytes]  # so many bytes that nobody can guess


class Seal(NamedTuple):
    """The datom *i* of a transaction was hashed with this commitment, made with this salt."""

    i: int
    salt: bytes
    hash: bytes


def seal(
    encoded: list[bytes],
    changes: Sequence[Change],
    names: Mapping[int, Keyword],
    values: Mapping[ValueKey, Any],
    sensitive: AbstractSet[int],
    salts: Salts,
) -> list[Seal]:
    """Replaces the datoms of *sensitive* attributes in *encoded*, and tells how.

    >>> name, encoded = Keyword("user/name"), [b""]
    >>> changes = [(1, 64, 9, "Ada", 0, 10, 1)]
    >>> made = seal(encoded, changes, {64: name}, {(9, "Ada"): "Ada"}, {64}, bytes)
    >>> encoded == [encode_datom(1, name, sealed(made[0].hash), 0, 10, True)]
    True
    """
    seals = []
    for i, (e, a, k, payload, vf, vt, op) in enumerate(changes):
        if a in sensitive:
            salt = salts(SALT_BYTES)
            hash = commitment(salt, encode(values[k, payload]))
            encoded[i] = encode_datom(e, names[a], sealed(hash), vf, vt, op == ASSERT)
            seals.append(Seal(i, salt, hash))
    return seals
