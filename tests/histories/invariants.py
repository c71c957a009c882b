"""Judges workloads that promise an invariant instead of an order: cheap, and independent of cycles.

Each checker takes a history and gives findings. Reads inside transactions that also write count
like all others, because opacity is promised to every body; only what committed is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import combinations

from persistence.values import write
from tests.histories.finding import Finding, Findings
from tests.histories.history import History, Key, Txn


def check_bank(history: History, *, accounts: Collection[Key], total: int) -> Findings:
    """`bank-negative` for a balance below zero, `bank-total` where all accounts do not sum up.

    A transaction counts as having seen them all when it read each before it wrote any.
    `bank-missing` where an account that must exist was read as nil.
    """
    return tuple(
        finding
        for txn in history.transactions
        if txn.ok
        for finding in _bank_findings(txn, accounts, total)
    )


def _bank_findings(txn: Txn, accounts: Collection[Key], total: int) -> Iterator[Finding]:
    seen = {key: value for key, value in _reads_before_writes(txn).items() if key in accounts}
    if not seen:
        return
    missing = [key for key, value in seen.items() if value is None]
    if missing:
        sentence = f"#{txn.op.index} found no account {', '.join(map(write, missing))}"
        yield Finding("bank-missing", sentence, (txn.op,))
        return
    for key, value in seen.items():
        if value < 0:
            sentence = f"#{txn.op.index} read {write(key)} as {value}"
            yield Finding("bank-negative", sentence, (txn.op,))
    if len(seen) == len(accounts) and sum(seen.values()) != total:
        sentence = f"#{txn.op.index} read accounts that sum to {sum(seen.values())}, not {total}"
        yield Finding("bank-total", sentence, (txn.op,))


def _reads_before_writes(txn: Txn) -> dict[Key, object]:
    seen: dict[Key, object] = {}
    for name, key, *rest in txn.mops:
        if name != "r":
            break
        seen[key] = rest[0]
    return seen


def check_pairs(
    history: History,
    *,
    pairs: Collection[tuple[Key, Key]],
    holds: Callable[[int, int], bool] = lambda a, b: a + b >= 0,
) -> Findings:
    """`write-skew` where a transaction read both of a pair, before it wrote, and *holds* is false.

    Writers keep the invariant as far as they can see, so that only two that did not see each other
    can break it. Nil counts as 0.
    """
    findings = []
    for txn in history.transactions:
        seen = _reads_before_writes(txn) if txn.ok else {}
        for a, b in pairs:
            if a in seen and b in seen and not holds(seen[a] or 0, seen[b] or 0):
                sentence = (
                    f"#{txn.op.index} read {write(a)} as {write(seen[a])} and {write(b)} "
                    f"as {write(seen[b])}, which no writer on its own would have left"
                )
                findings.append(Finding("write-skew", sentence, (txn.op,)))
    return tuple(findings)


def check_long_fork(history: History, *, groups: Collection[Collection[Key]]) -> Findings:
    """`long-fork` where two readers of a group saw two writes in opposite orders.

    Every key is written once, so that nil means before and anything else after. Parallel snapshot
    isolation permits it, snapshot isolation does not (Sovran et al., "Transactional storage for
    geo-replicated systems", SOSP 2011).
    """
    findings = []
    every = [frozenset(group) for group in groups]
    groups_of: dict[Key, list[frozenset[Key]]] = {}
    for group in every:
        for key in group:
            groups_of.setdefault(key, []).append(group)
    views: dict[frozenset[Key], dict[frozenset[Key], Txn]] = {group: {} for group in every}
    for txn in history.transactions:
        seen = _reads_before_writes(txn) if txn.ok else {}
        for group in {group for key in seen for group in groups_of.get(key, ())}:
            if group <= seen.keys():
                present = frozenset(key for key in group if seen[key] is not None)
                views[group].setdefault(present, txn)
    for group in every:
        for (one, a), (other, b) in combinations(views[group].items(), 2):
            if one - other and other - one:
                sentence = (
                    f"#{a.op.index} saw {_keys(one - other)} without {_keys(other - one)}, "
                    f"#{b.op.index} the other way round"
                )
                findings.append(Finding("long-fork", sentence, (a.op, b.op)))
    return tuple(findings)


def _keys(keys: Collection[Key]) -> str:
    return ", ".join(sorted(map(write, keys)))
