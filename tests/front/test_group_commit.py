"""Threads share commits, and none of them is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
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


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell that starts the suite in the background has it ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("leads", [True, False])
def test_who_is_interrupted_takes_the_request_back_and_the_lead_goes_on(
    store_uri: str, leads: bool
) -> None:
    """Of a thread that leads and waits for the lock, and of one that waits for its leader."""
    with Substrate.open(store_uri) as s:
        commits = s._connection._commits
        others = [threading.Thread(target=s.fact.transact, args=([{"n": n}],)) for n in (1, 2)]

        def interrupt() -> None:
            waited_for(lambda: len(commits.waiting) == (1 if leads else 2))
            if leads:
                others[0].start()
                waited_for(lambda: len(commits.waiting) == 2)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        with commits.lock:  # nobody commits meanwhile
            if not leads:
                others[0].start()
                waited_for(lambda: len(commits.waiting) == 1)
            threading.Thread(target=interrupt).start()
            with pytest.raises(KeyboardInterrupt):
                s.fact.transact([{"n": 9}])
            others[1].start()
        for other in others:
            other.join()
        assert sorted(s.fact.db().q("[:find [?n ...] :where [_ :n ?n]]")) == [1, 2]
        s.fact.transact([{"n": 3}])


def waited_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        os.sched_yield()
