"""Hears of commits of any process: LISTEN on a connection of its own.

Writers notify only while somebody listens. A listener says so by a shared advisory lock, which
goes away with its connection; a writer looks by trying to take the same lock for itself, which
costs nothing that another process would feel. A pooler in transaction mode passes no
notifications on, so behind one, and against all that may be lost, the head is looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from threading import Condition
from typing import Final

import attrs
import psycopg

from persistence.store.postgres_errors import translated
from persistence.store.postgres_open import Address, Connection, PostgresOptions, connect

_POLL: Final = 0.25  # seconds after which the head is looked at although nothing was heard


@attrs.frozen
class Channel:
    """The name under which the commits of one store are told, and the lock of its listeners."""

    name: str
    lock: int

    @classmethod
    def of(cls, address: Address) -> Channel:
        digest = sha256(address.namespace.encode()).digest()[:8]
        return cls(f"persistence_{digest.hex()}", int.from_bytes(digest, signed=True))

    @property
    def told(self) -> str:
        """A condition that is true, and tells the listeners when there are any."""
        return (
            f"CASE WHEN pg_try_advisory_xact_lock({self.lock}) THEN true"
            f" ELSE pg_notify('{self.name}', '')::text = '' END"
        )


@attrs.frozen
class Watch:
    """See :class:`persistence.store.protocol.Watch`."""

    connection: Connection
    uri: str

    def wait(self, seconds: float, here: Condition) -> None:
        """Until something is heard, or the time or the patience is over."""
        try:
            for _ in self.connection.notifies(timeout=min(seconds, _POLL), stop_after=1):
                pass
        except psycopg.Error as error:
            raise translated(error, self.uri, self.connection) from error


@contextmanager
def watch(address: Address, options: PostgresOptions) -> Iterator[Watch]:
    """Listens while the block lasts.

    Raises:
        ConnectionLost: the server cannot be reached.
    """
    connection = connect(address, options)
    channel = Channel.of(address)
    try:
        if _direct(connection):
            connection.execute(f"SELECT pg_advisory_lock_shared({channel.lock})", prepare=False)
            connection.execute(f'LISTEN "{channel.name}"', prepare=False)
        yield Watch(connection, str(address))
    except psycopg.Error as error:
        raise translated(error, str(address), connection) from error
    finally:
        connection.close()


def _direct(connection: Connection) -> bool:
    """Whether no pooler stands between: it shows a process id that no server process has."""
    ((pid,),) = connection.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid == connection.pgconn.backend_pid)
