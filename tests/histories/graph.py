"""Directed graphs whose edges have kinds, and the three questions that cycles need answered.

Everything is linear or nearly so, because a history has thousands of transactions and a broken
store makes one component of them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, TypeVar

WW, WR, RW, PROCESS, REALTIME = (1 << bit for bit in range(5))
NAMES = {WW: "ww", WR: "wr", RW: "rw", PROCESS: "process", REALTIME: "realtime"}

Node = TypeVar("Node", bound=Hashable)


class Graph:
    """Edges between transaction ids. Two nodes may be joined by edges of several kinds.

    >>> graph = Graph()
    >>> graph.link(0, 1, WW, ("x", 1, 2))
    >>> graph.link(1, 0, RW, ("x", None, 1))
    >>> graph.components(WW), [sorted(c) for c in graph.components(WW | RW)]
    ([], [[0, 1]])
    """

    def __init__(self) -> None:
        self.edges: dict[int, dict[int, int]] = {}
        self._evidence: dict[tuple[int, int, int], tuple[Any, Any, Any]] = {}

    def link(self, a: int, b: int, kind: int, evidence: tuple[Any, Any, Any]) -> None:
        """Adds the edge, once per kind. *evidence* is (key, the version before, the version after).

        An edge from a node to itself says nothing and is left out.
        """
        if a == b:
            return
        targets = self.edges.setdefault(a, {})
        if not targets.get(b, 0) & kind:
            targets[b] = targets.get(b, 0) | kind
            self._evidence[a, b, kind] = evidence

    def evidence(self, a: int, b: int, kind: int) -> tuple[Any, Any, Any]:
        """What the edge was linked with."""
        return self._evidence[a, b, kind]

    def merged(self, other: Graph) -> Graph:
        """A new graph with the edges of both."""
        result = Graph()
        for graph in (self, other):
            for (a, b, kind), evidence in graph._evidence.items():
                result.link(a, b, kind, evidence)
        return result

    def successors(self, mask: int, within: Collection[int] | None = None) -> Callable[[int], Any]:
        """The function from a node to those it has an edge to whose kind is in *mask*."""
        edges = self.edges

        def following(node: int) -> list[int]:
            return [
                b
                for b, kinds in edges.get(node, {}).items()
                if kinds & mask and (within is None or b in within)
            ]

        return following

    def components(self, mask: int, within: Collection[int] | None = None) -> list[list[int]]:
        """The strongly connected components of two or more nodes: where the cycles are."""
        nodes = self.edges if within is None else within
        found = components(nodes, self.successors(mask, within))
        return [component for component in found if len(component) > 1]


def components(nodes: Iterable[Node], successors: Callable[[Node], Any]) -> list[list[Node]]:
    """Strongly connected components, each before all those from which it can be reached.

    Tarjan, "Depth-first search and linear graph algorithms" (SIAM J. Comput. 1972), with a stack of
    its own in place of recursive calls.
    """
    found: list[list[Node]] = []
    number: dict[Node, int] = {}
    low: dict[Node, int] = {}
    path: list[Node] = []
    on_path: set[Node] = set()
    for root in nodes:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        path.append(root)
        on_path.add(root)
        work = [(root, iter(successors(root)))]
        while work:
            node, rest = work[-1]
            for child in rest:
                if child not in number:
                    number[child] = low[child] = len(number)
                    path.append(child)
                    on_path.add(child)
                    work.append((child, iter(successors(child))))
                    break
                if child in on_path:
                    low[node] = min(low[node], number[child])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[node])
                if low[node] == number[node]:
                    found.append(_pop_until(node, path, on_path))
    return found


def _pop_until(node: Node, path: list[Node], on_path: set[Node]) -> list[Node]:
    component = []
    while not component or component[-1] != node:
        component.append(path.pop())
        on_path.discard(component[-1])
    return component


def shortest_path(
    start: Node, goal: Node, successors: Callable[[Node], Any]
) -> tuple[Node, ...] | None:
    """The nodes from *start* to *goal*, both included, with as few steps as possible, or None.

    >>> shortest_path(1, 4, {1: [2, 3], 2: [3], 3: [4]}.__getitem__)
    (1, 3, 4)
    """
    came_from: dict[Node, Node] = {}
    queue = deque([start])
    seen = {start}
    while queue:
        node = queue.popleft()
        if node == goal:
            steps = [node]
            while steps[-1] != start:
                steps.append(came_from[steps[-1]])
            return tuple(reversed(steps))
        for child in successors(node):
            if child not in seen:
                seen.add(child)
                came_from[child] = node
                queue.append(child)
    return None


def reachable(nodes: Collection[int], successors: Callable[[int], Any]) -> Callable[..., bool]:
    """Answers `reaches(a, b)` for any two of *nodes* at once: one big integer per component.

    >>> reaches = reachable([1, 2, 3], {1: [2], 2: [3], 3: []}.__getitem__)
    >>> reaches(1, 3), reaches(3, 1)
    (True, False)
    """
    place = {node: index for index, node in enumerate(nodes)}
    bits: dict[int, int] = {}
    for component in components(nodes, successors):
        union = 0
        for node in component:
            union |= 1 << place[node]
            for child in successors(node):
                union |= bits.get(child, 0)  # a child of the same component adds nothing new
        for node in component:
            bits[node] = union
    return lambda a, b: bool(bits[a] >> place[b] & 1)
