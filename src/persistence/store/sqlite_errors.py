"""The one place where an error of SQLite becomes one of ours."""

from __future__ import annotations

import errno
from typing import Final

import apsw

from persistence.errors import (
    BudgetExceeded,
    CorruptStore,
    NotAStore,
    PersistenceError,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
)

# A file size limit or a quota is reported as an I/O error; to the caller it is a full disk.
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})


def translated(
    error: apsw.Error, uri: str, connection: apsw.Connection | None = None
) -> PersistenceError:
    """What *error*, met on the store *uri*, means to a caller."""
    match error:
        case apsw.InterruptError():
            return BudgetExceeded(
                "the query ran longer than its time budget",
                hint="give it more time, or bind more of its variables",
                budget="seconds",
            )
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusy(
                f"another writer holds the store {uri}",
                hint="try again, or open the store with a longer busy_timeout",
                uri=uri,
            )
        case apsw.FullError():
            return _full(uri)
        case apsw.IOError() if connection is not None and _errno(connection) in _NO_SPACE:
            return _full(uri)
        case apsw.ReadOnlyError():
            return read_only(uri)
        case apsw.ConnectionClosedError() | apsw.CursorClosedError():
            return closed(uri)
        case apsw.NotADBError():
            return NotAStore(
                f"{uri} is not a store",
                hint="it holds something else; choose another path",
                uri=uri,
            )
        case apsw.CorruptError():
            return CorruptStore(
                f"the file of the store {uri} is damaged: {error}",
                hint="copy the file away, then run `persistence check`",
                uri=uri,
            )
        case apsw.CantOpenError():
            return StoreError(
                f"the store {uri} cannot be opened: {error}",
                hint="is the directory there, and may this user write in it?",
                uri=uri,
            )
        case _:
            return StoreError(f"SQLite refused a statement on {uri}: {error}", uri=uri)


def closed(uri: str) -> StoreClosed:
    """The store was used after it was closed."""
    return StoreClosed(f"the store {uri} is closed", hint="open it again", uri=uri)


def read_only(uri: str) -> ReadOnlyStore:
    """Something was to be written where nothing can be."""
    return ReadOnlyStore(
        f"the store {uri} can only be read",
        hint="open it without read_only, and check the permissions of the file and its directory",
        uri=uri,
    )


def _full(uri: str) -> StoreFull:
    return StoreFull(
        f"no space is left for the store {uri}; nothing of the transaction was written",
        hint="free some space on its disk, then try again",
        uri=uri,
    )


def _errno(connection: apsw.Connection) -> int:
    try:
        return connection.system_errno
    except apsw.Error:  # closed meanwhile
        return 0
