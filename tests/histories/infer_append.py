"""Infers dependencies from transactions that append to lists and read them whole.

Kingsbury & Alvaro, "Elle" (VLDB 2020), sections 4 and 5: a list that is read tells its own
history, so the longest read of a key gives the order of its versions, and every other read must be
a prefix of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, takewhile
from typing import Any

import attrs

from persistence.values import write
from tests.histories.finding import Finding
from tests.histories.graph import RW, WR, WW, Graph
from tests.histories.history import History, HistoryError, Key, Txn
from tests.histories.versions import (
    Inference,
    Writes,
    committed,
    index_writes,
    intermediate_read,
    lost_updates,
    unsound_read,
)

Elements = tuple[Any, ...]


@attrs.frozen
class Read:
    """A list as *txn* found it, without what it appended itself. *updates* if it then appended."""

    txn: Txn
    key: Key
    elements: Elements
    updates: bool


def infer_append(history: History) -> Inference:
    """What list-append transactions say; a read of nil counts as an empty list.

    Raises:
        HistoryError: an element is appended to a key twice, or a read is no vector.
    """
    writes = index_writes(history, "append")
    ok = [txn for txn in history.transactions if txn.ok]
    whole: dict[Key, dict[Elements, Txn]] = {}
    for txn in ok:
        for key, elements in _reads(txn):
            whole.setdefault(key, {}).setdefault(elements, txn)
    findings = [finding for txn in ok for finding in _internal(txn)]
    orders: dict[Key, Elements] = {}
    for key, reads in whole.items():
        orders[key], found = _order(key, reads)
        findings += found + _unsound(key, reads, writes)
        findings += _dirty_updates(key, orders[key], writes)
    observed = ((key, e) for key, reads in whole.items() for es in reads for e in es)
    ids = committed(history, writes, observed)
    reads = [read for txn in ok for read in _external(txn)]
    findings += _intermediate(reads, writes)
    findings += lost_updates((r.key, r.elements, r.txn) for r in reads if r.updates)
    settled = {key for key in orders if len(orders[key]) == max(map(len, whole[key]))}
    graph = _dependencies(orders, settled, reads, writes, ids)
    nodes = tuple(txn for txn in history.transactions if txn.id in ids)
    return Inference(graph, nodes, tuple(findings))


def _reads(txn: Txn) -> Iterator[tuple[Key, Elements]]:
    for name, key, value in txn.mops:
        if name == "r":
            if value is not None and type(value) is not tuple:
                raise HistoryError(f"{txn} reads {value!r} from {write(key)}, which is no list")
            yield key, value or ()


def _external(txn: Txn) -> Iterator[Read]:
    """The first read of each key, as the others of the transaction do not bear on it."""
    own: dict[Key, list[Any]] = {}
    found: dict[Key, Elements] = {}
    for name, key, value in txn.mops:
        appended = own.setdefault(key, [])
        if name == "append":
            appended.append(value)
        elif key not in found:
            elements = value or ()
            split = len(elements) - len(appended)
            if split >= 0 and list(elements[split:]) == appended:
                found[key] = elements[:split]
    for key, elements in found.items():
        yield Read(txn, key, elements, updates=bool(own[key]))


def _internal(txn: Txn) -> Iterator[Finding]:
    """A read that disagrees with what the same transaction read or appended before."""
    known: dict[Key, tuple[Elements, bool]] = {}  # (elements, whether they are the whole list)
    appended = [(key, value) for name, key, value in txn.mops if name == "append"]
    for name, key, value in txn.mops:
        elements, is_whole = known.get(key, ((), False))
        if name == "append":
            known[key] = ((*elements, value), is_whole)
            appended.remove((key, value))
            continue
        read = value or ()
        future = any((key, element) in appended for element in read)
        tail = read if is_whole else read[len(read) - len(elements) :]
        if future or tail != elements or len(read) < len(elements):
            sentence = (
                f"#{txn.op.index} read {write(key)} as {write(read)}, "
                f"which contradicts what it read and appended itself"
            )
            yield Finding("internal", sentence, (txn.op,))
        known[key] = (read, True)


def _order(key: Key, reads: dict[Elements, Txn]) -> tuple[Elements, list[Finding]]:
    """The elements of *key* in the order of their versions, as far as all reads agree on it."""
    findings = []
    longest = max(reads, key=len)
    for elements, reader in reads.items():
        if len(set(elements)) < len(elements):
            sentence = f"#{reader.op.index} read {write(key)} as {write(elements)}, with a repeat"
            findings.append(Finding("duplicate-elements", sentence, (reader.op,)))
            break
    rivals = [elements for elements in reads if longest[: len(elements)] != elements]
    if rivals:
        one, other = reads[longest], reads[rivals[0]]
        sentence = (
            f"#{one.op.index} read {write(key)} as {write(longest)} and #{other.op.index} "
            f"as {write(rivals[0])}; no order of appends makes both"
        )
        findings.append(Finding("incompatible-order", sentence, (one.op, other.op)))
    agreed = _common_prefix(reads) if rivals else longest
    repeat = next((i for i, e in enumerate(agreed) if e in agreed[:i]), len(agreed))
    return agreed[:repeat], findings


def _common_prefix(lists: Iterable[Elements]) -> Elements:
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*lists, strict=False))
    return tuple([column[0] for column in columns])


def _unsound(key: Key, reads: dict[Elements, Txn], writes: Writes) -> list[Finding]:
    """G1a and garbage, once for each element: whoever reads later sees it too."""
    first = {element: txn for elements, txn in reversed(reads.items()) for element in elements}
    found = [unsound_read(txn, key, element, writes) for element, txn in first.items()]
    return [finding for finding in found if finding is not None]


def _dirty_updates(key: Key, order: Elements, writes: Writes) -> Iterator[Finding]:
    """A committed append on top of an aborted one, which has so become part of the list."""
    aborted: Any = None
    for element in order:
        found = writes.get((key, element))
        if found is None:
            continue
        if found.txn.status == "fail":
            aborted = aborted or (element, found.txn)
        elif aborted:
            below, txn = aborted
            sentence = (
                f"#{found.txn.op.index} appended {write(element)} to {write(key)} on top of "
                f"{write(below)}, which #{txn.op.index} appended and did not commit"
            )
            yield Finding("dirty-update", sentence, (found.txn.op, txn.op))
            return


def _intermediate(reads: list[Read], writes: Writes) -> Iterator[Finding]:
    for read in reads:
        found = writes.get((read.key, read.elements[-1])) if read.elements else None
        if found and not found.final and found.txn.status != "fail" and found.txn != read.txn:
            yield intermediate_read(read.txn, read.key, read.elements[-1], found)


def _dependencies(
    orders: dict[Key, Elements],
    settled: set[Key],
    reads: list[Read],
    writes: Writes,
    ids: set[int],
) -> Graph:
    """Edges between the transactions in *ids*.

    An append that committed and was never read came after the longest read: had it come earlier,
    it would have been in it. That holds for the *settled* keys, on which all reads agree.
    """
    graph = Graph()
    unread: dict[Key, list[tuple[Any, int]]] = {}
    in_order = {(key, element) for key, order in orders.items() for element in order}
    for (key, element), found in writes.items():
        if found.txn.id in ids and key in settled and (key, element) not in in_order:
            unread.setdefault(key, []).append((element, found.txn.id))
    installed = {
        key: [e for e in order if (key, e) in writes and writes[key, e].txn.id in ids]
        for key, order in orders.items()
    }
    for key, order in installed.items():
        writers = [(element, writes[key, element].txn.id) for element in order]
        for (old, a), (new, b) in pairwise(writers):
            graph.link(a, b, WW, (key, old, new))
        for old, a in writers[-1:]:
            for new, b in unread.get(key, ()):
                graph.link(a, b, WW, (key, old, new))
    for read in reads:
        _link_read(graph, read, orders[read.key], writes, ids, unread.get(read.key, []))
    return graph


def _link_read(
    graph: Graph,
    read: Read,
    order: Elements,
    writes: Writes,
    ids: set[int],
    unread: list[tuple[Any, int]],
) -> None:
    """wr from the last element's writer, rw to the writer of the next.

    Adya's dependencies are between versions that were installed, so an intermediate read has none.
    """
    key, elements, reader = read.key, read.elements, read.txn.id
    if elements:
        found = writes.get((key, elements[-1]))
        if found is None or not found.final:
            return
        if found.txn.id in ids:
            graph.link(found.txn.id, reader, WR, (key, None, elements[-1]))
    if elements != order[: len(elements)]:
        return
    for element in order[len(elements) :]:
        found = writes.get((key, element))
        if found is not None and found.txn.id in ids:
            graph.link(reader, found.txn.id, RW, (key, elements, element))
            return
    for element, writer in unread:
        graph.link(reader, writer, RW, (key, elements, element))
