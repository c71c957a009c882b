"""The log as a directory of files that any static server can serve and any monitor can check.

The layout is C2SP tlog-tiles, so that tools which know nothing of us read it:

    checkpoint                   the signed note that says how far the files reach; mutable
    tile/<level>/<n>[.p/<w>]     256 hashes: of leaves, and of subtrees of 256, 65 536 … leaves
    tile/entries/<n>[.p/<w>]     the entries below 256 leaf hashes, each after its length

Full tiles never change; the right end of the tree is in partial ones, of *w* < 256. `export`
writes them. What is read here is believed in nothing: sizes are looked at before anything is
allocated, and one bundle is held at a time. Imports the standard library and `merkle` only.
"""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from persistence.audit.merkle import (
    HASH_BYTES,
    TILE,
    TILE_LEVELS,
    Nodes,
)

CHECKPOINT: Final = "checkpoint"
CHECKPOINT_BYTES: Final = 1 << 20
ENTRY_BYTES: Final = 65_535  # what two bytes of length can say
LEVELS: Final = 64
SIZES: Final = 1 << 63  # sizes of trees are below

_LENGTH: Final = 2
_HEAD: Final = re.compile(rb"[^\n]+\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n")


class TileError(ValueError):
    """A directory that is no such log: which *path*, what was *expected* there and *found*."""

    def __init__(self, message: str, *, path: str, expected: Any, found: Any) -> None:
        super().__init__(message)
        self.path = path
        self.expected = expected
        self.found = found


def tile_path(level: int, n: int, width: int = TILE) -> str:
    """Where tile *n* of *level* is, relative to the log.

    >>> tile_path(0, 1_234_067)
    'tile/0/x001/x234/067'
    >>> tile_path(1, 0, 17)
    'tile/1/000.p/17'

    Raises:
        TileError: there are no such tiles.
    """
    if not 0 <= level < LEVELS:
        raise TileError(
            f"there are no tiles at level {level}, only at 0 to {LEVELS - 1}",
            path="tile",
            expected=f"0 <= level < {LEVELS}",
            found=level,
        )
    return f"tile/{level}/{_numbered(n, width)}"


def bundle_path(n: int, width: int = TILE) -> str:
    """Where the entries of tile *n* of level 0 are.

    >>> bundle_path(3, 112)
    'tile/entries/003.p/112'

    Raises:
        TileError: there is no such bundle.
    """
    return f"tile/entries/{_numbered(n, width)}"


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The bytes of an entry bundle.

    >>> encode_bundle([b"tea", b""]).hex(" ")
    '00 03 74 65 61 00 00'

    Raises:
        TileError: an entry is longer than its length can say.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > ENTRY_BYTES:
            raise TileError(
                f"an entry of a log has at most {ENTRY_BYTES} bytes, not {len(entry)}",
                path="tile/entries",
                expected=ENTRY_BYTES,
                found=len(entry),
            )
        parts += (len(entry).to_bytes(_LENGTH, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int, path: str = "tile/entries") -> list[bytes]:
    """The *width* entries of a bundle; *path* is for the message.

    Raises:
        TileError: *data* holds fewer, or more.
    """
    entries, at = [], 0
    for number in range(width):
        start = at + _LENGTH
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or start > len(data):
            raise TileError(
                f"{path} is truncated: it ends within its entry {number} of {width}",
                path=path,
                expected=at,
                found=len(data),
            )
        entries.append(data[start:at])
    if at != len(data):
        raise TileError(
            f"{path} is too long: its {width} entries take {at} bytes of {len(data)}",
            path=path,
            expected=at,
            found=len(data),
        )
    return entries


def size_and_root(checkpoint: bytes) -> tuple[int, bytes]:
    """What the lines of a checkpoint say, whoever signed it.

    Raises:
        TileError: it has no such lines.
    """
    head = _HEAD.match(checkpoint)
    size = int(head[1]) if head else SIZES
    root = base64.b64decode(head[2]) if head else b""
    if head is None or size >= SIZES or base64.b64encode(root) != head[2]:
        raise TileError(
            "the checkpoint does not begin with an origin, a size and a root",
            path=CHECKPOINT,
            expected="three lines: origin, decimal size below 2^63, base64 of 32 bytes",
            found=checkpoint[:200],
        )
    return size, root


class Reader:
    """A log in a directory, at the checkpoint that it had when that was first asked for.

    No signature, root or hash is checked here: that is what the verifier does with what is read.

    Raises:
        TileError: of every method: a file is missing, truncated or too long.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._checkpoint: bytes | None = None

    def __repr__(self) -> str:
        return f"Reader({str(self.directory)!r})"

    def checkpoint(self) -> bytes:
        """The signed note, as it is; the same at each call."""
        if self._checkpoint is None:
            self._checkpoint = self._needed(CHECKPOINT, 1, CHECKPOINT_BYTES)
        return self._checkpoint

    @property
    def size(self) -> int:
        """The size that the checkpoint says."""
        return size_and_root(self.checkpoint())[0]

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The entries start <= n < stop, by default to the last, one bundle at a time."""
        size = self.size
        stop = size if stop is None else stop
        if not 0 <= start <= stop <= size:
            raise TileError(
                f"a log of {size} entries has none from {start} to {stop}",
                path=str(self.directory),
                expected=f"0 <= start <= stop <= {size}",
                found=(start, stop),
            )
        return self._stream(start, stop, size)

    def bundle(self, n: int, width: int = TILE) -> list[bytes]:
        """The first *width* entries of bundle *n*; out of the full one when the partial is gone."""
        found, data, name = self._tile(
            bundle_path(n, width), bundle_path(n), width, _LENGTH, _LENGTH + ENTRY_BYTES
        )
        return decode_bundle(data, found, name)[:width]

    def hash_tile(self, level: int, n: int, width: int = TILE) -> list[bytes]:
        """The first *width* hashes of a tile; out of the full one when the partial is gone."""
        _, data, _ = self._tile(
            tile_path(level, n, width), tile_path(level, n), width, HASH_BYTES, HASH_BYTES
        )
        return [data[at : at + HASH_BYTES] for at in range(0, width * HASH_BYTES, HASH_BYTES)]

    def nodes(self) -> Nodes:
        """The nodes of its tree, for `inclusion_path` and `consistency_path`."""
        size = self.size

        def row(level: int, start: int, stop: int) -> list[bytes]:
            width = min(stop, size >> level) - start
            return self.hash_tile(level // TILE_LEVELS, start // TILE, width) if width > 0 else []

        return Nodes(lambda start, stop: row(0, start, stop), row)

    def _stream(self, start: int, stop: int, size: int) -> Iterator[bytes]:
        for first in range(start - start % TILE, stop, TILE):
            bundle = self.bundle(first // TILE, min(TILE, size - first))
            yield from bundle[max(start - first, 0) : stop - first]

    def _tile(
        self, partial: str, full: str, width: int, smallest: int, largest: int
    ) -> tuple[int, bytes, str]:
        """How many members were found, their bytes, and where."""
        data = self._file(partial, smallest * width, largest * width) if width < TILE else None
        if data is not None:
            return width, data, partial
        data = self._file(full, smallest * TILE, largest * TILE)
        if data is None:
            raise self._missing(partial, smallest * width, largest * width)
        return TILE, data, full

    def _needed(self, name: str, smallest: int, largest: int) -> bytes:
        data = self._file(name, smallest, largest)
        if data is None:
            raise self._missing(name, smallest, largest)
        return data

    def _file(self, name: str, smallest: int, largest: int) -> bytes | None:
        """The bytes of a file of such a size, None when there is none."""
        path = self.directory / name
        try:
            status = path.stat()
            found = status.st_size
            if not stat.S_ISREG(status.st_mode):
                raise self._odd(name, smallest, largest, "no file of bytes")
            if not smallest <= found <= largest:
                raise self._odd(name, smallest, largest, f"{found} bytes")
            with path.open("rb") as file:
                data = file.read(found + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._odd(name, smallest, largest, error.strerror or str(error)) from error
        if len(data) != found:
            raise self._odd(name, smallest, largest, "a file that changes while it is read")
        return data

    def _missing(self, name: str, smallest: int, largest: int) -> TileError:
        return self._odd(name, smallest, largest, "no file")

    def _odd(self, name: str, smallest: int, largest: int, found: str) -> TileError:
        path = str(self.directory / name)
        wanted = f"{smallest} bytes" if smallest == largest else f"{smallest} to {largest} bytes"
        return TileError(
            f"{path} has to be {wanted}: found {found}", path=path, expected=wanted, found=found
        )


def _numbered(n: int, width: int) -> str:
    if n < 0 or not 1 <= width <= TILE:
        raise TileError(
            f"there is no tile {n} of width {width}",
            path="tile",
            expected=f"0 <= n, 1 <= width <= {TILE}",
            found=(n, width),
        )
    parts = [f"{n % 1000:03d}"]
    while n := n // 1000:
        parts.insert(0, f"x{n % 1000:03d}")
    return "/".join(parts) + (f".p/{width}" if width < TILE else "")
