"""A connection that is lost, and above all one that is lost in the middle of a commit."""

from __future__ import annotations

import socket
import struct
import tempfile
import threading

import psycopg
import pytest

from persistence import Substrate
from persistence.connection import Connection
from persistence.errors import ConnectionLost
from persistence.store.postgres import PostgresStore
from tests.store.batches import batch, fact
from tests.store.relay import Relay, connected, through

KILL_OTHERS = """
    SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_idle_connections_that_died_are_replaced_in_silence(
    postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    with postgres.session() as session:
        session.append(batch(1))
    assert postgres.snapshot().head().t == 1
    admin.execute(KILL_OTHERS)
    assert postgres.snapshot().head().t == 1
    admin.execute(KILL_OTHERS)
    with postgres.session() as session:
        session.append(batch(2))
    assert postgres.snapshot().head().t == 2


def test_a_snapshot_that_loses_its_connection_says_so(
    postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    with pytest.raises(ConnectionLost) as caught, postgres.snapshot() as snapshot:
        snapshot.head()
        admin.execute(KILL_OTHERS)
        snapshot.head()
    assert caught.value.retry
    assert postgres.snapshot().head().t == 0


def test_a_bounded_query_that_loses_its_connection_says_so(
    postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    bounded = postgres.interrupt_after(600)
    with pytest.raises(ConnectionLost), postgres.snapshot() as snapshot, bounded:
        snapshot.head()
        admin.execute(KILL_OTHERS)
        snapshot.rows("SELECT 1")
    assert postgres.snapshot().head().t == 0


def test_a_connection_lost_before_the_commit_has_written_nothing(
    postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    with pytest.raises(ConnectionLost) as caught, postgres.session() as session:
        session.append(batch(1))
        admin.execute(KILL_OTHERS)
        session.append(batch(2))
    assert caught.value.data["outcome"] == "not committed"
    with postgres.session() as session:
        assert session.head().t == 0


def test_a_connection_killed_when_the_commit_is_sent_has_written_nothing(
    postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    with pytest.raises(ConnectionLost) as caught, postgres.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))
        admin.execute(KILL_OTHERS)
    assert caught.value.data["outcome"] == "not committed"
    assert postgres.snapshot().head().t == 0
    with postgres.session() as session:
        session.append(batch(1))


def test_a_commit_whose_answer_is_lost_is_found_in_the_log(uri: str, relay: Relay) -> None:
    with through(relay, uri) as store:
        with store.session() as session:
            session.append(batch(1, [fact(1, 1, "x")]))
            relay.lose_answer_to = b"COMMIT"
        assert relay.lose_answer_to is None, "the answer was lost"
        assert store.snapshot().head().t == 1
        with store.session() as session:
            session.append(batch(2))
        assert store.snapshot().head().t == 2


def test_a_lost_commit_that_another_writer_overtook_is_not_taken_for_its_own(
    uri: str, relay: Relay
) -> None:
    """The t is there, but the id is another's."""
    with through(relay, uri) as store, connected(uri) as other:
        with pytest.raises(ConnectionLost) as caught, store.session() as session:
            session.append(batch(1, salt=1))
            with psycopg.connect(uri, autocommit=True) as admin:
                admin.execute(KILL_OTHERS)
            with other.session() as overtaking:
                overtaking.append(batch(1, salt=2))
        assert caught.value.data["outcome"] == "not committed"


def test_a_lost_commit_without_a_transaction_is_told(
    postgres: PostgresStore, admin: psycopg.Connection
) -> None:
    """Else ids would count as reserved that the next one to ask is given again."""
    with pytest.raises(ConnectionLost) as caught, postgres.session() as session:
        session.rows("INSERT INTO meta (key, value) VALUES ('a', 'b')")
        admin.execute(KILL_OTHERS)
    assert caught.value.data["outcome"] == "not committed"
    assert postgres.snapshot().rows("SELECT value FROM meta WHERE key = 'a'") == []


def test_a_committed_body_is_not_taken_for_lost_when_its_effect_cannot_be_recorded(
    uri: str, relay: Relay, admin: psycopg.Connection
) -> None:
    with Substrate(Connection(through(relay, uri))) as s:

        def sever(args: object, key: object) -> None:
            relay.refuse = True
            admin.execute(KILL_OTHERS)

        stop = s.txn.handler("letter/send", sever)
        key = s.txn.run(lambda tx: tx.effect("letter/send"))
        relay.refuse = False
        assert [each.key for each in s.txn.effects("pending")] == [key]
        stop()
        s.txn.handler("letter/send", lambda args, again: str(again))
        assert [each.result for each in s.txn.deliver()] == [str(key)]


PASSING = [
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
    "terminating connection due to administrator command",
    "sorry, too many clients already",
    "remaining connection slots are reserved for roles with the SUPERUSER attribute",
]


@pytest.mark.parametrize("message", PASSING)
def test_a_server_that_refuses_for_now_is_a_lost_connection(message: str) -> None:
    def refuse() -> None:
        client, _ = listener.accept()
        client.recv(65_536)
        fields = f"SFATAL\0C57P03\0M{message}\0\0".encode()
        client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        client.close()

    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/.s.PGSQL.5432")
        listener.listen()
        server = threading.Thread(target=refuse)
        server.start()
        with pytest.raises(ConnectionLost) as caught:
            connected(f"postgresql://postgres:@/postgres?host={directory}&sslmode=disable")
        server.join()
    assert caught.value.data["outcome"] == "not committed"


def test_an_outcome_nobody_can_find_out_is_unknown(uri: str, relay: Relay) -> None:
    with through(relay, uri) as store:
        with pytest.raises(ConnectionLost) as caught, store.session() as session:
            session.append(batch(1))
            relay.lose_answer_to = b"COMMIT"
            relay.refuse = True
        assert caught.value.data["outcome"] == "unknown"
        assert "before you try again" in str(caught.value.hint)
        relay.refuse = False
        assert store.snapshot().head().t == 1
