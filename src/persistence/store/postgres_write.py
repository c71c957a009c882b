"""The writes of a Postgres store: one session at a time, committed together or not at all.

Writers queue for a table lock before they take their snapshot, so a writer that waited reads what
the one before it wrote, and never fails for having waited.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from persistence.errors import ConnectionLost, CorruptStore, PersistenceError, StoreBusy, StoreError
from persistence.store.postgres_connections import Connections
from persistence.store.postgres_errors import lost, translated
from persistence.store.postgres_open import Connection
from persistence.store.postgres_payload import split
from persistence.store.postgres_read import HEAD, SEGMENTS, PostgresReads
from persistence.store.protocol import Batch, FactKey, FactRow, Head, TxRow
from persistence.store.words import words

_COPY: Final = 300  # rows from which COPY is faster than arrays

_TX: Final = """
    INSERT INTO tx (t, branch, parent, id, time, next_e, leaf, entry)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_ATTR: Final = "INSERT INTO attr (id, ident) SELECT * FROM unnest($1::bigint[], $2::text[])"
_FLAGS: Final = """
    UPDATE attr SET flags = attr.flags | x.flags
    FROM unnest($1::bigint[], $2::bigint[]) AS x (id, flags) WHERE attr.id = x.id
"""
_BLOB: Final = """
    INSERT INTO blob (id, data) SELECT * FROM unnest($1::bytea[], $2::bytea[])
    ON CONFLICT DO NOTHING
"""
_LOG: Final = "log (t, i, e, a, k, vf, vt, op, n, s, d)"
_LOG_TYPES: Final = ("bigint",) * 9 + ("text", "float8")
_FACT: Final = "fact (seg, a, e, k, vf, vt, t0, t1, ix, node, n, s, d)"
_FACT_TYPES: Final = ("bigint",) * 11 + ("text", "float8")
_REMOVE: Final = """
    DELETE FROM fact AS f USING unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
        $5::bigint[], $6::bigint[], $7::bigint[], $8::text[]) AS x (seg, a, e, vt, k, t0, n, s)
    WHERE f.seg = x.seg AND f.a = x.a AND f.e = x.e AND f.vt = x.vt AND f.k = x.k
        AND f.n = x.n AND f.s = x.s AND f.t0 = x.t0
"""
_TEXT: Final = """
    INSERT INTO fts (a, k, s, words)
    SELECT a, k, s, w::tsvector
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS x (a, k, s, w)
    ON CONFLICT DO NOTHING
"""
_REINDEX: Final = f"""
    {SEGMENTS}
    UPDATE fact AS f SET ix = x.ix FROM unnest($1::bigint[], $2::bigint[]) AS x (a, ix)
    WHERE f.seg = ANY (ARRAY(SELECT seg FROM segment)) AND f.a = x.a
"""
Statement = tuple[str, Sequence[Any]]


class PostgresSession(PostgresReads):
    """The writing connection. Its reads see what it has written."""

    def __init__(self, connections: Connections, lock: threading.Lock) -> None:
        super().__init__(connections)
        self._lock = lock
        self._patience = connections.options.busy_timeout
        self._owner: int | None = None
        self._known: Head | None = None
        self._last: TxRow | None = None

    def __enter__(self) -> PostgresSession:
        if self._owner == threading.get_ident():
            raise StoreError(
                "a session is already open in this thread", hint="use savepoint() inside it"
            )
        if not self._lock.acquire(timeout=self._patience):
            raise StoreBusy(
                f"another thread has been writing to {self._uri} for {self._patience:g} s",
                hint="try again, or open the store with a longer busy_timeout",
                uri=self._uri,
            )
        try:
            self._last = None
            self.connection, self._cursor, found = self._connections.take_writer(
                self._take_write_lock()
            )
            self._known = Head(*found[0]) if found else Head(0, b"", 0, b"", 1)
        except BaseException:
            self._lock.release()
            raise
        self._owner = threading.get_ident()
        return self

    def _take_write_lock(self) -> str:
        """Begins a transaction that holds the lock of the one writer before it reads anything.

        LOCK takes no snapshot: what is read first, the head, is read after the wait. The table is
        one that is never vacuumed, because vacuuming would wait for this lock.
        """
        return (
            f"BEGIN ISOLATION LEVEL SERIALIZABLE; {self._connections.local};"
            f"SET LOCAL lock_timeout = {round(self._patience * 1000)};"
            f"LOCK TABLE meta IN EXCLUSIVE MODE; {HEAD}"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._owner = None
            connection, self.connection, self._cursor = self.connection, None, None
            if connection is not None:
                self._connections.end_writer(connection)
            self._lock.release()

    def _commit(self) -> None:
        connection = self._in_transaction()
        try:
            self._ready().execute("COMMIT")
        except psycopg.Error as error:
            if not connection.closed:
                raise translated(error, self._uri, connection) from error
            self._settle(error)

    def _in_transaction(self) -> Connection:
        """The connection, when all that was written on it still stands."""
        self._ready()
        assert self.connection is not None
        if self.connection.closed:
            raise lost(self._uri, "not committed")
        # A writer that goes on after an error would otherwise commit every statement alone.
        if self.connection.pgconn.transaction_status != TransactionStatus.INTRANS:
            raise StoreError(
                f"the transaction on {self._uri} was undone by an earlier error",
                hint="begin a new session",
                uri=self._uri,
            )
        return self.connection

    def _settle(self, error: psycopg.Error) -> None:
        """Finds out what became of a commit whose answer never came.

        Returns when it is in the log; the lock makes sure that nobody is still writing it.
        """
        if self._last is None:
            return  # nothing was written, so nothing is lost
        try:
            connection, cursor, _ = self._connections.take_writer(self._take_write_lock())
        except PersistenceError as unreachable:
            raise lost(self._uri, "unknown", error) from unreachable
        self.connection, self._cursor = connection, cursor
        try:
            found = self.rows("SELECT id FROM tx WHERE t = $1::bigint", (self._last.t,))
        except ConnectionLost as unreachable:
            raise lost(self._uri, "unknown", error) from unreachable
        if found != [(self._last.id,)]:
            raise lost(self._uri, "not committed", error) from error

    def _ready(self) -> psycopg.Cursor[tuple[Any, ...]]:
        if self._cursor is None:
            raise StoreError("the session has ended", hint="begin a new one", uri=self._uri)
        return self._cursor

    def head(self) -> Head:
        if self._known is None:
            self._known = super().head()
        return self._known

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self.rows("SAVEPOINT one")
        last = self._last
        try:
            yield
        except BaseException:
            self._known, self._last = None, last
            if self.connection is not None and not self.connection.closed:
                self.rows("ROLLBACK TO SAVEPOINT one")
                self.rows("RELEASE SAVEPOINT one")
            raise
        self.rows("RELEASE SAVEPOINT one")

    def append(self, batch: Batch) -> None:
        tx = batch.tx
        header = (tx.t, tx.branch, tx.parent, tx.id, tx.time, tx.next_e, tx.leaf, tx.entry)
        log = [
            (tx.t, i, e, a, k, vf, vt, op, *split(k, payload))
            for i, e, a, k, payload, vf, vt, op in batch.log
        ]
        self._send(
            [
                (_TX, header),
                *_arrays(_ATTR, batch.attributes),
                *_arrays(_BLOB, batch.blobs),
                *self._bulk(_LOG, _LOG_TYPES, log),
                *self._index(batch.remove, batch.insert, batch.texts, batch.flags),
                *_arrays(_REINDEX, batch.reindex),
            ]
        )
        self._last = tx
        self._known = Head(tx.t, tx.id, tx.time, tx.leaf, tx.next_e)

    def write_index(
        self,
        *,
        remove: Sequence[FactKey] = (),
        insert: Sequence[FactRow] = (),
        texts: Sequence[tuple[int, int, str, str]] = (),
        flags: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._send(self._index(remove, insert, texts, flags))

    def write_attributes(self, attributes: Sequence[tuple[int, str]]) -> None:
        self._send(_arrays(_ATTR, attributes))

    def clear_index(self) -> None:
        # Not TRUNCATE: it would take the rows from snapshots that are still being read.
        self._send([("DELETE FROM fact", ()), ("DELETE FROM fts", ())])
        self._send([("UPDATE attr SET flags = 0", ())])

    def _index(
        self,
        remove: Sequence[FactKey],
        insert: Sequence[FactRow],
        texts: Sequence[tuple[int, int, str, str]],
        flags: Sequence[tuple[int, int]],
    ) -> list[Statement]:
        gone = [
            (seg, a, e, vt, k, t0, *split(k, payload)[:2])
            for seg, a, e, vt, k, payload, t0 in remove
        ]
        new = [
            (seg, a, e, k, vf, vt, t0, t1, ix, node, *split(k, payload))
            for seg, a, e, k, payload, vf, vt, t0, t1, ix, node in insert
        ]
        merged: dict[int, int] = {}
        for a, flag in flags:
            merged[a] = merged.get(a, 0) | flag
        return [
            *_arrays(_REMOVE, gone),
            *self._bulk(_FACT, _FACT_TYPES, new),
            *_arrays(_TEXT, [(a, k, payload, _vector(text)) for a, k, payload, text in texts]),
            *_arrays(_FLAGS, list(merged.items())),
        ]

    def _bulk(
        self, target: str, types: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> list[Statement]:
        if len(rows) >= _COPY:
            return [(f"COPY {target} FROM STDIN", rows)]
        arrays = ", ".join(f"${i}::{type}[]" for i, type in enumerate(types, 1))
        return _arrays(f"INSERT INTO {target} SELECT * FROM unnest({arrays})", rows)

    def _send(self, statements: Sequence[Statement]) -> None:
        """Runs *statements* in order, in one round trip unless one of them is a COPY."""
        connection = self._in_transaction()
        try:
            if any(sql.startswith("COPY") for sql, _ in statements):
                removed = [self._one(connection, *statement) for statement in statements]
            else:
                with connection.pipeline():
                    cursors = [connection.execute(sql, params) for sql, params in statements]
                removed = [cursor.rowcount for cursor in cursors]
        except psycopg.Error as error:
            raise translated(error, self._uri, connection) from error
        for (sql, params), count in zip(statements, removed, strict=True):
            if sql is _REMOVE and count != len(params[0]):
                missing = len(params[0]) - count
                raise CorruptStore(
                    f"{missing} rectangles that should be removed are not in the index",
                    hint="run `persistence reindex`",
                    missing=missing,
                )

    def _one(self, connection: Connection, sql: str, params: Sequence[Any]) -> int:
        with connection.cursor() as cursor:
            if not sql.startswith("COPY"):
                return cursor.execute(sql, params).rowcount
            with cursor.copy(sql) as copy:
                for row in params:
                    copy.write_row(row)
            return len(params)


def _arrays(sql: str, rows: Sequence[Sequence[Any]]) -> list[Statement]:
    """*sql* with the columns of *rows* as its parameters; nothing for no rows."""
    return [(sql, [list(column) for column in zip(*rows, strict=True)])] if rows else []


def _vector(text: str) -> str:
    """The words of *text* as the text of a tsvector."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(words(text), 1):
        places.setdefault(word, []).append(str(place))
    return " ".join(f"{word}:{','.join(at)}" for word, at in places.items())
