"""Finds what a SQLite file holds beside its content, so that it can be overwritten with zeros.

SQLite leaves what is deleted where it was. A file consists of pages, and what counts in a page is
named by the page itself (the file format of SQLite, sections 1.5 to 1.7); everything else is slack
that no reader ever looks at:

    b-tree page      between the cell pointers and the first cell, and in its free blocks
    overflow page    after the end of the chain's payload
    free page        all of it; of a trunk of the free list, what follows its entries

What remains are fragments of at most three bytes between two cells.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from struct import Struct
from typing import Final

import attrs

_B_TREE: Final = {2: 12, 5: 12, 10: 8, 13: 8}  # the type of a page: the length of its header
_LOCK_BYTE: Final = 2**30  # the page at this place holds nothing
_FILE_HEADER: Final = 100
_PAIR: Final = Struct(">HH")
_PLACES: Final = Struct(">HHH")
_NUMBERS: Final = Struct(">II")


class UnknownLayout(ValueError):
    """A file, or a page of it, that is not as SQLite writes it for a store."""


@attrs.frozen
class Layout:
    """What tells slack from content: the size of a page, and of each page that is no b-tree page
    how many bytes at its start count."""

    page: int
    counted: Mapping[int, int]

    @classmethod
    def of(cls, read: Callable[[int, int], bytes], overflow: Iterable[tuple[int, int]]) -> Layout:
        """The layout of the file that *read* gives so many bytes of, from a place on.

        *overflow* are the numbers of the overflow pages, and the unused bytes of each.

        Raises:
            UnknownLayout: the file has pages of kinds that a store never has.
        """
        header = read(_FILE_HEADER, 0)
        page = int.from_bytes(header[16:18]) or 65_536
        page = 65_536 if page == 1 else page
        if header[20] or any(header[52:56]):
            raise UnknownLayout("reserved bytes, or pages that map others")
        counted = {number: page - unused for number, unused in overflow}
        following = int.from_bytes(header[32:36])
        while following:
            if following in counted:
                raise UnknownLayout("the list of free pages is damaged")
            data = read(page, (following - 1) * page)
            number, (following, count) = following, _NUMBERS.unpack_from(data)
            end = _NUMBERS.size + 4 * count
            if end > page:
                raise UnknownLayout("the list of free pages is damaged")
            counted[number] = end
            free = struct.unpack_from(f">{count}I", data, _NUMBERS.size)
            counted.update(dict.fromkeys(free, 0))
        return cls(page, counted)

    def cleaned(self, number: int, data: bytearray, at: int) -> bool:
        """Zeroes the slack of page *number*, which is in *data* from *at* on.

        Tells whether there was anything to zero.

        Raises:
            UnknownLayout: this is no page that SQLite would have written.
        """
        end = at + self.page
        counted = self.counted.get(number)
        if counted is not None:
            return _zeroed(data, at + counted, end)
        kind = at + (_FILE_HEADER if number == 1 else 0)
        header = _B_TREE.get(data[kind])
        if header is None:
            if (number - 1) * self.page == _LOCK_BYTE:
                return False
            raise UnknownLayout(f"page {number} is of no known kind")
        block, cells, start = _PLACES.unpack_from(data, kind + 1)
        pointers, first = kind + header + 2 * cells, at + (start or 65_536)
        if not pointers <= first <= end:
            raise UnknownLayout(f"page {number} is damaged")
        found = _zeroed(data, pointers, first)
        lowest = first - at
        while block:
            following, size = _PAIR.unpack_from(data, at + block)
            if block < lowest or size < _PAIR.size or block + size > self.page:
                raise UnknownLayout(f"the free blocks of page {number} are damaged")
            found |= _zeroed(data, at + block + _PAIR.size, at + block + size)
            lowest, block = block + size, following
        return found


def _zeroed(data: bytearray, start: int, end: int) -> bool:
    size = end - start
    if size <= 0 or data.count(0, start, end) == size:
        return False
    data[start:end] = bytes(size)
    return True
