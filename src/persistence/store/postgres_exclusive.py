"""Something that one thread of one process at a time may do, beside the writing of facts.

The lock belongs to an open transaction on a connection of its own, so the server lets go of it
when the process dies, and a pooler in transaction mode cannot give the connection to others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from persistence.errors import StoreBusy
from persistence.store.postgres_errors import translated
from persistence.store.postgres_open import Address, PostgresOptions, connect

_BEGIN: Final = """
    BEGIN;
    SET LOCAL lock_timeout = {timeout};
    SET LOCAL idle_in_transaction_session_timeout = 0
"""
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))"


@contextmanager
def exclusive(address: Address, options: PostgresOptions, name: str) -> Iterator[None]:
    """Nobody else is inside of a block of this *name* on this store.

    Raises:
        StoreBusy: somebody was for too long. ConnectionLost: the server went away.
    """
    connection = connect(address, options)
    try:
        try:
            timeout = max(1, int(options.busy_timeout * 1000))
            connection.execute(_BEGIN.format(timeout=timeout), prepare=False)
            connection.execute(_LOCK, [f"{address.namespace} {name}"], prepare=False)
        except psycopg.errors.LockNotAvailable as error:
            raise StoreBusy(
                f"somebody else has been busy with the {name} of {address} for too long",
                hint="try again, or open the store with a longer busy_timeout",
                uri=str(address),
                name=name,
            ) from error
        except psycopg.Error as error:
            raise translated(error, str(address), connection) from error
        yield
    finally:
        connection.close()
