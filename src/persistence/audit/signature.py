"""Strict Ed25519: the rules that RFC 8032 leaves to the verifier, in front of `cryptography`.

OpenSSL takes a public key of small order, under which one signature holds for any message, and
it takes several spellings of one key. Two honest verifiers could then disagree about a log. So a
signature counts here only if

    A and R are canonical     y < p, and no sign bit where x = 0 (RFC 8032 section 5.1.3)
    S is canonical            S < L (section 5.1.7)
    A and R have large order  none of the eight points of the torsion subgroup
    S·B = R + h·A             exactly; without the cofactor, as OpenSSL computes it

Imports the standard library and `cryptography` only, because the standalone verifier does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ORDER: Final = 2**252 + 27742317777372353535851937790883648493  # L, of the base point
KEYS_CACHED: Final = 1_024  # a log has few keys; a stranger's file must not fill the memory

_HIGH: Final = b"\xff" * 30  # the middle bytes of every y from p = 2^255 - 19 on
# Every spelling of the eight points with y < p; the last two have x = 0 and a sign all the same.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)


class SignatureError(ValueError):
    """A signature that does not count. `data` holds `public`, `signature` and `reason`."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


def sign(private: Ed25519PrivateKey, message: bytes) -> bytes:
    """The 64 bytes of *private*'s signature over *message* (RFC 8032 section 5.1.6).

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> sign(key, b"tea").hex()[:16]
    'c0c5ddcd2bd916b3'
    """
    return private.sign(message)


def public_bytes(private: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key of *private*.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> public_bytes(Ed25519PrivateKey.from_private_bytes(bytes(32))).hex()[:16]
    '3b6a27bcceb6a42d'
    """
    return private.public_key().public_bytes_raw()


def problem(public: bytes, signature: bytes, message: bytes) -> str | None:
    """Why *signature* by the key *public* over *message* does not count, or None if it does.

    >>> problem(bytes(32), bytes(64), b"anything at all")
    'the public key is a point of small order'
    """
    if len(public) != PUBLIC_BYTES:
        return f"a public key has {PUBLIC_BYTES} bytes, not {len(public)}"
    if len(signature) != SIGNATURE_BYTES:
        return f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}"
    key, refused = _key(public)
    if key is None:
        return refused
    fault = _fault(signature[:32])
    if fault is not None:
        return f"the signature's R is {fault}"
    if int.from_bytes(signature[32:], "little") >= ORDER:
        return "the signature's S is not below the order of the group"
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return "the signature does not belong to this key and message"
    return None


def check(public: bytes, signature: bytes, message: bytes) -> None:
    """Passes only if *signature* by the key *public* over *message* counts.

    >>> check(bytes(32), bytes(64), b"anything at all")
    Traceback (most recent call last):
    ...
    persistence.audit.signature.SignatureError: the public key is a point of small order

    Raises:
        SignatureError: it does not; the message is what :func:`problem` says.
    """
    reason = problem(public, signature, message)
    if reason is not None:
        raise SignatureError(reason, public=public, signature=signature, reason=reason)


@lru_cache(maxsize=KEYS_CACHED)
def _key(public: bytes) -> tuple[Ed25519PublicKey, None] | tuple[None, str]:
    """The key that *public* spells, or why there is none; once per key, for a log has few."""
    fault = _fault(public)
    if fault is not None:
        return None, f"the public key is {fault}"
    return Ed25519PublicKey.from_public_bytes(public), None


def _fault(point: bytes) -> str | None:
    """What is wrong with an encoded point (RFC 8032 section 5.1.2), short of decoding it."""
    if point in _SMALL_ORDER:
        return "a point of small order"
    if point[31] & 0x7F == 0x7F and point[0] >= 0xED and point[1:31] == _HIGH:
        return "not canonical: its y is not below the field's prime"
    return None
