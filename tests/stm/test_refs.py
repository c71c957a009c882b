"""Refs: one cell each, as the transaction sees it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import Conflict, TransactionError, UndeclaredRef
from persistence.stm import Ref, Transaction
from persistence.values import Keyword
from tests.stm.conftest import balance


def add(held: int, more: int) -> int:
    return held + more


def test_what_was_set_is_what_is_seen(s: Substrate) -> None:
    def body(tx: Transaction) -> list[Any]:
        ref = tx.ref(1, "account/balance")
        seen = [ref.deref()]
        ref.set(5)
        seen.append(ref.deref())
        seen.append(ref.alter(add, 3))
        seen.append(tx.get(1, "account/balance"))
        seen.append(tx.q("[:find ?b . :where [1 :account/balance ?b]]"))
        ref.set(9)
        return [*seen, tx.pull(["account/balance"], 1)]

    assert s.txn.run(body) == [100, 5, 8, 8, 8, {Keyword("account/balance"): 9}]
    assert balance(s, 1) == 9


def test_nothing_is_written_before_the_commit_nor_after_an_error(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        tx.ref(1, "account/balance").set(5)
        tx.transact([["db/add", 2, "account/balance", 5]])
        assert [balance(s, 1), balance(s, 2)] == [100, 100]
        raise KeyError("no")

    basis = s.fact.db().basis
    with pytest.raises(KeyError):
        s.txn.run(body)
    assert s.fact.db().basis == basis


def test_all_of_a_transaction_stands_at_one_t(s: Substrate) -> None:
    with s.txn.once(meta={"why": "test"}, author="ada") as tx:
        tx.ref(1, "account/balance").set(1)
        tx.transact([["db/add", 2, "account/balance", 2]])
        tx.ref(3, "account/balance").commute(add, 3)
    assert tx.report is not None
    assert {datom.tx for datom in tx.report.tx_data} == {tx.report.tx}
    assert [balance(s, e) for e in (1, 2, 3)] == [1, 2, 103]
    (last,) = s.fact.transactions(tx.report.t)
    assert (last.author, dict(last.meta)) == ("ada", {Keyword("why"): "test"})


def test_later_writes_of_a_transaction_override_earlier_ones(s: Substrate) -> None:
    with s.txn.once() as tx:
        tx.transact([["db/add", 1, "account/balance", 1]])
        tx.transact([["db/add", 1, "account/balance", 2]])
        tx.ref(1, "account/balance").set(3)
        tx.transact([["db/add", 1, "account/owner", "ada"]])
        tx.transact([["db/retract", 1, "account/owner"]])
    assert balance(s, 1) == 3
    assert s.fact.db().get(1, "account/owner") is None
    assert s.check() == []


def test_a_ref_by_lookup_ref_and_a_ref_that_is_kept(s: Substrate) -> None:
    ref = s.txn.ref(["account/id", "b"], "account/balance")
    assert ref == Ref(("account/id", "b"), ":account/balance")
    assert pickle.loads(pickle.dumps(ref)) == ref
    assert s.txn.run(lambda tx: tx.ref(ref).alter(add, 1)) == 101
    assert s.txn.deref(ref) == 101


def test_an_empty_cell_has_its_default(s: Substrate) -> None:
    assert s.txn.deref(Ref(1, "brand/new", default=7)) == 7
    assert s.txn.deref(Ref(1, "account/owner")) is None
    assert s.txn.run(lambda tx: tx.ref(1, "brand/new", default=7).alter(add, 1)) == 8
    assert s.txn.run(lambda tx: tx.ref(1, "brand/newer", default=7).commute(add, 1)) == 8
    assert [s.fact.db().get(1, each) for each in ("brand/new", "brand/newer")] == [8, 8]


@pytest.mark.parametrize(
    ("entity", "attribute", "error", "says"),
    [
        (1, "brand/new", UndeclaredRef, "nobody has declared or used :brand/new"),
        (["account/id", "nobody"], "account/balance", UndeclaredRef, "names no entity"),
        (1, "account/tags", TransactionError, "a ref holds one"),
    ],
)
def test_a_cell_that_is_not_there(
    s: Substrate, entity: Any, attribute: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as told:
        s.txn.run(lambda tx: tx.ref(entity, attribute).deref())
    assert told.value.hint  # type: ignore[attr-defined]


def test_nil_is_no_value(s: Substrate) -> None:
    with pytest.raises(TransactionError, match="nil"):
        s.txn.run(lambda tx: tx.ref(1, "account/balance").set(None))


def test_a_value_of_the_wrong_type_is_refused_and_nothing_written(s: Substrate) -> None:
    with pytest.raises(TransactionError, match="cannot be :account/balance"):
        s.txn.run(lambda tx: tx.ref(1, "account/balance").set("much"))
    assert balance(s, 1) == 100


def test_a_ref_of_reference_type_takes_names_of_entities(s: Substrate) -> None:
    s.fact.transact("[{:db/ident :account/heir :db/valueType :db.type/ref}]")
    s.txn.run(lambda tx: tx.ref(1, "account/heir").set(("account/id", "b")))
    assert s.txn.deref(Ref(1, "account/heir")) == 2


def test_a_composite_value_comes_back_as_a_value(s: Substrate) -> None:
    def body(tx: Transaction) -> Any:
        ref = tx.ref(1, "account/note", default=())
        ref.set([1, [2, "x"]])
        return ref.deref()

    assert s.txn.run(body) == (1, (2, "x"))
    assert s.txn.deref(Ref(1, "account/note")) == (1, (2, "x"))


def test_over_is_over(s: Substrate) -> None:
    with s.txn.once() as tx:
        ref = tx.ref(1, "account/balance")
    for use in (lambda: ref.deref(), lambda: tx.db, lambda: tx.transact([]), tx.retry):
        with pytest.raises(TransactionError, match="is over"):
            use()


def test_valid_time_of_a_whole_transaction(s: Substrate) -> None:
    def body(tx: Transaction) -> Any:
        ref = tx.ref(1, "account/balance")
        ref.set(50)
        return ref.deref()

    assert s.txn.run(body, valid_from="2100-01-01") == 100
    db = s.fact.db()
    assert db.get(1, "account/balance") == 100
    assert db.valid_at("2100-01-02").get(1, "account/balance") == 50


def test_new_entities_have_their_final_ids_in_the_body(s: Substrate) -> None:
    def body(tx: Transaction) -> tuple[int, int]:
        first = tx.transact([{"db/id": "n", "account/id": "n1"}]).tempids["n"]
        second = tx.transact([{"db/id": "n", "account/id": "n2"}]).tempids["n"]
        tx.ref(first, "account/balance").set(1)
        return first, second

    with pytest.raises(Conflict), s.txn.once() as tx:
        mine = body(tx)
        others = s.txn.run(body)
    assert len({*mine, *others}) == 4
    db = s.fact.db()
    assert [db.entid(["account/id", name]) for name in ("n1", "n2")] == list(others)
    ordinary = s.fact.transact([{"db/id": "x", "account/id": "x"}]).tempids["x"]
    assert ordinary < 100
    assert s.check() == []


def test_many_new_entities_at_once(s: Substrate) -> None:
    def body(tx: Transaction) -> int:
        tx.transact([{"account/id": f"many-{n}"} for n in range(2000)])
        found: int = tx.q("[:find (count ?e) . :where [?e :account/id]]")
        return found

    assert s.txn.run(body) == 2003
    assert s.txn.run(body) == 2003
    assert s.check() == []


def test_components_made_and_lost_in_one_transaction_leave_nothing(s: Substrate) -> None:
    with s.txn.once() as tx:
        made = tx.transact(
            [{"db/id": "o", "order/lines": [{"db/id": "l", "account/owner": "line"}]}]
        ).tempids
        tx.transact([["db/retractEntity", made["o"]]])
        assert dict(tx.db.entity(made["l"])) == {}
    assert dict(s.fact.db().entity(made["l"])) == {}
    assert s.check() == []
