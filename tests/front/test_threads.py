"""Many threads, many processes, one store: every acknowledged commit is there, once."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

from persistence import Substrate
from persistence.clock import FrozenClock
from persistence.errors import CasFailed, TransactionError


def test_threads_that_transact_together_share_commits_and_lose_nothing(store_uri: str) -> None:
    with Substrate.open(store_uri, clock=FrozenClock(1_800_000_000_000_000)) as s:
        s.fact.transact("[{:db/ident :id :db/unique :db.unique/identity}]")
        start = threading.Barrier(8)

        def work(n: int) -> list[int]:
            start.wait()
            return [s.fact.transact([{"id": f"{n}-{i}", "n": i}]).t for i in range(10)]

        with ThreadPoolExecutor(8) as pool:
            places = [t for found in pool.map(work, range(8)) for t in found]
        assert sorted(places) == list(range(2, 82))
        assert s.fact.db().q("[:find (count ?e) . :where [?e :id]]") == 80
        assert s.check() == []


def test_one_bad_transaction_of_a_group_fails_alone(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        start = threading.Barrier(6)

        def work(n: int) -> bool:
            start.wait()
            try:
                s.fact.transact([{"n": None if n % 2 else n}])
            except TransactionError:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(work, range(6))) == [True, False] * 3
        assert s.fact.db().basis == 3
        assert s.check() == []


def _count(uri: str, times: int) -> None:
    with Substrate.open(uri, functions={"add-one": _add_one}) as s:
        for _ in range(times):
            s.fact.transact([[":add-one", 1]])


def _add_one(db, e):
    return [[":db/add", e, "n", db.get(e, "n") + 1]]


def test_processes_that_count_lose_no_increment(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.fact.transact([[":db/add", 1, "n", 0]])
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count, args=(store_uri, 15)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with Substrate.open(store_uri) as s:
        assert s.fact.db().get(1, "n") == 45
        assert s.check() == []


def test_a_stale_compare_and_swap_is_told_so(store_uri: str) -> None:
    with Substrate.open(store_uri) as one, Substrate.open(store_uri) as other:
        one.fact.transact([[":db/add", 1, "n", 0]])
        assert other.fact.db().get(1, "n") == 0
        one.fact.transact([[":db/cas", 1, "n", 0, 1]])
        try:
            other.fact.transact([[":db/cas", 1, "n", 0, 2]])
        except CasFailed:
            pass
        else:
            raise AssertionError("a stale writer overwrote in silence")
        assert other.fact.db().get(1, "n") == 1
