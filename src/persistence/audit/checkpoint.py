"""What a log commits to at one size, as the text of a note (C2SP tlog-checkpoint).

Read back only as it would be written, so that two texts never say one checkpoint. Imports the
standard library and its neighbours only, because the standalone verifier does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from persistence.audit.vkey import CONTROL, NoteError, decode, encode

NUMBERS: Final = 1 << 63  # sizes and times are below

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_NO_LEAVES: Final = sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: that its first *size* leaves have *root*.

    >>> from hashlib import sha256
    >>> empty = Checkpoint("example.com/log", 0, sha256(b"").digest())
    >>> print(empty.body, end="")
    example.com/log
    0
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
    >>> Checkpoint.parse(empty.body) == empty
    True

    Raises:
        NoteError: no origin; a size out of range; no 32 bytes; an empty log with another root.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line or CONTROL.search(line):
                raise NoteError(
                    f"a line of a checkpoint is empty or has a control character: {line[:80]!r}",
                    line=line,
                )
        if not 0 <= self.size < NUMBERS:
            raise NoteError(
                f"{self.size} is no size of a log: it is at least 0 and below 2^63", found=self.size
            )
        if len(self.root) != 32:
            raise NoteError(
                f"the root of a checkpoint has 32 bytes, not {len(self.root)}", found=len(self.root)
            )
        if self.size == 0 and self.root != _NO_LEAVES:
            raise NoteError(
                "a checkpoint of size 0 has another root than that of no leaves",
                expected=_NO_LEAVES,
                found=self.root,
            )

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """The checkpoint that the text of a note spells.

        Raises:
            NoteError: it spells none.
        """
        lines = body.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise NoteError("not a checkpoint: it has an origin, a size and a root, a line each")
        origin, size, root, *extensions = lines[:-1]
        if not _DECIMAL.fullmatch(size):
            raise NoteError(f"{size[:80]!r} is no size of a log", found=size[:80])
        if len(root) != 44:
            raise NoteError(f"the root of a checkpoint is no 32 bytes in base64: {root[:80]!r}")
        return cls(origin, int(size), decode(root, "the root"), tuple(extensions))

    @property
    def body(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), encode(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)
