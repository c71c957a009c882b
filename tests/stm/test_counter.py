"""N threads that count end at exactly the acknowledged count, however they count."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from persistence import Substrate
from persistence.clock import FrozenClock
from persistence.stm import Transaction


def by_set(tx: Transaction) -> None:
    counter = tx.ref(1, "n")
    counter.set(counter.deref() + 1)


def by_alter(tx: Transaction) -> None:
    tx.ref(1, "n").alter(lambda n: n + 1)


def by_commute(tx: Transaction) -> None:
    tx.ref(1, "n").commute(lambda n: n + 1)


def by_query(tx: Transaction) -> None:
    n = tx.q("[:find ?n . :where [1 :n ?n]]")
    tx.transact([["db/add", 1, "n", n + 1]])


WAYS = [by_set, by_alter, by_commute, by_query]


@pytest.mark.parametrize("count", WAYS, ids=lambda way: way.__name__)
def test_threads_lose_no_increment(store_uri: str, count: Callable[[Transaction], Any]) -> None:
    with Substrate.open(store_uri, clock=FrozenClock(1_800_000_000_000_000)) as s:
        s.fact.transact([["db/add", 1, "n", 0]])
        start = threading.Barrier(4)

        def work(_: int) -> None:
            start.wait()
            for _ in range(15):
                s.txn.run(count)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert s.fact.db().get(1, "n") == 60
        assert s.check() == []
