"""SQLite's disk, watched: a VFS that tells of every write and sync before and after it happens.

It stands on the VFS that SQLite uses anyway, so that locks and shared memory are the real ones.
A store is opened on it with the option ``vfs``.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

MAIN: Final = "database"
WAL: Final = "wal"
JOURNAL: Final = "journal"
OTHER: Final = "other"
_ROLES: Final = {
    apsw.SQLITE_OPEN_MAIN_DB: MAIN,
    apsw.SQLITE_OPEN_WAL: WAL,
    apsw.SQLITE_OPEN_MAIN_JOURNAL: JOURNAL,
}

_MOUNTED: Final[list[apsw.VFS]] = []  # SQLite itself keeps none of them alive


class Disk(apsw.VFS):
    """Passes everything on; subclasses do something about it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, base="")
        self.vfs = name
        _MOUNTED.append(self)

    def xOpen(self, name: Any, flags: list[int]) -> File:
        file = File(self, name, flags)
        if file.path:
            self.opened(file)
        return file

    def opened(self, file: File) -> None:
        """A file was opened, perhaps created."""

    def write(self, file: File, data: bytes, offset: int) -> None:
        file.really_write(data, offset)

    def truncate(self, file: File, size: int) -> None:
        file.really_truncate(size)

    def sync(self, file: File, flags: int) -> None:
        file.really_sync(flags)

    def read(self, file: File, amount: int, offset: int) -> bytes:
        return file.really_read(amount, offset)


class File(apsw.VFSFile):
    """One open file of a :class:`Disk`."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        self.role = next((role for flag, role in _ROLES.items() if flags[0] & flag), OTHER)
        self.path = "" if name is None else name if isinstance(name, str) else name.filename()
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        return self.disk.read(self, amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        self.disk.write(self, bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.truncate(self, newsize)

    def xSync(self, flags: int) -> None:
        self.disk.sync(self, flags)

    def really_read(self, amount: int, offset: int) -> bytes:
        return super().xRead(amount, offset)

    def really_write(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)

    def really_truncate(self, size: int) -> None:
        super().xTruncate(size)

    def really_sync(self, flags: int) -> None:
        super().xSync(flags)
