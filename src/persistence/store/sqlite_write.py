"""The writes of a SQLite store: one session at a time, committed together or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from types import TracebackType
from typing import Any, Final

import apsw

from persistence.errors import CorruptStore, StoreBusy, StoreError, StoreFull
from persistence.store import sqlite_erase as erasing
from persistence.store.protocol import INDEXED, Batch, FactKey, FactRow, Owned, Said, TxRow
from persistence.store.sqlite_errors import translated
from persistence.store.sqlite_read import SEGMENTS, SqliteReads
from persistence.store.words import words

_TX: Final = (
    "INSERT INTO tx (t, branch, parent, id, time, next_e, leaf, entry)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
)
_ATTR: Final = "INSERT INTO attr (id, ident) VALUES (?1, ?2)"
_FLAGS: Final = "UPDATE attr SET flags = flags | ?2 WHERE id = ?1"
_BLOB: Final = "INSERT INTO blob (id, data) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
_LOG: Final = (
    "INSERT INTO log (t, i, e, a, k, v, vf, vt, op) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
)
_SEAL: Final = "INSERT INTO sealed (t, i, salt, hash) VALUES (?1, ?2, ?3, ?4)"
_INSERT: Final = (
    "INSERT INTO fact (seg, a, e, k, v, vf, vt, t0, t1, ix, node)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
)
_REMOVE: Final = (
    "DELETE FROM fact WHERE seg = ?1 AND a = ?2 AND e = ?3 AND vt = ?4 AND k = ?5 AND v = ?6"
    " AND t0 = ?7"
)
_OWN: Final = "INSERT INTO owned (branch, a, e, k, v) VALUES (?1, ?2, ?3, ?4, ?5)"
_BRANCH_FLAGS: Final = (
    "INSERT INTO branch_attr (branch, a, flags) VALUES (?1, ?2, ?3)"
    " ON CONFLICT DO UPDATE SET flags = flags | excluded.flags"
)
_TEXT: Final = "INSERT INTO text (a, k, v) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING RETURNING id"
_WORDS: Final = "INSERT INTO fts (rowid, words) VALUES (?1, ?2)"
_TREE_NODE: Final = (
    "INSERT INTO tree (level, n, hash) VALUES (?1, ?2, ?3)"
    " ON CONFLICT DO UPDATE SET hash = excluded.hash"
)
_NOTE: Final = (
    "INSERT INTO checkpoint (id, note) VALUES (0, ?1)"
    " ON CONFLICT DO UPDATE SET note = excluded.note"
)
_REINDEX: Final = (
    f"{SEGMENTS} UPDATE fact SET ix = ?2 WHERE seg IN (SELECT seg FROM segment) AND a = ?1"
)
_SEG, _A, _E = itemgetter(0), itemgetter(1), itemgetter(2)


class SqliteSession(SqliteReads):
    """The writing connection. Its reads see what it has written."""

    def __init__(
        self, connection: apsw.Connection, uri: str, lock: threading.Lock, patience: float
    ) -> None:
        super().__init__(connection, uri)
        self._lock = lock
        self._patience = patience
        self._owner: int | None = None

    def __enter__(self) -> SqliteSession:
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
            self._cursor.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            self._lock.release()
            raise translated(error, self._uri, self.connection) from error
        self._owner = threading.get_ident()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._end_streams()
            if kind is None:
                self._require_transaction()
                self._commit()
        finally:
            try:
                self._undo()
            finally:
                self._owner = None
                self._lock.release()

    def _commit(self) -> None:
        try:
            self._cursor.execute("COMMIT")
        except apsw.Error as error:
            known = translated(error, self._uri, self.connection)
            if not isinstance(error, apsw.IOError) or isinstance(known, StoreFull):
                raise known from error
            # The frames may be in the log, unsynced: a crash before the next commit, which
            # overwrites them, would bring the transaction back.
            raise StoreError(
                f"the disk of {self._uri} failed in the middle of a commit: {error}",
                hint="check the disk; when the store is open again, look whether it is there",
                uri=self._uri,
                outcome="unknown",
            ) from error

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._require_transaction()
        self._run("SAVEPOINT one", ())
        try:
            yield
        except BaseException:
            # A full disk may have made the engine undo everything, the savepoint with it.
            if self.connection.in_transaction:
                self._run("ROLLBACK TO one; RELEASE one", ())
            raise
        self._require_transaction()
        self._run("RELEASE one", ())

    def append(self, batch: Batch) -> None:
        self.append_all((batch,))

    def append_all(self, batches: Sequence[Batch]) -> None:
        self._require_transaction()
        self._many(_TX, [_tx_row(batch.tx) for batch in batches])
        self._many(_ATTR, [row for batch in batches for row in batch.attributes])
        self._many(_BLOB, [row for batch in batches for row in batch.blobs])
        self._many(
            _LOG,
            [(batch.tx.t, i, *row) for batch in batches for i, row in enumerate(batch.log)],
        )
        self._many(_SEAL, [(batch.tx.t, *seal) for batch in batches for seal in batch.sealed])
        self.write_index(
            remove=[row for batch in batches for row in batch.remove],
            insert=[row for batch in batches for row in batch.insert],
            texts=[row for batch in batches for row in batch.texts],
            flags=[row for batch in batches for row in batch.flags],
            owned=[row for batch in batches for row in batch.owned],
            branch_flags=[row for batch in batches for row in batch.branch_flags],
        )
        self._many(_REINDEX, [row for batch in batches for row in batch.reindex])

    @property
    def sound(self) -> bool:
        return self.connection.in_transaction

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
        self._require_transaction()
        if remove:
            before = self.connection.total_changes()
            self._many(_REMOVE, remove)
            missing = len(remove) - (self.connection.total_changes() - before)
            if missing:
                raise CorruptStore(
                    f"{missing} rectangles that should be removed are not in the index",
                    hint="run `persistence reindex`",
                    missing=missing,
                )
        # In the order of the clustered key, so that neighbouring rows share a page.
        self._many(_INSERT, _clustered(insert))
        for a, k, payload, text in texts:
            for (number,) in self.rows(_TEXT, (a, k, payload)):
                self._run(_WORDS, (number, " ".join(words(text))))
        self._many(_FLAGS, flags)
        self._many(_OWN, owned)
        self._many(_BRANCH_FLAGS, branch_flags)

    def write_audit(
        self,
        tree: Sequence[tuple[int, int, bytes]] = (),
        note: str | None = None,
    ) -> None:
        self._require_transaction()
        self._many(_TREE_NODE, tree)
        if note is not None:
            self._run(_NOTE, (note,))

    def write_attributes(self, attributes: Sequence[tuple[int, str]]) -> None:
        self._require_transaction()
        self._many(_ATTR, attributes)

    def said(self, entities: Iterable[int], attributes: Iterable[int]) -> list[Said]:
        return self.rows(erasing.SAID, erasing.keys(entities, attributes))

    def erase(self, said: Sequence[Said], whole: Sequence[tuple[int, int, bytes]]) -> None:
        self._require_transaction()
        erasing.erase(self.rows, self._many, said, whole)

    def clear_index(self) -> None:
        self._require_transaction()
        self._run("DELETE FROM fact", ())
        self._run("DELETE FROM text", ())
        self._run("INSERT INTO fts (fts) VALUES ('delete-all')", ())
        self._run("DELETE FROM owned", ())
        self._run("DELETE FROM branch_attr", ())
        self._run(f"UPDATE attr SET flags = flags & {INDEXED}", ())

    def _run(self, sql: str, params: Sequence[Any]) -> None:
        try:
            self._cursor.execute(sql, params)
        except apsw.Error as error:
            raise translated(error, self._uri, self.connection) from error

    def _many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            try:
                self._cursor.executemany(sql, rows)
            except apsw.Error as error:
                raise translated(error, self._uri, self.connection) from error

    def _require_transaction(self) -> None:
        # Without this a writer that goes on after a full disk would commit every statement alone.
        if not self.connection.in_transaction:
            raise StoreError(
                f"the transaction on {self._uri} was undone by an earlier error",
                hint="begin a new session",
                uri=self._uri,
            )

    def _undo(self) -> None:
        if self.connection.in_transaction:
            self._run("ROLLBACK", ())


def _tx_row(tx: TxRow) -> tuple[Any, ...]:
    return (tx.t, tx.branch, tx.parent, tx.id, tx.time, tx.next_e, tx.leaf, tx.entry)


def _clustered(rows: Sequence[FactRow]) -> Sequence[FactRow]:
    """*rows* by (seg, a, e). Three stable sorts by numbers are faster than one by triples."""
    if len(rows) < 2:
        return rows
    ordered = sorted(rows, key=_E)
    ordered.sort(key=_A)
    ordered.sort(key=_SEG)
    return ordered
