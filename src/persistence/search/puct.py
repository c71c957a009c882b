"""Tree search by PUCT over a graph of states, each of which is judged once.

The rule is that of AlphaZero (Silver et al. 2017): of the moves from a state, take the one with the
highest Q + c · P · √N / (1 + n). Scores have no known range, so Q is put into that of the scores
seen so far, as in MuZero (Schrittwieser et al. 2020).

Different moves may lead to one state. A move is followed only to a state that was first met further
from the root: so there are no cycles, nothing goes back to where it came from, and yet every state
that can be reached is. A state is closed when nothing is left to judge behind it; closed states are
not entered, so every iteration judges a new one, and when the root is closed, all were judged. An
iteration costs one way down and up again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any, ClassVar

import attrs

from persistence.errors import SearchError
from persistence.search.exploration import Exploration
from persistence.search.found import Visits
from persistence.search.moves import Move
from persistence.search.optimiser import Optimiser, Outcome, Walk
from persistence.values import Keyword, Value


@attrs.frozen
class Puct(Optimiser):
    """Tree search. *exploring* is c in the rule above: how much a prior, and a move that was
    tried little, counts against a good score. The seed breaks ties.

    Raises:
        SearchError: *exploring* is no positive number.
    """

    name: ClassVar[Keyword] = Keyword("puct")

    exploring: float = 1.25  # as in AlphaZero's published pseudocode, for priors that add up to 1

    def __attrs_post_init__(self) -> None:
        good = type(self.exploring) in (int, float) and math.isfinite(self.exploring)
        if not good or self.exploring <= 0:
            raise SearchError(
                f"exploring {self.exploring!r:.40}", hint="give a positive number; 1.25 is usual"
            )

    def begin(self, exploration: Exploration, chance: Random) -> Walk:
        return _Tree(exploration, chance, float(self.exploring))

    def ready(self) -> None:
        """It needs no function of its own."""

    def options(self) -> dict[str, Value]:
        return {"exploring": float(self.exploring)}


class _Node:
    """A state in the tree. `rank` orders all states so that edges only go up."""

    __slots__ = (
        "closed", "edges", "expanded", "fresh", "id", "open", "parents", "rank", "state", "total",
        "tried", "visits",
    )  # fmt: skip

    def __init__(self, state: Any, id: bytes, rank: int) -> None:
        self.state, self.id, self.rank = state, id, rank
        self.visits, self.total = 0, 0.0
        self.expanded, self.closed = False, False
        self.edges: list[_Edge] = []
        self.fresh: list[_Edge] = []  # not tried yet; the best is the last
        self.tried: list[_Edge] = []  # tried, and mostly open
        self.open = 0  # of the edges
        self.parents: list[_Node] = []  # one for each edge to here


class _Edge:
    __slots__ = ("end", "move", "prior", "total", "visits")

    def __init__(self, move: Move, end: _Node, prior: float) -> None:
        self.move, self.end, self.prior = move, end, prior
        self.visits, self.total = 0, 0.0


class _Tree(Walk):
    def __init__(self, exploration: Exploration, chance: Random, exploring: float) -> None:
        self._exploration, self._chance, self._exploring = exploration, chance, exploring
        self._root = _Node(exploration.root, exploration.root_id, 0)
        self._nodes = {self._root.id: self._root}
        self._low, self._high = math.inf, -math.inf

    def step(self) -> bool:
        while not self._root.closed:
            way = self._way()
            if way is not None:
                self._judge(way)
                return True
        return False

    # ---------------------------------------------------------------- the way down

    def _way(self) -> list[_Edge] | None:
        """The edges from the root to a state that was not judged; None when there was none where
        it looked, which is closed by now."""
        node, way = self._root, []
        while node.visits:
            if not node.expanded:
                self._expand(node)
                if node.closed:
                    return None
            edge = self._chosen(node)
            way.append(edge)
            node = edge.end
        return way

    def _expand(self, node: _Node) -> None:
        moves = self._exploration.moves(node.state, node.id)
        node.expanded = True
        kept: dict[bytes, tuple[Move, _Node]] = {}
        for move in moves:
            end = self._nodes.get(move.id)
            if end is None:
                end = self._nodes[move.id] = _Node(move.state, move.id, node.rank + 1)
            if end.rank > node.rank and not end.closed and move.id not in kept:
                kept[move.id] = (move, end)
        whole = math.fsum(move.prior for move, _ in kept.values())
        for move, end in kept.values():
            edge = _Edge(move, end, move.prior / whole if whole > 0 else 1 / len(kept))
            node.edges.append(edge)
            end.parents.append(node)
        node.open = len(node.edges)
        ties = {id(edge): self._chance.random() for edge in node.edges}
        node.fresh = sorted(node.edges, key=lambda edge: (edge.prior, ties[id(edge)]))
        if not node.open:
            self._close(node)

    def _close(self, node: _Node) -> None:
        """Nothing is left behind *node*, and so, perhaps, behind its parents."""
        waiting = [node]
        while waiting:
            done = waiting.pop()
            done.closed = True
            for parent in done.parents:
                parent.open -= 1
                if not parent.open and not parent.closed:
                    waiting.append(parent)

    def _chosen(self, node: _Node) -> _Edge:
        """The open edge with the highest Q + U; the fresh one with the highest prior stands for
        all that are fresh, for which Q is that of the node itself."""
        low, span = self._low, (self._high - self._low) or 1.0
        reach = self._exploring * math.sqrt(node.visits)
        while node.fresh and node.fresh[-1].end.closed:
            node.fresh.pop()
        best, highest = None, -math.inf
        if node.fresh:
            best = node.fresh[-1]
            highest = (node.total / node.visits - low) / span + reach * best.prior
        shut = 0
        for edge in node.tried:
            if edge.end.closed:
                shut += 1
                continue
            visits = edge.visits
            worth = (edge.total / visits - low) / span + reach * edge.prior / (1 + visits)
            if worth > highest:
                best, highest = edge, worth
        if shut:
            node.tried = [edge for edge in node.tried if not edge.end.closed]
        assert best is not None
        return best

    # ------------------------------------------------------------------ the way up

    def _judge(self, way: list[_Edge]) -> None:
        leaf = way[-1].end if way else self._root
        score = self._score(way, leaf)
        self._low, self._high = min(self._low, score), max(self._high, score)
        node = self._root
        for edge in way:
            node.visits += 1
            node.total += score
            if not edge.visits:
                node.tried.append(node.fresh.pop())  # it was the best of those
            edge.visits += 1
            edge.total += score
            node = edge.end
        node.visits, node.total = 1, score

    def _score(self, way: list[_Edge], leaf: _Node) -> float:
        if not way:
            return self._exploration.judge(leaf.state, leaf.id).score
        parent = way[-2].end if len(way) > 1 else self._root
        made = self._exploration.judge(
            leaf.state, leaf.id, parent=parent.id, move=way[-1].move, depth=len(way)
        )
        return made.score

    def outcome(self) -> Outcome:
        return Outcome(tree=tuple(self._visited()))

    def _visited(self) -> Iterator[Visits]:
        for node in self._nodes.values():
            if node.visits:
                moves = tuple((e.move.label, e.end.id, e.visits) for e in node.edges if e.visits)
                yield Visits(node.id, node.visits, moves)
