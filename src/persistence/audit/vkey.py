"""The names and public keys under which notes are signed, in the form they are handed around in.

Verifier keys as in C2SP signed-note: `name+id+base64(type, public key)`. Every form has one
spelling here: base64 and ids are read back only as they would be written. Imports the standard
library and `signature` only, because the standalone verifier does.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from persistence.audit import signature

ED25519: Final = 0x01  # a key that signs the text of a note
COSIGNATURE: Final = 0x04  # a witness's key, which signs a checkpoint and a time
# What no note may hold; the last is no character at all, though a Python string may have it.
CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")

_ID: Final = re.compile(r"[0-9a-f]{8}")


class NoteError(ValueError):
    """A note, checkpoint or key that is malformed or not signed as it must be; `data` says more."""

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a key that signs notes, under the name that it signs with.

    >>> key = VerifierKey("example.com/log", bytes(range(32)))
    >>> key.text
    'example.com/log+a06c8792+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'
    >>> VerifierKey.parse(key.text) == key
    True

    Raises:
        NoteError: a name that is empty, has a space or a plus; no 32 bytes; another kind.
    """

    name: str
    public: bytes
    kind: int = ED25519

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != signature.PUBLIC_BYTES:
            raise NoteError(
                f"a public key has {signature.PUBLIC_BYTES} bytes, not {len(self.public)}",
                name=self.name,
                found=len(self.public),
            )
        if self.kind not in (ED25519, COSIGNATURE):
            raise NoteError(
                f"keys of type 0x{self.kind:02x} are not known here, only 0x01 and 0x04",
                name=self.name,
                kind=self.kind,
            )

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key that `name+id+base64(type, public key)` spells.

        Raises:
            NoteError: it is not such a text, or the id is not that of the key.
        """
        name, first, rest = text.partition("+")
        key_id, second, encoded = rest.partition("+")
        if not first or not second or not _ID.fullmatch(key_id) or len(encoded) > 64:
            raise NoteError(
                f"not a verifier key: {text[:80]!r} is no name+id+base64 with an id of "
                "eight lower-case hexadecimal digits"
            )
        data = decode(encoded, "the verifier key")
        if not data:
            raise NoteError("not a verifier key: its last part is empty", name=name)
        key = cls(name, data[1:], data[0])
        if key.id.hex() != key_id:
            raise NoteError(
                f"the verifier key of {name} says id {key_id}, but its id is {key.id.hex()}",
                name=name,
                expected=key.id.hex(),
                found=key_id,
            )
        return key

    @property
    def id(self) -> bytes:
        """Its four bytes in a signature line; a hint which key it was, and no proof."""
        named = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(named).digest()[:4]

    @property
    def text(self) -> str:
        """The form in which keys are handed around."""
        encoded = encode(bytes([self.kind]) + self.public)
        return f"{self.name}+{self.id.hex()}+{encoded}"

    def __str__(self) -> str:
        return self.text


def check_name(name: str) -> None:
    """Passes only a *name* that a key may have.

    >>> check_name("two words")
    Traceback (most recent call last):
    ...
    persistence.audit.vkey.NoteError: no name of a key: 'two words'; ...

    Raises:
        NoteError: it is empty, or has a space, a plus or a control character.
    """
    if not name or "+" in name or CONTROL.search(name) or any(map(str.isspace, name)):
        raise NoteError(
            f"no name of a key: {name[:80]!r}; it is not empty and has no space, plus or control",
            name=name[:200],
        )


def encode(data: bytes) -> str:
    """*data* in base64 (RFC 4648 section 4)."""
    return base64.b64encode(data).decode()


def decode(text: str, what: str) -> bytes:
    """The bytes that *text* spells, in the one spelling that :func:`encode` gives them.

    Raises:
        NoteError: it spells none, or in another way; the message says *what* was read.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if encode(data) != text:
        raise NoteError(f"{what} is not canonical base64: {text[:80]!r}")
    return data
