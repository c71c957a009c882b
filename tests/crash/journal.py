"""What a writer told the outside world before it died.

A file of its own, apart from every store: one line for what is about to be done and one for what
came of it, each written with a single O_APPEND write. A line that is there was said, however the
process ended afterwards.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

INTENDS: Final = "intends"
COMMITTED: Final = "committed"  # the acknowledgement: the commit returned
REFUSED: Final = "refused"  # the store said that nothing was written
UNKNOWN: Final = "unknown"  # the store said that it cannot tell
PERFORMS: Final = "performs"  # an effect reaches the outside world
FAILED: Final = "failed"  # an error that no writer should meet


class Journal:
    """The lines that one process says."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def say(self, word: str, op: str, **more: Any) -> None:
        line = json.dumps({"say": word, "op": op, **more}) + "\n"
        os.write(self._file, line.encode())


@attrs.define
class Op:
    """One thing that a writer set out to do, and what it said of it."""

    id: str
    kind: str
    on: str = ""  # the branch it writes on, or names
    brings: str = ""  # the operation whose facts a merge brings
    state: str = INTENDS
    t: int = 0

    @property
    def worker(self) -> str:
        return self.id.rpartition("-")[0]

    @property
    def place(self) -> int:
        return int(self.id.rpartition("-")[2])


@attrs.frozen
class Said:
    """Everything that the writers of one store said."""

    ops: dict[str, Op]
    performed: list[tuple[str, str]]  # operation and idempotency key, in order
    failures: list[str]

    def of(self, *kinds: str) -> list[Op]:
        return [op for op in self.ops.values() if op.kind in kinds]


def heard(path: Path) -> Said:
    """What was said in the journal at *path*."""
    said = Said({}, [], [])
    for line in lines(path):
        word, op = line["say"], line["op"]
        if word == INTENDS:
            said.ops[op] = Op(op, line["kind"], line.get("on", ""), line.get("brings", ""))
        elif word == PERFORMS:
            said.performed.append((op, line["key"]))
        elif word == FAILED:
            said.failures.append(line["error"])
        else:
            said.ops[op].state = word
            said.ops[op].t = line.get("t", 0)
    return said


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal; nothing when it was never begun."""
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)


class Waiting:
    """Counts the lines of a journal while somebody writes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._count = 0

    def count(self) -> int:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            self._count += new.count(b"\n")
        return self._count
