"""Starts writers and kills them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
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


class Process:
    """One writer."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.journal = Path(orders.journal)
        self._errors = self.journal.with_suffix(".err").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.writer", json.dumps(attrs.asdict(orders))],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.PIPE,
            stderr=self._errors,
        )

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
            if self._process.poll() is not None:
                raise WriterFailed(f"the writer ended: {self.failures()}")
            if time.monotonic() > end:
                raise WriterFailed(f"{now - before} of {count} lines in {PATIENCE} s")
            time.sleep(_PAUSE)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(PATIENCE)
        self._close()
        return code

    def kill(self) -> None:
        """Kills it now; it must have been alive."""
        self._process.send_signal(signal.SIGKILL)
        self.died()

    def died(self) -> None:
        """Until it has killed itself, which it must."""
        if (code := self.wait()) != -signal.SIGKILL:
            raise WriterFailed(f"the writer ended with {code}: {self.failures()}")

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self.wait()

    def failures(self) -> list[str]:
        return [line["error"] for line in lines(self.journal) if line["say"] == FAILED]

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._errors.close()


def _environment() -> dict[str, Any]:
    """As here, with the sources compiled once for all writers."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    cache = Path(tempfile.gettempdir(), f"persistence-compiled-{os.getuid()}")
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
