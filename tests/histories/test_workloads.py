"""Every workload is the same for the same seed, clean where it must be, and able to fail."""

from __future__ import annotations

from itertools import islice
from random import Random

import attrs
import pytest

from tests.histories.finding import names
from tests.histories.history import History
from tests.histories.microops import WAYS, Request, execute
from tests.histories.recorder import merge
from tests.histories.stores import Forks, ReadCommitted, Serial, Snapshot, play
from tests.histories.workloads import WORKLOADS, Workload, long_fork

WORKERS = 4


def run(workload: Workload, store: ReadCommitted, *, seed: int, requests: int = 120) -> History:
    """Setup, all workers at once, final: as a runner does it with a real store."""
    scripts = [
        list(islice(workload.requests(Random(f"{seed}/{worker}"), worker), requests))
        for worker in range(WORKERS)
    ]
    choose = Random(seed).randrange
    parts = [play(store, [workload.setup], choose), play(store, scripts, choose)]
    parts.append(play(store, [workload.final], choose))
    return merge([_shifted(part, time) for time, part in enumerate(parts)])


def _shifted(history: History, time: int) -> list:
    return [attrs.evolve(op, time=time * 10**6 + op.index) for op in history.ops]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_serial_store_is_clean(name: str) -> None:
    workload = WORKLOADS[name](WORKERS)
    assert workload.name == name
    for seed in range(3):
        assert workload.check(run(workload, Serial(), seed=seed)) == ()


@pytest.mark.parametrize("name", WORKLOADS)
def test_snapshot_isolation_shows_exactly_what_it_permits(name: str) -> None:
    workload = WORKLOADS[name](WORKERS)
    found = set()
    for seed in range(5):
        found |= names(workload.check(run(workload, Snapshot(), seed=seed)))
    assert found <= workload.snapshot_permits
    assert bool(found) == bool(workload.snapshot_permits)


@pytest.mark.parametrize("name", sorted(WORKLOADS.keys() - {"long-fork"}))
def test_read_committed_is_caught(name: str) -> None:
    workload = WORKLOADS[name](WORKERS)
    found = set()
    for seed in range(3):
        found |= names(workload.check(run(workload, ReadCommitted(), seed=seed)))
    assert found


def test_a_store_that_forks_is_caught_by_a_long_fork() -> None:
    workload = long_fork(WORKERS)
    assert names(workload.check(run(workload, Forks(Random(0)), seed=0))) == {"long-fork"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_same_seed_asks_for_the_same(name: str) -> None:
    def first(seed: int, worker: int) -> list[Request]:
        return list(islice(WORKLOADS[name](WORKERS).requests(Random(seed), worker), 50))

    assert first(1, 2) == first(1, 2)
    assert first(1, 2) != first(2, 2)


@pytest.mark.parametrize("name", ["list-append", "rw-register", "set"])
def test_no_two_workers_write_the_same(name: str) -> None:
    workload = WORKLOADS[name](WORKERS)
    written = [
        mop[2]
        for worker in range(WORKERS)
        for request in islice(workload.requests(Random(0), worker), 100)
        for mop in request.mops
        if mop[0] != "r"
    ]
    assert len(set(written)) == len(written) > 0


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_a_long_fork_writes_every_key_of_the_pairs_once(workers: int) -> None:
    workload = long_fork(workers, per_group=5)
    pairs = 2 * workers
    written = [
        mop[1]
        for worker in range(workers)
        for request in islice(workload.requests(Random(worker), worker), 5 * pairs)
        for mop in request.mops
        if mop[0] == "w"
    ]
    assert sorted(written) == list(range(2 * pairs))


def test_a_long_fork_with_one_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="two writers"):
        long_fork(1)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_change_a_ref_does_the_same(way: str) -> None:
    tx = Serial().begin(Request("txn", []))
    mops = [("append", "l", 1), ("append", "l", 2), ("conj", "s", 1), ("conj", "s", 1)]
    mops += [("add", "n", 2), ("add", "n", 3), ("r", "l", None), ("r", "s", None), ("r", "n", None)]
    done = execute(mops, tx.ref, way=way)
    assert done[-3:] == (("r", "l", (1, 2)), ("r", "s", (1,)), ("r", "n", 5))


def test_a_decision_is_recorded_as_the_reads_and_writes_it_made() -> None:
    tx = Serial().begin(Request("txn", []))
    execute([("w", "a", 5)], tx.ref)
    moved = execute([("transfer", "a", "b", 3)], tx.ref)
    assert moved == (("r", "a", 5), ("r", "b", 0), ("w", "a", 2), ("w", "b", 3))
    refused = execute([("transfer", "a", "b", 3)], tx.ref)
    assert refused == (("r", "a", 2), ("r", "b", 3))
    drawn = execute([("draw", "a", "b", 5)], tx.ref)
    assert drawn == (("r", "a", 2), ("r", "b", 3), ("w", "a", -3))


def test_what_is_no_micro_operation_is_refused() -> None:
    tx = Serial().begin(Request("txn", []))
    with pytest.raises(ValueError, match="no such micro-operation"):
        execute([("cas", "a", 1)], tx.ref)
    with pytest.raises(ValueError, match="no such way"):
        execute([("add", "a", 1)], tx.ref, way="swap")
