"""The Postgres floor: natural types in two typed tables, covering indexes, prepared statements.

Two tables, because a column of Postgres has one type; the planner is free to join as it likes,
with statistics taken after loading, for both sides alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql as pgsql

from bench import answers
from bench.figure import FLOOR
from bench.floors.sqlite import A
from bench.timing import Call, Stage
from bench.workload import Node, Person

SCHEMA = """
CREATE TABLE word (a int NOT NULL, e bigint NOT NULL, v text COLLATE "C" NOT NULL,
                   PRIMARY KEY (a, e, v));
CREATE UNIQUE INDEX word_ave ON word (a, v, e);
CREATE TABLE number (a int NOT NULL, e bigint NOT NULL, v bigint NOT NULL, PRIMARY KEY (a, e, v));
CREATE UNIQUE INDEX number_ave ON number (a, v, e);
CREATE TABLE log (i bigserial PRIMARY KEY, t bigint NOT NULL,
                  e bigint NOT NULL, a int NOT NULL, v text NOT NULL);
"""

_AGE = f"JOIN number g ON g.a = {A['age']} AND g.e = n.e"
_MALE = f"JOIN word s ON s.a = {A['sex']} AND s.e = n.e AND s.v = 'male'"
_LAST = f"JOIN word l ON l.a = {A['last-name']} AND l.e = n.e"
_IVAN = f"WHERE n.a = {A['name']} AND n.v = 'Ivan'"

QUERIES: dict[str, str] = {
    "q1": f"SELECT n.e FROM word n {_IVAN}",
    "q2": f"SELECT n.e, g.v FROM word n {_AGE} {_IVAN}",
    "q3": f"SELECT n.e, g.v FROM word n {_AGE} {_MALE} {_IVAN}",
    "q4": f"SELECT n.e, l.v, g.v FROM word n {_AGE} {_MALE} {_LAST} {_IVAN}",
}

FOLLOWS = f"""
WITH RECURSIVE reach (x, y) AS (
    SELECT e, v FROM number WHERE a = {A["follows"]}
    UNION
    SELECT reach.x, n.v FROM reach JOIN number n ON n.a = {A["follows"]} AND n.e = reach.y
)
SELECT x, y FROM reach
"""

LOG = "INSERT INTO log (t, e, a, v) VALUES (%s, %s, %s, %s)"
UPSERT = "INSERT INTO number (a, e, v) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"


class PostgresFloor:
    """The floor in one database; its commits are serializable and synced, as ours are."""

    name = FLOOR

    def __init__(self, uri: str) -> None:
        self.connection = psycopg.connect(uri, autocommit=True, prepare_threshold=0)
        self.connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        self.connection.execute(SCHEMA, prepare=False)
        self._t = 0

    def close(self) -> None:
        self.connection.close()

    def insert(self, facts: Iterable[tuple[int, str, Any]]) -> None:
        rows: dict[str, list[tuple[int, int, Any]]] = {"word": [], "number": []}
        for e, a, v in facts:
            rows["word" if isinstance(v, str) else "number"].append((A[a], e, v))
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for table, facts_of in rows.items():
                copy = pgsql.SQL("COPY {} (a, e, v) FROM STDIN").format(pgsql.Identifier(table))
                with cursor.copy(copy) as sink:
                    for row in facts_of:
                        sink.write_row(row)

    def load_people(self, crowd: Iterable[Person]) -> None:
        self.insert(fact for person in crowd for fact in person.facts())

    def load_tree(self, nodes: Iterable[Node]) -> None:
        nodes = list(nodes)
        self.insert(fact for node in nodes for fact in node.person.facts())
        self.insert((n.person.id, "follows", child) for n in nodes for child in n.follows)

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def asking(self, figure: str) -> Call:
        sql = QUERIES[figure]
        return Call(FLOOR, lambda: self.fetch(sql), answers.rows)

    def following(self) -> Call:
        return Call(FLOOR, lambda: self.fetch(FOLLOWS), answers.rows)

    def committing(self, operations: int, entities: Iterable[int]) -> Stage[list[int]]:
        """One-datom transactions, *operations* to a sample, each on the next of *entities*."""
        upcoming = iter(entities)
        score = A["score"]

        def commit(chunk: list[int]) -> None:
            execute = self.connection.execute
            for e in chunk:
                self._t += 1
                with self.connection.transaction():
                    execute(LOG, (self._t, e, score, "7"))
                    execute(UPSERT, (score, e, 7))

        def count(_: list[int]) -> int:
            rows = self.fetch(f"SELECT count(*) FROM number WHERE a = {score}")
            return int(rows[0][0])

        return Stage(
            FLOOR,
            prepare=lambda: [next(upcoming) for _ in range(operations)],
            run=commit,
            normal=count,
            operations=operations,
        )
