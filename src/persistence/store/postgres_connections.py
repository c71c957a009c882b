"""The connections of one Postgres store: a pool that reads, and one connection that writes.

Nothing is kept in the session of a connection: what a transaction needs is set for it alone, in
the same round trip that begins it. So it works behind pgbouncer in transaction mode. A connection
that died while it was idle is replaced in silence, because nothing could be lost with it.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from persistence.errors import StoreBusy
from persistence.store.postgres_errors import closed, lost, translated
from persistence.store.postgres_open import (
    Address,
    Connection,
    PostgresOptions,
    connect,
    ready,
    settings,
)

Row: TypeAlias = tuple[Any, ...]
Begun: TypeAlias = tuple[Connection, psycopg.Cursor[Row], list[Row]]

_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Connections:
    """Lends connections whose transaction has begun, and takes them back."""

    def __init__(
        self, address: Address, options: PostgresOptions, writer: Connection | None
    ) -> None:
        self.address = address
        self.uri = str(address)
        self.options = options
        self.local = f"SET LOCAL search_path TO {address.namespace}"
        if options.synchronous == "NORMAL":
            self.local += "; SET LOCAL synchronous_commit = off"
        self._closed = False
        self._writer = writer
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs={**address.parameters, **settings(options)},
            min_size=0,  # a process that only writes keeps no reader
            max_size=options.connections,
            timeout=options.busy_timeout,
            configure=lambda connection: ready(connection, options),
            open=True,
        )

    def take_reader(self, first: str) -> Begun:
        """A connection in a new read transaction, and the rows of the statement *first*."""
        for left in range(self.options.connections, -1, -1):
            connection = self._from_pool()
            try:
                return _begun(connection, f"{_READ}; {self.local}; {first}")
            except psycopg.Error as error:
                dead = connection.closed
                self._pool.putconn(connection)
                if not (dead and left):
                    raise translated(error, self.uri, connection) from error
        raise AssertionError("unreachable")

    def give_back(self, connection: Connection) -> None:
        """Ends the read transaction of *connection* and returns it to the pool."""
        try:
            connection.execute("COMMIT")  # psycopg forgets its prepared statements at ROLLBACK
        except psycopg.Error:
            pass  # the pool throws dead connections away
        self._pool.putconn(connection)

    def take_writer(self, begin: str) -> Begun:
        """The writing connection after the statements of *begin*, and the rows of the last."""
        if self._closed:
            raise closed(self.uri)
        connection, self._writer = self._writer, None
        if connection is not None:
            try:
                return _begun(connection, begin)
            except psycopg.Error as error:
                if not connection.closed:
                    self.end_writer(connection)
                    raise translated(error, self.uri, connection) from error
        connection = connect(self.address, self.options)
        try:
            return _begun(connection, begin)
        except psycopg.Error as error:
            self.end_writer(connection)
            raise translated(error, self.uri, connection) from error

    def end_writer(self, connection: Connection) -> None:
        """Undoes what *connection* has not committed and keeps it for the next session."""
        try:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            pass
        if connection.closed or self._closed:
            connection.close()
        else:
            self._writer = connection

    def close(self) -> None:
        """Close every connection that is not lent; the others close when they come back."""
        self._closed = True
        self._pool.close()
        if self._writer is not None:
            self._writer.close()

    def _from_pool(self) -> Connection:
        try:
            return self._pool.getconn()
        except PoolClosed as error:
            raise closed(self.uri) from error
        except PoolTimeout as error:
            if not self._pool.get_stats().get("pool_size"):
                raise lost(self.uri, "not committed", error) from error
            raise StoreBusy(
                f"all {self.options.connections} connections to {self.uri} are in use",
                hint="open the store with more connections, or use fewer threads",
                uri=self.uri,
            ) from error


def _begun(connection: Connection, sql: str) -> Begun:
    """Runs the statements of *sql* in one round trip; the rows are those of the last."""
    cursor = connection.cursor()
    cursor.execute(sql, prepare=False)  # several statements at once cannot be prepared
    while cursor.nextset():
        pass
    return connection, cursor, cursor.fetchall() if cursor.description else []
