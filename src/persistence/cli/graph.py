"""Draws the lines of all branches beside one another, from the newest transaction to the oldest.

Every branch has a column of its own. A column begins at the newest transaction of its branch, or
where it was merged into another one, and joins that of its parent where the branch began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Self

import attrs
from rich.text import Text

from persistence.branches import Line
from persistence.datoms import bootstrap as boot
from persistence.transactions import Transaction

_COLOURS: Final = ("green", "yellow", "blue", "magenta", "cyan", "red")

# A drawn row, its transaction (None for a mere line), and the branches that stand at it.
Row = tuple[Text, Transaction | None, Sequence[str]]


@attrs.frozen
class Lines:
    """All branches by number, and the numbers of those they came from."""

    by_number: Mapping[int, Line]
    parents: Mapping[int, int]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Self:
        """*lines* in the order of their numbers; a name that was used again means the last."""
        numbers: dict[str | None, int] = {}
        parents: dict[int, int] = {}
        by_number: dict[int, Line] = {}
        for one in sorted(lines, key=lambda line: line.number):
            parents[one.number] = numbers.get(one.parent, 0)
            numbers[one.name] = one.number
            by_number[one.number] = one
        return cls(by_number, parents)

    def name(self, number: int) -> str:
        """The name of a branch."""
        known = self.by_number.get(number)
        return str(number) if known is None else known.name

    def at(self, number: int, t: int) -> int:
        """The branch that stands at *t* on the line of a branch."""
        while number and t <= self.by_number[number].base:
            number = self.parents[number]
        return number


def draw(newest_first: Iterable[Transaction], lines: Lines) -> Iterator[Row]:
    """The rows of a graph of transactions."""
    columns = _Columns(lines)
    tips = {one.number: one.number for one in lines.by_number.values() if not one.discarded}
    for tx in newest_first:
        for joined in columns.joined(tx.t):
            yield joined, None, ()
        place = columns.place(tx.branch)
        here = [number for number in tips if lines.at(number, tx.t) == tx.branch]
        for number in here:
            del tips[number]
        yield columns.node(place), tx, [lines.name(number) for number in here]
        merged = tx.meta.get(boot.BRANCH_MERGED)
        if type(merged) is int and merged in lines.by_number:
            yield columns.merged(place, lines.at(merged, tx.t - 1)), None, ()


@attrs.define
class _Columns:
    """The branch that each column follows; None where it is free. The first is the main line's."""

    lines: Lines
    branches: list[int | None] = attrs.field(factory=lambda: [None])

    def place(self, branch: int) -> int:
        """The column of a branch, a new one where it has none."""
        if branch in self.branches:
            return self.branches.index(branch)
        if not branch:
            self.branches[0] = branch
            return 0
        free = [at for at, held in enumerate(self.branches) if held is None and at]
        if not free:
            free = [len(self.branches)]
            self.branches.append(None)
        self.branches[free[0]] = branch
        return free[0]

    def joined(self, t: int) -> Iterator[Text]:
        """The rows in which branches that began at or after *t* join the lines they came from."""
        for at in reversed(range(len(self.branches))):
            branch = self.branches[at]
            parent = branch if branch is None else self.lines.at(branch, t)
            if parent == branch or parent is None:
                continue
            if parent and parent not in self.branches:
                self.branches[at] = parent
                continue
            known = parent in self.branches
            self.branches[at] = None
            place = self.place(parent)
            if at > place:
                yield self._link((place, "├" if known else "╭"), (at, "╯"))
            else:
                yield self._link((place, "┤"), (at, "╰"))

    def merged(self, place: int, source: int) -> Text:
        """The row below a merge, which leads to the line that was merged."""
        known = source in self.branches
        at = self.place(source)
        if at > place:
            return self._link((place, "├"), (at, "┤" if known else "╮"))
        return self._link((place, "┤"), (at, "├" if known else "╭"))

    def node(self, place: int) -> Text:
        """The row of a transaction."""
        return self._row({place: "●"})

    def _link(self, one: tuple[int, str], other: tuple[int, str]) -> Text:
        """A row that leads from one column to another, each with its mark."""
        low, high = sorted((one[0], other[0]))
        crossed = range(low + 1, high)
        marks = {at: "─" if self.branches[at] is None else "┼" for at in crossed}
        return self._row({**marks, **dict((one, other))}, (low, high))

    def _row(self, marks: Mapping[int, str], linked: tuple[int, int] = (0, 0)) -> Text:
        drawn = Text(no_wrap=True)
        for at, branch in enumerate(self.branches):
            mark = marks.get(at, " " if branch is None else "│")
            gap = "─" if linked[0] <= at < linked[1] else " "
            drawn.append(mark, style=_COLOURS[at % len(_COLOURS)])
            drawn.append(gap, style="dim")
        drawn.rstrip()
        return drawn
