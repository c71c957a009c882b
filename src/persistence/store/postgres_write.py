"""The writes of a Postgres store: one session at a time, committed together or not at all.

Writers queue for a table lock before they take their snapshot, so a writer that waited reads what
the one before it wrote, and never fails for having waited.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import attrs
import psycopg
from psycopg.pq import TransactionStatus

from persistence.errors import ConnectionLost, CorruptStore, PersistenceError, StoreBusy, StoreError
from persistence.store import postgres_erase as erasing
from persistence.store.postgres_connections import Connections
from persistence.store.postgres_errors import lost, translated
from persistence.store.postgres_open import Connection
from persistence.store.postgres_payload import joined, split
from persistence.store.postgres_read import HEAD, PostgresReads
from persistence.store.postgres_statements import (
    ATTR,
    BLOB,
    BRANCH_FLAGS,
    FACT,
    FLAGS,
    LOG,
    NOTE,
    OWN,
    REINDEX,
    REMOVE,
    SEAL,
    TEXT,
    TREE,
    TX,
    Rows,
    Write,
    fact_rows,
    flag_rows,
    owned_rows,
    text_rows,
    together,
)
from persistence.store.postgres_watch import Channel
from persistence.store.protocol import (
    INDEXED,
    Batch,
    FactKey,
    FactRow,
    Head,
    Owned,
    Said,
    TxRow,
)

_COPY: Final = 300  # rows from which COPY is faster than arrays

_BULK: Final = 5_000  # rectangles from which on a wrong plan is felt


class PostgresSession(PostgresReads):
    """The writing connection. Its reads see what it has written."""

    def __init__(self, connections: Connections, lock: threading.Lock) -> None:
        super().__init__(connections)
        self._lock = lock
        self._patience = connections.options.busy_timeout
        self._owner: int | None = None
        self._counted = 0  # rectangles written when the planner last looked
        self._uncounted = 0
        self._known: Head | None = None
        told = Channel.of(connections.address).told
        self._tx = attrs.evolve(TX, sql=f"{TX.sql} WHERE {told}")
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

        Returns when it is in the log; the lock makes sure that nobody is still writing it. What
        was written without a transaction can be written again.
        """
        if self._last is None:
            raise lost(self._uri, "not committed", error) from error
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
            for i, (e, a, k, payload, vf, vt, op) in enumerate(batch.log)
        ]
        self._remove(batch.remove)
        self._write(
            (self._tx, [header]),
            (ATTR, batch.attributes),
            (BLOB, batch.blobs),
            (LOG, log),
            (SEAL, [(tx.t, *seal) for seal in batch.sealed]),
            (FACT, fact_rows(batch.insert)),
            (TEXT, text_rows(batch.texts)),
            (OWN, owned_rows(batch.owned)),
            (BRANCH_FLAGS, batch.branch_flags),
        )
        self._write((FLAGS, flag_rows(batch.flags)))
        self._write((REINDEX, batch.reindex))
        self._last = tx
        self._known = Head(tx.t, tx.id, tx.time, tx.leaf, tx.next_e)
        self._count(len(batch.insert))

    def append_all(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self.append(batch)

    @property
    def sound(self) -> bool:
        connection = self.connection
        return (
            connection is not None
            and not connection.closed
            and connection.pgconn.transaction_status == TransactionStatus.INTRANS
        )

    def _count(self, rows: int) -> None:
        """Lets the planner look at what was written, each time this has doubled.

        Until autovacuum comes by, the planner takes a table that was just filled for an empty one,
        and reads it whole for each row of a join.
        """
        self._uncounted += rows
        if self._uncounted > max(_BULK, self._counted):
            self._counted += self._uncounted
            self._uncounted = 0
            self.rows("ANALYZE fact")

    def write_index(
        self,
        *,
        remove: Sequence[FactKey] = (),
        insert: Sequence[FactRow] = (),
        texts: Sequence[tuple[int, int, str, str]] = (),
        flags: Sequence[tuple[int, int]] = (),
        owned: Sequence[Owned] = (),
        branch_flags: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        self._remove(remove)
        self._write(
            (FACT, fact_rows(insert)),
            (TEXT, text_rows(texts)),
            (OWN, owned_rows(owned)),
            (BRANCH_FLAGS, branch_flags),
        )
        self._write((FLAGS, flag_rows(flags)))

    def write_audit(
        self,
        tree: Sequence[tuple[int, int, bytes]] = (),
        note: str | None = None,
    ) -> None:
        self._write((TREE, tree), (NOTE, [] if note is None else [(0, note)]))

    def write_attributes(self, attributes: Sequence[tuple[int, str]]) -> None:
        self._write((ATTR, attributes))

    def said(self, entities: Iterable[int], attributes: Iterable[int]) -> list[Said]:
        found = self.rows(erasing.SAID, erasing.keys(entities, attributes))
        return [
            (t, i, e, a, k, joined(k, n, s), vf, vt, op, sealed)
            for t, i, e, a, k, n, s, vf, vt, op, sealed in found
        ]

    def erase(self, said: Sequence[Said], whole: Sequence[tuple[int, int, bytes]]) -> None:
        self._in_transaction()
        erasing.erase(self.rows, said, whole)

    def clear_index(self) -> None:
        # Not TRUNCATE: it would take the rows from snapshots that are still being read.
        for table in ("fact", "fts", "owned", "branch_attr"):
            self.rows(f"DELETE FROM {table}")
        self.rows(f"UPDATE attr SET flags = flags & {INDEXED}")

    def _remove(self, keys: Sequence[FactKey]) -> None:
        # A statement of its own, before the inserts: a rectangle that shrinks keeps its key.
        missing = len(keys) - self._write(
            (
                REMOVE,
                [
                    (seg, a, e, vt, k, t0, *split(k, payload)[:2])
                    for seg, a, e, vt, k, payload, t0 in keys
                ],
            )
        )
        if missing:
            raise CorruptStore(
                f"{missing} rectangles that should be removed are not in the index",
                hint="run `persistence reindex`",
                missing=missing,
            )

    def _write(self, *writes: tuple[Write, Rows]) -> int:
        """Carries out *writes* in one statement, large ones by COPY; the rows of the last."""
        connection = self._in_transaction()
        try:
            small = []
            for write, rows in writes:
                if len(rows) >= _COPY and write in (LOG, FACT):
                    self._copy(connection, write, rows)
                elif rows:
                    small.append((write, rows))
            if not small:
                return 0
            return connection.execute(*together(small)).rowcount
        except psycopg.Error as error:
            raise translated(error, self._uri, connection) from error

    @staticmethod
    def _copy(connection: Connection, write: Write, rows: Rows) -> None:
        target = write.sql.removeprefix("INSERT INTO ").partition(" SELECT")[0]
        sql = f"COPY {target} FROM STDIN (FORMAT BINARY)"  # half the work of texts
        with connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(write.types)
            for row in rows:
                copy.write_row(row)
