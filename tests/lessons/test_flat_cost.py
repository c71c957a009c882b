"""Lesson 9: what touches one entity costs the same in a small store and in a large one.

Nothing is timed. On SQLite the engine itself tells how many steps its programs took and whether
it walked a table; on PostgreSQL it counts the rows of `fact` that it visited. Both are read for
the same work in a store of 2 000 datoms and in one of 50 000: between them a scan grows by
twenty-five, and a tree by a level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw
import attrs
import pytest

from persistence import Db, FrozenClock, Keyword, Substrate

SMALL, LARGE = 2_000, 50_000
PER_ENTITY = 5
START = 1_800_000_000_000_000
START_DAY, NEXT_DAY = "2027-01-16", "2027-01-17"
DAY = 86_400_000_000
SUBJECT = 1_000_000  # an entity beside the others, with a history of its own
REVISIONS = 8

Work = Callable[[Db], Any]


def fill(s: Substrate, clock: FrozenClock, datoms: int) -> None:
    """People alike at both sizes, and one whose salary changed a few times."""
    s.fact.transact(
        """[{:db/ident :person/id   :db/valueType :db.type/string :db/unique :db.unique/identity}
            {:db/ident :person/name :db/valueType :db.type/string :db/index true}
            {:db/ident :person/boss :db/valueType :db.type/ref}]"""
    )
    people = [
        {
            "db/id": 1_000 + n,
            "person/id": f"p{n}",
            "person/name": f"name {n}",
            "person/age": n % 100,
            "person/salary": n,
            "person/boss": 1_000 + n // 10,
        }
        for n in range(datoms // PER_ENTITY)
    ]
    s.fact.transact(people)
    for n in range(REVISIONS):
        clock.advance(DAY)
        s.fact.transact(
            [{"db/id": SUBJECT, "person/id": "subject", "person/name": "S", "person/salary": n}]
        )
    # Corrections give the attribute bounded and closed facts in both stores.
    s.fact.transact([{"db/id": 1_001, "person/salary": 7}], valid_from=START_DAY, valid_to=NEXT_DAY)


@contextmanager
def filled(uri: str, datoms: int) -> Iterator[Substrate]:
    clock = FrozenClock(START)
    with Substrate.open(uri, clock=clock) as s:
        fill(s, clock, datoms)
        yield s


@attrs.frozen
class Cost:
    """What the engine did: steps of its programs or rows visited, statements, walks of a table."""

    work: int
    statements: int
    walks: int

    def flat(self, larger: Cost) -> bool:
        """Whether *larger*, the same in a large store, is no more than a level of a tree more."""
        return (
            larger.statements == self.statements
            and larger.walks == self.walks  # of the few rows that one step hands to the next
            and larger.work <= 1.25 * self.work + 50
        )


READS: dict[str, Work] = {
    "one value": lambda db: db.get(SUBJECT, "person/salary"),
    "one value, of the past": lambda db: db.as_of(4).get(SUBJECT, "person/salary"),
    "an entity, whole": lambda db: db.pull("[*]", SUBJECT),
    "an entity, by its identity": lambda db: dict(db.entity(["person/id", "subject"])),
    "an entity, as of and valid at": lambda db: db.as_of(4).valid_at(START_DAY).pull("[*]", 1_002),
    "the history of an entity": lambda db: list(db.history().datoms("eavt", SUBJECT)),
    "the history of an entity, by query": lambda db: db.history().q(
        "[:find ?a ?v ?tx ?op :in $ ?e :where [?e ?a ?v ?tx ?op]]", SUBJECT
    ),
    "who has a value": lambda db: db.q('[:find ?e . :where [?e :person/name "S"]]'),
    "a join": lambda db: db.q(
        "[:find ?b ?s :in $ ?id :where [?e :person/id ?id] [?e :person/boss ?b]"
        " [?b :person/salary ?s]]",
        "p123",
    ),
    "who refers to an entity": lambda db: db.q(
        "[:find ?id :in $ ?b :where [?e :person/boss ?b] [?e :person/id ?id]]", 1_011
    ),
}


# ------------------------------------------------------------------------------ SQLite


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Substrate]]:
    place = tmp_path_factory.mktemp("lesson9")
    with (
        filled(str(place / "small.db"), SMALL) as small,
        filled(str(place / "large.db"), LARGE) as large,
    ):
        yield [small, large]


def sqlite_read(s: Substrate, work: Work) -> Cost:
    """What *work* makes the reading connection of this thread do."""
    db = s.fact.db()
    return sqlite_cost(s._connection.store.snapshot().connection, lambda: work(db))


def sqlite_cost(connection: apsw.Connection, work: Callable[[], Any]) -> Cost:
    """What *work* makes *connection* do, once its statements are prepared."""
    work()
    told: list[dict[str, int]] = []

    connection.trace_v2(
        apsw.SQLITE_TRACE_PROFILE, lambda event: told.append(event["stmt_status"]), id="lesson 9"
    )
    try:
        assert work()
    finally:
        connection.trace_v2(0, None, id="lesson 9")
    return Cost(
        sum(each["SQLITE_STMTSTATUS_VM_STEP"] for each in told),
        len(told),
        sum(each["SQLITE_STMTSTATUS_FULLSCAN_STEP"] for each in told),
    )


@pytest.mark.parametrize("what", READS)
def test_sqlite_reads_one_entity_in_the_same_steps_at_any_size(
    sqlite: list[Substrate], what: str
) -> None:
    """Lesson 9: entity read, history of one entity, current-state queries."""
    small, large = (sqlite_read(s, READS[what]) for s in sqlite)
    assert small.work > 0
    assert small.flat(large), (small, large)


WRITES: dict[str, Callable[[int], list[Any]]] = {
    "a value of its own": lambda n: [["db/add", SUBJECT, "person/note", f"note {n}"]],
    "a value replaced": lambda n: [{"db/id": SUBJECT, "person/salary": 1_000 + n}],
    "an upsert": lambda n: [{"person/id": "p77", "person/age": 200 + n}],
    "a correction": lambda n: [["db/add", 1_005, "person/salary", n, START_DAY, NEXT_DAY]],
    "a new entity": lambda n: [{"person/id": f"new {n}", "person/boss": 1_002}],
}


@pytest.mark.parametrize("what", WRITES)
def test_sqlite_writes_one_fact_in_the_same_steps_at_any_size(
    sqlite: list[Substrate], what: str
) -> None:
    """Lesson 9: a single-fact write."""
    costs: list[Cost] = []
    for s in sqlite:
        numbers = iter(range(10))
        connection = s._connection.store.session().connection
        costs.append(
            sqlite_cost(
                connection, lambda s=s, n=numbers: s.fact.transact(WRITES[what](next(n))).tx_data
            )
        )
    small, large = costs
    assert small.flat(large), (small, large)


def test_sqlite_speculates_on_one_fact_in_the_same_steps_at_any_size(
    sqlite: list[Substrate],
) -> None:
    """Lessons 8 and 9: a line of speculation does no work per datom of what it starts from."""
    forms = [{"db/id": SUBJECT, "person/salary": -1}]
    small, large = (sqlite_read(s, lambda db: db.with_(forms).tx_data) for s in sqlite)
    assert small.flat(large), (small, large)


def test_a_view_does_no_work_at_all(sqlite: list[Substrate]) -> None:
    """Lesson 9: moving a value along an axis reads nothing but, for an instant, its t."""
    cost = sqlite_read(sqlite[1], lambda db: [db.valid_at(START_DAY), db.history()])
    assert cost == Cost(0, 0, 0)


# -------------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def postgres(postgres_uri: str) -> Iterator[list[Substrate]]:
    mark = "&" if "?" in postgres_uri else "?"
    with (
        filled(f"{postgres_uri}{mark}schema=l9_small", SMALL) as small,
        filled(f"{postgres_uri}{mark}schema=l9_large", LARGE) as large,
    ):
        for s in (small, large):
            s._connection.store.analyze()  # a planner without counts would guess
        yield [small, large]


SCAN = re.compile(r"SCAN (\w+)")

COUNTED = """
    SELECT coalesce(idx_tup_fetch, 0), seq_tup_read
    FROM pg_stat_xact_user_tables WHERE relname = 'fact' AND schemaname = current_schema()
"""


@pytest.mark.parametrize("what", READS)
def test_postgres_visits_the_same_rows_at_any_size(postgres: list[Substrate], what: str) -> None:
    """Lesson 9: entity read, history of one entity, current-state queries.

    A small table may be walked, because that is faster; a large one may not.
    """
    visited = []
    for s in postgres:
        db = s.fact.db()
        with s._connection.store.snapshot() as snapshot:  # the reads inside join it
            before = snapshot.rows(COUNTED)[0]
            assert READS[what](db)
            after = snapshot.rows(COUNTED)[0]
        visited.append((after[0] - before[0], after[1] - before[1]))
    (small, walked), (large, walked_large) = visited
    assert walked_large == 0
    assert large <= 1.25 * (small + walked) + 50


# ---------------------------------------------------------------------------- both


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_the_planner_searches_an_index_and_never_scans_the_facts(
    request: pytest.FixtureRequest, backend: str
) -> None:
    """Lesson 9: as the engine itself explains it."""
    stores: list[Substrate] = request.getfixturevalue(backend)
    db = stores[1].fact.db()
    for view in (db, db.as_of(4), db.valid_at(START_DAY), db.history()):
        for query, *inputs in (
            ('[:find ?e :where [?e :person/name "S"]]',),
            ("[:find ?v :in $ ?e :where [?e :person/salary ?v]]", SUBJECT),
            ("[:find ?s :in $ ?id :where [?e :person/id ?id] [?e :person/salary ?s]]", "p5"),
            ("[:find ?e :in $ ?b :where [?e :person/boss ?b]]", 1_003),
        ):
            told = view.explain(query, *inputs)
            assert not told.staged
            lines = [line.strip() for line in told.plan.splitlines()]
            if backend == "sqlite":
                walked = [found[1] for line in lines if (found := SCAN.match(line))]
                assert not [name for name in walked if f"fact AS {name} " in told.sql], told
                assert any(line.startswith("SEARCH f") for line in lines), told
            else:
                assert "Seq Scan on fact" not in told.plan, told
                assert "Index" in told.plan, told


def test_an_answer_at_both_sizes_is_the_same(sqlite: list[Substrate]) -> None:
    """What costs the same must also be the same work."""
    small, large = (s.fact.db() for s in sqlite)
    for what in ("one value, of the past", "the history of an entity", "a join"):
        one, other = READS[what](small), READS[what](large)
        assert str(one) == str(other)
    assert small.schema[Keyword("person/id")].identity
