"""Writes the log into a directory of tiles, and extends it there.

A bundle at a time, so that a million entries take no more memory than one; each file as a whole,
and the checkpoint last, so that what a reader finds under a checkpoint is there. The directory of
an earlier export is gone on with only when it holds the beginning of the same log.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from persistence.audit.merkle import EMPTY_ROOT, TILE, TILE_LEVELS, leaf_hash, tree_hash
from persistence.audit.tiles import (
    CHECKPOINT,
    CHECKPOINT_BYTES,
    LEVELS,
    Reader,
    TileError,
    bundle_path,
    encode_bundle,
    size_and_root,
    tile_path,
)


def kept(directory: str | Path) -> int:
    """How many entries of an earlier export `write` may leave out: those in full bundles.

    Raises:
        TileError: there is a checkpoint, and it cannot be read.
    """
    return _whole(_exported(Path(directory))[0])


def write(
    directory: str | Path,
    size: int,
    entries: Iterable[bytes],
    checkpoint: bytes,
    *,
    start: int = 0,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Writes the log of *size* entries, or extends what an earlier call wrote.

    *entries* are those from *start* on, which is 0 or what `kept` says. Full tiles of an earlier
    export are left as they are; each file appears whole, and the checkpoint after all others is
    safe on disk: what a reader finds under a checkpoint is complete, also after a power cut.
    *progress* is told, after each bundle, how far it came.

    Raises:
        TileError: the entries are not those of the checkpoint, or not those of the checkpoint
            already there, or that is of a larger log. The old checkpoint then stays.
        OSError: the directory cannot be written.
    """
    directory = Path(directory)
    old_size, old_root = _exported(directory)
    root = _check_claim(size, checkpoint, old_size)
    if start not in (0, _whole(old_size)):
        raise TileError(
            f"an export into {directory} goes on from entry {_whole(old_size)}, not {start}",
            path=str(directory),
            expected=_whole(old_size),
            found=start,
        )
    source, above, files = iter(entries), _above(directory, start), _Files(directory, old_size)
    last: list[bytes] = []
    for at in range(start, size + 1, TILE):  # the last bundle is partial, and may be empty
        bundle = list(islice(source, min(TILE, size - at)))
        last = [leaf_hash(entry) for entry in bundle]
        if len(last) < min(TILE, size - at):
            raise _wrong_count(size, at + len(last))
        if at == _whole(old_size):
            _check_root(directory, old_size, old_root, _root([last[: old_size - at], *above]))
        if bundle:
            files.put_bundle(at // TILE, bundle)
            files.put_tile(0, at // TILE, last)
        if len(last) == TILE:
            _carry(above, tree_hash(last), at, files)
        if progress is not None:
            progress(at + len(last))
    if next(source, None) is not None:
        raise _wrong_count(size, f"more than {size}")
    for level, hashes in enumerate(above, 1):
        if hashes:
            files.put_tile(level, size >> TILE_LEVELS * (level + 1), hashes)
    partial = last if len(last) < TILE else []
    _check_root(directory, size, root, _root([partial, *above]))
    files.settle()
    files.put(CHECKPOINT, checkpoint)
    files.settle()


class _Files:
    """Puts whole files into the directory, but no full tile again that was there before."""

    def __init__(self, directory: Path, old_size: int) -> None:
        self.directory = directory
        self.old_size = old_size
        self.changed: set[Path] = set()

    def put_tile(self, level: int, n: int, hashes: list[bytes]) -> None:
        if not self._there(level, n):
            self.put(tile_path(level, n, len(hashes)), b"".join(hashes))

    def put_bundle(self, n: int, entries: list[bytes]) -> None:
        if not self._there(0, n):
            self.put(bundle_path(n, len(entries)), encode_bundle(entries))

    def put(self, name: str, data: bytes) -> None:
        path = self.directory / name
        # Beside it, so that renaming moves no bytes; opened plainly, so that a server may read it.
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        self.changed.update(self.directory / above for above in Path(name).parents)

    def settle(self) -> None:
        """Has the names of what was put so far survive a power cut, as its bytes do."""
        for folder in self.changed:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        self.changed.clear()

    def _there(self, level: int, n: int) -> bool:
        return (n + 1) << TILE_LEVELS * (level + 1) <= self.old_size


def _carry(above: list[list[bytes]], node: bytes, at: int, files: _Files) -> None:
    """Adds the root of the full tile that begins at entry *at*, and of those that it fills."""
    for level in range(1, LEVELS):
        if len(above) < level:
            above.append([])
        hashes = above[level - 1]
        hashes.append(node)
        if len(hashes) < TILE:
            return
        files.put_tile(level, at >> TILE_LEVELS * (level + 1), hashes)
        node = tree_hash(hashes)
        above[level - 1] = []


def _above(directory: Path, start: int) -> list[list[bytes]]:
    """The unfinished tiles of the levels above 0 in a tree of *start* leaves."""
    reader, found, level = Reader(directory), [], 1
    while (count := start >> TILE_LEVELS * level) > 0:
        width = count % TILE
        found.append(reader.hash_tile(level, count // TILE, width) if width else [])
        level += 1
    return found


def _root(rows: list[list[bytes]]) -> bytes:
    """The root over unfinished tiles, from level 0 up: the tree of each is the last of the next."""
    below: list[bytes] = []
    for hashes in rows:
        if hashes or below:
            below = [tree_hash([*hashes, *below])]
    return below[0] if below else EMPTY_ROOT


def _whole(size: int) -> int:
    return size - size % TILE


def _exported(directory: Path) -> tuple[int, bytes]:
    """Size and root of the checkpoint that is there; those of no entries when there is none."""
    if not (directory / CHECKPOINT).exists():
        return 0, EMPTY_ROOT
    return size_and_root(Reader(directory).checkpoint())


def _check_claim(size: int, checkpoint: bytes, old_size: int) -> bytes:
    stated, root = size_and_root(checkpoint)
    if stated != size or len(checkpoint) > CHECKPOINT_BYTES:
        raise TileError(
            f"this is no checkpoint of {size} entries, but of {stated}, in {len(checkpoint)} bytes",
            path=CHECKPOINT,
            expected=size,
            found=stated,
        )
    if old_size > size:
        raise TileError(
            f"a log of {old_size} entries is exported there already, and this one has {size}",
            path=CHECKPOINT,
            expected=f"at least {old_size}",
            found=size,
        )
    return root


def _check_root(directory: Path, size: int, expected: bytes, found: bytes) -> None:
    if found != expected:
        raise TileError(
            f"the {size} entries for {directory} are not those of the checkpoint of that size",
            path=str(directory),
            expected=expected.hex(),
            found=found.hex(),
        )


def _wrong_count(size: int, found: Any) -> TileError:
    return TileError(
        f"the checkpoint is of {size} entries, but there are {found}",
        path=CHECKPOINT,
        expected=size,
        found=found,
    )
