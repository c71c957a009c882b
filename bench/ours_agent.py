"""An agent's state in Persistence: an entity per key, a transaction per step, a branch per fork."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

from bench.figure import OURS
from persistence import Keyword, Substrate
from persistence.db import Db

_KEY, _VALUE = Keyword("state/key"), Keyword("state/value")
_STATE = "[:find ?key ?value :where [?e :state/key ?key] [?e :state/value ?value]]"
_TEXT = {":db/valueType": Keyword("db.type/string")}
_SCHEMA = [
    {":db/ident": _KEY, **_TEXT, ":db/unique": Keyword("db.unique/identity")},
    {":db/ident": _VALUE, **_TEXT},
]


class OurAgent:
    """One store of one agent."""

    name = OURS

    def __init__(self, path: Path) -> None:
        self._substrate = Substrate.open(path)
        self._substrate.fact.transact(_SCHEMA)
        self._entities: dict[str, int] = {}
        self._steps: list[int] = []  # the t of each step, which names it
        self._forks = count(1)

    def close(self) -> None:
        self._substrate.close()

    def begin(self, values: Mapping[str, str]) -> None:
        """The state before the first step."""
        forms = [{":db/id": key, _KEY: key, _VALUE: value} for key, value in values.items()]
        report = self._substrate.fact.transact(forms)
        self._entities.update((key, report.tempids[key]) for key in values)
        self._steps.append(report.t)

    def run(self, changes: Iterable[tuple[str, str]]) -> None:
        """A step for each change."""
        transact, entities, steps = self._substrate.fact.transact, self._entities, self._steps
        for key, value in changes:
            steps.append(transact([[":db/add", entities[key], _VALUE, value]]).t)

    def head(self) -> dict[str, str]:
        """All values as they are now."""
        return self._values(self._substrate.fact.db())

    def at(self, step: int) -> dict[str, str]:
        """All values as they were after so many steps."""
        return self._values(self._substrate.fact.db().as_of(self._steps[step]))

    @staticmethod
    def _values(db: Db) -> dict[str, str]:
        return dict(db.q(_STATE))

    def fork(self, step: int) -> None:
        """Begins a branch at a step."""
        s = self._substrate
        s.branch.create(f"fork {next(self._forks)}", of=s.fact.db().as_of(self._steps[step]))

    def size(self) -> int:
        """Bytes of the file, once the write-ahead log is folded into it."""
        return self._substrate.statistics().bytes
