"""What one thread of one process at a time may do: `Store.exclusive`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from persistence.errors import ReadOnlyStore, StoreBusy
from persistence.store import Store, open_store

SPAWN = multiprocessing.get_context("spawn")


def hold(uri: str, inside: Connection) -> None:
    """A process that enters, says so, and stays until it is killed or told to go."""
    with open_store(uri) as store, store.exclusive("outbox"):
        inside.send("in")
        inside.recv()


def test_one_thread_is_inside(store: Store) -> None:
    entered, leave, order = threading.Event(), threading.Event(), []

    def first() -> None:
        with store.exclusive("outbox"):
            entered.set()
            leave.wait()
            order.append("first leaves")

    def second() -> None:
        entered.wait()
        with store.exclusive("outbox"):
            order.append("second enters")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    entered.wait()
    with store.exclusive("another name"):
        order.append("another name is free")
    leave.set()
    for thread in threads:
        thread.join()
    assert order == ["another name is free", "first leaves", "second enters"]


def test_facts_are_written_meanwhile(store: Store) -> None:
    with store.exclusive("outbox"), store.session() as session:
        assert session.head().t == 0


def test_an_exception_leaves(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.exclusive("outbox"):
        raise ZeroDivisionError
    with store.exclusive("outbox"):
        pass


def test_who_is_killed_inside_has_left(store_uri: str) -> None:
    with open_store(store_uri) as store:
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=hold, args=(store_uri, theirs))
        process.start()
        assert ours.recv() == "in"
        with (
            pytest.raises(StoreBusy, match="busy with the outbox"),
            open_store(store_uri, busy_timeout=0.01) as impatient,
            impatient.exclusive("outbox"),
        ):
            pass
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with store.exclusive("outbox"):
            pass


def test_a_store_in_memory_has_a_lock_of_its_own() -> None:
    with open_store(":memory:", busy_timeout=0.01) as store, open_store(":memory:") as other:
        inner = store.exclusive("outbox")
        with store.exclusive("outbox"), other.exclusive("outbox"), pytest.raises(StoreBusy), inner:
            pass
        assert store.reopening() is None


def test_a_store_that_can_only_be_read_has_nothing_exclusive(store_uri: str) -> None:
    open_store(store_uri).close()
    store = open_store(store_uri, read_only=True)
    with store, pytest.raises(ReadOnlyStore), store.exclusive("outbox"):
        pass


def test_another_process_opens_the_same_store(store_uri: str, tmp_path: Path) -> None:
    with open_store(store_uri, busy_timeout=7.0) as store:
        found = store.reopening()
        assert found is not None
        uri, options = found
        with open_store(uri, **options) as again:
            assert again.uri == store.uri
            assert options["busy_timeout"] == 7.0
