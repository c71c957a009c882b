"""How a branch takes over what it inherited.

A branch never touches the rows of the line it came from. When it cuts a fact of theirs, it makes
the fact its own: all of its live rectangles are copied, cut, into the branch's segments, and from
then on the branch, and what branches off from it, no longer read the fact any further up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from persistence.datoms.rectangles import Cuts, Live, Payload, fact_row
from persistence.datoms.schema import BOUNDED, CLOSED, OPEN, OWNING

# (branch, a, e, k, payload)
Owned: TypeAlias = tuple[int, int, int, int, Payload]


def adopt(
    branch: int,
    cuts: Cuts,
    inherited: AbstractSet[Live],
    indexed: Mapping[int, int],
    whole: Callable[[Iterable[tuple[int, int]]], list[Live]],
) -> list[Owned]:
    """Turns *cuts* of rectangles that *branch* inherited into copies, and gives the facts that
    become its own by it.

    *whole* reads all live rectangles of cells (e, a) and adds to *inherited* those that are so.
    """
    strange = {(a, e, vt, k, payload, t0) for e, a, k, payload, _, vt, t0 in inherited}
    cut = {key[1:] for key in cuts.remove if key[1:] in strange}
    if not cut:
        return []
    cuts.remove = [key for key in cuts.remove if key[1:] not in cut]
    facts = {(a, e, k, payload) for a, e, _, k, payload, _ in cut}
    for row in whole({(e, a) for a, e, _, _ in facts}):
        e, a, k, payload, vf, vt, t0 = row
        if row not in inherited or (a, e, k, payload) not in facts:
            continue
        if (a, e, vt, k, payload, t0) not in cut:
            ix = indexed.get(a, 0)
            cuts.insert.append(fact_row(branch, a, e, k, payload, vf, vt, t0, ix))
    return [(branch, *fact) for fact in facts]


def segment_flags(cuts: Cuts, owned: Iterable[Owned], branch: int) -> dict[int, int]:
    """The flags of attributes that *cuts* switch on, by attribute."""
    flags: dict[int, int] = {}
    for row in cuts.insert:
        flag = _FLAGS[row[0] % 3] if branch or row[0] % 3 else 0
        if flag:
            flags[row[1]] = flags.get(row[1], 0) | flag
    for _, a, *_ in owned:
        flags[a] = flags.get(a, 0) | OWNING
    return flags


_FLAGS: Final = (OPEN, BOUNDED, CLOSED)
