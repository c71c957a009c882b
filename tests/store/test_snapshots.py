"""A snapshot stays at one state, costs a constant number of statements, and can be stopped."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from persistence.errors import BudgetExceeded
from persistence.store import Snapshot, Store
from tests.store.batches import batch, fact, live

ENDLESS = """
    WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT (n + 1) % 1000 FROM number)
    SELECT count(*) FROM number
"""


def test_a_held_snapshot_does_not_see_a_later_commit(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 1
        with store.session() as session:
            session.append(batch(2, [fact(2, 1, "y", 2)]))
        assert snapshot.head().t == 1
        assert snapshot.live_attributes(0, [1]) == [live(fact(1, 1, "x"))]
        assert len(list(snapshot.log(0, 9))) == 1
        with store.snapshot() as inner:  # joins the outer one
            assert inner.head().t == 1
        assert snapshot.head().t == 1
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 2


def test_a_writer_is_not_seen_before_it_commits(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))
        with store.snapshot() as snapshot:
            assert snapshot.head().t == 0
            assert snapshot.live_entities(0, [1]) == []


def test_each_thread_has_a_snapshot_of_its_own(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1))
    seen: list[int] = []

    def read() -> None:
        with store.snapshot() as snapshot:
            seen.append(snapshot.head().t)

    with store.snapshot() as snapshot:
        assert snapshot.head().t == 1
        with store.session() as session:
            session.append(batch(2))
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert snapshot.head().t == 1
    assert seen == [2, 2, 2, 2]


def test_readers_never_wait_for_the_writer(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(n, 1, "x") for n in range(1, 2_000)]))
    stop = threading.Event()
    torn: list[Any] = []

    def read() -> None:
        while not stop.is_set():
            with store.snapshot() as snapshot:
                t = snapshot.head().t
                if len(snapshot.live_attributes(0, [2])) != t - 1:
                    torn.append(t)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for t in range(2, 42):
        with store.session() as session:
            session.append(batch(t, [fact(t, 2, "y", t)]))
    stop.set()
    for reader in readers:
        reader.join()
    assert torn == []


def test_a_stream_left_half_read_ends_with_its_snapshot(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(n, 1, "x") for n in range(1, 100)]))
    with store.snapshot() as snapshot:
        log = iter(snapshot.log(0, 1))
        assert next(log)[2] == 1
    with store.session() as session:
        session.append(batch(2))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 2
        assert len(list(snapshot.log(0, 2))) == 99


def test_an_exception_ends_the_snapshot(store: Store) -> None:
    with pytest.raises(ValueError, match="caller"), store.snapshot() as snapshot:
        assert snapshot.head().t == 0
        raise ValueError("the caller's")
    with store.session() as session:
        session.append(batch(1))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 1


def test_a_read_outside_of_a_with_is_a_snapshot_of_its_own(store: Store) -> None:
    with store.session() as session:
        session.append(batch(1))
    assert store.snapshot().head().t == 1
    with store.session() as session:
        session.append(batch(2))
    assert store.snapshot().head().t == 2


def test_a_statement_over_its_time_is_stopped(store: Store) -> None:
    with store.interrupt_after(0.05) as stopped:
        with pytest.raises(BudgetExceeded), store.snapshot() as snapshot:
            snapshot.rows(ENDLESS)
        assert stopped()
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 0, "the next read is not limited"


def test_a_statement_within_its_time_is_not_stopped(store: Store) -> None:
    with store.interrupt_after(60) as stopped, store.snapshot() as snapshot:
        assert snapshot.head().t == 0
        with store.interrupt_after(60) as inner:
            assert snapshot.rows("SELECT 1") == [(1,)]
        assert snapshot.rows("SELECT 2") == [(2,)]
        assert not stopped() and not inner()
    assert store.snapshot().rows("SELECT 3") == [(3,)]


def test_the_outer_of_two_limits_holds(store: Store) -> None:
    tight, loose = store.interrupt_after(0.05), store.interrupt_after(60)
    with tight, loose, pytest.raises(BudgetExceeded), store.snapshot() as snapshot:
        snapshot.rows(ENDLESS)


READS: dict[str, Callable[[Snapshot, int], Any]] = {
    "live": lambda s, n: s.live(0, [(e, 1) for e in range(n)]),
    "live then": lambda s, n: s.live(0, [(e, 1) for e in range(n)], 1),
    "live_entities": lambda s, n: s.live_entities(0, range(n)),
    "live_values": lambda s, n: s.live_values(0, [(1, 9, f"v{e}") for e in range(n)]),
    "live_attributes": lambda s, n: s.live_attributes(0, range(n)),
    "blobs": lambda s, n: s.blobs([bytes([e % 256]) * 32 for e in range(n)]),
    "transactions": lambda s, n: s.transactions(0, n, n),
    "changes_of": lambda s, n: s.changes_of(range(n), 0),
}


@pytest.mark.parametrize("name", READS)
def test_a_bulk_read_is_one_statement_for_any_number_of_keys(store: Store, name: str) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(e, 1, f"v{e}") for e in range(1, 400)]))
    with store.snapshot() as snapshot:
        snapshot.head()
        for keys in (1, 2, 1_000):
            with statements_of(snapshot) as statements:
                READS[name](snapshot, keys)
            assert statements.count == 1, keys


def test_appending_takes_as_many_statements_for_few_rows_as_for_many(store: Store) -> None:
    counts = []
    for t, size in ((1, 2), (2, 3), (3, 299)):
        rows = [fact(e, t, f"v{e}", t) for e in range(size)]
        with store.session() as session:
            with statements_of(session) as statements:
                session.append(batch(t, rows, attributes=[(t, f"a{t}")]))
            counts.append(statements.count)
    assert counts[0] == counts[1] == counts[2] < 10


class statements_of:
    """Counts the different statements that reach the engine on the connection of *snapshot*.

    SQLite runs a prepared statement again for each row that it writes; that costs no parsing and
    no round trip, and counts as one.
    """

    count = 0

    def __init__(self, snapshot: Any) -> None:
        self.connection = snapshot.connection
        self.seen: set[str] = set()
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__

    def __enter__(self) -> statements_of:
        if isinstance(self.connection, apsw.Connection):
            self.connection.trace_v2(apsw.SQLITE_TRACE_STMT, lambda e: self.seen.add(e["sql"]))
        else:
            self.connection.pgconn.trace(self.file.fileno())
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.connection, apsw.Connection):
            self.connection.trace_v2(0, None)
            self.count = len(self.seen)
        else:
            self.connection.pgconn.untrace()
            os.lseek(self.file.fileno(), 0, os.SEEK_SET)
            self.count = len(re.findall(rb"\tF\t\d+\t(?:Execute|Query)", self.file.read()))
        self.file.close()
