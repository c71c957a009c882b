"""A naive model of branches: lines of full copies, and a graph of what each state was made from.

A state is what tests/time/model.py makes it: for every fact the points at which it holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Literal

from tests.time.model import POINTS, Fact, Model

State = Mapping[Fact, set[int]]
Cell = tuple[int, str]


class Line(Model):
    """One branch. Its first state is that of its parent at the base; `ts` tells when each state
    was said, by the t of the store. The main line has no parent."""

    def __init__(self, like: Model, name: str, parent: Line | None, base: int) -> None:
        super().__init__(like.many, like.components, like.refs)
        self.name, self.parent, self.base = name, parent, base
        self.ts = [base]
        self.merged: dict[int, tuple[Line, int]] = {}  # by t: what was taken in, and its own t
        self.discarded = False
        if parent is not None:
            self.states = [dict(parent.state(base))]

    def place(self, t: int) -> tuple[Line, int]:
        """The line that stands at *t*, and the t of its last own transaction by then."""
        if self.parent is not None and t <= self.base:
            return self.parent.place(t)
        return self, self.ts[bisect_right(self.ts, t) - 1]

    def state(self, t: int) -> State:
        line, own = self.place(t)
        return line.states[line.ts.index(own)]

    def holds_at(self, t: int, point: int) -> set[Fact]:
        return {fact for fact, points in self.state(t).items() if min(point, POINTS) in points}

    def told(self, t: int) -> dict[tuple[Fact, int, bool], set[int]]:
        """The history up to *t*: the points of each fact that each transaction changed."""
        line, found = self, dict[tuple[Fact, int, bool], set[int]]()
        if self.parent is not None:
            found = self.parent.told(min(t, self.base))
        for number in range(1, len(line.ts)):
            if line.ts[number] <= t:
                for fact, points, added in changed(*line.states[number - 1 : number + 1]):
                    found[fact, line.ts[number], added] = points
        return found

    def ancestry(self, t: int) -> set[tuple[int, str]]:
        """Every transaction that the state at *t* was made from, merges followed: t and line."""
        found: set[tuple[int, str]] = set()
        pending = [(self, t)]
        while pending:
            line, t = pending.pop()
            line, own = line.place(t)
            while (own, line.name) not in found:
                found.add((own, line.name))
                if own in line.merged:
                    pending.append(line.merged[own])
                if own == line.ts[0]:
                    if line.parent is not None:
                        pending.append((line.parent, line.base))
                    break
                own = line.ts[line.ts.index(own) - 1]
        return found


def changed(before: State, after: State) -> Iterator[tuple[Fact, set[int], bool]]:
    """What turns one state into another: facts, points, and whether they are added."""
    for fact in before.keys() | after.keys():
        old, new = before.get(fact, set()), after.get(fact, set())
        if old - new:
            yield fact, old - new, False
        if new - old:
            yield fact, new - old, True


def merge_base(lines: Mapping[str, Line], ours: Line, theirs: Line, t: int) -> State:
    """The latest state that both were made from."""
    own, name = max(ours.ancestry(t) & theirs.ancestry(t))
    return lines[name].state(own) if own else {}


def merged(
    base: State, ours: State, theirs: State, many: set[str], resolve: Literal["ours", "theirs"]
) -> tuple[State, set[tuple[int, str, int]]]:
    """The three-way rule, point by point: the state, and where there were conflicts."""
    cells = {fact[:2] for state in (base, ours, theirs) for fact in state}
    found: dict[Fact, set[int]] = {}
    conflicts: set[tuple[int, str, int]] = set()
    for e, a in cells:
        for point in range(POINTS + 1):
            had, own, new = (_values(state, (e, a), point) for state in (base, ours, theirs))
            if a in many:
                held = (own | (new - had)) - (had - new)
            elif new in (had, own):
                held = own
            elif own == had:
                held = new
            else:
                conflicts.add((e, a, point))
                held = own if resolve == "ours" else new
            for value in held:
                found.setdefault((e, a, value), set()).add(point)
    return found, conflicts


def _values(state: State, cell: Cell, point: int) -> set[object]:
    return {fact[2] for fact, points in state.items() if fact[:2] == cell and point in points}
