"""What only a SQLite file can suffer, and how it is opened."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from persistence.errors import (
    NewerStore,
    NotAStore,
    StoreError,
)
from persistence.store import open_store
from persistence.store.migrate import migrations
from persistence.store.sqlite import SqliteStore
from tests.store.batches import batch, fact, live
from tests.store.processes import forked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def one_fact(path: Path) -> None:
    """A store at *path* with one transaction, closed."""
    with opened(path) as store, store.session() as session:
        session.append(batch(1, [fact(1, 1, "x")]))


@contextmanager
def opened(path: Path, **options: object) -> Iterator[SqliteStore]:
    store = open_store(path, **options)
    assert isinstance(store, SqliteStore)
    try:
        yield store
    finally:
        store.close()


def pragma(store: SqliteStore, name: str) -> object:
    return store.snapshot().rows(f"PRAGMA {name}")[0][0]


@pytest.mark.parametrize("uri", ["{}", "sqlite:{}", "sqlite://{}", "sqlite://localhost{}"])
def test_a_path_and_an_address_name_the_same_store(path: Path, uri: str) -> None:
    one_fact(path)
    store = open_store(uri.format(path), create=False)
    assert store.snapshot().head().t == 1
    store.close()


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    path = tmp_path / "a ?mode=memory#%41 é.db"
    one_fact(path)
    assert path.exists()
    with opened(path, create=False) as store:
        assert store.snapshot().head().t == 1


def test_the_store_survives_a_reopening(path: Path) -> None:
    one_fact(path)
    with opened(path) as store:
        assert store.snapshot().live(0, [(1, 1)]) == [live(fact(1, 1, "x"))]
    assert [file.name for file in path.parent.iterdir()] == ["store.db"], "no WAL is left behind"


def test_durability_is_full_unless_asked(path: Path) -> None:
    with opened(path) as store:
        assert (pragma(store, "synchronous"), pragma(store, "journal_mode")) == (2, "wal")
    with opened(path, synchronous="NORMAL") as store:
        assert pragma(store, "synchronous") == 1
    with pytest.raises(StoreError, match="synchronous"):
        open_store(path, synchronous="SOMETIMES")


def test_every_connection_has_all_its_settings(path: Path) -> None:
    expected = {
        "synchronous": 2,
        "cache_size": -65_536,
        "mmap_size": 2**30,
        "journal_size_limit": 64 * 2**20,
        "wal_autocheckpoint": 8192,
        "temp_store": 2,  # in memory
        "trusted_schema": 0,
    }
    with opened(path) as store:
        assert {name: pragma(store, name) for name in expected} == expected
        with store.session() as session:
            found = {name: session.rows(f"PRAGMA {name}")[0][0] for name in expected}
        assert found == expected


def test_an_unknown_option_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="colour"):
        open_store(path, colour="red")
    assert not path.exists()


def test_an_unknown_address_is_refused() -> None:
    with pytest.raises(StoreError, match="mysql"):
        open_store("mysql://host/name")
    with pytest.raises(StoreError, match="query part"):
        open_store("sqlite:///store.db?mode=ro")


def test_a_store_in_memory_leaves_nothing() -> None:
    for uri in (":memory:", "sqlite://", "sqlite:///:memory:"):
        store = open_store(uri)
        assert isinstance(store, SqliteStore)
        with store.session() as session:
            session.append(batch(1))
        assert store.path.exists() and repr(store) == "SqliteStore(':memory:')"
        store.close()
        assert not store.path.parent.exists()


def test_two_stores_in_memory_are_two() -> None:
    one, other = open_store(":memory:"), open_store(":memory:")
    with one.session() as session:
        session.append(batch(1))
    assert other.snapshot().head().t == 0
    one.close()
    other.close()


# ------------------------------------------------------------------------- what is not a store


def test_a_file_of_something_else_is_refused_and_not_touched(path: Path) -> None:
    path.write_bytes(b"these are the notes of somebody else\n" * 100)
    before = path.read_bytes()
    with pytest.raises(NotAStore, match=r"store\.db"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_refused_and_not_touched(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE log (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(NotAStore, match="another program") as caught:
        open_store(path)
    assert caught.value.hint
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAStore, match="directory"):
        open_store(tmp_path)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere does not exist") as caught:
        open_store(tmp_path / "nowhere" / "store.db")
    assert "create" in str(caught.value.hint)


def test_a_missing_file_is_not_created_when_that_was_not_asked(path: Path) -> None:
    for options in ({"create": False}, {"read_only": True}):
        with pytest.raises(NotAStore, match="no store"):
            open_store(path, **options)
    assert not path.exists()


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    one_fact(path)
    with opened(path) as store:
        assert store.snapshot().head().t == 1


def test_a_newer_store_is_refused_and_not_touched(path: Path) -> None:
    one_fact(path)
    later = migrations("sqlite")[-1].number + 1
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {later}")
    other.close()
    before = path.read_bytes()
    with pytest.raises(NewerStore) as caught:
        open_store(path)
    assert caught.value.data["found"] == later
    assert path.read_bytes() == before


def test_processes_that_open_a_new_store_at_once_make_one(path: Path) -> None:
    program = (
        "import sys\n"
        "from persistence.store import open_store\n"
        "from tests.store.test_sessions import append_many\n"
        "store = open_store(sys.argv[1])\n"
        "append_many(store, 3, int(sys.argv[2]))\n"
    )
    openers = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(salt)], cwd=ROOT)
        for salt in range(1, 5)
    ]
    assert [opener.wait() for opener in openers] == [0, 0, 0, 0]
    with opened(path) as store:
        assert store.snapshot().head().t == 12


# ---------------------------------------------------------------------------------------- fork


def test_a_forked_child_reads_and_writes_on_connections_of_its_own(path: Path) -> None:
    one_fact(path)
    with opened(path) as store:
        assert store.snapshot().head().t == 1
        with store.session() as session:
            session.append(batch(2))

        def child() -> None:
            assert store.snapshot().head().t == 2
            with store.session() as session:
                session.append(batch(3, [fact(3, 1, "child", 3)]))

        assert forked(child) == 0
        with store.session() as session:
            assert session.head().t == 3
            session.append(batch(4))
        assert store.damage() == []
        assert path.with_name("store.db-wal").exists()


def test_a_child_forked_inside_a_transaction_may_not_use_the_store(path: Path) -> None:
    one_fact(path)
    with opened(path) as store:

        def child() -> None:
            with pytest.raises(StoreError, match="forked"):
                store.snapshot()

        with store.session() as session:
            session.append(batch(2, [fact(2, 1, "parent", 2)]))
            assert forked(child) == 0
        assert store.snapshot().head().t == 2
        assert store.damage() == []
