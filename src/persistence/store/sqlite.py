"""The embedded store: one SQLite file in WAL mode.

Each thread reads through its own connection and one connection writes, so readers and the writer
never wait for each other. All connections are closed with the store.

SQLite's own in-memory databases know no WAL: there a reader would block the writer. A store in
memory is therefore a file in a temporary directory that is never synced, and removed on close.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import apsw
import attrs

from persistence.errors import StoreError
from persistence.store.dialect import Dialect
from persistence.store.dialect_sqlite import SQLITE
from persistence.store.protocol import Size
from persistence.store.sqlite_erase import shred
from persistence.store.sqlite_errors import closed, read_only
from persistence.store.sqlite_exclusive import Exclusive
from persistence.store.sqlite_open import SqliteOptions, connect, prepare
from persistence.store.sqlite_read import SqliteSnapshot
from persistence.store.sqlite_watch import Watch
from persistence.store.sqlite_write import SqliteSession

_TABLES: Final = ("attr", "tx", "log", "fact", "blob", "text", "sealed")
_STEPS: Final = 10_000  # of SQLite's virtual machine between looks at the clock: about 0.3 ms


class SqliteStore:
    """A store in one file. See :class:`persistence.store.protocol.Store`."""

    def __init__(self, path: Path, options: SqliteOptions) -> None:
        self.path = path
        self.uri = str(path)
        self.options = options
        self.dialect: Dialect = SQLITE
        self.writable = prepare(path, options)
        self._closed = False
        self._begin()
        _OPEN.add(self)

    @classmethod
    def in_memory(cls, options: SqliteOptions) -> SqliteStore:
        """An empty store that ends with its last use."""
        directory = tempfile.mkdtemp(prefix="persistence-")
        store = cls(Path(directory, "store.db"), attrs.evolve(options, synchronous="OFF"))
        store.uri = ":memory:"
        store._exclusive = Exclusive(None, store.uri, options.busy_timeout)
        store._remove = weakref.finalize(store, shutil.rmtree, directory, ignore_errors=True)
        return store

    _remove: weakref.finalize[..., SqliteStore] | None = None

    def _begin(self) -> None:
        self._local = threading.local()
        self._readers: weakref.WeakSet[SqliteSnapshot] = weakref.WeakSet()
        self._lock = threading.Lock()  # one writer in this process
        self._opening = threading.Lock()
        self._exclusive = Exclusive(self.path, self.uri, self.options.busy_timeout)
        self._writer: SqliteSession | None = None

    def snapshot(self) -> SqliteSnapshot:
        try:
            return self._local.reader  # type: ignore[no-any-return]
        except AttributeError:
            return self._new_reader()

    def session(self) -> SqliteSession:
        writer = self._writer
        if writer is None:
            writer = self._new_writer()
        return writer

    def interrupt_after(self, seconds: float) -> Deadline:
        return Deadline(self.snapshot().connection, seconds)

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        self._require_open()
        if not self.writable:
            raise read_only(self.uri)
        return self._exclusive.hold(name)

    def watch(self) -> AbstractContextManager[Watch]:
        return nullcontext(Watch(self.snapshot()))

    def reopening(self) -> tuple[str, dict[str, Any]] | None:
        if self._remove is not None:
            return None
        options = attrs.asdict(self.options)
        return str(self.path.absolute()), {**options, "create": False}

    def size(self) -> Size:
        with self.snapshot() as snapshot:
            rows = {
                table: snapshot.rows(f"SELECT count(*) FROM {table}")[0][0] for table in _TABLES
            }
            parts = snapshot.rows("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")
            (count,), (page,) = snapshot.rows(
                "SELECT page_count FROM pragma_page_count"
                " UNION ALL SELECT page_size FROM pragma_page_size"
            )
        return Size(rows=rows, bytes=count * page, parts=dict(parts))

    def damage(self) -> list[str]:
        self._require_open()
        # On a connection of its own: full text is checked by what a connection remembers of it,
        # even when another one has merged its segments since.
        with closing(connect(self.path, self.options, writable=self.writable)) as connection:
            reader = SqliteSnapshot(connection, self.uri)
            found = [text for (text,) in reader.rows("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def shred(self) -> list[str]:
        self._require_open()
        if not self.writable:
            raise read_only(self.uri)
        return shred(self.path, self.uri, self.options)

    def analyze(self) -> None:
        with self.session() as session:
            session.rows("ANALYZE")

    def close(self) -> None:
        """Close every connection. Closing twice is allowed."""
        with self._opening:
            self._closed = True
            for reader in [*self._readers]:
                reader.connection.close(True)
            if self._writer is not None:
                self._writer.connection.close(True)
        if self._remove is not None:
            self._remove()
        _OPEN.discard(self)

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqliteStore({self.uri!r})"

    def _new_reader(self) -> SqliteSnapshot:
        with self._opening:
            self._require_open()
            connection = connect(self.path, self.options, writable=self.writable)
            connection.pragma("query_only", 1)
            reader = SqliteSnapshot(connection, self.uri)
            self._readers.add(reader)
            self._local.reader = reader
            return reader

    def _new_writer(self) -> SqliteSession:
        with self._opening:
            self._require_open()
            if not self.writable:
                raise read_only(self.uri)
            if self._writer is None:
                connection = connect(self.path, self.options, writable=True)
                self._writer = SqliteSession(
                    connection, self.uri, self._lock, self.options.busy_timeout
                )
            return self._writer

    def _require_open(self) -> None:
        if self._closed:
            raise closed(self.uri)
        if self._lost:
            raise StoreError(
                f"this process was forked while the store {self.uri} was in use",
                hint="open the store after the fork, or start workers with the spawn method",
                uri=self.uri,
            )

    _lost = False

    def _after_fork(self) -> None:
        # SQLite must not carry a connection across a fork: its locks belong to the parent. Idle
        # connections are closed here, without the checkpoint that the parent still needs.
        inherited = [reader.connection for reader in self._readers]
        if self._writer is not None:
            inherited.append(self._writer.connection)
        self._begin()
        for connection in inherited:
            try:
                if connection.in_transaction:
                    raise apsw.BusyError("in use")
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close(True)
            except apsw.Error:
                self._lost = True
                _ABANDONED.append(connection)
        if self._remove is not None:
            self._remove.detach()  # the parent removes its directory


class Deadline:
    """Stops a statement of one connection that runs past a deadline."""

    def __init__(self, connection: apsw.Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._stopped = False

    def __enter__(self) -> Callable[[], bool]:
        self._end = time.monotonic() + self._seconds
        self._connection.set_progress_handler(self._late, _STEPS, id=self)
        return lambda: self._stopped

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.set_progress_handler(None, id=self)

    def _late(self) -> bool:
        self._stopped = time.monotonic() > self._end
        return self._stopped


_OPEN: Final[weakref.WeakSet[SqliteStore]] = weakref.WeakSet()
_ABANDONED: Final[list[apsw.Connection]] = []  # never collected: closing them would harm the parent


def _after_fork_in_child() -> None:
    for store in [*_OPEN]:
        store._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
