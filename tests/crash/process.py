"""Starts writers and kills them."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import attrs

from tests.crash.journal import FAILED, lines
from tests.crash.writer import Orders

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 120.0  # seconds; a busy machine is slow, a writer that hangs is a failure
_PAUSE: Final = 0.0005


class WriterFailed(AssertionError):
    """A writer ended by itself, or stands still."""


class Nursery:
    """The process that writers are forked from."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise WriterFailed(f"nothing came of {request} in {PATIENCE} s")
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@functools.cache
def nursery() -> Nursery:
    """The one of this process."""
    made = Nursery()
    atexit.register(made.close)
    return made


class Process:
    """One writer."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.journal = Path(orders.journal)
        self._code: int | None = None
        self._pid: int = nursery().ask(orders=attrs.asdict(orders))

    def said(self, word: str) -> int:
        """How many lines say *word*, of all writers of this journal; "" for any."""
        if not self.journal.exists():
            return 0
        return self.journal.read_bytes().count(f'"say": "{word}'.encode())

    def wait_for(self, count: int, word: str = "") -> None:
        """Until *count* more lines say *word*."""
        end = time.monotonic() + PATIENCE
        before = self.said(word)
        while (now := self.said(word)) < before + count:
            if not self._runs():
                raise WriterFailed(f"the writer ended: {self.failures()}")
            if time.monotonic() > end:
                raise WriterFailed(f"{now - before} of {count} lines in {PATIENCE} s")
            time.sleep(_PAUSE)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        if self._code is None:
            self._code = nursery().ask(wait=self._pid)
        return self._code

    def kill(self) -> None:
        """Kills it now; it must have been alive."""
        if self._code is None:  # until somebody asks for the code, the id belongs to it
            os.kill(self._pid, signal.SIGKILL)
        self.died()

    def died(self) -> None:
        """Until it has killed itself, which it must."""
        if (code := self.wait()) != -signal.SIGKILL:
            raise WriterFailed(f"the writer ended with {code}: {self.failures()}")

    def failures(self) -> list[str]:
        return [line["error"] for line in lines(self.journal) if line["say"] == FAILED]

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._runs():
            os.kill(self._pid, signal.SIGKILL)
            self.wait()

    def _runs(self) -> bool:
        if self._code is None:
            self._code = nursery().ask(look=self._pid)
        return self._code is None
