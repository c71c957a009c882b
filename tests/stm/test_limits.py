"""Attempts, waits, deadlines, and the attempt that nobody can come before."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import (
    AttemptsExhausted,
    Conflict,
    DeadlineExceeded,
    RefusedInTransaction,
    StoreError,
    TransactionError,
    ValidatorRefused,
)
from persistence.stm import Backoff, Transaction, Txn
from tests.stm.conftest import balance
from tests.stm.test_refs import add


class Rival:
    """A body whose every attempt is overtaken, as long as somebody else can write at all."""

    def __init__(self, s: Substrate) -> None:
        self.s = s
        self.runs = 0

    def __call__(self, tx: Transaction) -> int:
        self.runs += 1
        seen: int = tx.ref(1, "account/balance").deref()
        try:
            self.s.fact.transact([["db/add", 1, "account/balance", seen + 1000]])
        except StoreError as refused:
            assert "would wait for itself" in str(refused)
        tx.ref(1, "account/balance").set(seen + 1)
        return seen


def test_attempts_are_capped(s: Substrate) -> None:
    rival = Rival(s)
    with pytest.raises(AttemptsExhausted, match="3 attempts") as told:
        s.txn.run(rival, attempts=3)
    assert rival.runs == 3
    assert told.value.data["attempts"] == 3
    assert isinstance(told.value.__cause__, Conflict)
    assert balance(s, 1) == 3100


def test_after_enough_failures_nobody_comes_before_it(s: Substrate) -> None:
    rival = Rival(s)
    assert s.txn.run(rival, serial_after=4) == 4100
    assert rival.runs == 5
    assert balance(s, 1) == 4101
    assert s.check() == []


def test_the_serial_attempt_of_a_loop(s: Substrate) -> None:
    rival = Rival(s)
    for attempt in s.txn.attempts(serial_after=2):
        with attempt as tx:
            rival(tx)
    assert rival.runs == 3
    assert tx.report is not None and tx.report.t == s.fact.db().basis


def test_a_serial_attempt_that_fails_writes_nothing(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        tx.ref(1, "account/balance").set(0)
        raise KeyError("no")

    basis = s.fact.db().basis
    with pytest.raises(KeyError):
        s.txn.run(body, serial_after=0)
    assert s.fact.db().basis == basis
    s.fact.transact([["db/add", 1, "account/balance", 1]])


def test_a_serial_attempt_may_need_many_ids_and_may_wait(s: Substrate) -> None:
    def create(tx: Transaction) -> None:
        tx.transact([{"account/id": f"m{n}"} for n in range(70_000)])

    s.txn.run(create, serial_after=0)
    assert s.fact.db().q("[:find (count ?e) . :where [?e :account/id]]") == 70_003
    with pytest.raises(DeadlineExceeded):
        s.txn.run(lambda tx: tx.get(1, "account/balance") < 0 or tx.retry(), deadline=0.05)


def test_waits_grow_at_random_and_with_a_bound(s: Substrate) -> None:
    waited: list[float] = []
    txn = Txn(s._connection, chance=random.Random(7), sleep=waited.append)
    backoff = Backoff(first=0.001, most=0.01, at_once=2)
    with pytest.raises(AttemptsExhausted):
        txn.run(Rival(s), attempts=9, backoff=backoff, serial_after=None)
    bounds = [backoff.bound(n) for n in range(1, 9)]
    assert bounds == [0, 0, 0.001, 0.002, 0.004, 0.008, 0.01, 0.01]
    assert len(waited) == 6
    assert all(0 < w <= b for w, b in zip(waited, bounds[2:], strict=True))


class Watch:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    "use",
    [
        lambda tx: tx.ref(1, "account/balance").deref(),
        lambda tx: tx.ref(1, "account/balance").set(1),
        lambda tx: tx.ref(1, "account/balance").commute(add, 1),
        lambda tx: tx.q("[:find ?e :where [?e :account/id]]"),
        lambda tx: tx.transact([]),
        lambda tx: tx.run(lambda child: child.db),
        lambda tx: None,
    ],
)
def test_the_deadline_holds_during_an_attempt(s: Substrate, use: Any) -> None:
    watch = Watch()
    txn = Txn(s._connection, now=watch)
    basis = s.fact.db().basis

    def body(tx: Transaction) -> None:
        tx.ref(2, "account/balance").set(5)
        watch.now = 11.0
        use(tx)

    with pytest.raises(DeadlineExceeded, match="within 10 s"):
        txn.run(body, deadline=10)
    assert s.fact.db().basis == basis


def test_the_deadline_holds_in_the_middle_of_a_query(s: Substrate) -> None:
    s.fact.transact([["db/add", e, "n", e % 7] for e in range(10, 3000)])
    endless = "[:find (count ?a) . :with ?b ?c :where [?a :n ?x] [?b :n ?x] [?c :n ?x]]"
    with pytest.raises(DeadlineExceeded):
        s.txn.run(lambda tx: tx.q(endless), deadline=0.2)


def test_the_deadline_holds_over_all_attempts_and_waits(s: Substrate) -> None:
    watch = Watch()

    def sleep(seconds: float) -> None:
        watch.now += 1 + seconds

    txn = Txn(s._connection, now=watch, sleep=sleep)
    rival = Rival(s)
    with pytest.raises(DeadlineExceeded):
        txn.run(rival, deadline=3.0, attempts=50, serial_after=None, backoff=Backoff(at_once=0))
    assert rival.runs == 3


def test_settings_that_mean_nothing_are_refused(s: Substrate) -> None:
    with pytest.raises(TransactionError, match="isolation"):
        s.txn.run(lambda tx: None, isolation="chaos")
    with pytest.raises(TransactionError, match="attempts"):
        s.txn.run(lambda tx: None, attempts=0)
    with pytest.raises(TypeError):
        s.txn.run(lambda tx: None, retries=3)


def test_a_refusal_that_the_body_has_not_seen_is_a_conflict(s: Substrate) -> None:
    """The other took the name first; the body reruns, and meets the refusal itself."""
    runs = []

    def body(tx: Transaction) -> None:
        runs.append(tx.basis)
        tx.ref(1, "account/owner").set("x")
        if len(runs) == 1:
            s.fact.transact([["db/add", 3, "account/owner", "y"]])
        tx.ref(2, "account/balance").set("no number")

    with pytest.raises(TransactionError, match="cannot be :account/balance"):
        s.txn.run(body)
    assert len(runs) == 2


def test_validators_see_every_write(s: Substrate) -> None:
    stop = s.txn.validator("account/balance", lambda held: held >= 0)
    for write in (
        lambda tx: tx.ref(1, "account/balance").set(-1),
        lambda tx: tx.ref(1, "account/balance").commute(add, -200),
        lambda tx: tx.transact([["db/add", 1, "account/balance", -1]]),
    ):
        with pytest.raises(ValidatorRefused, match="does not accept"):
            s.txn.run(write)
    with pytest.raises(ValidatorRefused):
        s.fact.transact([["db/add", 1, "account/balance", -1]])
    stop()
    s.txn.run(lambda tx: tx.ref(1, "account/balance").set(-1))
    assert balance(s, 1) == -1


def test_a_validator_of_one_ref_minds_no_other(s: Substrate) -> None:
    s.txn.validator(s.txn.ref(["account/id", "a"], "account/balance"), lambda held: held > 50)
    s.txn.run(lambda tx: tx.ref(2, "account/balance").set(1))
    with pytest.raises(ValidatorRefused):
        s.txn.run(lambda tx: tx.ref(1, "account/balance").set(1))


def test_a_validator_judges_what_a_commute_comes_to_at_commit(s: Substrate) -> None:
    s.txn.validator("account/balance", lambda held: held >= 0)
    with pytest.raises(Conflict), s.txn.once() as tx:
        tx.ref(1, "account/balance").commute(add, -60)
        s.fact.transact([["db/add", 1, "account/balance", 50]])
    assert balance(s, 1) == 50


def test_watches_are_told_after_the_commit_and_of_nothing_else(s: Substrate) -> None:
    told: list[tuple[int, Any, Any]] = []
    stop = s.txn.watch(
        s.txn.ref(1, "account/balance"),
        lambda change: told.append((change.entity, change.old, change.new)),
    )
    s.txn.run(lambda tx: tx.ref(1, "account/balance").alter(add, 1))
    s.txn.run(lambda tx: tx.ref(2, "account/balance").alter(add, 1))
    s.fact.transact([["db/add", 1, "account/balance", 5]])
    with pytest.raises(KeyError):
        s.txn.run(lambda tx: tx.ref(1, "account/balance").set(6) or {}["no"])
    stop()
    s.txn.run(lambda tx: tx.ref(1, "account/balance").set(7))
    assert told == [(1, 100, 101), (1, 101, 5)]


def test_the_guard_refuses_files_sockets_and_processes(s: Substrate, tmp_path: Any) -> None:
    target = tmp_path / "written"
    for reach in (
        lambda tx: target.write_text("x"),
        lambda tx: socket.create_connection(("127.0.0.1", 9)),
        lambda tx: subprocess.run(["true"], check=False),
        lambda tx: target.unlink(),
    ):
        with pytest.raises(RefusedInTransaction, match="must not touch the outside"):
            s.txn.run(reach, io_guard=True)
    assert not target.exists()


def test_the_guard_lets_the_store_and_others_work(s: Substrate, tmp_path: Any) -> None:
    done = threading.Event()

    def elsewhere() -> None:
        (tmp_path / "free").write_text("x")
        done.set()

    def body(tx: Transaction) -> Any:
        threading.Thread(target=elsewhere).start()
        done.wait()
        tx.transact([{"account/id": "new"}])
        tx.ref(1, "account/balance").alter(add, 1)
        return tx.q("[:find (count ?e) . :where [?e :account/id]]")

    assert s.txn.run(body, io_guard=True) == 4
    assert (tmp_path / "free").read_text() == "x"
