"""Judges workloads that only ever add, to a counter or to a set: nothing lost, nothing made up.

Whatever was acknowledged before a read began must be in it; whatever had not been attempted when it
ended, or had failed, must not. What is indeterminate may be in it or not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

import attrs

from persistence.values import write
from tests.histories.finding import Finding, Findings
from tests.histories.history import History, HistoryError, Key, Txn


@attrs.frozen
class Sums:
    """How much had been added before a place in the history."""

    places: list[int]
    sums: list[int]

    @classmethod
    def of(cls, added: Iterable[tuple[int, int]]) -> Sums:
        """From (place, amount)."""
        ordered = sorted(added)
        return cls([p for p, _ in ordered], list(accumulate((n for _, n in ordered), initial=0)))

    def before(self, place: int) -> int:
        return self.sums[bisect_left(self.places, place)]


def check_counter(history: History, *, key: Key) -> Findings:
    """`counter-lost` where a read is below what was acknowledged, `counter-extra` above attempts.

    `counter-unread` where nobody read *key* after the last acknowledgement: the final value is then
    not known. A transaction's own `[:add key n]` before its read counts exactly. Nil counts as 0.

    Raises:
        HistoryError: something negative is added; a counter that falls has no such bounds.
    """
    adds = [(txn, _added(txn, key)) for txn in history.transactions]
    acknowledged = Sums.of((t.complete.index, by) for t, by in adds if t.ok and t.complete)
    attempted = Sums.of((t.invoke.index, by) for t, by in adds if t.status != "fail")
    everything = acknowledged.sums[-1]
    findings, is_final = [], False
    for txn, by in adds:
        reads = list(_counts(txn, key)) if txn.ok and txn.complete else []
        for own, value in reads:
            low = acknowledged.before(txn.invoke.index) + own
            high = attempted.before(txn.complete.index) - by + own
            findings += _out_of_bounds(txn, key, value, low, high)
            is_final |= low == everything
    if everything and not is_final:
        findings.append(Finding("counter-unread", f"no read of {write(key)} is the final one"))
    return tuple(findings)


def _added(txn: Txn, key: Key) -> int:
    amounts = [rest[0] for name, k, *rest in txn.mops if name == "add" and k == key]
    if any(amount < 0 for amount in amounts):
        raise HistoryError(f"{txn} counts down; only a counter that goes up can be judged")
    return sum(amounts)


def _counts(txn: Txn, key: Key) -> Iterator[tuple[int, int]]:
    """(what the transaction had added itself, what it read)."""
    own = 0
    for name, k, value in txn.mops:
        if k == key and name == "add":
            own += value
        elif k == key and name == "r":
            yield own, value or 0


def _out_of_bounds(txn: Txn, key: Key, value: int, low: int, high: int) -> Iterator[Finding]:
    read = f"#{txn.op.index} read {write(key)} as {value}"
    if value < low:
        sentence = f"{read}, though {low} had been acknowledged before"
        yield Finding("counter-lost", sentence, (txn.op,))
    if value > high:
        sentence = f"{read}, though no more than {high} had been attempted"
        yield Finding("counter-extra", sentence, (txn.op,))


def check_set(history: History, *, key: Key) -> Findings:
    """What is wrong with the elements of *key*, each added by one `[:conj key element]`.

    `set-lost`: acknowledged, and absent from the final read. `set-stale`: absent from a read that
    began after it was acknowledged, though not from the final one. `set-unexpected`: read though it
    failed, or was never attempted before. `set-duplicate`: read twice at once. `set-unread`: there
    is no final read, one that began after the last acknowledgement.
    """
    added = {
        value: txn
        for txn in history.transactions
        for name, k, value in txn.mops
        if name == "conj" and k == key
    }
    acknowledged = {e: t.complete.index for e, t in added.items() if t.ok and t.complete}
    reads = [
        (txn, value or ())
        for txn in history.transactions
        if txn.ok
        for name, k, value in txn.mops
        if name == "r" and k == key
    ]
    end = max(acknowledged.values(), default=-1)
    final = [elements for txn, elements in reads if txn.invoke.index > end]
    findings = [f for txn, elements in reads for f in _surplus(txn, elements, added)]
    lost = set(acknowledged).difference(*final[-1:]) if final else set()
    findings += [_absent("set-lost", e, added[e], reads[-1][0]) for e in sorted(lost, key=str)]
    findings += _stale(reads, acknowledged, added, lost)
    if not final:
        findings.append(Finding("set-unread", f"no read of {write(key)} is the final one"))
    return tuple(findings)


def _surplus(txn: Txn, elements: tuple[Any, ...], added: dict[Any, Txn]) -> Iterator[Finding]:
    if len(set(elements)) < len(elements):
        sentence = f"#{txn.op.index} read an element twice: {write(elements)}"
        yield Finding("set-duplicate", sentence, (txn.op,))
    for element in elements:
        adder = added.get(element)
        if adder is None or txn.complete is None or adder.invoke.index > txn.complete.index:
            sentence = f"#{txn.op.index} read {write(element)}, which nobody had tried to add"
            yield Finding("set-unexpected", sentence, (txn.op,))
        elif adder.status == "fail":
            sentence = (
                f"#{txn.op.index} read {write(element)}, which #{adder.op.index} failed to add"
            )
            yield Finding("set-unexpected", sentence, (txn.op, adder.op))


def _stale(
    reads: list[tuple[Txn, tuple[Any, ...]]],
    acknowledged: dict[Any, int],
    added: dict[Any, Txn],
    lost: set[Any],
) -> Iterator[Finding]:
    """Once for each element: whoever misses it is stale, but one proof is enough."""
    told = set(lost)
    for txn, elements in reads:
        due = {e for e, place in acknowledged.items() if place < txn.invoke.index}
        for element in sorted(due.difference(elements) - told, key=str):
            told.add(element)
            yield _absent("set-stale", element, added[element], txn)


def _absent(name: str, element: Any, adder: Txn, reader: Txn) -> Finding:
    sentence = (
        f"#{adder.op.index} added {write(element)} and was told so, "
        f"but #{reader.op.index} did not read it"
    )
    return Finding(name, sentence, (adder.op, reader.op))
