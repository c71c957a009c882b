"""Opens a SQLite file: is it a store, which pragmas does it need, is its schema up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw
import attrs

from persistence.errors import NotAStore, StoreError
from persistence.store.migrate import migrations, pending
from persistence.store.sqlite_errors import read_only, translated

Synchronous: TypeAlias = Literal["FULL", "NORMAL", "OFF"]

APPLICATION_ID: Final = 0x50_45_52_53  # "PERS", in the header of the file
_VERSION: Final = "user_version"  # of the header: the number of the last migration
_KIB: Final = 1024
_WAL: Final = 64 * 2**20  # bytes of the log file that stay for the next commits
_CHECKPOINT: Final = 8192  # pages; small commits write the same few pages, which go home once


@attrs.frozen(slots=True, kw_only=True)
class SqliteOptions:
    """How a SQLite store is opened."""

    synchronous: Synchronous = "FULL"  # a commit survives power loss; NORMAL may lose the last ones
    busy_timeout: float = 30.0  # seconds; a large import of another process holds the lock for long
    cache_bytes: int = 64 * 2**20  # per connection; keeps the upper levels of every index at hand
    mmap_bytes: int = 1 * 2**30  # address space, not memory; saves a copy and a call for each page
    read_only: bool = False  # nothing is created, migrated or written
    create: bool = True  # a missing file becomes a new store
    vfs: str | None = None  # the name of a registered SQLite VFS; None is that of the system

    def __attrs_post_init__(self) -> None:
        if self.synchronous not in ("FULL", "NORMAL", "OFF"):
            raise StoreError(f"synchronous is {self.synchronous!r}", hint="use FULL, NORMAL or OFF")


def prepare(path: Path, options: SqliteOptions) -> bool:
    """Make the file at *path* a store of the current format; tells whether it can be written.

    Raises:
        NotAStore: there is something else, or nothing where a store is expected.
        NewerStore: a later version wrote it.
        ReadOnlyStore: it cannot be written, but would need a migration.
    """
    _check_place(path, options)
    writable = not options.read_only and _may_write(path)
    connection = connect(path, options, writable=writable)
    try:
        if _pending(connection, path):
            if not writable:
                raise read_only(str(path))
            _migrate(connection, path)
        if writable and connection.pragma("journal_mode") != "wal":
            connection.pragma("journal_mode", "wal")  # readers and the writer never wait
        return writable
    except apsw.Error as error:
        raise translated(error, str(path), connection) from error
    finally:
        connection.close()


def connect(path: Path, options: SqliteOptions, *, writable: bool) -> apsw.Connection:
    """A new connection to *path*, with its pragmas set."""
    if writable:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    else:
        flags = apsw.SQLITE_OPEN_READONLY
    # The store serialises its writer and gives each thread its own reader: no mutex is needed
    # but as a guard against a connection that is used from two threads by mistake.
    flags |= apsw.SQLITE_OPEN_FULLMUTEX | apsw.SQLITE_OPEN_URI
    try:
        connection = apsw.Connection(
            _file_uri(path, writable), flags=flags, vfs=options.vfs, statementcachesize=512
        )
        # A plan depends on the text of a statement alone. Otherwise SQLite looks at the values
        # that are bound and prepares again, which takes longer than most of our reads.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        connection.set_busy_timeout(int(options.busy_timeout * 1000))
        connection.execute(
            f"PRAGMA synchronous = {options.synchronous};"
            f"PRAGMA cache_size = -{options.cache_bytes // _KIB};"
            f"PRAGMA mmap_size = {options.mmap_bytes};"
            f"PRAGMA journal_size_limit = {_WAL};"  # a large import gives its WAL back
            f"PRAGMA wal_autocheckpoint = {_CHECKPOINT};"
            "PRAGMA temp_store = MEMORY;"  # sorts and recursive queries never touch the disk
            "PRAGMA trusted_schema = OFF;"  # a crafted file cannot call functions
        ).fetchall()  # a pragma that answers holds up those after it until its answer is read
    except apsw.Error as error:
        raise translated(error, str(path)) from error
    return connection


def _file_uri(path: Path, writable: bool) -> str:
    uri = path.absolute().as_uri()
    wal = path.with_name(path.name + "-wal")
    if not writable and not os.access(path.parent, os.W_OK) and not wal.exists():
        # A WAL store needs a file beside it, even to be read. On a medium that nobody can write
        # it needs none, if SQLite is told so.
        return f"{uri}?immutable=1"
    return uri


def _may_write(path: Path) -> bool:
    # WAL writes files beside the store, so the directory counts as much as the file.
    return not path.exists() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _check_place(path: Path, options: SqliteOptions) -> None:
    if path.is_dir():
        raise NotAStore(
            f"{path} is a directory", hint="name a file in it, such as store.db", uri=str(path)
        )
    if not path.exists() and (options.read_only or not options.create):
        raise NotAStore(f"there is no store at {path}", hint="check the path", uri=str(path))
    if not path.parent.is_dir():
        raise StoreError(
            f"the directory {path.parent} does not exist", hint="create it first", uri=str(path)
        )


def _pending(connection: apsw.Connection, path: Path) -> bool:
    application, version = _number(connection, "application_id"), _number(connection, _VERSION)
    if application == APPLICATION_ID:
        return bool(pending("sqlite", version, str(path)))
    # A new file, or one that another process is about to make a store.
    if application == 0 and version == 0 and _tables(connection) == 0:
        return True
    raise NotAStore(
        f"{path} is a SQLite database of another program",
        hint="choose another path; nothing was changed",
        uri=str(path),
    )


def _number(connection: apsw.Connection, pragma: str) -> int:
    ((number,),) = connection.execute(f"PRAGMA {pragma}").fetchall()
    assert isinstance(number, int)
    return number


def _tables(connection: apsw.Connection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    assert isinstance(count, int)
    return count


def _migrate(connection: apsw.Connection, path: Path) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if _pending(connection, path):  # perhaps another process has done it meanwhile
            for step in pending("sqlite", _number(connection, _VERSION), str(path)):
                connection.execute(step.sql)
            connection.execute(
                f"PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {migrations('sqlite')[-1].number}"
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
