"""One writer at a time, and all of its writes or none."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from persistence.errors import PersistenceError, StoreBusy, StoreError
from persistence.store import Store, open_store
from tests.store.batches import batch, fact, key, live


class Mishap(Exception):
    pass


def test_an_exception_leaves_nothing(store: Store) -> None:
    rows = [fact(1, 1, "x")]
    with pytest.raises(Mishap), store.session() as session:
        session.append(
            batch(
                1,
                rows,
                attributes=[(1, "a")],
                flags=[(1, 1)],
                blobs=[(b"1" * 32, b"data")],
                texts=[(1, 9, "x", "x")],
            )
        )
        assert session.live(0, [(1, 1)]) == [live(rows[0])], "a session sees its own writes"
        assert session.head().t == 1
        raise Mishap
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 0
        assert snapshot.attributes() == []
        assert snapshot.blobs([b"1" * 32]) == {}
        assert list(snapshot.log(0, 9)) == list(snapshot.facts()) == []
    assert not any(store.size().rows.values())


def test_the_store_is_writable_after_an_exception(store: Store) -> None:
    with pytest.raises(Mishap), store.session():
        raise Mishap
    with store.session() as session:
        session.append(batch(1))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 1


def test_a_savepoint_undoes_one_transaction_of_a_group(store: Store) -> None:
    with store.session() as session:
        with session.savepoint():
            session.append(batch(1, [fact(1, 1, "kept")]))
        with pytest.raises(Mishap), session.savepoint():
            session.append(batch(2, [fact(2, 1, "lost", 2)], remove=[key(fact(1, 1, "kept"))]))
            raise Mishap
        assert session.head().t == 1
        with session.savepoint():
            session.append(batch(2, [fact(3, 1, "kept too", 2)]))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 2
        assert [row[4] for row in snapshot.facts()] == ["kept", "kept too"]


def test_a_refused_statement_in_a_savepoint_spares_the_others(store: Store) -> None:
    with store.session() as session:
        with session.savepoint():
            session.append(batch(1, [fact(1, 1, "x")]))
        with pytest.raises(StoreError), session.savepoint():
            session.append(batch(1, [fact(2, 1, "y")], salt=1))  # this t is taken
        with session.savepoint():
            session.append(batch(2, [fact(3, 1, "z", 2)]))
    with store.snapshot() as snapshot:
        assert {row[2] for row in snapshot.facts()} == {1, 3}


def test_a_writer_that_goes_on_after_the_engine_undid_everything_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match="undone"), store.session() as session:
        session.append(batch(1))
        session.rows("ROLLBACK")  # as SQLite does by itself when the disk is full
        with pytest.raises(StoreError):
            session.append(batch(2))
    assert store.snapshot().head().t == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET op = 0",
        "DELETE FROM log",
        "DELETE FROM log WHERE t = 1",
        "UPDATE tx SET time = 0 WHERE t = 1",
        "DELETE FROM tx",
        "UPDATE attr SET ident = 'other'",
        "UPDATE attr SET id = 7",
        "DELETE FROM attr",
    ],
)
def test_the_log_refuses_updates_and_deletes(store: Store, statement: str) -> None:
    with store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")], attributes=[(1, "a")]))
    with pytest.raises(StoreError, match=r"append-only|never"), store.session() as session:
        session.rows(statement)
    with store.snapshot() as snapshot:
        assert len(list(snapshot.log(0, 1))) == 1
        assert snapshot.attributes() == [(1, "a", 0)]


def test_a_statement_that_is_refused_names_the_store(store: Store) -> None:
    with pytest.raises(StoreError) as caught, store.snapshot() as snapshot:
        snapshot.rows("SELECT nothing FROM nowhere")
    assert caught.value.data["uri"] == store.uri


def test_a_session_inside_a_session_of_the_same_thread_is_refused(store: Store) -> None:
    with store.session() as session:
        with pytest.raises(StoreError, match="already open"), store.session():
            pass
        session.append(batch(1))
    with store.snapshot() as snapshot:
        assert snapshot.head().t == 1


def test_another_thread_waits_only_so_long(store_uri: str) -> None:
    store = open_store(store_uri, busy_timeout=0.05)
    with store.session():
        errors = in_thread(lambda: store.session().__enter__())
    assert [type(error) for error in errors] == [StoreBusy]
    store.close()


def test_another_connection_waits_only_so_long(store_uri: str) -> None:
    patient, hasty = open_store(store_uri), open_store(store_uri, busy_timeout=0.05)
    with patient.session() as session:
        session.append(batch(1))
        with pytest.raises(StoreBusy) as caught, hasty.session():
            pass
    assert caught.value.retry
    with hasty.session() as session:
        assert session.head().t == 1
    patient.close()
    hasty.close()


def in_thread(work: Callable[[], object]) -> list[BaseException]:
    """The exceptions of *work*, done in a thread of its own."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    return errors


def append_many(store: Store, count: int, salt: int) -> None:
    """*count* transactions, each on top of the head it finds."""
    for _ in range(count):
        with store.session() as session:
            t = session.head().t + 1
            session.append(batch(t, [fact(salt, 1, f"{salt}-{t}", t)], salt=salt))


def test_threads_append_one_after_the_other(store: Store) -> None:
    threads = [threading.Thread(target=append_many, args=(store, 20, salt)) for salt in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.snapshot() as snapshot:
        assert [tx.t for tx in snapshot.transactions(0, 999, 999)] == list(range(1, 81))


def test_processes_append_one_after_the_other(store: Store, store_uri: str) -> None:
    program = (
        "import sys\n"
        "from persistence.store import open_store\n"
        "from tests.store.test_sessions import append_many\n"
        "store = open_store(sys.argv[1])\n"
        "append_many(store, 25, int(sys.argv[2]))\n"
        "store.close()\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, store_uri, str(salt)],
            cwd=Path(__file__).parents[2],
        )
        for salt in (1, 2, 3)
    ]
    append_many(store, 25, 4)
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with store.snapshot() as snapshot:
        assert [tx.t for tx in snapshot.transactions(0, 999, 999)] == list(range(1, 101))
        assert sum(1 for _ in snapshot.log(0, 999)) == 100


def test_a_closed_store_says_so(store: Store) -> None:
    store.snapshot().__enter__().__exit__(None, None, None)
    store.close()
    store.close()
    with pytest.raises(PersistenceError, match="closed"), store.snapshot() as snapshot:
        snapshot.head()
    with pytest.raises(PersistenceError, match="closed"), store.session():
        pass
    errors = in_thread(lambda: store.snapshot().head())
    assert "closed" in str(errors[0])
