"""Values that are hashed without being told, so that they can be erased and the hashes stand.

In the bytes that are hashed, a sensitive value is replaced by a commitment to it: a keyed hash of
its canonical bytes under a salt that nobody can guess. While value and salt are there, the
commitment can be computed again; once both are gone it says nothing, not even to somebody who
tries every value there is.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from persistence.values.names import Symbol
from persistence.values.types import Tagged

__all__ = ["SALT_BYTES", "commitment", "erased", "is_reserved", "sealed"]

SALT_BYTES: Final = 32  # as long as the hash; each datom has a salt of its own

_SEALED: Final = Symbol("db/sealed")
_ERASED: Final = Symbol("db/erased")


def commitment(salt: bytes, value: bytes) -> bytes:
    """HMAC-SHA-256 of the canonical bytes of a value, with the salt as the key.

    >>> commitment(bytes(32), bytes.fromhex("63416461")).hex()[:16]
    'cab22caaa370d44e'
    """
    return hmac.digest(salt, value, "sha256")


def sealed(committed: bytes) -> Tagged:
    """What stands in the canonical bytes of a datom in place of its value.

    >>> sealed(b"123")
    Tagged(Symbol('db/sealed'), b'123')
    """
    return Tagged(_SEALED, committed)


def erased(committed: bytes) -> Tagged:
    """What the log shows in place of a value that was erased: what was hashed for it.

    >>> erased(b"123")
    Tagged(Symbol('db/erased'), b'123')
    """
    return Tagged(_ERASED, committed)


def is_reserved(value: Any) -> bool:
    """Whether *value* looks like one of these, which no fact may say.

    >>> is_reserved(sealed(b"123")), is_reserved("db/sealed")
    (True, False)
    """
    return type(value) is Tagged and value.tag in (_SEALED, _ERASED)
