"""What only a SQLite file can suffer, and how it is opened."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from persistence.errors import (
    NewerStore,
    NotAStore,
    ReadOnlyStore,
    StoreError,
    StoreFull,
)
from persistence.store import open_store
from persistence.store.migrate import migrations
from persistence.store.sqlite import SqliteStore
from tests.store.batches import batch, fact, live

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


# ------------------------------------------------------------------------------ read only, full


def test_a_store_opened_for_reading_refuses_a_session(path: Path) -> None:
    one_fact(path)
    with opened(path, read_only=True) as store:
        assert store.snapshot().head().t == 1
        with pytest.raises(ReadOnlyStore) as caught:
            store.session()
        assert "read_only" in str(caught.value.hint)


def test_a_reader_never_writes(path: Path) -> None:
    with opened(path) as store, pytest.raises(ReadOnlyStore):
        store.snapshot().rows("DELETE FROM fact")


@pytest.mark.parametrize("what", ["file", "directory", "both"])
def test_a_store_nobody_may_write_is_still_read(what: str) -> None:
    directory = Path(tempfile.mkdtemp())  # pytest's own directories are closed to other users
    path = directory / "store.db"
    one_fact(path)
    # This user may be root, for whom permissions mean nothing: so another user looks.
    path.chmod(0o444 if what in ("file", "both") else 0o666)
    directory.chmod(0o555 if what in ("directory", "both") else 0o777)

    def somebody_else() -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        store = open_store(path)
        assert store.snapshot().live(0, [(1, 1)]) == [live(fact(1, 1, "x"))]
        with pytest.raises(ReadOnlyStore):
            store.session()
        store.close()

    try:
        assert forked(somebody_else) == 0
    finally:
        directory.chmod(0o777)
        shutil.rmtree(directory)


def test_a_directory_nobody_may_write_takes_no_new_store() -> None:
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o555)

    def somebody_else() -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        with pytest.raises(StoreError) as caught:
            open_store(directory / "store.db")
        assert "write" in str(caught.value.hint)

    try:
        assert forked(somebody_else) == 0
    finally:
        directory.chmod(0o777)
        shutil.rmtree(directory)


def test_a_full_disk_writes_nothing_of_the_transaction(path: Path) -> None:
    one_fact(path)
    with opened(path) as store:
        with store.session() as session:
            pages = session.rows("PRAGMA page_count")[0][0]
            session.rows(f"PRAGMA max_page_count = {pages + 10}")
        many = [fact(e, 1, "long enough " * 20, 2) for e in range(2, 2_000)]
        full = pytest.raises(StoreFull, match="nothing of the transaction")
        with full, store.session() as session:
            session.append(batch(2, many))
        assert store.snapshot().head().t == 1
        assert len(list(store.snapshot().facts())) == 1
        with store.session() as session:
            session.append(batch(2, [fact(2, 1, "small", 2)]))
        assert store.snapshot().head().t == 2
        assert store.damage() == []


def test_a_file_that_may_not_grow_is_a_full_disk(path: Path) -> None:
    one_fact(path)
    many = [fact(e, 1, "long enough " * 20, 2) for e in range(2, 5_000)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with opened(path) as store:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            with pytest.raises(StoreFull), store.session() as session:
                session.append(batch(2, many))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, old)
        assert store.snapshot().head().t == 1
        with store.session() as session:
            session.append(batch(2, many))
        assert store.damage() == []


def test_a_killed_writer_leaves_whole_transactions(path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from persistence.store import open_store\n"
        "from tests.store.batches import batch, fact\n"
        "store = open_store(sys.argv[1])\n"
        "with store.session() as session:\n"
        "    session.append(batch(1, [fact(1, 1, 'x')]))\n"
        "with store.session() as session:\n"
        "    session.append(batch(2, [fact(e, 1, 'y', 2) for e in range(2, 20_000)]))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    with opened(path) as store:
        assert store.snapshot().head().t == 1
        assert len(list(store.snapshot().facts())) == 1
        assert store.damage() == []


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


def forked(work: Callable[[], None]) -> int:
    """The exit code of a child process that does *work*."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
