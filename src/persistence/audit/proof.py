"""Proofs as files: that an entry is in the log, and a datom in the entry, for whoever has the keys.

A `.tlog-proof` (C2SP tlog-proof) is text that needs no log and no store beside it:

    c2sp.org/tlog-proof@v1
    extra <base64>            what the leaf is made of; ours is an `Evidence`
    index <decimal>
    <base64>                  the inclusion path, a hash a line, from the leaf's sibling up

    <the checkpoint, as it was signed>

Nothing of it is believed here: the path proves something only with `check_inclusion`, against
the root of a checkpoint whose signatures were verified. Each form has one spelling, so that a
text that is read is the text that would be written. Imports the standard library and `merkle` only.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any, Final

from persistence.audit.merkle import HASH_BYTES, ProofError, path_length

PROOF_BYTES: Final = 1 << 20
PATH: Final = 63  # hashes; the path in a tree of 2^63 leaves
NUMBERS: Final = 1 << 63  # indexes and sizes are below
ENTRY_BYTES: Final = 65_535  # of a leaf, see `tiles`
FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
MAGIC: Final = b"persistence.evidence/v1\n"

_EXTRA: Final = "extra "
_INDEX: Final = "index "
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_PREFIX: Final = 4
_NUMBER: Final = 8


@dataclass(frozen=True, slots=True)
class Proof:
    """That a leaf is at *index* of the tree of *checkpoint*.

    >>> proof = Proof(1, (bytes(32),), "example.com/log\\n2\\n...\\n\\n— example.com/log c2ln\\n")
    >>> Proof.parse(proof.text) == proof
    True

    Raises:
        ProofError: a part is out of its limits, or has no place in such a text.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __post_init__(self) -> None:
        _check_number(self.index, "index")
        _check_path(self.path)
        if self.extra == b"":
            raise _refusal("extra data of no bytes is left out", "extra")
        if not self.checkpoint.endswith("\n") or self.checkpoint.startswith("\n"):
            raise _refusal(
                "a checkpoint begins with its origin and ends with a newline",
                "checkpoint",
                found=self.checkpoint[:80],
            )
        _check_text(self.text)

    @property
    def text(self) -> str:
        """The whole file."""
        lines = [FIRST_LINE]
        if self.extra is not None:
            lines.append(_EXTRA + _encode(self.extra))
        lines += (f"{_INDEX}{self.index}", *map(_encode, self.path), "", self.checkpoint)
        return "\n".join(lines)

    @classmethod
    def parse(cls, text: str | bytes) -> Proof:
        """The proof that *text* spells, the only one, and in its only spelling.

        Raises:
            ProofError: it spells none, or is over 1 MiB.
        """
        text = _text(text)
        head, blank, checkpoint = text.partition("\n\n")
        lines = head.split("\n", PATH + 4)
        if not blank or lines.pop(0) != FIRST_LINE:
            raise _refusal(
                f"not a proof: it begins with {FIRST_LINE} and has a blank line",
                "first line",
                expected=FIRST_LINE,
                found=text[:80],
            )
        extra = None
        if lines and lines[0].startswith(_EXTRA):
            extra = _decode(lines.pop(0).removeprefix(_EXTRA), "extra")
        decimal = lines.pop(0).removeprefix(_INDEX) if lines and lines[0].startswith(_INDEX) else ""
        if not _DECIMAL.fullmatch(decimal):
            raise _refusal("its index is no decimal number", "index", found=decimal[:80])
        if len(lines) > PATH:
            raise _refusal(f"its path is longer than {PATH} hashes", "path", expected=PATH)
        path = tuple(_decode(line, f"path[{n}]") for n, line in enumerate(lines))
        return cls(int(decimal), path, checkpoint, extra)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the leaf of a proof is made of: the entry, and perhaps one of its datoms.

    A datom comes with its place among the *datoms* of the transaction and its path to their root,
    which the entry names. As bytes it is the line `persistence.evidence/v1` and these fields,
    each after its length in four bytes, big-endian:

        entry        1 to 65 535 bytes
        datom        its canonical bytes; this and the others only when there is a datom
        datom_index  8 bytes, big-endian
        datoms       8 bytes, big-endian
        datom_path   the hashes one after the other; as many as index and number ask for

    >>> evidence = Evidence(b"entry", b"datom", 1, 2, (bytes(32),))
    >>> Evidence.parse(evidence.encoded()) == evidence
    True

    Raises:
        ProofError: a part is out of its limits, or of the four on the datom some are missing.
    """

    entry: bytes
    datom: bytes | None = None
    datom_index: int | None = None
    datoms: int | None = None
    datom_path: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        _check_length(self.entry, "entry", ENTRY_BYTES)
        datom, index, count = self.datom, self.datom_index, self.datoms
        if datom is None and index is None and count is None and not self.datom_path:
            return
        if datom is None or index is None or count is None:
            raise _refusal("a datom, its index and their number come together", "datom")
        _check_length(datom, "datom", PROOF_BYTES)
        _check_number(count, "datoms")
        _check_number(index, "datom_index", count)
        _check_path(self.datom_path, path_length(index, count))

    def encoded(self) -> bytes:
        """The bytes, for the *extra* of a proof."""
        fields = [self.entry]
        if self.datom is not None and self.datom_index is not None and self.datoms is not None:
            numbers = (self.datom_index, self.datoms)
            fields += (self.datom, *(number.to_bytes(_NUMBER, "big") for number in numbers))
            fields.append(b"".join(self.datom_path))
        return MAGIC + b"".join(len(field).to_bytes(_PREFIX, "big") + field for field in fields)

    @classmethod
    def parse(cls, data: bytes) -> Evidence:
        """The evidence with these bytes.

        Raises:
            ProofError: they are none, or over 1 MiB.
        """
        if len(data) > PROOF_BYTES or not data.startswith(MAGIC):
            raise _refusal(
                f"not evidence: it begins with {MAGIC.decode().strip()} and has at most "
                f"{PROOF_BYTES} bytes",
                "evidence",
                expected=MAGIC,
                found=bytes(data[: len(MAGIC)]),
            )
        fields = _fields(data, len(MAGIC))
        if len(fields) == 1:
            return cls(fields[0])
        if len(fields) != 5 or not len(fields[2]) == len(fields[3]) == _NUMBER:
            raise _refusal("not evidence: it has not the fields of a datom", "datom")
        entry, datom, index, count, path = fields
        if len(path) % HASH_BYTES:
            raise _refusal("the path of the datom is not made of hashes", "datom_path")
        starts = range(0, len(path), HASH_BYTES)
        hashes = tuple(path[at : at + HASH_BYTES] for at in starts)
        return cls(entry, datom, int.from_bytes(index, "big"), int.from_bytes(count, "big"), hashes)


def _fields(data: bytes, at: int) -> list[bytes]:
    found: list[bytes] = []
    while at < len(data):
        start = at + _PREFIX
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or len(found) == 5:
            raise _refusal(
                "not evidence: its fields do not end where it does",
                f"field {len(found)}",
                expected=at,
                found=len(data),
            )
        found.append(data[start:at])
    return found


def _text(data: str | bytes) -> str:
    """*data* as text; its length is looked at before anything else."""
    if len(data) <= PROOF_BYTES and isinstance(data, bytes):
        try:
            data = data.decode()
        except UnicodeError as error:
            raise _refusal("not a proof: it is not UTF-8", "text") from error
    if isinstance(data, bytes):
        raise _too_long(len(data))
    _check_text(data)
    return data


def _check_text(text: str) -> None:
    try:
        length = len(text) if len(text) > PROOF_BYTES else len(text.encode())
    except UnicodeError as error:
        raise _refusal("not a proof: it is not UTF-8", "text") from error
    if length > PROOF_BYTES:
        raise _too_long(length)
    control = _CONTROL.search(text)
    if control:
        raise _refusal(
            f"not a proof: it has the control character U+{ord(control[0]):04X}",
            "text",
            found=control.start(),
        )


def _check_number(number: int, where: str, limit: int = NUMBERS) -> None:
    if not 0 <= number < limit:
        raise _refusal(
            f"{where} {number} is not below {limit}", where, expected=limit, found=number
        )


def _check_length(data: bytes, where: str, most: int) -> None:
    if not 1 <= len(data) <= most:
        raise _refusal(
            f"{where} has {len(data)} bytes, not 1 to {most}",
            where,
            expected=most,
            found=len(data),
        )


def _check_path(path: tuple[bytes, ...], length: int | None = None) -> None:
    if len(path) > PATH or (length is not None and len(path) != length):
        wanted = f"at most {PATH}" if length is None else length
        raise _refusal(
            f"a path of {len(path)} hashes, where {wanted} are asked for",
            "path",
            expected=wanted,
            found=len(path),
        )
    for place, node in enumerate(path):
        if len(node) != HASH_BYTES:
            raise _refusal(
                f"hash {place} of a path has {len(node)} bytes, not {HASH_BYTES}",
                f"path[{place}]",
                expected=HASH_BYTES,
                found=len(node),
            )


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str, where: str) -> bytes:
    """The bytes that *text* spells; only in the spelling that `_encode` gives them."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or _encode(data) != text:
        raise _refusal(f"{where} is not canonical base64", where, found=text[:80])
    return data


def _too_long(found: int) -> ProofError:
    return _refusal(
        f"a proof has at most {PROOF_BYTES} bytes, not {found}",
        "text",
        expected=PROOF_BYTES,
        found=found,
    )


def _refusal(message: str, where: str, *, expected: Any = None, found: Any = None) -> ProofError:
    return ProofError(message, where=where, expected=expected, found=found)
