"""The store for many machines: one schema of a Postgres database.

See `postgres_connections` for how it talks to the server, `postgres_write` for how writers queue.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final

import attrs

from persistence.store.dialect import Dialect
from persistence.store.dialect_postgres import POSTGRES
from persistence.store.postgres_connections import Connections
from persistence.store.postgres_erase import shred
from persistence.store.postgres_errors import read_only
from persistence.store.postgres_exclusive import exclusive
from persistence.store.postgres_open import (
    Connection,
    PostgresOptions,
    address,
    connect,
    prepare,
)
from persistence.store.postgres_read import PostgresSnapshot
from persistence.store.postgres_watch import Watch, watch
from persistence.store.postgres_write import PostgresSession
from persistence.store.protocol import Size

__all__ = ["PostgresOptions", "PostgresStore"]

_TABLES: Final = ("attr", "tx", "log", "fact", "blob", "fts", "sealed")
_PARTS: Final = """
    SELECT c.relname, pg_total_relation_size(c.oid) - pg_indexes_size(c.oid)
    FROM pg_class AS c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r'
    UNION ALL
    SELECT c.relname, pg_relation_size(c.oid)
    FROM pg_class AS c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'i'
"""
_INVALID: Final = """
    SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relnamespace = $1::regnamespace AND NOT (i.indisvalid AND i.indisready)
"""


class PostgresStore:
    """A store in one schema. See :class:`persistence.store.protocol.Store`."""

    def __init__(self, uri: str, options: PostgresOptions) -> None:
        self._given: Callable[[], str] = lambda: uri  # a function shows no password
        self._address = address(uri, options)
        self.uri = str(self._address)
        self.options = options
        self.dialect: Dialect = POSTGRES
        connection = connect(self._address, options)
        try:
            prepare(connection, self._address, options)
        except BaseException:
            connection.close()
            raise
        self._begin(connection)
        _OPEN.add(self)

    def _begin(self, writer: Connection | None) -> None:
        self._connections = Connections(self._address, self.options, writer)
        self._local = threading.local()
        self._session = PostgresSession(self._connections, threading.Lock())

    def snapshot(self) -> PostgresSnapshot:
        try:
            return self._local.reader  # type: ignore[no-any-return]
        except AttributeError:
            reader = self._local.reader = PostgresSnapshot(self._connections)
            return reader

    def session(self) -> PostgresSession:
        if self.options.read_only:
            raise read_only(self.uri)
        return self._session

    def interrupt_after(self, seconds: float) -> Deadline:
        return Deadline(self.snapshot(), seconds)

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        if self.options.read_only:
            raise read_only(self.uri)
        return exclusive(self._address, self.options, name)

    def watch(self) -> AbstractContextManager[Watch]:
        return watch(self._address, self.options)

    def reopening(self) -> tuple[str, dict[str, Any]]:
        return self._given(), {**attrs.asdict(self.options), "create": False}

    def size(self) -> Size:
        with self.snapshot() as snapshot:
            rows = {
                table: snapshot.rows(f"SELECT count(*) FROM {table}")[0][0] for table in _TABLES
            }
            parts = dict(snapshot.rows(_PARTS, (self._address.namespace,)))
        return Size(rows=rows, bytes=sum(parts.values()), parts=parts)

    def damage(self) -> list[str]:
        with self.snapshot() as snapshot:
            invalid = snapshot.rows(_INVALID, (self._address.namespace,))
        return [f"the index {name} is not valid" for (name,) in invalid]

    def shred(self) -> list[str]:
        if self.options.read_only:
            raise read_only(self.uri)
        return shred(self._address, self.options)

    def analyze(self) -> None:
        with self.session() as session:
            session.rows(f"ANALYZE {', '.join(_TABLES)}")

    def close(self) -> None:
        """Close every connection. Closing twice is allowed."""
        self._connections.close()
        _OPEN.discard(self)

    def __enter__(self) -> PostgresStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"PostgresStore({self.uri!r})"

    def _after_fork(self) -> None:
        # The sockets belong to the parent; libpq closes none of them here.
        _ABANDONED.extend((self._connections, self._local, self._session))
        self._begin(None)


class Deadline:
    """Stops a statement of one thread that runs past a deadline."""

    def __init__(self, snapshot: PostgresSnapshot, seconds: float) -> None:
        self._snapshot = snapshot
        self._seconds = seconds

    def __enter__(self) -> Callable[[], bool]:
        self._outer = self._snapshot.deadline
        end = time.monotonic() + self._seconds
        self._snapshot.deadline = end if self._outer is None else min(end, self._outer)
        self._snapshot.stopped = False
        return lambda: self._snapshot.stopped

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._snapshot.deadline = self._outer


_OPEN: Final[weakref.WeakSet[PostgresStore]] = weakref.WeakSet()
_ABANDONED: Final[list[Any]] = []  # never collected in a child: they belong to the parent


def _after_fork_in_child() -> None:
    for store in [*_OPEN]:
        store._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
