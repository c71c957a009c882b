"""A fork tries several continuations: the winner leaves facts, the others a summary."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import (
    Conflict,
    DeadlineExceeded,
    ForkError,
    RefusedInTransaction,
    TransactionError,
    ValueRefused,
)
from persistence.stm import Forked, Outcome, Transaction
from tests.stm import candidates
from tests.stm.candidates import Give, amount
from tests.stm.conftest import balance

RECORD = """
    [:find ?label ?score ?won
     :in $ ?id
     :where [?f :fork/id ?id] [?f :fork/candidates ?c]
            [?c :candidate/label ?label] [?c :candidate/score ?score] [?c :candidate/won ?won]]
"""


def give(n: int) -> Callable[[Transaction], int]:
    def candidate(tx: Transaction) -> int:
        tx.ref(1, "account/balance").set(n)
        tx.transact([{"db/id": f"new{i}", "gift/amount": n} for i in range(3)])
        tx.effect("letter", n=n)
        return n

    return candidate


def value(outcome: Outcome) -> float:
    found: int = outcome.value
    return found


def gifts(s: Substrate) -> list[Any]:
    return sorted(s.fact.db().q("[:find [?n ...] :with ?e :where [?e :gift/amount ?n]]"))


# ------------------------------------------------------------------------ the winner


def test_only_the_winner_leaves_facts(s: Substrate) -> None:
    before = s.fact.db().basis
    forked = s.txn.fork([give(1), give(7), give(3)], score=value)
    assert (forked.winner.label, forked.value) == (1, 7)
    assert balance(s, 1) == 7
    assert gifts(s) == [7, 7, 7]
    assert s.fact.db().basis == before + 1
    assert s.check() == []


def test_effects_of_losers_never_fire(s: Substrate) -> None:
    sent: list[Any] = []
    s.txn.handler("letter", lambda args, key: sent.append(args["n"]))
    s.txn.fork([give(1), give(7), give(3)], score=value)
    s.txn.deliver()
    assert sent == [7]
    assert [each.args["n"] for each in s.txn.effects()] == [7]


def test_the_record_holds_every_real_score_and_one_winner(s: Substrate) -> None:
    forked = s.txn.fork({"a": give(1), "b": give(7), "c": candidates.broken}, score=value)
    db = s.fact.db()
    assert sorted(db.q(RECORD, forked.id)) == [("a", 1.0, False), ("b", 7.0, True)]
    told = db.pull("[{:fork/winner [:candidate/label]}]", ["fork/id", forked.id])
    assert told["fork/winner"]["candidate/label"] == "b"
    failed = "[:find ?l ?e :where [?c :candidate/error ?e] [?c :candidate/label ?l]]"
    assert db.q(failed) == [("c", "ValueError: it does not work")]
    digests = db.q("[:find ?d :where [_ :candidate/digest ?d]]")
    assert {(each.digest.hex(),) for each in forked.outcomes if each.digest} == set(digests)


def test_a_second_fork_in_the_same_store_has_its_own_record(s: Substrate) -> None:
    one = s.txn.fork([give(1), give(2)], score=value)
    two = s.txn.fork([give(4), give(3)], score=value)
    assert sorted(s.fact.db().q(RECORD, one.id)) == [(0, 1.0, False), (1, 2.0, True)]
    assert sorted(s.fact.db().q(RECORD, two.id)) == [(0, 4.0, True), (1, 3.0, False)]


def test_a_record_is_left_out_on_demand(s: Substrate) -> None:
    forked = s.txn.fork([give(1), give(2)], score=value, record=False)
    assert forked.id is None
    assert s.fact.db().q("[:find ?f . :where [?f :fork/id]]") is None
    assert balance(s, 1) == 2


def test_of_equal_scores_the_first_wins(s: Substrate) -> None:
    forked = s.txn.fork({"a": give(3), "b": give(5), "c": give(5)}, score=lambda outcome: 1)
    assert forked.winner.label == "a"


def test_the_chooser_decides(s: Substrate) -> None:
    def second(outcomes: Any) -> Outcome:
        assert [each.score for each in outcomes] == [1.0, 2.0, 3.0]
        return sorted(outcomes, key=value)[1]

    assert s.txn.fork([give(1), give(2), give(3)], score=value, choose=second).value == 2
    assert balance(s, 1) == 2


def test_candidates_see_the_parent_and_not_each_other(s: Substrate) -> None:
    def look(tx: Transaction) -> Any:
        return tx.get(1, "account/balance"), tx.q("[:find (count ?e) . :where [?e :gift/amount]]")

    def body(tx: Transaction) -> Forked:
        tx.ref(1, "account/balance").set(55)
        tx.transact([{"gift/amount": 0}])
        return tx.fork([give(1), look, look], score=lambda outcome: len(str(outcome.value)))

    forked = s.txn.run(body)
    assert [each.value for each in forked.outcomes] == [1, (55, 1), (55, 1)]
    assert (balance(s, 1), gifts(s)) == (55, [0])


def test_the_body_goes_on_with_what_the_winner_did(s: Substrate) -> None:
    def body(tx: Transaction) -> Any:
        tx.fork([give(1), give(7)], score=value)
        tx.ref(1, "account/balance").alter(lambda n: n + 1)
        return tx.q("[:find (count ?e) . :where [?e :gift/amount 7]]"), tx.q(
            "[:find ?l . :where [?f :fork/winner ?c] [?c :candidate/label ?l]]"
        )

    assert s.txn.run(body) == (3, 1)
    assert balance(s, 1) == 8


def test_an_outcome_shows_the_state_its_candidate_left(s: Substrate) -> None:
    forked = s.txn.fork([give(1), give(7)], score=value)
    assert [each.db and each.db.get(1, "account/balance") for each in forked.outcomes] == [1, 7]
    assert balance(s, 1) == 7


def test_a_fork_within_a_candidate(s: Substrate) -> None:
    def outer(n: int) -> Callable[[Transaction], int]:
        def candidate(tx: Transaction) -> int:
            tx.ref(2, "account/balance").set(n)
            inner: int = tx.fork([give(n), give(n + 1)], score=value).value
            return inner

        return candidate

    assert s.txn.fork([outer(1), outer(10)], score=value).value == 11
    assert (balance(s, 1), balance(s, 2)) == (11, 10)
    assert s.fact.db().q("[:find (count ?f) . :where [?f :fork/id]]") == 2


def test_equal_proposals_have_equal_digests(s: Substrate) -> None:
    one = s.txn.fork([give(1), give(2), give(1)], score=value, record=False)
    digests = [each.digest for each in one.outcomes]
    assert digests[0] == digests[2] != digests[1]


def test_a_fork_that_is_rolled_back_leaves_nothing(s: Substrate) -> None:
    def body(tx: Transaction) -> None:
        with pytest.raises(ZeroDivisionError), tx.nested() as child:
            child.fork([give(1), give(2)], score=value)
            raise ZeroDivisionError

    s.txn.run(body)
    assert (balance(s, 1), gifts(s), s.txn.effects()) == (100, [], [])


def test_commutes_of_the_winner_are_made_again_at_commit(s: Substrate) -> None:
    def add(tx: Transaction) -> int:
        found: int = tx.ref(1, "account/balance").commute(lambda n: n + 1)
        return found

    with s.txn.once() as tx:
        tx.fork([add, lambda tx: 0], score=value)
        s.fact.transact([["db/add", 1, "account/balance", 500]])
    assert balance(s, 1) == 501


# --------------------------------------------------------------------------- reads


def read_b(tx: Transaction) -> int:
    found: int = tx.get(2, "account/balance")
    return found


@pytest.mark.parametrize("reads", ["winner", "all"])
def test_what_the_losers_read_counts_if_asked_for(s: Substrate, reads: str) -> None:
    def attempt() -> None:
        with s.txn.once() as tx:
            tx.fork([give(1000), read_b], score=value, reads=reads)
            s.fact.transact([["db/add", 2, "account/balance", 0]])

    if reads == "all":
        with pytest.raises(Conflict):
            attempt()
    else:
        attempt()
        assert balance(s, 1) == 1000


def test_what_the_winner_and_its_score_read_counts(s: Substrate) -> None:
    def scored(outcome: Outcome) -> float:
        assert outcome.db is not None
        found: int = outcome.db.get(3, "account/balance")
        return found if outcome.label else -1

    for cell in (2, 3):
        with pytest.raises(Conflict), s.txn.once() as tx:
            tx.fork([give(1), lambda tx: (read_b(tx), give(2)(tx))], score=scored)
            s.fact.transact([["db/add", cell, "account/balance", 0]])


# -------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None, "7"])
def test_a_score_that_is_no_finite_number_is_refused(s: Substrate, score: Any) -> None:
    with pytest.raises(ForkError, match="no finite number") as refused:
        s.txn.fork({"a": give(1), "b": give(2)}, score=lambda outcome: score)
    assert refused.value.data["label"] in ("a", "b")
    assert "finite" in (refused.value.hint or "")
    assert (balance(s, 1), gifts(s)) == (100, [])


@pytest.mark.parametrize("chosen", [None, "b", Outcome("b", 2)])
def test_a_chooser_that_returns_no_candidate_is_refused(s: Substrate, chosen: Any) -> None:
    with pytest.raises(ForkError, match="none of the candidates"):
        s.txn.fork({"a": give(1), "b": give(2)}, score=value, choose=lambda outcomes: chosen)
    assert gifts(s) == []


def test_a_chooser_cannot_take_what_failed(s: Substrate) -> None:
    with pytest.raises(ForkError, match="came through"):
        s.txn.fork([candidates.broken, give(1)], score=value, choose=lambda outcomes: outcomes[0])


def test_no_candidates_and_only_failures_are_refused(s: Substrate) -> None:
    for nothing in ([], {}):
        with pytest.raises(ForkError, match="without candidates"):
            s.txn.fork(nothing, score=value)
    with pytest.raises(ForkError, match="'a': ValueError: it does not work") as refused:
        s.txn.fork({"a": candidates.broken, "b": candidates.broken}, score=value)
    assert isinstance(refused.value.__cause__, ValueError)
    assert s.fact.db().q("[:find ?f . :where [?f :fork/id]]") is None


def test_arguments_that_make_no_sense_are_refused(s: Substrate) -> None:
    with pytest.raises(TransactionError, match="no function"):
        s.txn.fork({"a": 5}, score=value)
    with pytest.raises(ValueRefused):
        s.txn.fork({object(): give(1)}, score=value)
    with pytest.raises(ForkError, match="0 workers"):
        s.txn.fork([give(1)], score=value, workers=0)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ForkError, match="its own workers"):
        s.txn.fork([give(1)], score=value, workers=2, executor=pool)
    with pytest.raises(ForkError, match="no reads"):
        s.txn.fork([give(1)], score=value, reads="some")


def test_what_the_score_raises_ends_the_fork(s: Substrate) -> None:
    with pytest.raises(LookupError):
        s.txn.fork([give(1), give(2)], score=candidates.refuse)
    assert gifts(s) == []


def test_a_candidate_outside_of_its_fork_is_over(s: Substrate) -> None:
    kept: list[Transaction] = []
    s.txn.fork([kept.append, lambda tx: 1], score=lambda outcome: 0)
    with pytest.raises(TransactionError, match="is over"):
        kept[0].ref(1, "account/balance").set(0)


def test_candidates_that_all_wait_let_the_transaction_wait(s: Substrate) -> None:
    waiting = threading.Event()

    def body(tx: Transaction) -> Any:
        if waiting.is_set() is False:
            waiting.set()
        return tx.fork([candidates.wait_for_more, candidates.broken], score=value).value

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(s.txn.run, body)
        waiting.wait()
        s.fact.transact([["db/add", 2, "account/balance", 101]])
        assert found.result() == 101


def test_one_that_waits_loses_against_one_that_does_not(s: Substrate) -> None:
    forked = s.txn.fork([candidates.wait_for_more, give(1)], score=value)
    assert forked.value == 1
    assert s.fact.db().q("[:find ?e . :where [_ :candidate/error ?e]]") == "it asked to retry"


# --------------------------------------------------------------------------- threads


def test_candidates_that_wait_for_each_other_run_at_once(s: Substrate) -> None:
    together = threading.Barrier(4)

    def meet(tx: Transaction) -> int:
        give(3)(tx)
        return together.wait()

    forked = s.txn.fork([meet] * 4, score=value)
    assert sorted(each.value for each in forked.outcomes) == [0, 1, 2, 3]
    assert gifts(s) == [3, 3, 3]


def test_one_worker_takes_one_after_the_other_in_the_callers_thread(s: Substrate) -> None:
    def where(tx: Transaction) -> str:
        return threading.current_thread().name

    forked = s.txn.fork([where] * 5, score=lambda outcome: 1, workers=1)
    assert {each.value for each in forked.outcomes} == {threading.current_thread().name}


def test_a_pool_of_threads_may_be_given_even_one_that_is_taken(s: Substrate) -> None:
    with ThreadPoolExecutor(1) as pool:
        inside = pool.submit(
            lambda: s.txn.fork([give(1), give(7), give(3)], score=value, executor=pool)
        )
        assert inside.result().value == 7
    assert gifts(s) == [7, 7, 7]


def test_a_deadline_ends_a_fork_whose_candidate_does_not_come_back(s: Substrate) -> None:
    never = threading.Event()
    stuck: list[Transaction] = []

    def wait(tx: Transaction) -> None:
        stuck.append(tx)
        never.wait()

    def forever(tx: Transaction) -> None:
        while True:  # the caller's thread has this one, a helper takes the other
            tx.get(1, "account/balance")

    try:
        with pytest.raises(DeadlineExceeded):
            s.txn.fork([forever, wait], score=value, deadline=0.5)
    finally:
        never.set()
    assert balance(s, 1) == 100


def test_a_guard_holds_in_every_thread(s: Substrate, tmp_path: Any) -> None:
    together = threading.Barrier(2)

    def reach(tx: Transaction) -> None:
        together.wait()
        (tmp_path / "file").write_text("x")

    with pytest.raises(ForkError, match="RefusedInTransaction") as refused:
        s.txn.fork([reach, reach], score=value, io_guard=True)
    assert isinstance(refused.value.__cause__, RefusedInTransaction)


def test_a_fork_in_a_serial_attempt(s: Substrate) -> None:
    forked = s.txn.fork([give(1), give(7)], score=value, serial_after=0)
    assert forked.value == 7
    assert gifts(s) == [7, 7, 7]


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
def test_forks_that_count_lose_no_increment(s: Substrate, isolation: str) -> None:
    def more(by: int) -> Callable[[Transaction], int]:
        return lambda tx: tx.ref(1, "account/balance").alter(lambda n: n + by)

    def work(_: int) -> None:
        for _ in range(8):
            s.txn.fork([more(1), more(2)], score=value, isolation=isolation)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert balance(s, 1) == 100 + 3 * 8 * 2


def test_a_fork_on_a_branch(s: Substrate) -> None:
    branch = s.branch.create("what-if")
    branch.txn.fork([give(1), give(7)], score=value)
    assert branch.fact.db().get(1, "account/balance") == 7
    assert (balance(s, 1), gifts(s)) == (100, [])


# ------------------------------------------------------------------- other processes


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def cluster() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client.get_executor()


@pytest.fixture(params=["processes", "cluster"])
def executor(request: pytest.FixtureRequest) -> Executor:
    found: Executor = request.getfixturevalue(request.param)
    return found


def test_candidates_in_other_processes(s: Substrate, executor: Executor) -> None:
    sent: list[Any] = []
    s.txn.handler("letter", lambda args, key: sent.append(args["amount"]))

    def body(tx: Transaction) -> Forked:
        tx.ref(1, "account/balance").set(50)
        tx.transact([{"gift/amount": 1}])
        every = {n: Give(n) for n in (3, 9, 5)} | {0: candidates.broken}
        return tx.fork(every, score=amount, executor=executor)

    forked = s.txn.run(body)
    assert [each.score for each in forked.outcomes] == [3.0, 9.0, 5.0, None]
    assert [each.value["before"] for each in forked.outcomes[:3]] == [50, 50, 50]
    assert multiprocessing.current_process().pid not in {
        each.value["process"] for each in forked.outcomes[:3]
    }
    assert (balance(s, 1), balance(s, 3), gifts(s), sent) == (9, 101, [1, 9], [9])
    assert s.fact.db().get(forked.value["made"], "gift/amount") == 9
    assert forked.winner.db is not None
    assert forked.winner.db.get(1, "account/balance") == 9
    assert str(forked.outcomes[3].error) == "it does not work"
    assert s.check() == []


def test_what_a_worker_read_is_validated(s: Substrate, processes: Executor) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        tx.fork([Give(3)], score=amount, executor=processes)
        s.fact.transact([["db/add", 1, "account/balance", 0]])


def test_the_same_proposal_has_the_same_digest_wherever_it_is_made(
    s: Substrate, processes: Executor
) -> None:
    def body(tx: Transaction) -> list[Any]:
        there = tx.fork([Give(3), Give(4)], score=amount, executor=processes, record=False)
        return [each.digest for each in there.outcomes]

    class Undo(Exception):
        pass

    def here(tx: Transaction) -> None:
        forked = tx.fork([Give(3), Give(4)], score=amount, record=False)
        raise Undo([each.digest for each in forked.outcomes])

    with pytest.raises(Undo) as undone:
        s.txn.run(here)
    assert s.txn.run(body) == undone.value.args[0]


def test_a_worker_on_a_branch_and_under_the_write_lock(s: Substrate, processes: Executor) -> None:
    branch = s.branch.create("what-if")
    branch.txn.fork([Give(3), Give(9)], score=amount, executor=processes, serial_after=0)
    assert branch.fact.db().get(1, "account/balance") == 9
    assert balance(s, 1) == 100


def test_a_worker_that_waits(s: Substrate, processes: Executor) -> None:
    forked = s.txn.fork([candidates.wait_for_more, Give(1)], score=amount, executor=processes)
    assert forked.winner.label == 1
    with pytest.raises(DeadlineExceeded):
        s.txn.fork([candidates.wait_for_more], score=amount, executor=processes, deadline=5)


def test_what_cannot_be_sent_is_told(s: Substrate, processes: Executor) -> None:
    with pytest.raises(ForkError, match="cannot be sent back"):
        s.txn.fork([candidates.unsendable], score=lambda_free, executor=processes)
    with pytest.raises(ForkError, match="pickle local object") as refused:
        s.txn.fork([give(1)], score=value, executor=processes)
    assert "functions of a module" in (refused.value.hint or "")
    with pytest.raises(ForkError, match="no finite number"):
        s.txn.fork([Give(1)], score=candidates.nan, executor=processes)
    with pytest.raises(LookupError, match="no opinion"):
        s.txn.fork([Give(1)], score=candidates.refuse, executor=processes)
    assert (balance(s, 1), gifts(s)) == (100, [])


def lambda_free(outcome: Outcome) -> float:
    return 1.0


def test_a_store_in_memory_stays_in_its_process(processes: Executor) -> None:
    with Substrate.open(":memory:") as s, pytest.raises(ForkError, match="in memory"):
        s.txn.fork([Give(1)], score=amount, executor=processes)
