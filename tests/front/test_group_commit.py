"""Threads share commits, and none of them is left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from persistence import Substrate
from persistence.errors import TransactionError


def test_every_thread_learns_its_own_outcome(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:

        def work(number: int) -> list[int]:
            done = []
            for turn in range(20):
                try:
                    forms = [{"db/id": number, "n": turn}] if turn % 5 else [["db/add", number]]
                    done.append(s.fact.transact(forms).t)
                except TransactionError:
                    done.append(0)
            return done

        with ThreadPoolExecutor(6) as pool:
            outcomes = [*pool.map(work, range(1, 7))]
        told = sorted(t for done in outcomes for t in done if t)
        assert told == [*range(1, 6 * 16 + 1)], "each t is told to one caller"
        assert all(done.count(0) == 4 for done in outcomes)
        assert s.check() == []


def test_who_waits_no_longer_takes_the_request_back_and_the_lead_goes_on(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        connection = s._connection
        held, release, stopped = threading.Event(), threading.Event(), threading.Event()

        def slow(base: object) -> list[dict[str, int]]:
            held.set()
            release.wait()
            return [{"db/id": 1, "n": 1}]

        class Stopping(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                stopped.set()
                raise KeyboardInterrupt

        def interrupted() -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(threading, "Event", Stopping)
                with pytest.raises(KeyboardInterrupt):
                    s.fact.transact([{"db/id": 2, "n": 2}])

        leader = threading.Thread(target=connection.decided, args=(slow,))
        leader.start()
        held.wait()
        waiter = threading.Thread(target=interrupted)
        waiter.start()
        waiter.join()
        assert stopped.is_set()
        release.set()
        leader.join()
        s.fact.transact([{"db/id": 3, "n": 3}])
        assert sorted(s.fact.db().q("[:find [?n ...] :where [_ :n ?n]]")) == [1, 3]
