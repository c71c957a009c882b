"""Transactions in transactions, alternatives, and waiting for a change."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from persistence import Substrate
from persistence.errors import Conflict, DeadlineExceeded, TransactionError, WaitCycle
from persistence.stm import Transaction
from persistence.values import Keyword
from tests.stm.conftest import balance
from tests.stm.test_refs import add

CHANGED = [["db/add", 1, "account/balance", 7]]


def take(tx: Transaction, e: int, amount: int) -> int:
    held = tx.ref(e, "account/balance")
    if held.deref() < amount:
        tx.retry()
    held.alter(add, -amount)
    return e


def test_a_child_sees_its_parents_writes_and_gives_it_its_own(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        tx.ref(1, "account/balance").set(1)
        tx.ref(3, "account/balance").commute(add, 1)
        with tx.nested() as child:
            assert child.ref(1, "account/balance").deref() == 1
            child.ref(1, "account/balance").alter(add, 1)
            child.transact([["db/add", 2, "account/balance", 5]])
            child.ref(3, "account/balance").commute(add, 1)
        assert tx.ref(1, "account/balance").deref() == 2
        assert tx.get(2, "account/balance") == 5

    s.txn.run(body)
    assert [balance(s, e) for e in (1, 2, 3)] == [2, 5, 102]


def test_a_child_is_rolled_back_alone(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        tx.ref(1, "account/balance").set(1)
        with pytest.raises(KeyError), tx.nested() as child:
            child.ref(1, "account/balance").set(2)
            child.ref(2, "account/balance").set(2)
            child.transact([["db/add", 3, "account/owner", "x"]])
            child.ref(3, "account/balance").commute(add, 1)
            raise KeyError("no")
        assert tx.ref(1, "account/balance").deref() == 1
        assert tx.get(3, "account/owner") is None

    s.txn.run(body)
    assert [balance(s, e) for e in (1, 2, 3)] == [1, 100, 100]


def test_what_a_child_read_counts_even_if_it_is_rolled_back(s: Substrate) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        with pytest.raises(KeyError), tx.nested() as child:
            child.get(1, "account/balance")
            raise KeyError("no")
        tx.ref(2, "account/balance").set(1)
        s.fact.transact(CHANGED)


def test_a_nested_body_gives_its_value(s: Substrate) -> None:
    assert s.txn.run(lambda tx: tx.run(take, 1, 30)) == 1
    assert balance(s, 1) == 70


def test_a_child_is_over_after_its_block(s: Substrate) -> None:
    with s.txn.once() as tx:
        with tx.nested() as child:
            pass
        with pytest.raises(TransactionError, match="is over"):
            child.get(1, "account/balance")


def test_the_first_alternative_that_does_not_give_up_is_taken(s: Substrate) -> None:
    def body(tx: Transaction) -> int:
        tx.ref(1, "account/balance").set(5)
        return tx.or_else(lambda t: take(t, 1, 50), lambda t: take(t, 2, 50))

    assert s.txn.run(body) == 2
    assert [balance(s, e) for e in (1, 2)] == [5, 50]


def test_an_alternative_that_gives_up_leaves_no_writes(s: Substrate) -> None:
    def first(tx: Transaction) -> None:
        tx.ref(3, "account/balance").set(0)
        tx.retry()

    s.txn.run(lambda tx: tx.or_else(first, lambda t: take(t, 1, 1)))
    assert [balance(s, e) for e in (1, 3)] == [99, 100]


def test_an_alternative_that_was_not_taken_is_still_a_read(s: Substrate) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        tx.or_else(lambda t: take(t, 1, 500), lambda t: take(t, 2, 50))
        s.fact.transact(CHANGED)


def test_it_waits_until_what_it_read_changes(s: Substrate) -> None:
    tried = threading.Semaphore(0)

    def body(tx: Transaction) -> int:
        tried.release()
        return tx.or_else(lambda t: take(t, 1, 500), lambda t: take(t, 2, 500))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(s.txn.run, body)
        tried.acquire()
        s.fact.transact([["db/add", 3, "account/balance", 900]])  # which it has not read
        s.fact.transact([["db/add", 2, "account/balance", 600]])
        assert waiting.result(30) == 2
    assert balance(s, 2) == 100
    # Once at first, once for the account it reads; the first write may have come before it read.
    assert sum(tried.acquire(blocking=False) for _ in range(5)) in (1, 2)


def test_waiting_ends_with_the_deadline(s: Substrate) -> None:
    with pytest.raises(DeadlineExceeded):
        s.txn.run(take, 1, 500, deadline=0.05)


def test_waiting_for_nothing_is_refused(s: Substrate) -> None:
    with pytest.raises(TransactionError, match="has read nothing"):
        s.txn.run(lambda tx: tx.retry())


def test_a_block_that_is_entered_once_cannot_retry(s: Substrate) -> None:
    with pytest.raises(TransactionError, match="cannot retry"), s.txn.once() as tx:
        tx.get(1, "account/balance")
        tx.retry()


def test_attributes_declared_in_several_bodies_stay_apart(s: Substrate) -> None:
    def declare(tx: Transaction, name: str, kind: str) -> None:
        tx.transact(f"[{{:db/ident :{name} :db/valueType :db.type/{kind}}}]")
        tx.transact([{name: tx.basis if kind == "long" else "text"}])

    for name, kind in (("made/one", "long"), ("made/two", "string"), ("made/three", "long")):
        s.txn.run(declare, name, kind)
    schema = s.fact.db().schema
    entities = {schema[Keyword(f"made/{name}")].entity for name in ("one", "two", "three")}
    assert len(entities) == 3 and None not in entities
    assert str(schema[Keyword("made/two")].value_type) == ":db.type/string"
    assert s.check() == []


# ---------------------------------------------------------------------- waits that never end


def wait_for(tx: Transaction, e: int, value: int) -> None:
    if tx.ref(e, "account/balance").deref() != value:
        tx.retry()


def test_a_wait_for_the_body_around_it_is_refused(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        tx.ref(1, "account/balance").set(7)
        s.txn.run(wait_for, 1, 7)

    with pytest.raises(WaitCycle, match="the body around it"):
        s.txn.run(body)
    assert s.fact.db().get(1, "account/balance") != 7


def test_a_wait_for_others_inside_of_a_body_goes_on(s: Substrate) -> None:
    ready = threading.Event()

    def other() -> None:
        ready.wait()
        s.fact.transact([{"db/id": 2, "account/balance": 5}])

    thread = threading.Thread(target=other)
    thread.start()

    def body(tx: Transaction) -> None:
        tx.ref(1, "account/balance").set(7)
        ready.set()
        s.txn.run(wait_for, 2, 5)

    s.txn.run(body)
    thread.join()
    assert s.fact.db().get(1, "account/balance") == 7


def test_two_bodies_whose_waits_need_each_other_are_told(s: Substrate) -> None:
    both = threading.Barrier(2)
    refused: list[WaitCycle] = []

    def body(tx: Transaction, own: int, other: int) -> None:
        tx.ref(own, "account/balance").set(7)
        both.wait()
        s.txn.run(wait_for, other, 7)

    def work(own: int, other: int) -> None:
        try:
            s.txn.run(body, own, other)
        except WaitCycle as error:
            refused.append(error)
            s.fact.transact([{"db/id": own, "account/balance": 7}])  # what the other one needs

    threads = [threading.Thread(target=work, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) >= 1


def test_a_wait_under_the_write_lock_is_refused(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        s.txn.run(wait_for, 2, 5)

    with pytest.raises(WaitCycle, match="write lock"):
        s.txn.run(body, serial_after=0)
