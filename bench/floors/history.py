"""The floor that remembers: one row per version, current rows and past rows indexed apart.

It knows system time only, `[t0, t1)`; that is the least that can answer what was known at `t`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import answers
from bench.figure import FLOOR
from bench.floors.sqlite import A, connect
from bench.timing import Call
from bench.workload import Person

OPEN = 2**47 - 1
PRICE = 100

SCHEMA = f"""
CREATE TABLE version (
    a INTEGER NOT NULL, e INTEGER NOT NULL, v ANY NOT NULL,
    t0 INTEGER NOT NULL, t1 INTEGER NOT NULL
) STRICT;
CREATE INDEX now_aev ON version (a, e, v) WHERE t1 = {OPEN};
CREATE INDEX then_aev ON version (a, e, t1, t0, v);
CREATE INDEX then_ave ON version (a, v, e, t1, t0);
"""


def _at(alias: str) -> str:
    return f"{alias}.t0 <= :t AND {alias}.t1 > :t"


_NAMED = f"n.a = {A['name']} AND n.v = 'Ivan' AND {_at('n')}"
_AGE = f"g.a = {A['age']} AND g.e = n.e AND {_at('g')}"
_MALE = f"s.a = {A['sex']} AND s.e = n.e AND s.v = 'male' AND {_at('s')}"
_LAST = f"l.a = {A['last-name']} AND l.e = n.e AND {_at('l')}"

PAST: dict[str, str] = {
    "q1": f"SELECT n.e FROM version n WHERE {_NAMED}",
    "q2": f"SELECT n.e, g.v FROM version n CROSS JOIN version g WHERE {_NAMED} AND {_AGE}",
    "q3": "SELECT n.e, g.v FROM version n CROSS JOIN version s CROSS JOIN version g"
    f" WHERE {_NAMED} AND {_MALE} AND {_AGE}",
    "q4": "SELECT n.e, l.v, g.v FROM version n"
    " CROSS JOIN version s CROSS JOIN version l CROSS JOIN version g"
    f" WHERE {_NAMED} AND {_MALE} AND {_LAST} AND {_AGE}",
    "qpred input": f"SELECT n.e, n.v FROM version n WHERE n.a = {A['salary']} AND n.v > 50000"
    f" AND {_at('n')}",
}
POINT = f"SELECT v FROM version n WHERE n.a = {A['salary']} AND n.e = :e AND {_at('n')}"
TOTAL_NOW = f"SELECT sum(v) FROM version WHERE a = {PRICE} AND t1 = {OPEN}"
# A seek for each entity, to its first version that ends after :t. A scan of (a, t1, t0, v) is the
# other way; it is faster only where :t is among the last tenth of the versions.
TOTAL_THEN = f"""
SELECT sum((
    SELECT past.v FROM version past
    WHERE past.a = {PRICE} AND past.e = n.e AND past.t1 > :t AND past.t0 <= :t
    ORDER BY past.t1 LIMIT 1
)) FROM version n WHERE n.a = {PRICE} AND n.t1 = {OPEN}
"""

CLOSE = f"UPDATE version SET t1 = ? WHERE a = ? AND e = ? AND t1 = {OPEN}"
INSERT = f"INSERT INTO version (a, e, v, t0, t1) VALUES (?, ?, ?, ?, {OPEN})"


class HistoryFloor:
    """Versions in one file; every `revise` is one transaction and gives back its `t`."""

    def __init__(self, path: Path) -> None:
        self.connection = connect(path)
        self.connection.execute(SCHEMA)
        self._t = 0

    def close(self) -> None:
        self.connection.close()

    def load_people(self, crowd: Iterable[Person]) -> int:
        self._t += 1
        facts = [(A[a], e, v, self._t) for person in crowd for e, a, v in person.facts()]
        with self.connection:
            self.connection.executemany(INSERT, facts)
        return self._t

    def revise(self, attribute: int, pairs: Sequence[tuple[int, Any]]) -> int:
        self._t += 1
        with self.connection:
            self.connection.executemany(CLOSE, [(self._t, attribute, e) for e, _ in pairs])
            self.connection.executemany(INSERT, [(attribute, e, v, self._t) for e, v in pairs])
        return self._t

    def give_raises(self, pairs: Sequence[tuple[int, int]]) -> int:
        return self.revise(A["salary"], pairs)

    def price(self, pairs: Sequence[tuple[int, int]]) -> int:
        return self.revise(PRICE, pairs)

    def fetch(self, sql: str, **bindings: int) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, bindings).fetchall()

    def asking(self, figure: str, t: int) -> Call:
        sql = PAST[figure]
        return Call(FLOOR, lambda: self.fetch(sql, t=t), answers.rows)

    def reading(self, entities: Sequence[int], t: int) -> Call:
        def read() -> list[Any]:
            execute = self.connection.execute
            return [execute(POINT, {"e": e, "t": t}).get for e in entities]

        return Call(FLOOR, read, operations=len(entities))

    def totalling(self, t: int | None = None) -> Call:
        """The sum of all prices, now or as known at *t*."""
        if t is None:
            return Call(FLOOR, lambda: self.fetch(TOTAL_NOW)[0][0])
        return Call(FLOOR, lambda: self.fetch(TOTAL_THEN, t=t)[0][0])
