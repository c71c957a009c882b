"""The one place where an error of Postgres becomes one of ours.

Messages name a store by its address without the password.
"""

from __future__ import annotations

from typing import Any, Literal

import psycopg
from psycopg import errors

from persistence.errors import (
    BudgetExceeded,
    ConnectionLost,
    CorruptStore,
    PersistenceError,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
)


def translated(
    error: psycopg.Error, uri: str, connection: psycopg.Connection[Any] | None = None
) -> PersistenceError:
    """What *error*, met on the store *uri*, means to a caller."""
    match error:
        case errors.QueryCanceled():
            return BudgetExceeded(
                "the query ran longer than its time budget",
                hint="give it more time, or bind more of its variables",
                budget="seconds",
            )
        case errors.SerializationFailure() | errors.DeadlockDetected() | errors.LockNotAvailable():
            return StoreBusy(
                f"another writer holds the store {uri}",
                hint="try again, or open the store with a longer busy_timeout",
                uri=uri,
            )
        case errors.DiskFull():
            return StoreFull(
                f"no space is left for the store {uri}; nothing of the transaction was written",
                hint="free some space on the server, then try again",
                uri=uri,
            )
        case errors.ReadOnlySqlTransaction():
            return read_only(uri)
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return CorruptStore(
                f"the files of the store {uri} are damaged: {_sentence(error)}",
                hint="run `persistence check` on a copy",
                uri=uri,
            )
        case errors.InsufficientPrivilege():
            return StoreError(
                f"the user of {uri} may not do this: {_sentence(error)}",
                hint="grant it the rights, or choose another user",
                uri=uri,
            )
    if connection is None or connection.closed:
        return lost(uri, "not committed", error)
    return StoreError(f"Postgres refused a statement on {uri}: {_sentence(error)}", uri=uri)


def lost(
    uri: str, outcome: Literal["not committed", "unknown"], error: Exception | None = None
) -> ConnectionLost:
    """The server went away; *outcome* says what is known of the transaction."""
    hints = {
        "not committed": "nothing was written; try again",
        "unknown": "look for the transaction before you try again",
    }
    why = f": {_sentence(error)}" if error is not None else ""
    return ConnectionLost(
        f"the connection to {uri} was lost{why}", hint=hints[outcome], uri=uri, outcome=outcome
    )


def closed(uri: str) -> StoreClosed:
    """The store was used after it was closed."""
    return StoreClosed(f"the store {uri} is closed", hint="open it again", uri=uri)


def read_only(uri: str) -> ReadOnlyStore:
    """Something was to be written where nothing can be."""
    return ReadOnlyStore(
        f"the store {uri} can only be read",
        hint="open it without read_only, on a server that takes writes",
        uri=uri,
    )


def _sentence(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
