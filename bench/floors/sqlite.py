"""The SQLite floor: one triple table with natural types and its two covering orders.

The clauses are joined in the best order by hand (`CROSS JOIN` pins it), statements are cached by
the driver, and results come out as lists of tuples.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import apsw

from bench import answers
from bench.figure import FLOOR
from bench.timing import Call, Stage
from bench.workload import ATTRIBUTES, Node, Person

A = {name: id for id, name in enumerate((*ATTRIBUTES, "follows", "score", "id"), start=1)}

SCHEMA = """
CREATE TABLE triple (
    a INTEGER NOT NULL, e INTEGER NOT NULL, v ANY NOT NULL, PRIMARY KEY (a, e, v)
) STRICT, WITHOUT ROWID;
CREATE INDEX triple_ave ON triple (a, v, e);
CREATE TABLE log (
    i INTEGER PRIMARY KEY, t INTEGER NOT NULL,
    e INTEGER NOT NULL, a INTEGER NOT NULL, v ANY NOT NULL
) STRICT;
"""

_AGE = f"g.a = {A['age']} AND g.e = n.e"
_MALE = f"s.a = {A['sex']} AND s.e = n.e AND s.v = 'male'"
_LAST = f"l.a = {A['last-name']} AND l.e = n.e"
_SALARY = f"SELECT e, v FROM triple WHERE a = {A['salary']} AND v > ?"
_NAME = f"SELECT e FROM triple WHERE a = {A['name']} AND v = ?"
_Q2 = (
    "SELECT n.e, g.v FROM triple n CROSS JOIN triple g"
    f" WHERE n.a = {A['name']} AND n.v = ? AND {_AGE}"
)

QUERIES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "q1": (_NAME, ("Ivan",)),
    "q2": (_Q2, ("Ivan",)),
    "q2 swapped": (_Q2, ("Ivan",)),
    "q3": (
        "SELECT n.e, g.v FROM triple n CROSS JOIN triple s CROSS JOIN triple g"
        f" WHERE n.a = {A['name']} AND n.v = ? AND {_MALE} AND {_AGE}",
        ("Ivan",),
    ),
    "q4": (
        "SELECT n.e, l.v, g.v FROM triple n"
        " CROSS JOIN triple s CROSS JOIN triple l CROSS JOIN triple g"
        f" WHERE n.a = {A['name']} AND n.v = ? AND {_MALE} AND {_LAST} AND {_AGE}",
        ("Ivan",),
    ),
    "q5": (_NAME, ("Nobody",)),
    "qpred literal": (_SALARY, (50_000,)),
    "qpred input": (_SALARY, (50_000,)),
}

FOLLOWS = f"""
WITH RECURSIVE reach (x, y) AS (
    SELECT e, v FROM triple WHERE a = {A["follows"]}
    UNION
    SELECT reach.x, t.v FROM reach CROSS JOIN triple t
    WHERE t.a = {A["follows"]} AND t.e = reach.y
)
SELECT x, y FROM reach
"""

_COLUMNS = ", ".join(f"t{A[name]}.v" for name in ATTRIBUTES)
_PULLED = "\n".join(
    f"LEFT JOIN triple t{A[name]} ON t{A[name]}.a = {A[name]} AND t{A[name]}.e = f.v"
    for name in ATTRIBUTES
)
LEVEL = f"""
SELECT f.e, f.v, {_COLUMNS} FROM carray(?) AS level
CROSS JOIN triple f ON f.a = {A["follows"]} AND f.e = level.value
{_PULLED}
"""
ROOT = f"SELECT NULL, f.v, {_COLUMNS} FROM (SELECT ? AS v) f\n{_PULLED}"

POINT = f"SELECT v FROM triple WHERE a = {A['salary']} AND e = ?"
INSERT = "INSERT INTO triple (a, e, v) VALUES (?, ?, ?)"
UPSERT = "INSERT OR REPLACE INTO triple (a, e, v) VALUES (?, ?, ?)"
LOG = "INSERT INTO log (t, e, a, v) VALUES (?, ?, ?, ?)"


def connect(path: Path, *, synchronous: str = "FULL") -> apsw.Connection:
    """A connection with the driver options and pragmas of `persistence.store.sqlite_open`."""
    connection = apsw.Connection(str(path), statementcachesize=512)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        f"PRAGMA synchronous = {synchronous};"
        f"PRAGMA cache_size = -{64 * 2**10};"
        f"PRAGMA mmap_size = {2**30};"
        "PRAGMA temp_store = MEMORY;"
    )
    return connection


class SqliteFloor:
    """The floor over one file."""

    name = FLOOR

    def __init__(self, path: Path, *, synchronous: str = "FULL") -> None:
        self.path = path
        self.connection = connect(path, synchronous=synchronous)
        self.connection.execute(SCHEMA)
        self._t = 0

    def close(self) -> None:
        self.connection.close()

    def insert(self, facts: Iterable[tuple[int, str, Any]]) -> None:
        """One transaction: every fact into the log and into the index."""
        self._t += 1
        rows = [(A[a], e, v) for e, a, v in facts]
        with self.connection:
            self.connection.executemany(LOG, ((self._t, e, a, v) for a, e, v in rows))
            self.connection.executemany(INSERT, rows)

    def load_people(self, crowd: Iterable[Person]) -> None:
        self.insert(fact for person in crowd for fact in person.facts())

    def load_tree(self, nodes: Iterable[Node]) -> None:
        nodes = list(nodes)
        self.load_people(node.person for node in nodes)
        self.insert((n.person.id, "follows", child) for n in nodes for child in n.follows)

    def give_raises(self, pairs: Iterable[tuple[int, int]]) -> None:
        """New salaries in place of the old ones."""
        salary = A["salary"]
        with self.connection:
            for e, v in pairs:
                self.connection.execute("DELETE FROM triple WHERE a = ? AND e = ?", (salary, e))
                self.connection.execute(INSERT, (salary, e, v))

    def entities(self, attribute: str, values: Iterable[int]) -> dict[int, int]:
        """The entities that have one of *values*, by value."""
        sql = (
            "SELECT t.v, t.e FROM carray(?) AS wanted"
            f" CROSS JOIN triple t WHERE t.a = {A[attribute]} AND t.v = wanted.value"
        )
        return dict(self.fetch(sql, (_ids(values),)))

    def fetch(self, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, bindings).fetchall()

    def asking(self, figure: str) -> Call:
        sql, bindings = QUERIES[figure]
        return Call(FLOOR, lambda: self.fetch(sql, bindings), answers.rows)

    def following(self) -> Call:
        return Call(FLOOR, lambda: self.fetch(FOLLOWS), answers.rows)

    def reading(self, entities: Sequence[int]) -> Call:
        """The salary of each of *entities*, one statement each."""

        def read() -> list[Any]:
            execute = self.connection.execute
            return [execute(POINT, (e,)).get for e in entities]

        return Call(FLOOR, read, operations=len(entities))

    def pulling(self, keys: dict[str, Hashable], values: dict[str, Any]) -> Call:
        """The tree below entity 1: a statement per level, nested dicts from its rows.

        *keys* are the dictionary keys by attribute, *values* the Python values of `sex`.
        """
        entity, follows = keys["db/id"], keys["follows"]
        name_, last_, sex_, age_, salary_ = (keys[name] for name in ATTRIBUTES)
        execute = self.connection.execute

        def node(e: int, name: Any, last: Any, sex: Any, age: Any, salary: Any) -> dict[Any, Any]:
            return {
                entity: e,
                name_: name,
                last_: last,
                sex_: values[sex],
                age_: age,
                salary_: salary,
            }

        def pull() -> dict[Any, Any]:
            _, e, *columns = next(execute(ROOT, (1,)))
            root = node(e, *columns)
            level = {1: root}
            while level:
                below: dict[int, dict[Any, Any]] = {}
                for parent, e, *columns in execute(LEVEL, (_ids(level),)):
                    child = below[e] = node(e, *columns)
                    above = level[parent]
                    if follows in above:
                        above[follows].append(child)
                    else:
                        above[follows] = [child]
                level = below
            return root

        return Call(FLOOR, pull, answers.tree)

    def committing(self, operations: int, entities: Iterable[int]) -> Stage[list[int]]:
        """One-datom transactions, *operations* to a sample, each on the next of *entities*."""
        upcoming = iter(entities)
        execute = self.connection.execute
        score = A["score"]

        def commit(chunk: list[int]) -> None:
            for e in chunk:
                self._t += 1
                execute("BEGIN IMMEDIATE")
                execute(LOG, (self._t, e, score, 7))
                execute(UPSERT, (score, e, 7))
                execute("COMMIT")

        return Stage(
            FLOOR,
            prepare=lambda: [next(upcoming) for _ in range(operations)],
            run=commit,
            normal=lambda _: self.count("score"),
            operations=operations,
        )

    def size(self) -> int:
        """Bytes of the file, once the write-ahead log is folded into it."""
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        return self.path.stat().st_size

    def count(self, *attributes: str) -> int:
        """How many facts of *attributes* hold now."""
        marks = ", ".join("?" * len(attributes))
        sql = f"SELECT count(*) FROM triple WHERE a IN ({marks})"
        return int(self.connection.execute(sql, [A[name] for name in attributes]).get)


def loading(file: Any, crowd: list[Person]) -> Stage[SqliteFloor]:
    """Everybody in one transaction on a fresh file; *file* gives a new path."""

    def finish(floor: SqliteFloor) -> None:
        floor.close()
        floor.path.unlink()

    return Stage(
        FLOOR,
        prepare=lambda: SqliteFloor(file()),
        run=lambda floor: floor.load_people(crowd),
        normal=lambda floor: floor.count(*ATTRIBUTES),
        finish=finish,
    )


def _ids(entities: Iterable[int]) -> Any:
    return apsw.carray(array("q", entities), flags=apsw.SQLITE_CARRAY_INT64)
