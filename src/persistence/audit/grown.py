"""The tree over the entries of an export, grown anew and held against the tiles of hashes there.

One tile of each level is kept. Imports the standard library and its neighbours only.
"""

from __future__ import annotations

from persistence.audit.merkle import TILE, TILE_LEVELS, Frontier, tree_hash
from persistence.audit.report import Findings
from persistence.audit.tiles import Reader, TileError, tile_path


class Tiles:
    """The tree as it grows, a tile at a time, against the tiles of hashes in the export."""

    def __init__(self, reader: Reader, findings: Findings) -> None:
        self.reader, self.findings = reader, findings
        self.size = 0
        self._rows: list[list[bytes]] = [[]]  # by level, the hashes of the tile that is not full
        self._above = Frontier()  # of full tiles of level 0

    def add(self, leaves: list[bytes]) -> None:
        """The next 256 leaves, or at the end the last ones."""
        self.size += len(leaves)
        self._rows[0] = leaves
        level = 0
        while len(self._rows[level]) == TILE:
            self._compare(level)
            node, self._rows[level] = tree_hash(self._rows[level]), []
            if level == 0:
                self._above = self._above.extend([node])
            level += 1
            if level == len(self._rows):
                self._rows.append([])
            self._rows[level].append(node)

    def finish(self) -> None:
        """Compares the tiles at the right end."""
        for level, row in enumerate(self._rows):
            if row:
                self._compare(level)

    def frontier(self) -> Frontier:
        """The tree so far."""
        rest = Frontier().extend(self._rows[0])
        return Frontier(self.size, self._above.peaks + rest.peaks)

    def _compare(self, level: int) -> None:
        """Holds the last tile of *level* against that of the export."""
        row = self._rows[level]
        n = (self.size - 1) >> TILE_LEVELS * (level + 1)
        name = tile_path(level, n, len(row))
        first = n << TILE_LEVELS * (level + 1)
        try:
            found = self.reader.hash_tile(level, n, len(row))
        except TileError as error:
            self.findings.add(first, name, str(error.expected), str(error.found))
            return
        if found != row:
            slot = next(at for at, (x, y) in enumerate(zip(found, row, strict=True)) if x != y)
            at = first + (slot << TILE_LEVELS * level)
            self.findings.add(at, f"{name}, hash {slot}", row[slot].hex(), found[slot].hex())
