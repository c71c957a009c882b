"""Which facts a database value shows: the coordinates of both time axes, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from persistence.datoms.interval import Interval
from persistence.datoms.rectangles import FactRow, Payload
from persistence.values import Keyword

# (branch, base): a branch, and the t up to which its descendant sees it
Ancestor = tuple[int, int]
# (e, a, k, payload, t0): a stored assert of which a speculation cuts some rectangle
Hidden = tuple[int, int, int, Payload, int]


@attrs.frozen(eq=False, repr=False)
class Overlay:
    """What speculative transactions would have written on top of a stored basis.

    Where they cut a rectangle, all rectangles of the same assert that are live at the base are
    hidden, and what takes their place, closed pieces included, stands in `rows`: later commits
    cut stored rectangles anew, but never change what an assert covered as of the base. `times`
    tells the instant of each speculative transaction by its t.
    """

    base: int
    hidden: frozenset[Hidden] = frozenset()
    rows: tuple[FactRow, ...] = ()
    numbers: Mapping[Keyword, int] = attrs.field(factory=dict)
    blobs: Mapping[bytes, bytes] = attrs.field(factory=dict)
    times: Mapping[int, int] = attrs.field(factory=dict)
    next_e: int = 0


@attrs.frozen
class View:
    """The coordinates of a database value.

    `basis` is a t, `instant` and `between` are microseconds of valid time. `pinned` tells
    whether the instant was asked for or is only the moment at which the value was taken. A
    branch shows its own facts and, as of its base, those of the line it came from: `ancestors`
    names that line, the nearest first.
    """

    basis: int
    instant: int
    pinned: bool = False
    branch: int = 0
    ancestors: tuple[Ancestor, ...] = ()
    since: int | None = None
    history: bool = False
    between: Interval | None = None
    overlay: Overlay | None = None

    def as_of(self, t: int) -> View:
        """This view as of *t*, on the branch of its line that had begun by then."""
        branch, ancestors = at_basis(self.branch, self.ancestors, t)
        return attrs.evolve(self, basis=t, branch=branch, ancestors=ancestors)


def at_basis(
    branch: int, ancestors: tuple[Ancestor, ...], t: int
) -> tuple[int, tuple[Ancestor, ...]]:
    """The branch of a line that stands at *t*, and its own ancestors."""
    while ancestors and t <= ancestors[0][1]:
        branch, ancestors = ancestors[0][0], ancestors[1:]
    return branch, ancestors
