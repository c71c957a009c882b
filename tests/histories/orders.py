"""Orders that follow from when things happened, whatever they read and wrote.

A transaction precedes another in real time if it completed before the other was invoked. All those
pairs would be quadratic; only what they follow from is linked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tests.histories.graph import PROCESS, REALTIME, Graph
from tests.histories.history import HistoryError, Txn

ORDERS = ("process", "realtime")


def order_graph(txns: Collection[Txn], orders: Collection[str]) -> Graph:
    """The edges of *orders*, a subset of `process` and `realtime`, between *txns*."""
    unknown = set(orders) - set(ORDERS)
    if unknown:
        raise HistoryError(f"no such order: {', '.join(sorted(unknown))}; there are {ORDERS}")
    graph = Graph()
    if "process" in orders:
        for a, b in process_pairs(txns):
            graph.link(a.id, b.id, PROCESS, (None, None, None))
    if "realtime" in orders:
        for a, b in realtime_pairs(txns):
            graph.link(a.id, b.id, REALTIME, (None, None, None))
    return graph


def process_pairs(txns: Iterable[Txn]) -> Iterator[tuple[Txn, Txn]]:
    """Each transaction with the next of the same process, unless nobody knows when it took place.

    An indeterminate transaction may still take effect while its process does something else.
    """
    last: dict[object, Txn] = {}
    for txn in sorted(txns, key=lambda txn: txn.invoke.index):
        before = last.get(txn.process)
        if before is not None:
            yield before, txn
        if txn.ok:
            last[txn.process] = txn


def realtime_pairs(txns: Iterable[Txn]) -> Iterator[tuple[Txn, Txn]]:
    """The pairs of which all others follow: a completed before b was invoked, and none in between.

    At most as many pairs per transaction as there are processes.
    """
    events = []
    for txn in txns:
        events.append((txn.invoke.index, True, txn))
        if txn.ok and txn.complete is not None:
            events.append((txn.complete.index, False, txn))
    events.sort(key=lambda event: event[0])
    frontier: dict[int, Txn] = {}  # completed, and not known to precede another that completed
    before: dict[int, list[int]] = {}
    for _, invoked, txn in events:
        if invoked:
            before[txn.id] = list(frontier)
            for earlier in frontier.values():
                yield earlier, txn
        else:
            for id in before[txn.id]:
                frontier.pop(id, None)
            frontier[txn.id] = txn
