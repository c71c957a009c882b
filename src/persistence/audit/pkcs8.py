"""Private keys in PEM, encrypted at rest with scrypt, because others are to read them as well.

`cryptography` reads every usual form, but what it writes under a passphrase is quickly guessed at:
PBKDF2 of 2 048 rounds. So the encrypted form is put together here: PKCS#8 (RFC 5958) in PBES2
(RFC 8018) with scrypt (RFC 7914 section 7) and AES-256-CBC, which `openssl pkey` opens.

Whoever wrote a file also chose how long opening it takes, so that is looked at first.
"""

from __future__ import annotations

import base64
import os
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)

# 16 MiB and about 0.4 s; more memory is refused by what OpenSSL reads without being told to.
N: Final = 1 << 14
R: Final = 8
P: Final = 5
# The most that a file may ask for: bytes and blocks of scrypt, rounds of PBKDF2; some seconds.
MEMORY: Final = 256 << 20
BLOCKS: Final = 1 << 23
ROUNDS: Final = 10_000_000

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_OID: Final = 0x06
_SEQUENCE: Final = 0x30
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")
_AES: Final = bytes.fromhex("60864801650304012a")  # AES-256-CBC

_SSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_LOCKED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_END: Final = b"-----END ENCRYPTED PRIVATE KEY-----"
_BLOCK: Final = re.compile(_LOCKED + rb"\s([A-Za-z0-9+/=\s]+)" + _END)


class PassphraseMissing(ValueError):
    """The key is encrypted, and no passphrase was given."""


def write(private: Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    """*private* in PEM; encrypted if there is a *passphrase*.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> write(Ed25519PrivateKey.generate(), b"open sesame").splitlines()[0]
    b'-----BEGIN ENCRYPTED PRIVATE KEY-----'
    """
    if passphrase is None:
        return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, vector = os.urandom(16), os.urandom(16)
    key = Scrypt(salt=salt, length=32, n=N, r=R, p=P).derive(passphrase)
    padder = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES256(key), modes.CBC(vector)).encryptor()
    content = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    costs = b"".join(_der(_INTEGER, _unsigned(cost)) for cost in (N, R, P))
    derivation = _der(_OID, _SCRYPT) + _der(_SEQUENCE, _der(_OCTETS, salt) + costs)
    scheme = _der(_OID, _AES) + _der(_OCTETS, vector)
    how = _der(_OID, _PBES2) + _der(
        _SEQUENCE, _der(_SEQUENCE, derivation) + _der(_SEQUENCE, scheme)
    )
    text = base64.encodebytes(_der(_SEQUENCE, _der(_SEQUENCE, how) + _der(_OCTETS, content)))
    return b"%b\n%b%b\n" % (_LOCKED, text, _END)


def locked(data: bytes) -> bool:
    """Whether *data* is a PKCS#8 key that wants a passphrase.

    >>> locked(b"-----BEGIN PRIVATE KEY-----")
    False
    """
    return _LOCKED in data


def read(data: bytes, passphrase: bytes | None) -> Ed25519PrivateKey:
    """The Ed25519 key that *data* holds in PEM, as PKCS#8 or as OpenSSH writes it.

    Raises:
        PassphraseMissing: it is encrypted, and *passphrase* is None.
        ValueError: it holds no such key, or the passphrase is another one; the message says
            which, and nothing of the content.
    """
    key: object
    try:
        if _SSH in data:
            key = load_ssh_private_key(data, passphrase)
        elif locked(data):
            key = load_der_private_key(_affordable(data), passphrase)
        else:
            key = load_pem_private_key(data, passphrase)
    except TypeError:  # what `cryptography` raises about passphrases
        if passphrase is None:
            raise PassphraseMissing("it is encrypted, and no passphrase was given") from None
        raise ValueError("it is not encrypted, but a passphrase was given") from None
    except UnsupportedAlgorithm:
        raise ValueError("it is of a kind, or encrypted in a way, that is not known here") from None
    except ValueError as error:
        if "assword" in str(error):
            raise ValueError("the passphrase is not the one it was encrypted with") from None
        if isinstance(error, _TooDear):
            raise
        raise ValueError("it holds no private key in PEM that can be read") from None
    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey")
        raise ValueError(f"it holds a key of the kind {kind}, not of Ed25519")
    return key


class _TooDear(ValueError):
    """Opening it would take more than a key of one's own is worth."""


def _affordable(data: bytes) -> bytes:
    """The DER of an encrypted key, if opening it takes neither the memory nor the day."""
    block = _BLOCK.search(data)
    if block is None:
        raise ValueError("no end")
    der = base64.b64decode(block[1])
    (_, whole), *_ = _elements(der)
    (_, how), *_ = _elements(whole)
    (_, scheme), (_, parameters), *_ = _elements(how)
    (_, derivation), *_ = _elements(parameters)
    (_, function), (_, costs), *_ = _elements(derivation)
    numbers = [int.from_bytes(value, "big") for tag, value in _elements(costs) if tag == _INTEGER]
    if (scheme, function) == (_PBES2, _SCRYPT):
        n, r, p, *_ = numbers
        affordable = 128 * r * max(n, p) <= MEMORY and n * r * p <= BLOCKS
    elif (scheme, function) == (_PBES2, _PBKDF2):
        rounds, *_ = numbers
        affordable = rounds <= ROUNDS
    else:
        raise UnsupportedAlgorithm("neither scrypt nor PBKDF2")
    if not affordable:
        raise _TooDear("opening it would take more memory or time than is allowed")
    return der


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each element (X.690 section 8.1), of those forms that DER allows."""
    found, at = [], 0
    while at < len(der):
        tag, length = der[at : at + 2]
        at += 2
        if length & 0x80:
            width = length & 0x7F
            length = int.from_bytes(der[at : at + width], "big")
            at += width
        if at + length > len(der):
            raise ValueError("an element that is cut off")
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _der(tag: int, content: bytes) -> bytes:
    """One element; none of ours is longer than 255 bytes."""
    length = bytes([len(content)]) if len(content) < 0x80 else bytes([0x81, len(content)])
    return bytes([tag]) + length + content


def _unsigned(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")
