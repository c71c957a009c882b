"""The Merkle tree of the log: one root for all its entries, and short proofs from one to the other.

Its shape is that of RFC 6962 section 2.1, so that any implementation of that tree checks ours. A
tree of n leaves is a row of complete subtrees, biggest first, one for each bit that n has. These
roots, its *frontier*, are all that growing it takes; a path to a leaf takes one hash a level.

Nodes are found through a `Read`, `read(level, index)`: the hash of the complete subtree over
the leaves [index << level, (index + 1) << level). Imports the standard library only, because the
standalone verifier does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

HASH_BYTES: Final = 32
TILE: Final = 256  # hashes of one level that are read and kept together
TILE_LEVELS: Final = 8  # by so many levels a tile's root is above its hashes
EMPTY_ROOT: Final = sha256(b"").digest()

Read = Callable[[int, int], bytes]
Node = tuple[int, int, bytes]  # level, index, hash


class ProofError(ValueError):
    """A proof that proves nothing, or something else: *where*, what was *expected* and *found*."""

    def __init__(
        self, message: str, *, where: str, expected: Any = None, found: Any = None
    ) -> None:
        super().__init__(message)
        self.where = where
        self.expected = expected
        self.found = found


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one leaf (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node over two subtrees (RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """The root over already hashed *leaves* (RFC 6962 section 2.1).

    Pairing neighbours level by level and carrying an odd last one up gives the same tree as the
    recursive definition, which splits at the largest power of two.
    """
    if not leaves:
        return EMPTY_ROOT
    level: Sequence[bytes] = leaves
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def _level_above(level: Sequence[bytes]) -> list[bytes]:
    """The hashes of neighbours, and an odd last one as it is."""
    hashed, row = sha256, iter(level)
    paired = [
        hashed(b"\x01" + left + right).digest() for left, right in zip(row, row, strict=False)
    ]
    if len(level) & 1:
        paired.append(level[-1])
    return paired


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree as the roots of its complete subtrees, left to right and biggest first.

    >>> tree = Frontier().extend([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
    >>> tree.size, len(tree.peaks)
    (3, 2)
    >>> tree.root() == tree_hash([leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")])
    True

    Raises:
        ProofError: there are not as many peaks as *size* has bits.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ProofError(
                f"a tree of {self.size} leaves has no {len(self.peaks)} peaks",
                where="frontier",
                expected=self.size.bit_count(),
                found=len(self.peaks),
            )

    @classmethod
    def of(cls, size: int, read: Read) -> Frontier:
        """The frontier of the first *size* leaves."""
        return cls(size, tuple(_complete(0, size, read)))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """The tree with the hashes *leaves* after those that it has."""
        return self.grown(leaves)[0]

    def grown(self, leaves: Iterable[bytes]) -> tuple[Frontier, list[Node]]:
        """`extend`, and the nodes at levels 8, 16, 24 … that became complete by it, in order.

        They are what `Nodes` wants stored.
        """
        size, peaks, complete = self.size, list(self.peaks), []
        for leaf in leaves:
            size += 1
            node, level, carry = leaf, 0, size
            while not carry & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                level += 1
                carry >>= 1
                if level % TILE_LEVELS == 0:
                    complete.append((level, carry - 1, node))
            peaks.append(node)
        return Frontier(size, tuple(peaks)), complete

    def root(self) -> bytes:
        """The root of the whole tree; of no leaves, the hash of nothing."""
        return _folded(self.peaks) if self.peaks else EMPTY_ROOT


def inclusion_path(index: int, size: int, read: Read) -> list[bytes]:
    """The siblings from leaf *index* up to the root over *size* leaves (RFC 6962 section 2.1.1).

    >>> leaves = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
    >>> path = inclusion_path(2, 3, Nodes.of(leaves))
    >>> check_inclusion(leaves[2], 2, 3, path, tree_hash(leaves))

    Raises:
        ProofError: there is no such leaf.
    """
    _check_index(index, size)
    return _path(0, index, size, read)


def consistency_path(old: int, new: int, read: Read) -> list[bytes]:
    """What shows that the tree of *new* leaves begins with that of *old* (RFC 6962 section 2.1.2).

    Raises:
        ProofError: not 0 < old <= new.
    """
    _check_sizes(old, new)
    if old == new:
        return []
    level, index = _last_peak(old)
    path = _path(level, index, new, read)
    # The subtree that is the whole old tree is known to who checks.
    return [read(level, index), *path] if index else path


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that *path* leads to from the hash *leaf* of leaf *index* of *size*.

    Raises:
        ProofError: there is no such leaf, or *path* has not its shape.
    """
    _check_index(index, size)
    _check_hash(leaf, "leaf")
    _check_path(path, path_length(index, size))
    return _climbed(leaf, 0, index, size, path)[0]


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Passes when *path* shows that *leaf* is leaf *index* of the tree of *size* with *root*.

    Raises:
        ProofError: it does not show it, or has not the shape of such a path.
    """
    _check_hash(root, "root")
    found = root_from_inclusion(leaf, index, size, path)
    _check_root(found, root, f"the path of leaf {index} of {size}")


def check_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Passes when *path* shows that the tree of *new* leaves begins with that of *old*.

    Between equal sizes the path is empty and the roots are the same. That a tree begins with no
    leaf is true of every tree, so it is refused as a claim.

    Raises:
        ProofError: it does not show it, has not the shape of such a path, or not 0 < old <= new.
    """
    _check_sizes(old, new)
    _check_hash(old_root, "old root")
    _check_hash(new_root, "new root")
    if old == new:
        _check_path(path, 0)
        _check_root(old_root, new_root, f"the consistency of {old} with {new}")
        return
    level, index = _last_peak(old)
    _check_path(path, path_length(index, ((new - 1) >> level) + 1) + (index > 0))
    start, rest = (path[0], path[1:]) if index else (old_root, path)
    found_new, found_old = _climbed(start, level, index, new, rest)
    _check_root(found_old, old_root, f"the consistency of {old} with {new}, for the old tree")
    _check_root(found_new, new_root, f"the consistency of {old} with {new}, for the new tree")


def path_length(index: int, size: int) -> int:
    """How many hashes the path of leaf *index* in a tree of *size* has."""
    inner = _inner(index, size - 1)
    return inner + (index >> inner).bit_count()


class Nodes:
    """Reads nodes out of tiles of 256 hashes, each fetched once: a path takes one for 8 levels.

    *leaves(start, stop)* gives leaf hashes, *stored(level, start, stop)* those of the complete
    subtrees at the levels 8, 16, 24 …; both give fewer where the tree ends. The tree may grow
    meanwhile, but not change.

    Raises:
        ProofError: of a call, when the hash is not there.
    """

    KEPT: Final = 64  # tiles, of about 40 kB: some paths of the largest tree

    def __init__(
        self,
        leaves: Callable[[int, int], Sequence[bytes]],
        stored: Callable[[int, int, int], Sequence[bytes]],
    ) -> None:
        self._leaves = leaves
        self._stored = stored
        self._tiles: dict[tuple[int, int], list[Sequence[bytes]]] = {}

    @classmethod
    def of(cls, leaves: Sequence[bytes]) -> Nodes:
        """The nodes over *leaves*, which are all there are."""
        rows: dict[int, list[bytes]] = {}
        for level, _, node in Frontier().grown(leaves)[1]:
            rows.setdefault(level, []).append(node)
        return cls(
            lambda start, stop: leaves[start:stop],
            lambda level, start, stop: rows.get(level, [])[start:stop],
        )

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree over leaves [index << level, (index + 1) << level)."""
        above = level % TILE_LEVELS
        base = level - above
        n, slot = divmod(index, TILE >> above)
        rows = self._tiles.get((base, n)) or self._fetch(base, n)
        if len(rows[0]) < (slot + 1) << above:  # the end of the tree when it was fetched
            rows = self._fetch(base, n)
            if len(rows[0]) < (slot + 1) << above:
                raise ProofError(
                    f"the tree has no complete node {index} at level {level}",
                    where=f"tile {n} at level {base}",
                    expected=(slot + 1) << above,
                    found=len(rows[0]),
                )
        while len(rows) <= above:
            rows.append(_level_above(rows[-1]))
        return rows[above][slot]

    def _fetch(self, base: int, n: int) -> list[Sequence[bytes]]:
        start, stop = n * TILE, (n + 1) * TILE
        found = self._stored(base, start, stop) if base else self._leaves(start, stop)
        if len(self._tiles) >= self.KEPT:
            self._tiles.pop(next(iter(self._tiles)))
        rows = self._tiles[base, n] = [found]
        return rows


def _path(level: int, index: int, size: int, read: Read) -> list[bytes]:
    """The siblings of node *index* of *level*, from it up to the root over *size* leaves.

    Below the level where it parts from the path of the last leaf every sibling is complete; there
    the sibling is the tree's right end; above, only those on the left are left.
    """
    last = (size - 1) >> level
    inner = _inner(index, last)
    path = [read(level + up, (index >> up) ^ 1) for up in range(inner - 1)]
    if inner:
        at = level + inner - 1
        path.append(_folded(_complete((last >> (inner - 1)) << at, size, read)))
    for up in range(inner, index.bit_length()):
        if index >> up & 1:
            path.append(read(level + up, (index >> up) - 1))
    return path


def _climbed(
    node: bytes, level: int, index: int, size: int, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The root that *path* gives, and that of the tree which ends with the node it starts from."""
    inner = _inner(index, (size - 1) >> level)
    whole = ending = node
    for up, sibling in enumerate(path):
        if up >= inner or index >> up & 1:
            whole, ending = node_hash(sibling, whole), node_hash(sibling, ending)
        else:
            whole = node_hash(whole, sibling)
    return whole, ending


def _complete(start: int, stop: int, read: Read) -> list[bytes]:
    """The roots of the complete subtrees that make up leaves [start, stop), biggest first."""
    found = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        found.append(read(level, start >> level))
        start += 1 << level
    return found


def _folded(peaks: Sequence[bytes]) -> bytes:
    root = peaks[-1]
    for peak in peaks[-2::-1]:
        root = sha256(b"\x01" + peak + root).digest()
    return root


def _inner(index: int, last: int) -> int:
    """How many levels up the path of *index* joins that of the *last* one."""
    return (index ^ last).bit_length()


def _last_peak(size: int) -> tuple[int, int]:
    """Level and index of the smallest complete subtree that a tree of *size* ends with."""
    level = (size & -size).bit_length() - 1
    return level, (size >> level) - 1


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ProofError(
            f"a tree of {size} leaves has no leaf {index}",
            where="index",
            expected=f"0 <= index < {size}",
            found=index,
        )


def _check_sizes(old: int, new: int) -> None:
    if not 0 < old <= new:
        raise ProofError(
            f"from {old} to {new} leaves there is nothing to prove: "
            "a tree has at least one leaf, and does not shrink",
            where="sizes",
            expected=f"0 < old <= {new}",
            found=old,
        )


def _check_path(path: Sequence[bytes], length: int) -> None:
    if len(path) != length:
        raise ProofError(
            f"this path has {len(path)} hashes, where these sizes want {length}",
            where="path",
            expected=length,
            found=len(path),
        )
    for place, node in enumerate(path):
        _check_hash(node, f"path[{place}]")


def _check_hash(node: object, where: str) -> None:
    if not isinstance(node, bytes) or len(node) != HASH_BYTES:
        raise ProofError(
            f"{where} is no hash of {HASH_BYTES} bytes",
            where=where,
            expected=HASH_BYTES,
            found=len(node) if isinstance(node, bytes) else type(node).__name__,
        )


def _check_root(found: bytes, expected: bytes, what: str) -> None:
    if found != expected:
        raise ProofError(
            f"{what} leads to another root",
            where=what,
            expected=expected.hex(),
            found=found.hex(),
        )
