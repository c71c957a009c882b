"""Workloads as data: what each worker asks for, and who judges the history that comes of it.

A runner executes `setup`, then `requests` of every worker at once, then `final`, each with
`microops.execute` inside one transaction of the store, and records all of it:

    recorder.record(worker, "invoke", request.f, request.mops)
    done = s.txn.run(lambda tx: execute(request.mops, lambda key: ref_of(tx, key)))
    recorder.record(worker, "ok", request.f, done)

An attempt that certainly left nothing is recorded as `fail`, one that may have as `info`; a worker
goes on under a new process number after `info`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from random import Random

import attrs

from tests.histories.checker import check_append, check_register
from tests.histories.finding import Findings
from tests.histories.history import History, Key, Mop
from tests.histories.invariants import check_bank, check_long_fork, check_pairs
from tests.histories.microops import Request
from tests.histories.totals import check_counter, check_set

_G2 = frozenset({"G2-item", "G2-item-process", "G2-item-realtime"})


@attrs.frozen(kw_only=True)
class Workload:
    """*requests(rng, worker)* is endless, the same for the same seed, and needs no other worker.

    *check* finds nothing when the store is strictly serializable. Under snapshot isolation it may
    find what *snapshot_permits* names, and nothing else.
    """

    name: str
    requests: Callable[[Random, int], Iterator[Request]]
    check: Callable[[History], Findings]
    setup: tuple[Request, ...] = ()
    final: tuple[Request, ...] = ()
    snapshot_permits: frozenset[str] = frozenset()


def list_append(workers: int, *, keys: int = 3, per_key: int = 12, longest: int = 4) -> Workload:
    """Transactions of up to *longest* appends and reads over *keys* keys at a time.

    A worker moves to new keys after *per_key* transactions, so that lists stay short.
    """
    return Workload(
        name="list-append",
        requests=partial(_transactions, "append", workers, keys, per_key, longest),
        check=check_append,
        snapshot_permits=_G2,
    )


def rw_register(workers: int, *, keys: int = 3, per_key: int = 12, longest: int = 4) -> Workload:
    """Like list-append with registers; half of the writes first read, which orders versions."""
    return Workload(
        name="rw-register",
        requests=partial(_transactions, "w", workers, keys, per_key, longest),
        check=partial(check_register, key_order="realtime"),
        snapshot_permits=_G2,
    )


def _transactions(
    write: str, workers: int, keys: int, per_key: int, longest: int, rng: Random, worker: int
) -> Iterator[Request]:
    values = count(worker + 1, workers)  # no two workers ever write the same
    for made in count():
        mops: list[Mop] = []
        while len(mops) < rng.randint(1, longest):
            key = made // per_key * keys + rng.randrange(keys)
            if rng.random() < 0.5:
                mops.append(("r", key, None))
                continue
            if write == "w" and rng.random() < 0.5:
                mops.append(("r", key, None))
            mops.append((write, key, next(values)))
        yield Request("txn", mops)


def bank(workers: int, *, accounts: int = 5, total: int = 100) -> Workload:
    """Transfers between accounts, and readers that add all of them up."""
    names = range(accounts)
    shares = [total // accounts + (1 if name < total % accounts else 0) for name in names]
    read = _read(*names)

    def requests(rng: Random, worker: int) -> Iterator[Request]:
        while True:
            a, b = rng.sample(names, 2)
            move = Request("transfer", [("transfer", a, b, rng.randint(1, max(1, total // 10)))])
            yield rng.choice((read, move))

    return Workload(
        name="bank",
        requests=requests,
        check=partial(check_bank, accounts=tuple(names), total=total),
        setup=(Request("setup", [("w", *share) for share in enumerate(shares)]),),
        final=(read,),
    )


def write_skew(workers: int, *, pairs: int = 2, each: int = 50) -> Workload:
    """Pairs that must never sum below zero: draws look at both of a pair and write one."""
    names = [(2 * pair, 2 * pair + 1) for pair in range(pairs)]

    def requests(rng: Random, worker: int) -> Iterator[Request]:
        while True:
            pair = rng.choice(names)
            a, b = rng.sample(pair, 2)
            draw = Request("draw", [("draw", a, b, rng.randint(each, 2 * each))])
            fill = Request("fill", [("add", a, rng.randint(1, each))])
            yield rng.choice((draw, draw, fill, _read(*pair)))

    return Workload(
        name="write-skew",
        requests=requests,
        check=partial(check_pairs, pairs=tuple(names)),
        setup=(Request("setup", [("w", key, each) for pair in names for key in pair]),),
        final=tuple(_read(*pair) for pair in names),
        snapshot_permits=frozenset({"write-skew"}),
    )


def counter(workers: int) -> Workload:
    """Increments of one number, some reads, and its final value."""

    def requests(rng: Random, worker: int) -> Iterator[Request]:
        while True:
            add = Request("add", [("add", "counter", rng.randint(1, 5))])
            yield _read("counter") if rng.random() < 0.2 else add

    return Workload(
        name="counter",
        requests=requests,
        check=partial(check_counter, key="counter"),
        final=(_read("counter"),),
    )


def grow_set(workers: int) -> Workload:
    """Adds of elements that nobody else adds to one set, some reads, and its final content."""

    def requests(rng: Random, worker: int) -> Iterator[Request]:
        elements = count(worker, workers)
        while True:
            if rng.random() < 0.2:
                yield _read("set")
            else:
                yield Request("add", [("conj", "set", next(elements))])

    return Workload(
        name="set",
        requests=requests,
        check=partial(check_set, key="set"),
        final=(_read("set"),),
    )


def long_fork(workers: int, *, per_group: int = 6) -> Workload:
    """Two unrelated writes to each pair of keys, while everybody else reads the pair.

    Each worker spends *per_group* transactions on a pair; two workers write once during that time.

    Raises:
        ValueError: there are fewer than two workers, so the two writes could not be concurrent.
    """
    if workers < 2:
        raise ValueError("a long fork needs two writers")

    def requests(rng: Random, worker: int) -> Iterator[Request]:
        for group in count():
            keys = (2 * group, 2 * group + 1)
            mine = next((k for k in keys if (group + k % 2) % workers == worker), None)
            turn = rng.randrange(per_group)
            for made in range(per_group):
                if mine is not None and made == turn:
                    yield Request("write", [("w", mine, 1)])
                else:
                    yield _read(*rng.sample(keys, 2))

    return Workload(name="long-fork", requests=requests, check=_check_pairs_of_forks)


def _check_pairs_of_forks(history: History) -> Findings:
    keys = {mop[1] for txn in history.transactions for mop in txn.mops}
    groups = {(key - key % 2, key - key % 2 + 1) for key in keys}
    return check_long_fork(history, groups=sorted(groups))


def _read(*keys: Key) -> Request:
    return Request("read", [("r", key, None) for key in keys])


WORKLOADS: dict[str, Callable[..., Workload]] = {
    "list-append": list_append,
    "rw-register": rw_register,
    "bank": bank,
    "write-skew": write_skew,
    "counter": counter,
    "set": grow_set,
    "long-fork": long_fork,
}
"""By name, called with the number of workers: a process needs only the name to build its own."""
