"""A naive model of bitemporal facts: for every t, the set of points at which each fact holds.

Points stand for instants. The last point stands for itself and everything after it, so an
interval without end is one that holds the last point.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

Fact = tuple[int, str, object]  # entity, attribute, value
POINTS = 12


class Conflict(Exception):
    """One transaction gives one cell two values at one point."""


class Model:
    """The history of a store, one full copy for every transaction."""

    def __init__(self, many: set[str], components: set[str], refs: set[str]) -> None:
        self.many = many
        self.components = components
        self.refs = refs
        self.states: list[dict[Fact, set[int]]] = [{}]

    def begin(self) -> Draft:
        return Draft(self)

    def commit(self, draft: Draft) -> None:
        self.states.append({fact: points for fact, points in draft.state.items() if points})

    def holds(self, t: int, point: int) -> set[Fact]:
        return {fact for fact, points in self.states[t].items() if min(point, POINTS) in points}


class Draft:
    """The state while one transaction applies its operations in order."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state = copy.deepcopy(model.states[-1])
        self.told: dict[tuple[int, str], list[tuple[object, set[int]]]] = {}

    def assert_(self, e: int, a: str, v: object, points: Iterable[int]) -> None:
        span = set(points)
        if a not in self.model.many:
            for other, where in self.told.setdefault((e, a), []):
                if other != v and where & span:
                    raise Conflict
            self.told[e, a].append((v, span))
            for fact in self.state:
                if fact[:2] == (e, a) and fact[2] != v:
                    self.state[fact] -= span
        self.state.setdefault((e, a, v), set()).update(span)

    def retract(self, e: int, a: str, v: object, points: Iterable[int]) -> None:
        if (e, a, v) in self.state:
            self.state[e, a, v] -= set(points)
        self.told[e, a] = [told for told in self.told.get((e, a), []) if told[0] != v]

    def retract_attribute(self, e: int, a: str, points: Iterable[int]) -> None:
        span = set(points)
        lost = [
            fact[2]
            for fact, held in self.state.items()
            if fact[:2] == (e, a) and a in self.model.components and held & span
        ]
        for fact in self.state:
            if fact[:2] == (e, a):
                self.state[fact] -= span
        self.told.pop((e, a), None)
        for part in lost:
            self.retract_entity(part, span)

    def retract_entity(self, e: int, points: Iterable[int]) -> None:
        span = set(points)
        doomed, pending = set(), [e]
        before = self.model.states[-1]
        while pending:
            one = pending.pop()
            if one in doomed:
                continue
            doomed.add(one)
            pending += [
                v
                for (owner, a, v), held in before.items()
                if owner == one and a in self.model.components and held & span
            ]
        for fact in self.state:
            if fact[0] in doomed or (fact[1] in self.model.refs and fact[2] in doomed):
                self.state[fact] -= span
        for cell in [cell for cell in self.told if cell[0] in doomed]:
            self.told.pop(cell)
