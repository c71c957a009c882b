"""Processes that share a store: nobody's increment is lost, and a change wakes who waits for it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from persistence import Substrate
from persistence.clock import FrozenClock
from persistence.stm import Transaction
from tests.stm.test_counter import by_alter, by_commute, by_query, by_set

WAYS = {way.__name__: way for way in (by_set, by_alter, by_commute, by_query)}
_NOON = 1_800_000_000_000_000


def count(uri: str, way: str, times: int) -> int:
    with Substrate.open(uri, clock=FrozenClock(_NOON)) as s:
        for _ in range(times):
            s.txn.run(WAYS[way])
    return times


def create(uri: str, times: int) -> list[int]:
    def body(tx: Transaction) -> int:
        return tx.transact([{"db/id": "new", "n": 0}]).tempids["new"]

    with Substrate.open(uri) as s:
        return [s.txn.run(body) for _ in range(times)]


def wait_for(uri: str, value: int) -> int:
    def body(tx: Transaction) -> int:
        if tx.ref(1, "n").deref() != value:
            tx.retry()
        tx.ref(2, "n", default=0).set(value)
        return value

    with Substrate.open(uri) as s:
        s.txn.run(lambda tx: tx.ref(3, "n", default=0).alter(lambda n: n + 1))
        return s.txn.run(body, deadline=60)


def pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("way", WAYS)
def test_processes_lose_no_increment(store_uri: str, way: str) -> None:
    with Substrate.open(store_uri, clock=FrozenClock(_NOON)) as s:
        s.fact.transact([["db/add", 1, "n", 0]])
        with pool(3) as workers:
            done = sum(workers.map(count, [store_uri] * 3, [way] * 3, [12] * 3))
        assert s.fact.db().get(1, "n") == done == 36
        assert s.check() == []


def test_processes_never_name_two_entities_alike(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        with pool(3) as workers:
            made = [e for found in workers.map(create, [store_uri] * 3, [20] * 3) for e in found]
        assert len(set(made)) == 60
        assert sorted(s.fact.db().q("[:find [?e ...] :where [?e :n 0]]")) == sorted(made)


def test_a_change_wakes_another_process(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.fact.transact([["db/add", 1, "n", 0]])
        with pool(1) as workers:
            waiting = workers.submit(wait_for, store_uri, 5)

            def begun(tx: Transaction) -> None:
                if tx.ref(3, "n", default=0).deref() == 0:
                    tx.retry()

            s.txn.run(begun, deadline=60)
            s.fact.transact([["db/add", 1, "n", 4]])
            s.fact.transact([["db/add", 1, "n", 5]])
            assert waiting.result(60) == 5
        assert s.fact.db().get(2, "n") == 5
