"""The checker against the definition: is there a serial order that explains what was seen?

On small histories every order can be tried. A finding must then mean that there is none, and, where
a last transaction reads all the lists, no finding must mean that there is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.histories.checker import check_append, check_register
from tests.histories.history import History, Key, Txn, parse
from tests.histories.microops import Request, perform
from tests.histories.stores import (
    Cell,
    Forks,
    ReadCommitted,
    Serial,
    Snapshot,
    StaleReads,
    Transaction,
    play,
)

KEYS = ("x", "y")


class ReadUncommitted(ReadCommitted):
    """Writes are seen at once, and stay when their transaction aborts."""

    def begin(self, request: Request) -> Transaction:
        tx = super().begin(request)
        tx.buffer = self.states[0]
        return tx

    def commit(self, tx: Transaction) -> bool:
        return True


def explained(txns: Iterable[Txn], *, realtime: bool) -> bool:
    """Whether some order of the committed *txns* gives each of them what it read.

    What is indeterminate may take its place in the order or be left out.
    """
    return _extend([txn for txn in txns if txn.status != "fail"], {}, realtime)


def _extend(rest: list[Txn], state: dict[Key, Any], realtime: bool) -> bool:
    if not any(txn.ok for txn in rest):
        return True
    for txn in rest:
        others = [other for other in rest if other is not txn]
        if realtime and any(_precedes(other, txn) for other in others):
            continue
        after = _applied(txn, state)
        if after is not None and _extend(others, after, realtime):
            return True
    return False


def _precedes(a: Txn, b: Txn) -> bool:
    return a.ok and a.complete is not None and a.complete.index < b.invoke.index


def _applied(txn: Txn, state: dict[Key, Any]) -> dict[Key, Any] | None:
    """The state after *txn*, or None where it would not have read what it did."""
    buffer: dict[Key, Any] = {}
    for mop in txn.mops:
        done = perform(mop, lambda key: Cell(state.get, buffer, key))
        if mop[0] == "r" and txn.ok and (done[0][2] or None) != (mop[2] or None):
            return None
    return state | buffer


@st.composite
def histories(draw: st.DrawFn, write: str) -> History:
    """Two to four clients on any of the stores; then one transaction that reads everything."""
    fresh = iter(range(1, 100))
    mop = st.tuples(st.booleans(), st.sampled_from(KEYS))
    script = st.lists(st.lists(mop, min_size=1, max_size=3), min_size=1, max_size=2)
    drawn = draw(st.lists(script, min_size=2, max_size=3))
    scripts = [
        [
            Request("txn", [(write, k, next(fresh)) if w else ("r", k, None) for w, k in mops])
            for mops in script
        ]
        for script in drawn
    ]
    rng = Random(draw(st.integers(0, 10**6)))
    stores = [ReadUncommitted(), ReadCommitted(), Snapshot(), Serial(), StaleReads(rng), Forks(rng)]
    store = draw(st.sampled_from(stores))
    turns = st.integers(0, 10**6)
    fates = st.sampled_from(["ok", "ok", "ok", "abort", "lost", "dropped"])
    history = play(store, scripts, lambda n: draw(turns) % n, luck=lambda: draw(fates))
    everything = Request("read", [("r", key, None) for key in KEYS])
    last = play(store, [[everything]], lambda n: 0)
    return _joined(history, last)


def _joined(first: History, second: History) -> History:
    """*second* after *first*, by a process of its own."""
    later = [attrs.evolve(op, process=999, index=op.index + len(first.ops)) for op in second.ops]
    return History([*first.ops, *later])


@given(histories("append"))
def test_lists_have_a_finding_exactly_when_no_strict_serial_order_explains_them(
    history: History,
) -> None:
    assert bool(check_append(history)) == (not explained(history.transactions, realtime=True))


@given(histories("append"))
def test_lists_have_a_finding_exactly_when_no_serial_order_explains_them(history: History) -> None:
    found = check_append(history, orders=())
    assert bool(found) == (not explained(history.transactions, realtime=False))


@given(histories("w"))
def test_registers_have_a_finding_only_when_no_order_explains_them(history: History) -> None:
    if explained(history.transactions, realtime=True):
        assert check_register(history) == ()
        assert check_register(history, key_order="realtime") == ()
    if explained(history.transactions, realtime=False):
        assert check_register(history, orders=()) == ()


@pytest.mark.parametrize(("seen", "answer"), [("[1]", True), ("[]", False)])
def test_the_oracle_itself_can_say_no(seen: str, answer: bool) -> None:
    history = parse(f"""
        {{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}}
        {{:process 0 :type :ok     :f :txn :value [[:append :x 1]]}}
        {{:process 1 :type :invoke :f :txn :value [[:r :x nil]]}}
        {{:process 1 :type :ok     :f :txn :value [[:r :x {seen}]]}}""")
    assert explained(history.transactions, realtime=True) is answer
    assert explained(history.transactions, realtime=False)
