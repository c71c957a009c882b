"""Something that one thread of one process at a time may do, beside the writing of facts.

The lock is that of a SQLite file of its own next to the store, so it never holds up a reader or
a writer, and the operating system lets go of it when a process dies, however it dies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import attrs

from persistence.errors import StoreBusy
from persistence.store.sqlite_errors import translated


@attrs.define(eq=False)
class Exclusive:
    """The locks of one store by name; *path* is None for a store that no other process sees."""

    path: Path | None
    uri: str
    patience: float  # seconds
    _opening: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _locks: dict[str, threading.Lock] = attrs.field(factory=dict, init=False)

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Nobody else is inside of a block of this *name*.

        Raises:
            StoreBusy: somebody was for too long.
        """
        with self._opening:
            lock = self._locks.setdefault(name, threading.Lock())
        if not lock.acquire(timeout=self.patience):
            raise busy(name, self.uri)
        try:
            if self.path is None:
                yield
            else:
                with _file_lock(self.path.with_name(f"{self.path.name}-{name}"), self):
                    yield
        finally:
            lock.release()


@contextmanager
def _file_lock(path: Path, exclusive: Exclusive) -> Iterator[None]:
    try:
        connection = apsw.Connection(str(path))
    except apsw.Error as error:
        raise translated(error, str(path)) from error
    try:
        connection.set_busy_timeout(int(exclusive.patience * 1000))
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except apsw.BusyError as error:
            raise busy(path.name.rpartition("-")[2], exclusive.uri) from error
        except apsw.Error as error:
            raise translated(error, str(path), connection) from error
        yield
    finally:
        connection.close(True)


def busy(name: str, uri: str) -> StoreBusy:
    """Somebody held on to the lock *name* of a store for too long."""
    return StoreBusy(
        f"somebody else has been busy with the {name} of {uri} for too long",
        hint="try again, or open the store with a longer busy_timeout",
        uri=uri,
        name=name,
    )
