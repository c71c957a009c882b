"""The medium of a SQLite file: read only, full, or gone with the power."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from persistence.errors import (
    ReadOnlyStore,
    StoreError,
    StoreFull,
)
from persistence.store import open_store
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
