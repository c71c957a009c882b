"""Lessons 12 to 15 and 18: what earlier systems got wrong about transactions at once.

Histories of whole workloads are judged in tests/histories, single anomalies in tests/hermitage,
what leaves which footprint in tests/stm; the cases here are those that were reproduced.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import (
    AttemptsExhausted,
    CasFailed,
    Conflict,
    DeadlineExceeded,
    TransactionError,
)
from persistence.stm import Backoff, Transaction, Txn
from tests.histories.microops import WAYS
from tests.histories.runner import Plan, run

THREADS = 4
FROZEN = 1_772_323_200_000_000


# ------------------------------------------------------------------------- lesson 12


@pytest.mark.parametrize("way", [*WAYS, "mixed"])
def test_threads_count_to_what_was_acknowledged_under_a_frozen_clock(
    store_uri: str, way: str, tmp_path: Path
) -> None:
    """Lesson 12: N threads."""
    plan = Plan(workloads=["counter"], workers=4, requests=15, way=way, frozen=FROZEN)
    outcome = run(plan, store_uri, tmp_path)
    assert outcome.clean, outcome.explained
    assert counted(store_uri) == acknowledged(outcome) > 0


@pytest.mark.parametrize("frozen", [None, FROZEN], ids=["clock", "frozen clock"])
def test_processes_count_to_what_was_acknowledged(
    store_uri: str, frozen: int | None, tmp_path: Path
) -> None:
    """Lesson 12: N processes, by set, alter and commute in turn."""
    plan = Plan(workloads=["counter"], workers=3, requests=20, way="mixed", frozen=frozen)
    outcome = run(plan, store_uri, tmp_path, processes=True)
    assert outcome.clean, outcome.explained
    assert counted(store_uri) == acknowledged(outcome) > 0


def acknowledged(outcome: Any) -> int:
    """What the clients were told that they added; nothing was left open."""
    assert set(outcome.statuses) <= {"ok", "view"}, outcome.statuses
    history = outcome.judged["counter"].history
    return sum(mop[2] for txn in history.transactions for mop in txn.mops if mop[0] == "add")


def counted(uri: str) -> int:
    with Substrate.open(uri) as s:
        return s.fact.db().q("[:find ?n . :where [_ :cell/counter ?n]]")


# ------------------------------------------------------------------------- lesson 13


@pytest.fixture
def accounts(s: Substrate) -> Substrate:
    """Two entities of two attributes each, all 50."""
    forms = [["db/add", e, a, 50] for e in (1, 2) for a in ("held/gold", "held/silver")]
    s.fact.transact(forms)
    return s


def grow(tx: Transaction, e: int, attribute: str, by: int = 1) -> None:
    tx.ref(e, attribute).alter(lambda held: held + by)


def test_two_attributes_of_one_entity_neither_conflict_nor_mix(accounts: Substrate) -> None:
    """Lesson 13."""
    with accounts.txn.once() as one, accounts.txn.once() as two:
        grow(one, 1, "held/gold", 1)
        grow(two, 1, "held/silver", 2)
    db = accounts.fact.db()
    assert (db.get(1, "held/gold"), db.get(1, "held/silver")) == (51, 52)


def test_one_attribute_of_one_entity_does_conflict(accounts: Substrate) -> None:
    """Lesson 13, the other direction: the test above could fail."""
    with (
        pytest.raises(Conflict, match=":held/gold of entity 1"),
        accounts.txn.once() as one,
        accounts.txn.once() as two,
    ):
        grow(one, 1, "held/gold", 1)
        grow(two, 1, "held/gold", 2)
    assert accounts.fact.db().get(1, "held/gold") == 52


def test_attributes_that_are_new_at_once_are_two(s: Substrate) -> None:
    """Lesson 13: a body sees its own new attribute, whatever others use first meanwhile."""
    s.fact.transact([["db/add", 1, "old", 0]])
    with s.txn.once() as tx:
        tx.transact([["db/add", 1, "one", 5]])
        s.fact.transact([["db/add", 1, "two", 6]])
        assert tx.q("[:find ?v . :where [1 :one ?v]]") == tx.get(1, "one") == 5
        assert tx.q("[:find ?v . :where [2 :two ?v]]") is None
        held = tx.db
    assert held.get(1, "two") is None
    db = s.fact.db()
    assert (db.get(1, "one"), db.get(1, "two")) == (5, 6)


def test_a_body_on_an_empty_store_sees_what_it_wrote(s: Substrate) -> None:
    """Lesson 13: also where nothing was ever committed."""
    with s.txn.once() as tx:
        tx.transact([["db/add", 1, "one", 5], ["db/add", 1, "two", 6]])
        assert tx.q("[:find ?v . :where [1 :one ?v]]") == 5
        assert tx.q("[:find (sum ?v) . :where [_ :two ?v]]") == 6


# ------------------------------------------------------------------------- lesson 14


def test_write_skew_is_caught(accounts: Substrate) -> None:
    """Lesson 14: each withdrawal keeps the sum above zero, both together would not."""

    def withdraw(tx: Transaction, e: int) -> None:
        both = tx.get(1, "held/gold") + tx.get(2, "held/gold")
        assert both >= 80
        grow(tx, e, "held/gold", -80)

    def left(isolation: str) -> int:
        with (
            accounts.txn.once(isolation=isolation) as one,
            accounts.txn.once(isolation=isolation) as two,
        ):
            withdraw(one, 1)
            withdraw(two, 2)
        return accounts.fact.db().q("[:find (sum ?v) . :with ?e :where [?e :held/gold ?v]]")

    with pytest.raises(Conflict):
        left("serializable")
    accounts.fact.transact([["db/add", e, "held/gold", 50] for e in (1, 2)])
    assert left("snapshot") == -60


LOOKS: dict[str, Callable[[Transaction], Any]] = {
    "rows": lambda tx: tx.q("[:find ?e :where [?e :task/owner 1]]"),
    "a count": lambda tx: tx.q("[:find (count ?e) . :where [?e :task/owner 1]]"),
    "an absence": lambda tx: tx.q("[:find ?e :where [?e :held/gold] (not [_ :task/owner ?e])]"),
    "a range": lambda tx: tx.q("[:find ?e :where [?e :task/hours ?h] [(> ?h 7)]]"),
    "a reverse pull": lambda tx: tx.pull(["task/_owner"], 1),
    "a name": lambda tx: tx.db.entid(["task/name", "dig"]),
    "datoms": lambda tx: list(tx.db.datoms("aevt", "task/owner")),
}


@pytest.mark.parametrize("look", LOOKS)
def test_phantoms_are_caught(accounts: Substrate, look: str) -> None:
    """Lesson 14: a fact that was not there when it was looked for."""
    accounts.fact.transact(
        "[{:db/ident :task/owner :db/valueType :db.type/ref}"
        " {:db/ident :task/name :db/unique :db.unique/identity}]"
    )
    with pytest.raises(Conflict) as told, accounts.txn.once() as tx:
        LOOKS[look](tx)
        grow(tx, 2, "held/gold")
        accounts.fact.transact([{"task/name": "dig", "task/owner": 1, "task/hours": 8}])
    assert told.value.data["t"] == accounts.fact.db().basis
    assert accounts.fact.db().get(2, "held/gold") == 50


def test_writers_that_touch_nothing_in_common_never_abort_each_other(s: Substrate) -> None:
    """Lesson 14: by refs, by queries of their own values, and by creating entities."""
    s.fact.transact([["db/add", 1 + n, "n", 0] for n in range(THREADS)])
    s.fact.transact("[{:db/ident :name :db/unique :db.unique/identity}]")
    attempts: Counter[int] = Counter()
    start = threading.Barrier(THREADS)

    def body(tx: Transaction, me: int, turn: int) -> None:
        attempts[me] += 1
        grow(tx, 1 + me, "n")
        tx.q("[:find ?e . :in $ ?name :where [?e :name ?name]]", f"{me}/{turn}")
        tx.transact([{"name": f"{me}/{turn}", "by": me}])

    def work(me: int) -> None:
        start.wait()
        for turn in range(10):
            s.txn.run(body, me, turn)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    assert attempts == dict.fromkeys(range(THREADS), 10)
    assert s.fact.db().q("[:find (count ?e) . :where [?e :name]]") == 10 * THREADS
    assert [s.fact.db().get(1 + me, "n") for me in range(THREADS)] == [10] * THREADS


# ------------------------------------------------------------------------- lesson 15


class Overtaken:
    """A body whose first attempts are each overtaken by another writer."""

    def __init__(self, s: Substrate, times: int) -> None:
        self.s, self.times = s, times
        self.seen: list[int] = []

    def __call__(self, tx: Transaction) -> int:
        held = tx.get(1, "held/gold")
        self.seen.append(held)
        if len(self.seen) <= self.times:
            self.s.fact.transact([["db/add", 1, "held/gold", held + 100]])
        tx.ref(1, "held/gold").set(held + 1)
        return held


def by_run(txn: Txn, body: Callable[[Transaction], int], **settings: Any) -> None:
    txn.run(body, **settings)


def by_attempts(txn: Txn, body: Callable[[Transaction], int], **settings: Any) -> None:
    for attempt in txn.attempts(**settings):
        with attempt as tx:
            body(tx)


FORMS = [by_run, by_attempts]
several = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)


@several
def test_a_conflict_reruns_the_body_on_fresh_reads(accounts: Substrate, form: Any) -> None:
    """Lesson 15."""
    body = Overtaken(accounts, 2)
    form(accounts.txn, body)
    assert body.seen == [50, 150, 250]
    assert accounts.fact.db().get(1, "held/gold") == 251


@several
def test_attempts_are_capped(accounts: Substrate, form: Any) -> None:
    """Lesson 15."""
    body = Overtaken(accounts, 10)
    with pytest.raises(AttemptsExhausted):
        form(accounts.txn, body, attempts=3)
    assert len(body.seen) == 3
    assert accounts.fact.db().get(1, "held/gold") == 350


@several
def test_waits_between_attempts_are_those_asked_for(accounts: Substrate, form: Any) -> None:
    """Lesson 15."""
    waits: list[float] = []
    txn = Txn(accounts._connection, chance=random.Random(1), sleep=waits.append)
    backoff = Backoff(first=5.0, most=9.0, at_once=1)
    form(txn, Overtaken(accounts, 4), backoff=backoff, serial_after=None)
    bounds = [backoff.bound(failed) for failed in (2, 3, 4)]
    assert bounds == [5.0, 9.0, 9.0]
    assert len(waits) == 3
    assert all(0 < wait <= bound for wait, bound in zip(waits, bounds, strict=True))


class Watch:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def by_once(txn: Txn, body: Callable[[Transaction], int], **settings: Any) -> None:
    with txn.once(**settings) as tx:
        body(tx)


@pytest.mark.parametrize("late", ["in the body", "at its end"])
@pytest.mark.parametrize("form", [*FORMS, by_once], ids=lambda form: form.__name__)
def test_a_deadline_holds_during_an_attempt(accounts: Substrate, form: Any, late: str) -> None:
    """Lesson 15: nothing of a body that took too long is written."""
    watch = Watch()

    def body(tx: Transaction) -> None:
        grow(tx, 1, "held/gold")
        watch.now += 11.0
        if late == "in the body":
            with pytest.raises(DeadlineExceeded):
                tx.get(2, "held/gold")

    with pytest.raises(DeadlineExceeded):
        form(Txn(accounts._connection, now=watch), body, deadline=10.0)
    assert accounts.fact.db().get(1, "held/gold") == 50


def test_a_deadline_is_for_all_attempts_together(accounts: Substrate) -> None:
    """Lesson 15."""
    watch = Watch()
    body = Overtaken(accounts, 10)

    def slow(tx: Transaction) -> None:
        watch.now += 4.0
        body(tx)

    txn = Txn(accounts._connection, now=watch, sleep=lambda seconds: None)
    with pytest.raises(DeadlineExceeded):
        txn.run(slow, deadline=10.0)
    assert len(body.seen) == 2


def test_a_block_is_one_attempt_and_says_so(accounts: Substrate) -> None:
    """Lesson 15: Python cannot run a block twice."""
    body = Overtaken(accounts, 1)
    with pytest.raises(Conflict):
        by_once(accounts.txn, body)
    assert body.seen == [50]
    assert accounts.fact.db().get(1, "held/gold") == 150


@pytest.mark.parametrize(
    "setting", [{"attempts": 3}, {"backoff": Backoff()}, {"serial_after": 2}], ids=str
)
def test_no_setting_of_a_block_is_silently_dropped(
    accounts: Substrate, setting: dict[str, Any]
) -> None:
    """Lesson 15: a block cannot honour what is about further attempts."""
    with pytest.raises(TransactionError, match=next(iter(setting))):
        accounts.txn.once(**setting)


@pytest.mark.parametrize("form", [*FORMS, by_once], ids=lambda form: form.__name__)
def test_an_unknown_setting_is_an_error(accounts: Substrate, form: Any) -> None:
    """Lesson 15."""
    with pytest.raises(TypeError, match="retries"):
        form(accounts.txn, lambda tx: None, retries=3)


# ------------------------------------------------------------------------- lesson 18


def stale(s: Substrate) -> Iterator[Callable[[], Any]]:
    """Ways to write what was computed from a state that is no longer the newest."""
    held = s.fact.db().get(1, "held/gold")

    def by_transaction() -> None:
        with s.txn.once() as tx:
            value = tx.ref(1, "held/gold").deref()
            s.fact.transact([["db/add", 1, "held/gold", 99]])
            tx.ref(1, "held/gold").set(value + 1)

    def by_snapshot() -> None:
        with s.txn.once(isolation="snapshot") as tx:
            value = tx.get(1, "held/gold")
            s.fact.transact([["db/add", 1, "held/gold", 99]])
            tx.transact([["db/add", 1, "held/gold", value + 1]])

    def by_comparison() -> None:
        s.fact.transact([["db/add", 1, "held/gold", 99]])
        s.fact.transact([["db/cas", 1, "held/gold", held, held + 1]])

    return iter((by_transaction, by_snapshot, by_comparison))


def test_a_stale_writer_is_told_and_overwrites_nothing(accounts: Substrate) -> None:
    """Lesson 18."""
    for write in stale(accounts):
        accounts.fact.transact([["db/add", 1, "held/gold", 50]])
        with pytest.raises((Conflict, CasFailed)) as told:
            write()
        assert accounts.fact.db().get(1, "held/gold") == 99, write
        assert "held/gold" in str(told.value)


def test_a_stale_writer_is_told_what_changed_and_when(accounts: Substrate) -> None:
    """Lesson 18."""
    with pytest.raises(Conflict) as told:
        next(stale(accounts))()
    data = told.value.data
    changed = accounts.fact.db().basis
    assert (data["entity"], str(data["attribute"]), data["t"]) == (1, ":held/gold", changed)
    assert told.value.retry
