"""A branch is transacted on as the main line is, and the two never meet in a conflict."""

from __future__ import annotations

import pytest

from persistence import Substrate
from persistence.errors import Conflict
from tests.stm.conftest import balance
from tests.stm.test_refs import add


def test_a_branch_and_the_main_line_never_conflict(s: Substrate) -> None:
    branch = s.branch.create("what-if")
    with branch.txn.once() as tx:
        tx.ref(1, "account/balance").alter(add, 1)
        s.fact.transact([["db/add", 1, "account/balance", 50]])
    with s.txn.once() as tx:
        tx.ref(1, "account/balance").alter(add, 1)
        branch.txn.run(lambda t: t.ref(1, "account/balance").alter(add, 1))
    assert (branch.fact.db().get(1, "account/balance"), balance(s, 1)) == (102, 51)
    assert s.check() == []


def test_two_transactions_of_one_branch_do(s: Substrate) -> None:
    branch = s.branch.create("what-if")
    with pytest.raises(Conflict), branch.txn.once() as tx:
        tx.q("[:find (sum ?b) . :with ?e :where [?e :account/balance ?b]]")
        tx.ref(2, "account/balance").commute(add, 1)
        branch.txn.run(lambda t: t.ref(1, "account/balance").set(9))
    assert branch.fact.db().get(1, "account/balance") == 9
