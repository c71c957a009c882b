"""What both kinds of inference need: who wrote which version, and who is known to have committed.

Every write of a workload is unique within its key, so that a value that is read names its writer:
Elle calls this recoverability.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from persistence.values import write
from tests.histories.finding import Finding
from tests.histories.graph import Graph
from tests.histories.history import History, HistoryError, Key, Txn


@attrs.frozen
class Write:
    """*txn* wrote it; *final* if the transaction wrote nothing to the key afterwards."""

    txn: Txn
    final: bool


Writes = dict[tuple[Key, Any], Write]


@attrs.frozen
class Inference:
    """What a history says: dependencies between *committed* transactions, and plain findings."""

    graph: Graph
    committed: tuple[Txn, ...]
    findings: tuple[Finding, ...]


def index_writes(history: History, name: str) -> Writes:
    """Every value that a micro-operation called *name* wrote, or tried to.

    Raises:
        HistoryError: two writes of one value to one key, or a write of nil: a read of it would
            not say whose it is.
    """
    writes: Writes = {}
    for txn in history.transactions:
        last: dict[Key, Any] = {}
        for mop, key, *rest in txn.mops:
            if mop not in (name, "r"):
                raise HistoryError(f"{txn} has [:{mop} …] where only :{name} and :r are judged")
            if mop == "r":
                continue
            place = (key, rest[0])
            if rest[0] is None or place in writes:
                raise HistoryError(f"{txn} writes {write(rest[0])} to {write(key)}, not uniquely")
            if key in last:
                writes[key, last[key]] = Write(txn, final=False)
            last[key] = rest[0]
            writes[place] = Write(txn, final=True)
    return writes


def committed(history: History, writes: Writes, observed: Iterable[tuple[Key, Any]]) -> set[int]:
    """Ids of the transactions that certainly committed.

    An indeterminate transaction is among them once somebody read one of its writes.
    """
    ids = {txn.id for txn in history.transactions if txn.ok}
    for place in observed:
        found = writes.get(place)
        if found is not None and found.txn.status == "info":
            ids.add(found.txn.id)
    return ids


def unsound_read(reader: Txn, key: Key, value: Any, writes: Writes) -> Finding | None:
    """G1a where the value's writer aborted, garbage-read where nobody ever wrote it."""
    found = writes.get((key, value))
    if found is None:
        sentence = f"{_who(reader)} read {write(value)} from {write(key)}, which nobody wrote"
        return Finding("garbage-read", sentence, (reader.op,))
    if found.txn.status == "fail":
        sentence = (
            f"{_who(reader)} read {write(value)} from {write(key)}, "
            f"which {_who(found.txn)} wrote and did not commit"
        )
        return Finding("G1a", sentence, (reader.op, found.txn.op))
    return None


def intermediate_read(reader: Txn, key: Key, value: Any, found: Write) -> Finding:
    """G1b: the value was overwritten by its own transaction, so nobody else may ever see it."""
    sentence = (
        f"{_who(reader)} read {write(value)} from {write(key)}, "
        f"where {_who(found.txn)} wrote something else before it committed"
    )
    return Finding("G1b", sentence, (reader.op, found.txn.op))


def lost_updates(updates: Iterable[tuple[Key, Any, Txn]]) -> list[Finding]:
    """Of (key, version read, transaction that then wrote the key), those that share a version.

    Only one of them can have come first, and the others did not see what it wrote.
    """
    by_version: dict[tuple[Key, Any], list[Txn]] = {}
    for key, version, txn in updates:
        by_version.setdefault((key, version), []).append(txn)
    findings = []
    for (key, version), txns in by_version.items():
        if len(txns) > 1:
            who = ", ".join(map(_who, txns))
            sentence = f"{who} each read {write(key)} as {write(version)} and then wrote it"
            findings.append(Finding("lost-update", sentence, tuple(txn.op for txn in txns)))
    return findings


def _who(txn: Txn) -> str:
    return f"#{txn.op.index}"
