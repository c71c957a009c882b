"""Infers dependencies from transactions that read and overwrite registers with unique values.

A register tells only its latest value, so the order of its versions is what can be argued for
(Kingsbury & Alvaro, "Elle", VLDB 2020, section 5.2): nil comes before everything; a transaction
that read one version and wrote another put them in that order; and, where the caller says that each
key by itself is at least sequential or linearizable, the order of processes or of real time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from persistence.values import write
from tests.histories.finding import Finding
from tests.histories.graph import RW, WR, WW, Graph, components
from tests.histories.history import History, HistoryError, Key, Txn
from tests.histories.orders import process_pairs, realtime_pairs
from tests.histories.versions import (
    Inference,
    Writes,
    committed,
    index_writes,
    intermediate_read,
    lost_updates,
    unsound_read,
)

_PAIRS: dict[str, Callable[[Iterable[Txn]], Iterator[tuple[Txn, Txn]]]] = {
    "process": process_pairs,
    "realtime": realtime_pairs,
}
_NIL = None
Order = dict[Any, dict[Any, Txn]]  # version → later version → the transaction that says so


@attrs.frozen
class Touch:
    """How *txn* met *key*: what it read there before it wrote, and what it left there."""

    txn: Txn
    key: Key
    reads: bool
    read: Any
    writes: bool
    written: Any

    @property
    def first(self) -> Any:
        return self.read if self.reads else self.written

    @property
    def last(self) -> Any:
        return self.written if self.writes else self.read


def infer_register(history: History, *, key_order: str | None = None) -> Inference:
    """What rw-register transactions say. *key_order* is None, `process` or `realtime`.

    With `realtime`, of two transactions that touch a key, the one that completed before the other
    was invoked met the earlier version, or the same: true of every strictly serializable store,
    and of one that takes its snapshot when a transaction begins. A store that breaks it shows
    `cyclic-versions`.

    Raises:
        HistoryError: a value is written to a key twice, or nil is written.
    """
    if key_order is not None and key_order not in _PAIRS:
        raise HistoryError(f"no such order: {key_order}; there are {', '.join(_PAIRS)}")
    writes = index_writes(history, "w")
    ok = [txn for txn in history.transactions if txn.ok]
    findings = [finding for txn in ok for finding in _internal(txn)]
    observed = [(key, value) for txn in ok for name, key, value in txn.mops if name == "r"]
    ids = committed(history, writes, observed)
    nodes = tuple(txn for txn in history.transactions if txn.id in ids)
    touches = [touch for txn in nodes for touch in _touches(txn)]
    sound = [touch for touch in touches if touch.reads and _is_installed(touch, writes, ids)]
    findings += _unsound(touches, writes)
    findings += lost_updates((t.key, t.read, t.txn) for t in touches if t.reads and t.writes)
    orders = _version_orders(touches, sound, key_order)
    for key, order in list(orders.items()):
        cycle = _cyclic(key, order)
        if cycle:
            findings.append(cycle)
            orders[key] = {}
    graph = _dependencies(orders, sound, writes, ids)
    return Inference(graph, nodes, tuple(findings))


def _internal(txn: Txn) -> Iterator[Finding]:
    known: dict[Key, Any] = {}
    for name, key, value in txn.mops:
        if name == "r" and key in known and known[key] != value:
            sentence = (
                f"#{txn.op.index} read {write(key)} as {write(value)}, "
                f"after it had read or written {write(known[key])}"
            )
            yield Finding("internal", sentence, (txn.op,))
        known[key] = value


def _touches(txn: Txn) -> Iterator[Touch]:
    """Once per key. What an indeterminate transaction read is unknown, what it wrote is not."""
    found: dict[Key, Touch] = {}
    for name, key, value in txn.mops:
        touch = found.get(key)
        if name == "w":
            touch = touch or Touch(txn, key, False, None, True, value)
            found[key] = attrs.evolve(touch, writes=True, written=value)
        elif touch is None and txn.ok:
            found[key] = Touch(txn, key, True, value, False, None)
    yield from found.values()


def _is_installed(touch: Touch, writes: Writes, ids: set[int]) -> bool:
    """Whether what was read is nil or the last write of a committed transaction.

    Adya's dependencies are between installed versions; other reads are anomalies by themselves.
    """
    if touch.read is _NIL:
        return True
    found = writes.get((touch.key, touch.read))
    return found is not None and found.final and found.txn.id in ids


def _unsound(touches: list[Touch], writes: Writes) -> Iterator[Finding]:
    for touch in touches:
        if not touch.reads or touch.read is _NIL:
            continue
        finding = unsound_read(touch.txn, touch.key, touch.read, writes)
        if finding:
            yield finding
            continue
        found = writes[touch.key, touch.read]
        if found.txn == touch.txn:
            sentence = f"#{touch.txn.op.index} read {write(touch.read)} before it wrote it itself"
            yield Finding("internal", sentence, (touch.txn.op,))
        elif not found.final:
            yield intermediate_read(touch.txn, touch.key, touch.read, found)


def _version_orders(
    touches: list[Touch], sound: list[Touch], key_order: str | None
) -> dict[Key, Order]:
    orders: dict[Key, Order] = {}
    sound_ids = {(touch.txn.id, touch.key) for touch in sound}
    by_key: dict[Key, dict[int, Touch]] = {}
    for touch in touches:
        order = orders.setdefault(touch.key, {_NIL: {}})
        if touch.writes:
            order.setdefault(touch.written, {})
        if not touch.reads or (touch.txn.id, touch.key) in sound_ids:
            by_key.setdefault(touch.key, {})[touch.txn.id] = touch
            if touch.reads and touch.writes:
                order.setdefault(touch.read, {})[touch.written] = touch.txn
    if key_order:
        for key, met in by_key.items():
            for a, b in _PAIRS[key_order](touch.txn for touch in met.values()):
                old, new = met[a.id].last, met[b.id].first
                if old != new:
                    orders[key].setdefault(old, {}).setdefault(new, b)
    for order in orders.values():
        _nil_first(order)
    return orders


def _nil_first(order: Order) -> None:
    """Links nil to the versions that nothing precedes: the others follow from those."""
    preceded = {new for later in order.values() for new in later}
    for version in list(order):
        if version is not _NIL and version not in preceded:
            order[_NIL].setdefault(version, None)


def _cyclic(key: Key, order: Order) -> Finding | None:
    """The finding where versions of *key* would each have to come before the other."""
    versions = set(order) | {new for later in order.values() for new in later}
    into_nil = [old for old, later in order.items() if _NIL in later]

    def following(version: Any) -> Iterable[Any]:
        # Whatever comes before nil also comes after it.
        return [*order.get(version, {}), *(into_nil if version is _NIL else ())]

    for component in components(versions, following):
        if len(component) > 1:
            inside = set(component)
            says = {
                txn.op: None
                for old in component
                for new, txn in order.get(old, {}).items()
                if new in inside and txn is not None
            }
            listed = ", ".join(sorted(map(write, component)))
            sentence = f"no order of {listed} in {write(key)} fits what was read, written and when"
            return Finding("cyclic-versions", sentence, tuple(says))
    return None


def _dependencies(
    orders: dict[Key, Order], sound: list[Touch], writes: Writes, ids: set[int]
) -> Graph:
    graph = Graph()
    readers: dict[tuple[Key, Any], list[int]] = {}
    for touch in sound:
        readers.setdefault((touch.key, touch.read), []).append(touch.txn.id)
        if touch.read is not _NIL:
            writer = writes[touch.key, touch.read].txn.id
            graph.link(writer, touch.txn.id, WR, (touch.key, None, touch.read))
    for key, order in orders.items():
        for old, later in order.items():
            for new in later:
                writer = writes[key, new].txn.id
                if old is not _NIL:
                    graph.link(writes[key, old].txn.id, writer, WW, (key, old, new))
                for reader in readers.get((key, old), ()):
                    graph.link(reader, writer, RW, (key, old, new))
    return graph
