"""Names the cycles of a dependency graph, as Adya did and Elle does.

Adya, "Weak Consistency" (MIT, 1999): G0 is a cycle of ww edges; G1c of ww and wr; G-single has
exactly one rw edge; G2-item any number of them. Kingsbury & Alvaro, "Elle: Inferring Isolation
Anomalies from Experimental Observations" (VLDB 2020) adds the order of processes and of real time:
G-single-realtime is a cycle with one rw edge that is closed only by real time. In G-nonadjacent no
two rw edges follow each other; snapshot isolation permits G2-item but none of the others (Cerone &
Gotsman, "Analysing Snapshot Isolation", PODC 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import pairwise

from persistence.values import write
from tests.histories.finding import Finding, Findings, Step
from tests.histories.graph import (
    NAMES,
    PROCESS,
    REALTIME,
    RW,
    WR,
    WW,
    Graph,
    components,
    reachable,
    shortest_path,
)
from tests.histories.history import Op

Edges = list[tuple[int, int, int]]  # (a, b, mask of the kinds that may explain it)

_TIERS = (("", 0), ("-process", PROCESS), ("-realtime", PROCESS | REALTIME))
_PREFERENCE = (WW, WR, PROCESS, REALTIME, RW)  # of several kinds between two, which to show
_CANDIDATES = 64  # edges to start from when looking for a short cycle; any will do, short is nicer

_MEANINGS = {
    "G0": "their writes overwrote each other's in a circle",
    "G1c": "they depend on each other by what they wrote and read",
    "G-single": "one of them missed a write of a transaction that it also depends on",
    "G-nonadjacent": "they missed each other's writes, and no snapshots could have made them",
    "G2-item": "they missed each other's writes, so neither can have come first",
}


def cyclic_anomalies(graph: Graph, op: Callable[[int], Op]) -> Findings:
    """A finding per strongly connected component and class; *op* is the operation of a node.

    A class that is found without the orders is not reported with them for the same transactions:
    `G-single-realtime` says that there is no plain G-single among them.
    """
    findings: list[Finding] = []
    seen: dict[str, set[int]] = {name: set() for name in _MEANINGS}
    for suffix, orders in _TIERS:
        found = []
        for component in graph.components(WW | WR | RW | orders):
            for name, edges in _classify(graph, set(component), orders):
                if seen[name].isdisjoint(component):
                    findings.append(_finding(name, suffix, graph, edges, op))
                    found.append((name, component))
        for name, component in found:
            seen[name].update(component)
    return tuple(findings)


def _classify(graph: Graph, nodes: set[int], orders: int) -> Iterator[tuple[str, Edges]]:
    for name, mask, needed in (("G0", WW, WW), ("G1c", WW | WR, WR)):
        for component in graph.components(mask | orders, nodes):
            within = set(component)
            starts = _edges(graph, within, needed)
            edges = _shortest_cycle(graph, starts, needed, mask | orders, within)
            if edges:
                yield name, edges
    yield from _classify_missed(graph, nodes, WW | WR | orders)


def _classify_missed(graph: Graph, nodes: set[int], known: int) -> Iterator[tuple[str, Edges]]:
    """The worst class of cycle with rw edges, which are all over a component that has a bad one.

    *known* are the kinds by which a transaction certainly came later.
    """
    reaches = reachable(nodes, graph.successors(known, nodes))
    apart = _nonadjacent_components(graph, nodes, known)
    single, nonadjacent, adjacent = [], [], []
    for a, b in _edges(graph, nodes, RW):
        if reaches(b, a):
            single.append((a, b))
        elif apart[a, False] == apart[b, True]:
            nonadjacent.append((a, b))
        else:
            adjacent.append((a, b))
    if single:
        yield "G-single", _shortest_cycle(graph, single, RW, known, nodes)
    elif nonadjacent:
        yield "G-nonadjacent", _nonadjacent_cycle(graph, nonadjacent[0], known, nodes)
    elif adjacent:
        yield "G2-item", _shortest_cycle(graph, adjacent, RW, known | RW, nodes)


def _edges(graph: Graph, nodes: Iterable[int], kind: int) -> list[tuple[int, int]]:
    following = graph.successors(kind, nodes if isinstance(nodes, set) else set(nodes))
    return [(a, b) for a in nodes for b in following(a)]


def _shortest_cycle(
    graph: Graph,
    starts: Collection[tuple[int, int]],
    kind: int,
    mask: int,
    within: Collection[int],
) -> Edges:
    """A cycle that begins with one of *starts*, an edge of *kind*, and goes on by *mask*."""
    best: Edges = []
    following = graph.successors(mask, within)
    for a, b in list(starts)[:_CANDIDATES]:
        path = shortest_path(b, a, following)
        if path and (not best or len(path) < len(best)):
            best = [(a, b, kind), *((u, v, mask) for u, v in pairwise(path))]
        if len(best) == 2:
            break
    return best


def _apart(graph: Graph, nodes: Collection[int], known: int) -> Callable[..., list]:
    """Successors in a graph whose nodes also know whether an rw edge led to them."""
    by_known, by_rw = graph.successors(known, nodes), graph.successors(RW, nodes)

    def following(node: tuple[int, bool]) -> list[tuple[int, bool]]:
        id, missed = node
        steps = [(b, False) for b in by_known(id)]
        return steps if missed else steps + [(b, True) for b in by_rw(id)]

    return following


def _nonadjacent_components(
    graph: Graph, nodes: Collection[int], known: int
) -> dict[tuple[int, bool], int]:
    every = [(id, missed) for id in nodes for missed in (False, True)]
    found = components(every, _apart(graph, nodes, known))
    return {node: number for number, component in enumerate(found) for node in component}


def _nonadjacent_cycle(
    graph: Graph, start: tuple[int, int], known: int, nodes: Collection[int]
) -> Edges:
    a, b = start
    path = shortest_path((b, True), (a, False), _apart(graph, nodes, known)) or ()
    steps = pairwise(path)
    return [(a, b, RW), *((u, v, RW if missed else known) for (u, _), (v, missed) in steps)]


def _finding(
    name: str, suffix: str, graph: Graph, edges: Edges, op: Callable[[int], Op]
) -> Finding:
    steps = tuple(_step(graph, *edge, op) for edge in edges)
    ops = tuple(dict.fromkeys(step.before for step in steps))
    who = ", ".join(f"#{op.index}" for op in ops)
    sentence = f"{who} cannot be ordered: {_MEANINGS[name]}"
    return Finding(f"{name}{suffix}", sentence, ops, steps)


def _step(graph: Graph, a: int, b: int, mask: int, op: Callable[[int], Op]) -> Step:
    present = graph.edges[a][b] & mask
    kind = next(kind for kind in _PREFERENCE if kind & present)
    key, old, new = graph.evidence(a, b, kind)
    before, after = op(a), op(b)
    i, j = f"#{before.index}", f"#{after.index}"
    if kind == WW:
        why = f"{i} wrote {write(old)} to {write(key)}, {j} wrote {write(new)} after it"
    elif kind == WR:
        why = f"{i} wrote {write(new)} to {write(key)}, which {j} read"
    elif kind == RW:
        why = f"{i} read {write(key)} as {write(old)}, without {write(new)}, which {j} wrote"
    elif kind == PROCESS:
        why = f"process {before.process} completed {i} before it invoked {j}"
    else:
        why = f"{i} had completed before {j} was invoked"
    return Step(before, NAMES[kind], key, after, why)
