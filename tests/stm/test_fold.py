"""A fold: one step on top of the other, a prefix that is kept, checkpoints that it resumes from."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import Conflict, ForkError, ValueRefused
from persistence.stm import Folded, Marker, Transaction
from tests.stm.conftest import balance

SPAWN = multiprocessing.get_context("spawn")
GROUP = 3


def pay(tx: Transaction, total: int, amount: int) -> int:
    tx.ref(1, "account/balance").alter(lambda n: n + amount)
    tx.transact([{"sale/amount": amount}])
    tx.effect("receipt", amount=amount)
    return total + amount


def sales(s: Substrate) -> list[Any]:
    return sorted(s.fact.db().q("[:find [?n ...] :with ?e :where [?e :sale/amount ?n]]"))


def total(marker: Marker) -> float:
    found: int = marker.value
    return found


def test_every_step_builds_on_the_one_before(s: Substrate) -> None:
    before = s.fact.db().basis
    folded = s.txn.fold([5, 7, 9], pay, initial=0)
    assert (folded.value, folded.position) == (21, 3)
    assert (balance(s, 1), sales(s)) == (121, [5, 7, 9])
    assert [each.args["amount"] for each in s.txn.effects()] == [5, 7, 9]
    assert s.fact.db().basis == before + 1
    assert s.check() == []


def test_the_best_scored_prefix_is_kept(s: Substrate) -> None:
    folded = s.txn.fold([5, 7, -3, 2, -9], pay, initial=0, score=total)
    assert (folded.value, folded.position) == (12, 2)
    assert [marker.score for marker in folded.markers] == [None, 5.0, 12.0, 9.0, 11.0, 2.0]
    assert (balance(s, 1), sales(s)) == (112, [5, 7])
    assert [each.args["amount"] for each in s.txn.effects()] == [5, 7]


def test_of_equal_prefixes_the_shortest_is_kept(s: Substrate) -> None:
    assert s.txn.fold([5, 0, 0], pay, initial=0, score=total).position == 1


@pytest.mark.parametrize("kept", range(5))
def test_any_prefix_may_be_chosen(s: Substrate, kept: int) -> None:
    items = [4, 3, 2, 1]
    folded = s.txn.fold(items, pay, initial=0, choose=lambda markers: markers[kept])
    assert (folded.value, folded.position) == (sum(items[:kept]), kept)
    assert (balance(s, 1), sales(s)) == (100 + sum(items[:kept]), sorted(items[:kept]))


def test_a_marker_shows_the_state_after_its_items(s: Substrate) -> None:
    seen = []

    def look(marker: Marker) -> float:
        assert marker.db is not None
        seen.append(marker.db.get(1, "account/balance"))
        return 0

    folded = s.txn.fold([1, 2], pay, initial=0, score=look)
    assert seen == [101, 103]
    last = folded.markers[-1].db
    assert last is not None
    assert last.get(1, "account/balance") == 103
    assert balance(s, 1) == 101


def test_a_fold_inside_of_a_body(s: Substrate) -> None:
    def body(tx: Transaction) -> Any:
        tx.ref(1, "account/balance").set(0)
        tx.fold([1, 2, 3], pay, initial=0)
        tx.fold([10, -1], pay, initial=0, score=total)
        return tx.ref(1, "account/balance").deref()

    assert s.txn.run(body) == 16
    assert (balance(s, 1), sales(s)) == (16, [1, 2, 3, 10])


def test_a_fold_of_forks(s: Substrate) -> None:
    def step(tx: Transaction, value: int, item: int) -> int:
        def by(n: int) -> Any:
            return lambda one: one.ref(1, "account/balance").alter(lambda old: old + n)

        found: int = tx.fork([by(item), by(-item)], score=lambda o: o.value, record=False).value
        return found

    assert s.txn.fold([3, -4, 5], step).value == 112
    assert balance(s, 1) == 112


def test_no_items_leave_no_facts(s: Substrate) -> None:
    before = s.fact.db().basis
    assert s.txn.fold([], pay, initial=4).value == 4
    assert s.txn.fold([], pay, initial=4, score=total).position == 0
    assert s.txn.fold([], pay, initial=4, checkpoint="none").position == 0
    assert s.fact.db().basis == before


def test_a_step_that_raises_ends_all_of_it(s: Substrate) -> None:
    def step(tx: Transaction, value: int, item: int) -> int:
        return pay(tx, value, 6 // item)

    with pytest.raises(ZeroDivisionError):
        s.txn.fold([1, 2, 0, 3], step, initial=0)
    assert (balance(s, 1), sales(s), s.txn.effects()) == (100, [], [])


def test_what_a_step_read_is_validated_and_the_fold_runs_again(s: Substrate) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        tx.fold([1, 2], pay, initial=0)
        s.fact.transact([["db/add", 1, "account/balance", 0]])
    disturbed = []

    def step(tx: Transaction, value: int, item: int) -> int:
        found = pay(tx, value, item)
        if not disturbed:
            disturbed.append(True)
            s.fact.transact([["db/add", 1, "account/balance", 1000]])
        return found

    s.txn.fold(iter([1, 2]), step, initial=0)
    assert (balance(s, 1), sales(s)) == (1003, [1, 2])


def test_choices_that_cannot_be_are_refused(s: Substrate) -> None:
    with pytest.raises(ForkError, match="no finite number"):
        s.txn.fold([1], pay, initial=0, score=lambda marker: float("nan"))
    with pytest.raises(ForkError, match="no marker"):
        s.txn.fold([1], pay, initial=0, choose=lambda markers: None)
    with pytest.raises(ForkError, match="no marker"):
        s.txn.fold([1], pay, initial=0, choose=lambda markers: Marker(1, 1))
    with pytest.raises(ForkError, match="keeps every item"):
        s.txn.fold([1], pay, initial=0, checkpoint="x", score=total)
    with pytest.raises(ForkError, match="counts checkpoints"):
        s.txn.fold([1], pay, initial=0, every=2)
    with pytest.raises(ForkError, match="every 0 items"):
        s.txn.fold([1], pay, initial=0, checkpoint="x", every=0)
    assert (balance(s, 1), sales(s)) == (100, [])


# ------------------------------------------------------------------------ checkpoints


def test_a_checkpoint_commits_every_so_many_items(s: Substrate) -> None:
    before = s.fact.db().basis
    folded = s.txn.fold(range(1, 8), pay, initial=0, checkpoint="sales", every=GROUP)
    assert (folded.value, folded.position) == (28, 7)
    assert s.fact.db().basis == before + 3
    assert sales(s) == [*range(1, 8)]
    at = s.fact.db().pull("[:fold/position :fold/state]", ["fold/name", "sales"])
    assert (at["fold/position"], at["fold/state"]) == (7, 28)


def test_called_again_it_goes_on_after_the_last_checkpoint(s: Substrate) -> None:
    steps = []

    def step(tx: Transaction, value: int, item: int) -> int:
        steps.append(item)
        if item == 5 and steps.count(5) == 1:
            raise ConnectionError("the model is away")
        return pay(tx, value, item)

    with pytest.raises(ConnectionError):
        s.txn.fold(iter(range(1, 8)), step, initial=0, checkpoint="sales", every=GROUP)
    assert sales(s) == [1, 2, 3]
    folded = s.txn.fold(iter(range(1, 8)), step, initial=0, checkpoint="sales", every=GROUP)
    assert (folded.value, folded.position) == (28, 7)
    assert steps == [1, 2, 3, 4, 5, 4, 5, 6, 7]
    assert (sales(s), balance(s, 1)) == ([*range(1, 8)], 128)
    again = s.txn.fold(iter(range(1, 8)), step, initial=0, checkpoint="sales", every=GROUP)
    assert (again.value, len(steps)) == (28, 9)


def test_the_state_comes_back_as_the_store_gives_it(s: Substrate) -> None:
    seen: list[Any] = []

    def step(tx: Transaction, value: Any, item: Any) -> Any:
        seen.append(value)
        return None if item is None else {"last": [item]}

    folded = s.txn.fold(["a", None, "b"], step, checkpoint=("run", 1))
    assert seen == [None, {"last": ("a",)}, None]
    assert folded.value == {"last": ("b",)}
    with pytest.raises(ValueRefused):
        s.txn.fold([1], lambda tx, value, item: object(), checkpoint="bad")


def test_fewer_items_than_are_done_are_refused(s: Substrate) -> None:
    s.txn.fold([1, 2, 3], pay, initial=0, checkpoint="sales")
    with pytest.raises(ForkError, match="after 3 items, and there are 2"):
        s.txn.fold([1, 2], pay, initial=0, checkpoint="sales")


def test_the_interval_of_the_fold_is_not_that_of_its_position(s: Substrate) -> None:
    def step(tx: Transaction, value: int, item: int) -> int:
        tx.transact([{"sale/amount": item}])
        return value + item

    for items in ([1, 2], [1, 2, 3]):
        folded = s.txn.fold(
            items,
            step,
            initial=0,
            checkpoint="past",
            valid_from="2000-01-01",
            valid_to="2001-01-01",
        )
        assert folded.value == sum(items)
    past = s.fact.db().valid_at("2000-06-01")
    assert sorted(past.q("[:find ?n :where [_ :sale/amount ?n]]")) == [(1,), (2,), (3,)]


def test_two_that_fold_at_once_share_the_items(s: Substrate) -> None:
    def work(_: int) -> Folded:
        return s.txn.fold(range(12), pay, initial=0, checkpoint="sales", every=2)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, range(2)))
    assert [each.value for each in found] == [66, 66]
    assert (sales(s), balance(s, 1)) == ([*range(12)], 166)


def fold_and_die(uri: str, at: int) -> None:
    """Is killed in the middle of the step of item *at*."""
    with Substrate.open(uri) as s:

        def step(tx: Transaction, value: int, item: int) -> int:
            found = pay(tx, value, item)
            if item == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        s.txn.fold(range(10), step, initial=0, checkpoint="sales", every=GROUP)


def test_another_process_goes_on_where_one_was_killed(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.fact.transact([["db/add", 1, "account/balance", 100]])
        for at, done in ((4, [0, 1, 2]), (8, [0, 1, 2, 3, 4, 5])):
            process = SPAWN.Process(target=fold_and_die, args=(store_uri, at))
            process.start()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            assert sales(s) == done
        folded = s.txn.fold(range(10), pay, initial=0, checkpoint="sales", every=GROUP)
        assert (folded.value, sales(s), balance(s, 1)) == (45, [*range(10)], 145)
        assert len(s.txn.effects()) == 10
        assert s.check() == []
