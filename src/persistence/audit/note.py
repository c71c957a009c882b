"""Signed notes and cosignatures as others write them, so that their tools can read ours.

    signed note    a text, a blank line, lines "— name base64(key id, signature)"; C2SP signed-note
    cosignature    a line with the time of a witness's word that a log only grew; C2SP
                   tlog-cosignature

Imports the standard library and its neighbours only, because the standalone verifier does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from persistence.audit import signature
from persistence.audit.checkpoint import NUMBERS, Checkpoint
from persistence.audit.vkey import (
    CONTROL,
    COSIGNATURE,
    ED25519,
    NoteError,
    VerifierKey,
    check_name,
    decode,
    encode,
)

__all__ = [
    "Checkpoint",
    "NoteError",
    "Signature",
    "SignedNote",
    "Signer",
    "VerifierKey",
    "attach",
    "claimed",
    "cosign",
    "cosignatures",
    "open_checkpoint",
    "sign",
    "signature_lines",
]

NOTE_BYTES: Final = 1 << 20
SIGNATURES: Final = 100  # of one note; the specification wants 16 at least

_DASH: Final = "— "  # U+2014
_BYTES: Final = {ED25519: signature.SIGNATURE_BYTES, COSIGNATURE: 8 + signature.SIGNATURE_BYTES}


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who says to have signed, and the bytes that say so."""

    name: str
    key_id: bytes
    data: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {encode(self.key_id + self.data)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text and who claims to have signed it; nothing of it is to be believed before `verified`.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> note = SignedNote.parse(sign("tea is 10\\n", "example.com/log", key))
    >>> note.body, [line.name for line in note.signatures]
    ('tea is 10\\n', ['example.com/log'])
    """

    body: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes | str) -> SignedNote:
        """The note that *data* spells; of several blank lines the last one divides it.

        Raises:
            NoteError: it spells none, is over 1 MiB or has over 100 signatures.
        """
        text = _text(data)
        divide = text.rfind("\n\n")
        if divide < 0 or not text.endswith("\n"):
            raise NoteError("not a signed note: a blank line and signature lines are to end it")
        return cls(text[: divide + 1], signature_lines(text[divide + 2 :]))

    @property
    def text(self) -> str:
        """The whole note; what was parsed, byte for byte."""
        return f"{self.body}\n{''.join(line.line for line in self.signatures)}"

    def verified(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """Those of *keys* that signed, in the order of their lines; other lines are passed over.

        Raises:
            NoteError: none of them did; the signature of one is wrong; one signed twice.
        """
        keys = tuple(keys)
        found = [key for key, _ in self._signed(keys)]
        if not found:
            raise NoteError(
                f"no known key signed the note; it bears {self._claims()}",
                known=[key.text for key in keys],
                found=[line.name for line in self.signatures],
            )
        return found

    def _signed(self, keys: Iterable[VerifierKey]) -> Iterator[tuple[VerifierKey, Signature]]:
        """Each known key with its line, after that was found to hold."""
        known = _by_name_and_id(keys)
        seen = set()
        for line in self.signatures:
            key = known.get((line.name, line.key_id))
            if key is None:
                continue
            if key in seen:
                raise NoteError(f"{key.name} signed the note twice with one key", key=key.text)
            seen.add(key)
            reason = _signature_problem(key, line, self.body)
            if reason is not None:
                raise NoteError(
                    f"the signature of {key.name} does not hold: {reason}",
                    key=key.text,
                    reason=reason,
                )
            yield key, line

    def _claims(self) -> str:
        names = [f"{line.name[:80]} ({line.key_id.hex()})" for line in self.signatures]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return ", ".join(names[:3]) + more


def sign(body: str, name: str, private: Ed25519PrivateKey) -> str:
    """The note that says *body*, signed by *private* under *name*.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> print(sign("tea is 10\\n", "example.com/log", key), end="")
    tea is 10
    <BLANKLINE>
    — example.com/log ...

    Raises:
        NoteError: *body* is no text of a note, or *name* no name of a key.
    """
    if not body.endswith("\n"):
        raise NoteError("the text of a note ends with a newline")
    return _text(Signer.of(name, private).sign(_text(body)))


@dataclass(frozen=True, slots=True)
class Signer:
    r"""A key that signs many notes, ready to do so. Their texts are not looked at.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> Signer.of("example.com/log", key).sign("tea\n") == sign("tea\n", "example.com/log", key)
    True
    """

    key: VerifierKey
    private: Ed25519PrivateKey = field(repr=False)
    key_id: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, private: Ed25519PrivateKey) -> Signer:
        """The signer of *name*.

        Raises:
            NoteError: *name* is no name of a key.
        """
        key = VerifierKey(name, signature.public_bytes(private))
        return cls(key, private, key.id)

    def sign(self, body: str) -> str:
        """The note that says *body*."""
        signed = self.key_id + self.private.sign(body.encode())
        return f"{body}\n{_DASH}{self.key.name} {encode(signed)}\n"

    def checkpoint(self, size: int, root: bytes) -> str:
        """The note on the first *size* entries of the log that has the signer's name."""
        return self.sign(f"{self.key.name}\n{size}\n{encode(root)}\n")


def claimed(text: bytes | str) -> Checkpoint:
    """The checkpoint that a note states, whoever may have signed it.

    Raises:
        NoteError: it is no signed note, or states none.
    """
    return Checkpoint.parse(SignedNote.parse(text).body)


def cosign(body: str, name: str, private: Ed25519PrivateKey, time_s: int) -> str:
    """The line by which the witness *name* cosigns the checkpoint *body* at *time_s*.

    The time counts seconds since 1970 in UTC. Whether the log only grew is for the caller to
    have found out.

    Raises:
        NoteError: *body* is no checkpoint, *name* no name of a key, *time_s* out of range.
    """
    Checkpoint.parse(body)
    if not 0 <= time_s < NUMBERS:
        raise NoteError(f"{time_s} is no time of a cosignature", found=time_s)
    key = VerifierKey(name, signature.public_bytes(private), COSIGNATURE)
    signed = signature.sign(private, _cosigned(body, time_s))
    return Signature(name, key.id, time_s.to_bytes(8, "big") + signed).line


def open_checkpoint(
    text: bytes | str, keys: Sequence[VerifierKey], *, origin: str | None = None
) -> Checkpoint:
    """The checkpoint in *text*, once a key of its log among *keys* is found to have signed it.

    A log signs under its origin. One that does not is opened by giving its *origin*; then any
    of *keys* that signs notes will do. A witness's cosignature is checked, but never suffices.

    Raises:
        NoteError: it is none, of another log, not signed by one of *keys*, or one of their
            signatures is wrong.
    """
    note = SignedNote.parse(text)
    checkpoint = Checkpoint.parse(note.body)
    if origin is not None and checkpoint.origin != origin:
        raise NoteError(
            f"a checkpoint of {checkpoint.origin}, not of {origin}",
            expected=origin,
            found=checkpoint.origin,
        )
    signers = [key for key in note.verified(keys) if key.kind == ED25519]
    if origin is None:
        signers = [key for key in signers if key.name == checkpoint.origin]
    if not signers:
        raise NoteError(
            f"the checkpoint of {checkpoint.origin} is not signed by a known key of that log",
            origin=checkpoint.origin,
            known=[key.text for key in keys],
        )
    return checkpoint


def cosignatures(
    text: bytes | str, witness_keys: Iterable[VerifierKey]
) -> list[tuple[VerifierKey, int]]:
    """Which of *witness_keys* cosigned the checkpoint in *text*, each with its time in seconds.

    Raises:
        NoteError: it is no checkpoint, a cosignature of one of them is wrong, one cosigned twice.
    """
    note = SignedNote.parse(text)
    Checkpoint.parse(note.body)
    witnesses = [key for key in witness_keys if key.kind == COSIGNATURE]
    return [(key, _time(line)) for key, line in note._signed(witnesses)]


def attach(note: str, lines: str | Iterable[str]) -> str:
    """*note* with the signature *lines* of others added.

    A line takes the place of an earlier one by the same key, so that a witness may cosign again.
    That a line holds is for the caller to have found out, with the note that comes of it.

    Raises:
        NoteError: *note* or *lines* are malformed, or there are too many.
    """
    signed = SignedNote.parse(note)
    held = {(line.name, line.key_id): line for line in signed.signatures}
    for line in signature_lines("".join(lines)):
        held[line.name, line.key_id] = line
    _check_count(len(held))
    return _text(SignedNote(signed.body, tuple(held.values())).text)


def signature_lines(text: str) -> tuple[Signature, ...]:
    """The signatures of which *text* has one in each line, as a witness answers them.

    Raises:
        NoteError: it has none or over 100, or a line is no signature.
    """
    if not text.endswith("\n"):
        raise NoteError("signature lines are missing, or the last one has no newline")
    _check_count(text.count("\n"))
    return tuple(_signature_line(line) for line in text[:-1].split("\n"))


def _signature_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise NoteError(f"not a signature line: {line[:80]!r}", line=line[:200])
    check_name(name)
    data = decode(encoded, f"the signature of {name[:80]}")
    if len(data) < 5:
        raise NoteError(f"the signature of {name[:80]} has {len(data)} bytes only", name=name)
    return Signature(name, data[:4], data[4:])


def _signature_problem(key: VerifierKey, line: Signature, body: str) -> str | None:
    """Why *line* is no signature by *key* over *body*, or None."""
    length = _BYTES[key.kind]
    if len(line.data) != length:
        return f"it has {len(line.data)} bytes, not {length}"
    if key.kind == ED25519:
        return signature.problem(key.public, line.data, body.encode())
    time_s = _time(line)
    if time_s >= NUMBERS:
        return f"its time {time_s} is not below 2^63"
    return signature.problem(key.public, line.data[8:], _cosigned(body, time_s))


def _time(line: Signature) -> int:
    return int.from_bytes(line.data[:8], "big")


def _cosigned(body: str, time_s: int) -> bytes:
    """What a witness signs (tlog-cosignature, "Ed25519 signed message")."""
    return f"cosignature/v1\ntime {time_s}\n{body}".encode()


def _by_name_and_id(keys: Iterable[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        other = known.setdefault((key.name, key.id), key)
        if other != key:
            raise NoteError(
                f"two known keys have the name {key.name} and the id {key.id.hex()}",
                keys=[other.text, key.text],
            )
    return known


def _text(data: bytes | str) -> str:
    """*data* as text, after its length and before anything else is looked at."""
    _check_length(data)
    try:
        text = data.decode() if isinstance(data, bytes) else data
        _check_length(text.encode())
    except UnicodeError as error:
        raise NoteError("not a signed note: it is not UTF-8") from error
    control = CONTROL.search(text)
    if control:
        raise NoteError(
            f"not a signed note: it has the control character U+{ord(control[0]):04X}",
            where=control.start(),
        )
    return text


def _check_length(data: bytes | str) -> None:
    if len(data) > NOTE_BYTES:
        raise NoteError(
            f"a note has at most {NOTE_BYTES} bytes", allowed=NOTE_BYTES, found=len(data)
        )


def _check_count(found: int) -> None:
    if found > SIGNATURES:
        raise NoteError(
            f"a note has at most {SIGNATURES} signatures, not {found}",
            allowed=SIGNATURES,
            found=found,
        )
