"""Commutes are made again at commit, and never conflict over their own cell."""

from __future__ import annotations

import pytest

from persistence import Substrate
from persistence.errors import Conflict, ValueRefused
from persistence.stm import Transaction
from tests.stm.conftest import balance
from tests.stm.test_refs import add

CHANGED = [["db/add", 1, "account/balance", 7]]


def test_it_is_made_on_what_is_there_at_commit(s: Substrate) -> None:
    with s.txn.once() as tx:
        assert tx.ref(1, "account/balance").commute(add, 1) == 101
        s.fact.transact(CHANGED)
    assert balance(s, 1) == 8


def test_several_of_one_cell_are_made_in_order(s: Substrate) -> None:
    with s.txn.once() as tx:
        ref = tx.ref(1, "account/balance")
        ref.commute(add, 1)
        assert ref.commute(lambda n: n * 2) == 202
        s.fact.transact(CHANGED)
    assert balance(s, 1) == 16


def test_queries_see_the_speculative_value(s: Substrate) -> None:
    with s.txn.once() as tx:
        tx.ref(2, "account/balance").commute(add, 5)
        assert tx.q("[:find (max ?b) . :where [_ :account/balance ?b]]") == 105
        tx.ref(2, "account/balance").commute(add, 5)
        assert tx.get(2, "account/balance") == 110
    assert balance(s, 2) == 110


def test_who_looks_at_it_depends_on_it(s: Substrate) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        ref = tx.ref(1, "account/balance")
        ref.commute(add, 1)
        assert ref.deref() == 101
        s.fact.transact(CHANGED)
    assert balance(s, 1) == 7


@pytest.mark.parametrize("write", ["set", "alter", "transact"])
def test_a_write_after_it_makes_it_an_ordinary_one(s: Substrate, write: str) -> None:
    def body(tx: Transaction) -> None:
        held = balance(s, 1)
        ref = tx.ref(1, "account/balance")
        ref.commute(add, 1)
        if write == "set":
            ref.set(5)
        elif write == "alter":
            assert ref.alter(add, 1) == held + 2
        else:
            tx.transact([["db/add", 1, "account/balance", 6]])

    with pytest.raises(Conflict), s.txn.once() as tx:
        body(tx)
        s.fact.transact(CHANGED)
    s.txn.run(body)
    assert balance(s, 1) == {"set": 5, "alter": 9, "transact": 6}[write]


def test_after_a_write_it_is_a_part_of_it(s: Substrate) -> None:
    with s.txn.once() as tx:
        ref = tx.ref(1, "account/balance")
        ref.set(1)
        assert ref.commute(add, 1) == 2
        s.fact.transact(CHANGED)
    assert balance(s, 1) == 2


def test_its_transaction_still_depends_on_what_it_read(s: Substrate) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        tx.ref(1, "account/balance").commute(add, tx.get(2, "account/balance"))
        s.fact.transact([["db/add", 2, "account/balance", 1]])


def test_one_that_gives_nothing_is_refused(s: Substrate) -> None:
    with pytest.raises(ValueRefused):
        s.txn.run(lambda tx: tx.ref(1, "account/balance").commute(lambda n: None))
    assert balance(s, 1) == 100
