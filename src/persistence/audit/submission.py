"""What a log hands to a witness, as both ends of the line spell it (C2SP tlog-witness).

    old 2                                           the size that the witness saw last
    GVh8DqNyDqvrjLs5rBYfVZmtrKr1Z4tmbGzYBqjvKyk=    a consistency proof from there, if it saw any
                                                    a blank line
    example.com/log …                               the signed checkpoint

Imports the standard library and its neighbours only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from persistence.audit.checkpoint import NUMBERS
from persistence.audit.merkle import HASH_BYTES
from persistence.audit.vkey import NoteError, decode, encode

PATH: Final = "/add-checkpoint"
SIZE_TYPE: Final = "text/x.tlog.size"  # of an answer that names the size to go on from
PROOF_LINES: Final = 63

_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True)
class Submission:
    """A signed checkpoint, and why it continues what the witness saw last.

    >>> submission = Submission(2, (bytes(32),), "example.com/log ...")
    >>> print(submission.body.decode())
    old 2
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
    <BLANKLINE>
    example.com/log ...
    >>> Submission.parse(submission.body) == submission
    True
    """

    old: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def body(self) -> bytes:
        """The bytes that are sent."""
        proof = "".join(f"{encode(node)}\n" for node in self.proof)
        return f"old {self.old}\n{proof}\n{self.note}".encode()

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """What *body* spells; whether its last part is a checkpoint was not looked at.

        Raises:
            NoteError: it is not UTF-8, has no such lines, or more of them than are allowed.
        """
        try:
            head, _, note = body.decode().partition("\n\n")
        except UnicodeError as error:
            raise NoteError("not a submission: it is not UTF-8") from error
        first, *lines = head.split("\n", PROOF_LINES + 1)
        old = _OLD.fullmatch(first)
        if not old or int(old[1]) >= NUMBERS:
            raise NoteError(f"not a submission: it begins with no old size: {first[:80]!r}")
        if len(lines) > PROOF_LINES:
            raise NoteError(
                f"a proof has at most {PROOF_LINES} lines", allowed=PROOF_LINES, found=len(lines)
            )
        return cls(int(old[1]), tuple(map(_node, lines)), note)


def size_line(size: int) -> str:
    """The answer that names the *size* to go on from."""
    return f"{size}\n"


def parse_size(body: bytes) -> int:
    """The size that :func:`size_line` spelled.

    >>> parse_size(b"20852014\\n")
    20852014

    Raises:
        NoteError: it is none.
    """
    size = _SIZE.fullmatch(body)
    if not size or int(size[1]) >= NUMBERS:
        raise NoteError(f"not the size of a log: {body[:80]!r}", found=body[:80])
    return int(size[1])


def _node(line: str) -> bytes:
    node = decode(line, "a line of the proof")
    if len(node) != HASH_BYTES:
        raise NoteError(f"a hash has {HASH_BYTES} bytes, not {len(node)}", found=len(node))
    return node
