"""ZODB on FileStorage: a counter that threads count up, with its own way out of conflicts.

`ZODB` tries a transaction again when it meets a ConflictError. `ZODB, resolving` keeps the counter
in a `BTrees.Length`, whose increments are merged by the storage; it is what `commute` is here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from bench.crew import Crew
from bench.timing import Stage

RETRYING, RESOLVING = "ZODB", "ZODB, resolving"
ABSENT = "ZODB is not installed; it comes with the extra `bench`"


class Zodb:
    """One file; every commit is synced, as FileStorage always does.

    Raises:
        ImportError: ZODB is not installed.
    """

    def __init__(self, path: Path, *, resolving: bool = False) -> None:
        length = import_module("BTrees.Length").Length
        mapping = import_module("persistent.mapping").PersistentMapping
        storage = import_module("ZODB.FileStorage").FileStorage
        self.name = RESOLVING if resolving else RETRYING
        self._manager: Any = import_module("transaction").TransactionManager
        self._conflict: Any = import_module("ZODB.POSException").ConflictError
        self._db: Any = import_module("ZODB").DB(storage(str(path)))
        with self._db.transaction() as connection:
            connection.root()["counter"] = length(0) if resolving else mapping(n=0)

    def close(self) -> None:
        self._db.close()

    def _increment(self, counter: Any) -> None:
        if self.name == RESOLVING:
            counter.change(1)
        else:
            counter["n"] += 1

    def counting(self, threads: int, times: int) -> Stage[Crew]:
        """Each of *threads* makes *times* increments, through a connection of its own."""

        def work() -> None:
            manager = self._manager()
            connection = self._db.open(transaction_manager=manager)
            counter = connection.root()["counter"]
            for _ in range(times):
                while True:
                    manager.begin()
                    try:
                        self._increment(counter)
                        manager.commit()
                        break
                    except self._conflict:
                        manager.abort()
            connection.close()

        return Stage(
            self.name,
            prepare=lambda: Crew([work] * threads),
            run=lambda crew: crew.run(),
            normal=lambda _: self.total(),
            finish=lambda crew: crew.close(),
            operations=threads * times,
        )

    def total(self) -> int:
        with self._db.transaction() as connection:
            counter = connection.root()["counter"]
            return int(counter() if self.name == RESOLVING else counter["n"])
