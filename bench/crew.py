"""Threads and processes that stand ready, so that a sample times their work and not their start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


class Crew:
    """Threads, one for each of *works*, that begin together when they are told to."""

    def __init__(self, works: Sequence[Callable[[], Any]]) -> None:
        self._start = threading.Barrier(len(works) + 1)
        self._pool = ThreadPoolExecutor(len(works))
        self._futures = [self._pool.submit(self._begin, work) for work in works]

    def _begin(self, work: Callable[[], Any]) -> Any:
        self._start.wait()
        return work()

    def run(self) -> list[Any]:
        """What the works gave, once all are done; the first exception is raised."""
        self._start.wait()
        return [future.result() for future in self._futures]

    def close(self) -> None:
        self._pool.shutdown()


class Fleet:
    """Processes that have opened one store and count a cell of it up when they are told to."""

    def __init__(self, uri: str, cells: Sequence[int]) -> None:
        command = [sys.executable, "-m", "bench.counting", uri]
        # `bench` is found from the directory above it, wherever this process was started.
        here = str(Path(__file__).parents[1])
        path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._ships = [
            subprocess.Popen(
                [*command, str(cell)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
            for cell in cells
        ]
        for ship in self._ships:
            self._heard(ship)

    def run(self, times: int) -> list[dict[str, int]]:
        """Lets every process count *times* times; what each tells of it."""
        for ship in self._ships:
            assert ship.stdin is not None
            ship.stdin.write(f"{times}\n")
            ship.stdin.flush()
        return [self._heard(ship) for ship in self._ships]

    @staticmethod
    def _heard(ship: subprocess.Popen[str]) -> Any:
        assert ship.stdout is not None
        line = ship.stdout.readline()
        if not line:
            raise RuntimeError(f"a counting process ended with code {ship.wait()}")
        return json.loads(line)

    def close(self) -> None:
        for ship in self._ships:
            assert ship.stdin is not None and ship.stdout is not None
            ship.stdin.close()
            ship.wait()
            ship.stdout.close()
