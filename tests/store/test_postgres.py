"""What only a Postgres server can do to a store: refuse it, lose it, share it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from persistence.errors import (
    ConnectionLost,
    NewerStore,
    NotAStore,
    ReadOnlyStore,
    StoreBusy,
    StoreError,
)
from persistence.store import open_store
from persistence.store.postgres import PostgresStore
from tests.store.batches import batch, fact, live
from tests.store.processes import forked
from tests.store.relay import Relay, connected, through

ROOT = Path(__file__).parents[2]


def with_parameter(uri: str, parameter: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{parameter}"


# ----------------------------------------------------------------------------- opening


def test_the_store_survives_a_reopening(uri: str) -> None:
    with connected(uri) as store, store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))
    with connected(uri, create=False) as store:
        assert store.snapshot().live(0, [(1, 1)]) == [live(fact(1, 1, "x"))]


def test_schemas_of_any_name_are_stores_apart(uri: str) -> None:
    name = 'odd "name"; DROP TABLE meta --'
    with connected(uri) as plain, connected(uri, schema=name) as odd:
        with odd.session() as session:
            session.append(batch(1))
        assert (plain.snapshot().head().t, odd.snapshot().head().t) == (0, 1)
    with connected(with_parameter(uri, "schema=third"), schema="ignored") as third:
        assert "schema=third" in third.uri


def test_a_password_is_never_shown(uri: str) -> None:
    secret = "correct-horse"
    with psycopg.connect(uri, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE somebody LOGIN SUPERUSER PASSWORD '{secret}'")
    try:
        parts = urlsplit(uri)
        address = parts._replace(netloc=f"somebody:{secret}@").geturl()
        with connected(address) as store:
            for text in (store.uri, repr(store), repr(store._address), repr(vars(store))):
                assert secret not in text
            with pytest.raises(StoreError) as caught:
                store.snapshot().rows("SELECT nothing")
            assert secret not in f"{caught.value!r} {caught.value.data} {caught.value.__cause__}"
        gone = parts._replace(netloc=f"somebody:{secret}@", path="/no_such_database").geturl()
        with pytest.raises(StoreError, match="no_such_database") as caught:
            open_store(gone)
        assert secret not in f"{caught.value!r} {caught.value.data} {caught.value.__cause__}"
        for malformed in (f"postgresql://u:{secret}@[::1/db", f"postgresql://u:{secret}@h:x/db"):
            with pytest.raises(StoreError) as caught:
                open_store(malformed)
            assert secret not in f"{caught.value!r} {caught.value.__context__!r}"
    finally:
        with psycopg.connect(uri, autocommit=True) as admin:
            admin.execute("DROP OWNED BY somebody CASCADE; DROP ROLE somebody")


def test_a_server_that_is_not_there_is_a_lost_connection(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLost) as caught:
        open_store(f"postgresql:///name?host={tmp_path}")
    assert caught.value.data["outcome"] == "not committed"


def test_a_schema_of_another_program_is_refused(uri: str, admin: psycopg.Connection) -> None:
    admin.execute("CREATE SCHEMA other CREATE TABLE log (x int)")
    with pytest.raises(NotAStore, match="another program"):
        open_store(uri, schema="other")
    assert admin.execute("SELECT count(*) FROM other.log").fetchone() == (0,)


def test_an_absent_store_is_not_created_when_that_was_not_asked(uri: str) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(NotAStore, match="no store"):
            open_store(uri, **options)


def test_a_newer_store_is_refused(
    uri: str, postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    admin.execute("UPDATE persistence.meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(NewerStore) as caught:
        open_store(uri)
    assert caught.value.data["found"] == 99


def test_a_store_opened_for_reading_refuses_writes(uri: str, postgres: PostgresStore) -> None:
    with connected(uri, read_only=True) as store:
        assert store.snapshot().head().t == 0
        with pytest.raises(ReadOnlyStore):
            store.session()
        with pytest.raises(ReadOnlyStore):
            store.snapshot().rows("DELETE FROM fact")


def test_options_are_checked(uri: str) -> None:
    with pytest.raises(StoreError, match="synchronous"):
        open_store(uri, synchronous="OFF")
    with pytest.raises(StoreError, match="mmap_bytes"):
        open_store(uri, mmap_bytes=1)


def test_processes_that_open_a_new_store_at_once_make_one(uri: str) -> None:
    program = (
        "import sys\n"
        "from persistence.store import open_store\n"
        "from tests.store.test_sessions import append_many\n"
        "store = open_store(sys.argv[1])\n"
        "append_many(store, 3, int(sys.argv[2]))\n"
        "store.close()\n"
    )
    openers = [
        subprocess.Popen([sys.executable, "-c", program, uri, str(salt)], cwd=ROOT)
        for salt in range(1, 5)
    ]
    assert [opener.wait() for opener in openers] == [0, 0, 0, 0]
    with connected(uri) as store:
        assert store.snapshot().head().t == 12


# ------------------------------------------------------------------------ nothing in the session


def use(store: PostgresStore, times: int) -> None:
    for t in range(1, times + 1):
        with store.session() as session:
            session.append(batch(t, [fact(t, 1, "x", t)]))
        with store.snapshot() as snapshot:
            snapshot.live(0, [(t, 1)])


def states(store: PostgresStore) -> list[tuple[object, ...]]:
    """What the connections keep: of the writer, and of a reader."""
    sql = """
        SELECT current_setting('search_path'), current_setting('statement_timeout'),
            current_setting('lock_timeout'), current_setting('transaction_isolation'), count(*)
        FROM pg_prepared_statements WHERE statement LIKE '%fact%'
    """
    writer = store._connections._writer
    assert writer is not None
    with store._connections._pool.connection() as reader:
        return [connection.execute(sql).fetchall()[0] for connection in (writer, reader)]


def test_a_connection_keeps_nothing_between_transactions(uri: str) -> None:
    """As pgbouncer in transaction mode needs it: any connection will do for any transaction."""
    with connected(uri, prepare_threshold=None) as store:
        use(store, 10)
        kept = ('"$user", public', "0", "0", "read committed", 0)
        assert states(store) == [kept, kept]


def test_statements_are_prepared_on_a_server_reached_without_a_pooler(uri: str) -> None:
    with connected(uri) as store:
        use(store, 10)
        assert all(state[-1] for state in states(store))
        assert store.snapshot().head().t == 10


def test_behind_a_pooler_nothing_is_prepared(uri: str, relay: Relay) -> None:
    relay.pose_as_pooler = True
    with through(relay, uri) as store:
        use(store, 10)
        assert not any(state[-1] for state in states(store))


def test_every_commit_is_serializable(postgres: PostgresStore) -> None:
    isolation = "SELECT current_setting('transaction_isolation')"
    with postgres.session() as session:
        assert session.rows(isolation) == [("serializable",)]
    with postgres.snapshot() as snapshot:
        assert snapshot.rows(isolation) == [("repeatable read",)]


def test_more_threads_than_connections_take_turns(uri: str) -> None:
    seen = []
    with connected(uri, connections=2) as store:

        def read() -> None:
            for _ in range(20):
                with store.snapshot() as snapshot:
                    seen.append(snapshot.head().t)

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [0] * 120


def test_a_thread_waits_only_so_long_for_a_connection(uri: str) -> None:
    errors: list[BaseException] = []
    with connected(uri, connections=1, busy_timeout=0.1) as store, store.snapshot() as held:
        held.head()

        def read() -> None:
            try:
                store.snapshot().head()
            except StoreBusy as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert "all 1 connections" in str(errors[0])


# ---------------------------------------------------------------------------------------- fork


def test_a_forked_child_reads_and_writes_on_connections_of_its_own(
    postgres: PostgresStore,
) -> None:
    with postgres.session() as session:
        session.append(batch(1))
    assert postgres.snapshot().head().t == 1

    def child() -> None:
        assert postgres.snapshot().head().t == 1
        with postgres.session() as session:
            session.append(batch(2))

    assert forked(child) == 0
    with postgres.session() as session:
        assert session.head().t == 2
        session.append(batch(3))
    assert postgres.snapshot().head().t == 3
