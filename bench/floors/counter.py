"""A counter by hand: threads take turns at one connection; an increment is logged and synced."""

from __future__ import annotations

import threading
from pathlib import Path

from bench.crew import Crew
from bench.figure import FLOOR
from bench.floors.sqlite import connect
from bench.timing import Stage

SCHEMA = """
CREATE TABLE counter (e INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
CREATE TABLE log (t INTEGER PRIMARY KEY, e INTEGER NOT NULL, n INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES (1, 0);
"""


class CounterFloor:
    """One row that threads count up, each increment committed and synced."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute(SCHEMA)
        self._turn = threading.Lock()

    def close(self) -> None:
        self._connection.close()

    def counting(self, threads: int, times: int) -> Stage[Crew]:
        """Each of *threads* makes *times* increments."""
        execute = self._connection.execute

        def work() -> None:
            for _ in range(times):
                with self._turn:
                    execute("BEGIN IMMEDIATE")
                    n = execute("SELECT n FROM counter WHERE e = 1").get + 1
                    execute("INSERT INTO log (e, n) VALUES (1, ?)", (n,))
                    execute("UPDATE counter SET n = ? WHERE e = 1", (n,))
                    execute("COMMIT")

        return Stage(
            FLOOR,
            prepare=lambda: Crew([work] * threads),
            run=lambda crew: crew.run(),
            normal=lambda _: execute("SELECT n FROM counter WHERE e = 1").get,
            finish=lambda crew: crew.close(),
            operations=threads * times,
        )
