"""Threads share commits, and none of them is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from persistence import Db, Substrate
from persistence.errors import PersistenceError, StoreError, TransactionError, UniqueConflict


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
def interrupt() -> Iterator[Callable[[], None]]:
    """Interrupts the main thread, once.

    A signal that comes just before a thread begins to wait does not end the wait, so it is sent
    until it is felt. And a shell that starts the suite in the background has it ignore interrupts.
    """
    felt = threading.Event()

    def feel(*_: object) -> None:
        if not felt.is_set():
            felt.set()
            raise KeyboardInterrupt

    def send() -> None:
        while not felt.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            felt.wait(0.01)

    before = signal.signal(signal.SIGINT, feel)
    yield send
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("leads", [True, False])
def test_who_is_interrupted_takes_the_request_back_and_the_lead_goes_on(
    store_uri: str, leads: bool, interrupt: Callable[[], None]
) -> None:
    """Of a thread that leads and waits for the lock, and of one that waits for its leader."""
    with Substrate.open(store_uri) as s:
        commits = s._connection._commits
        others = [threading.Thread(target=s.fact.transact, args=([{"n": n}],)) for n in (1, 2)]

        def interfere() -> None:
            waited_for(lambda: len(commits.waiting) == (1 if leads else 2))
            if leads:
                others[0].start()
                waited_for(lambda: len(commits.waiting) == 2)
            interrupt()

        with commits.lock:  # nobody commits meanwhile
            if not leads:
                others[0].start()
                waited_for(lambda: len(commits.waiting) == 1)
            threading.Thread(target=interfere).start()
            with pytest.raises(KeyboardInterrupt):
                s.fact.transact([{"n": 9}])
            others[1].start()
        for other in others:
            other.join()
        assert sorted(s.fact.db().q("[:find [?n ...] :where [_ :n ?n]]")) == [1, 2]
        s.fact.transact([{"n": 3}])


def together(s: Substrate, *forms: list[Any]) -> list[Any]:
    """What becomes of *forms* when they share one commit, in this order."""
    commits = s._connection._commits
    outcomes: list[Any] = [None] * len(forms)

    def transact(place: int) -> None:
        try:
            outcomes[place] = s.fact.transact(forms[place])
        except PersistenceError as error:
            outcomes[place] = error

    threads = [threading.Thread(target=transact, args=(place,)) for place in range(len(forms))]
    with commits.lock:
        for place, thread in enumerate(threads):
            thread.start()
            waited_for(lambda place=place: len(commits.waiting) == place + 1)
    for thread in threads:
        thread.join()
    return outcomes


def grow(db: Db, e: int) -> list[Any]:
    return [["db/add", e, "n", db.get(e, "n") + 1]]


def test_each_sees_what_those_before_it_in_the_group_have_written(store_uri: str) -> None:
    with Substrate.open(store_uri, functions={"grow": grow}) as s:
        s.fact.transact([{"db/id": e, "n": 0} for e in (1, 2)])
        set_to = [[{"db/id": 2, "m": m}] for m in (7, 8)]
        outcomes = together(s, [["grow", 1]], [["grow", 1]], *set_to)
        assert [report.t for report in outcomes] == [2, 3, 4, 5]
        assert [len(report.tx_data) for report in outcomes] == [2, 2, 1, 2]
        assert s.fact.db().q("[:find ?n ?m :where [1 :n ?n] [2 :m ?m]]") == [(2, 8)]
        assert s.check() == []


def test_two_of_a_group_cannot_have_one_unique_value(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.fact.transact("[{:db/ident :code :db/unique :db.unique/value}]")
        first, again, other = together(s, [{"code": 1}], [{"code": 1}], [{"code": 2}])
        assert isinstance(again, UniqueConflict)
        assert (first.t, other.t) == (2, 3)
        assert s.check() == []


@pytest.mark.parametrize("third", [[{"db/id": 3, "n": 1}], [["grow", 3]]])
def test_what_the_engine_refuses_fails_only_who_asked_for_it(
    store_uri: str, third: list[Any]
) -> None:
    refusal = (
        "ALTER TABLE log ADD CHECK (e <> 2) NOT VALID"
        if store_uri.startswith("postgres")
        else "CREATE TRIGGER refusal BEFORE INSERT ON log WHEN new.e = 2"
        " BEGIN SELECT RAISE (ABORT, 'not this one'); END"
    )
    with Substrate.open(store_uri, functions={"grow": grow}) as s:
        s.fact.transact([{"db/id": e, "n": 0} for e in (1, 2, 3)])
        with s._connection.store.session() as session:
            session.rows(refusal)
        one, two, three = together(s, [{"db/id": 1, "n": 1}], [{"db/id": 2, "n": 1}], third)
        assert (one.t, three.t) == (2, 3)
        assert isinstance(two, StoreError)
        assert [s.fact.db().get(e, "n") for e in (1, 2, 3)] == [1, 0, 1]
        assert [finding for finding in s.check() if "refusal" not in finding.where] == []


def waited_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        os.sched_yield()
