"""What a transaction has decided is data: it can be sent to another process and come back."""

from __future__ import annotations

import pickle

from persistence import Substrate
from persistence.query.footprint import Footprints
from persistence.stm import State, Transaction
from persistence.values import Keyword
from tests.stm.conftest import balance
from tests.stm.test_refs import add


def decide(tx: Transaction) -> None:
    tx.transact([{"db/id": "n", "account/id": "new", "order/lines": [{"account/owner": "l"}]}])
    tx.transact([["db/add", 2, "account/tags", "x"], ["db/retract", 1, "account/owner"]])
    tx.ref(1, "account/balance").alter(add, 5)
    tx.ref(3, "account/balance").commute(add, 7)


def test_decisions_and_footprints_survive_pickling(s: Substrate) -> None:
    with s.txn.once() as tx:
        child = tx.child(Footprints(tx.basis))
        decide(child)
        state, reads = pickle.loads(pickle.dumps((child.state, child.reads)))
        assert isinstance(state, State)
        assert reads.matches(1, Keyword("account/balance"), 2, 0)
        child.state, child.reads = state, reads
        child.merge_into(tx)
        assert tx.reads.matches(1, Keyword("account/balance"), 2, 0)
        assert tx.get(1, "account/balance") == 105
    assert [balance(s, 1), balance(s, 3)] == [105, 107]
    assert (
        s.fact.db().q(
            '[:find ?o . :where [?e :account/id "new"] [?e :order/lines ?l] [?l :account/owner ?o]]'
        )
        == "l"
    )
    assert s.check() == []


def test_children_apart_do_not_see_each_other(s: Substrate) -> None:
    with s.txn.once() as tx:
        tx.ref(1, "account/balance").set(1)
        one, two = tx.child(Footprints(tx.basis)), tx.child(Footprints(tx.basis))
        one.ref(1, "account/balance").set(2)
        two.transact([["db/add", 1, "account/balance", 3]])
        seen = [each.get(1, "account/balance") for each in (tx, one, two)]
        assert seen == [1, 2, 3]
        two.merge_into(tx)
        assert tx.get(1, "account/balance") == 3
    assert balance(s, 1) == 3


def test_decisions_can_be_replayed_on_the_snapshot_they_were_made_on(s: Substrate) -> None:
    with s.txn.once() as tx:
        decide(tx)
        sent = pickle.dumps(tx.state)
        with tx.nested() as child:
            child.take_over(pickle.loads(sent))
            assert child.get(1, "account/balance") == 105
            assert child.q('[:find ?e . :where [?e :account/id "new"]]') is not None
