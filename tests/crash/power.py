"""A power cut: what was not synced is lost, or half there, in any order.

Every write reaches the ordinary file at once, because the process that goes on reading must see
it. Beside that, each file has the image that would survive: what it held at its last sync, and the
changes since. When the power goes, any part of those changes has reached the platter, a sector
at a time, and the process ends by SIGKILL.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

import attrs

from tests.crash.disk import JOURNAL, WAL, Disk, File

SECTOR: Final = 512
# (offset, data), or (size, None): the file is cut or extended
Change: TypeAlias = tuple[int, bytes | None]


@attrs.define
class Image:
    """What of a file is on the platter for sure, and what may be."""

    content: bytearray
    synced: bool  # else the file may not even have a name
    changes: list[Change] = attrs.field(factory=list)

    def settle(self) -> None:
        """Everything so far is on the platter."""
        for change in self.changes:
            _apply(self.content, change)
        self.changes.clear()
        self.synced = True

    def after_cut(self, rng: Random) -> bytes | None:
        """What is found when the power is back; None for no file."""
        if not self.synced and rng.random() < 0.5:
            return None
        content = bytearray(self.content)
        how = rng.choice(["nothing", "everything", "first", "scattered", "scattered"])
        if how == "nothing":
            return bytes(content)
        last = rng.randrange(len(self.changes) + 1) if how == "first" else len(self.changes)
        keep = rng.random() if how == "scattered" else 1.0
        for number, change in enumerate(self.changes[: last + 1]):
            torn = 0.5 if how == "first" and number == last else keep
            for piece in _sectors(change):
                if torn == 1.0 or rng.random() < torn:
                    _apply(content, piece)
        return bytes(content)


class PowerCut(Disk):
    """A disk that loses power at its *n*-th write or sync.

    The files as they are found afterwards are in *after*, under their names.
    """

    def __init__(self, name: str, after: Path, n: int, seed: int) -> None:
        super().__init__(name)
        self._after = after
        self._left = n
        self._rng = Random(seed)
        self._images: dict[str, Image] = {}
        self._deleted: dict[str, Image] = {}  # until the directory is synced
        self._lock = threading.RLock()  # held while the power goes, so that no sync ends after it

    def opened(self, file: File) -> None:
        with self._lock:
            if file.path not in self._images:
                content = Path(file.path).read_bytes()
                self._images[file.path] = Image(bytearray(content), synced=bool(content))

    def write(self, file: File, data: bytes, offset: int) -> None:
        with self._lock:
            super().write(file, data, offset)
            self._changed(file, (offset, data))

    def truncate(self, file: File, size: int) -> None:
        with self._lock:
            super().truncate(file, size)
            self._changed(file, (size, None))

    def sync(self, file: File, flags: int) -> None:
        # The machine that runs this keeps its power, so nothing need be synced really.
        with self._lock:
            self._tick()
            if file.path:
                image = self._images[file.path]
                if not image.synced and file.role in (WAL, JOURNAL):
                    # SQLite's own VFS syncs the directory with the first sync of such a file.
                    self._deleted.clear()
                    for each in self._images.values():
                        each.synced = True
                image.settle()

    def xDelete(self, filename: str, syncdir: bool) -> None:
        with self._lock:
            self._tick()
            super().xDelete(filename, syncdir)
            image = self._images.pop(filename, None)
            if image is not None and image.synced and not syncdir:
                self._deleted[filename] = image

    def _changed(self, file: File, change: Change) -> None:
        if file.path:
            self._images[file.path].changes.append(change)
            self._tick()

    def _tick(self) -> None:
        self._left -= 1
        if self._left > 0:
            return
        for images in (self._deleted, self._images):
            for path, image in images.items():
                found = image.after_cut(self._rng)
                if found is not None and (images is self._images or self._rng.random() < 0.5):
                    self._after.joinpath(Path(path).name).write_bytes(found)
        os.kill(os.getpid(), signal.SIGKILL)


def _apply(content: bytearray, change: Change) -> None:
    offset, data = change
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    else:
        content.extend(bytes(max(0, offset - len(content))))  # a hole reads as zeros
        content[offset : offset + len(data)] = data


def _sectors(change: Change) -> list[Change]:
    offset, data = change
    if data is None:
        return [change]
    pieces: list[Change] = []
    start = 0
    while start < len(data):
        end = min(len(data), (offset + start) // SECTOR * SECTOR + SECTOR - offset)
        pieces.append((offset + start, data[start:end]))
        start = end
    return pieces
