"""The store against its checkers, in interleavings that are the same each time.

With `serializable` nothing is ever found. With `snapshot`, and without any transaction, the
anomalies that each permits are made to happen, and are found: so the checkers see what the store
does, and the store does what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from random import Random

import attrs
import pytest

from persistence import Substrate
from tests.histories.checker import check_append, check_register
from tests.histories.finding import Findings, names, report
from tests.histories.history import History, Op, dump
from tests.histories.invariants import check_long_fork
from tests.histories.microops import WAYS, Request
from tests.histories.recorder import merge
from tests.histories.runner_cells import ISOLATIONS
from tests.histories.runner_steps import Stepped
from tests.histories.stores import play
from tests.histories.workloads import WORKLOADS, bank, counter, grow_set, write_skew

READ_X = Request("txn", [("r", "x", None)])


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


# --------------------------------------------------------------------------- planted


@attrs.frozen
class Planted:
    """An interleaving, and what it shows under each isolation; under `serializable` nothing."""

    check: Callable[[History], Findings]
    scripts: Sequence[Sequence[Request]]
    snapshot: frozenset[str] = attrs.field(converter=frozenset, default=())
    read_committed: frozenset[str] = attrs.field(converter=frozenset, default=())
    setup: Sequence[Request] = ()
    final: Sequence[Request] = ()
    steps: Sequence[int] | None = None  # else all clients take the same step in turn

    def expected(self, isolation: str) -> frozenset[str]:
        shown = {"snapshot": self.snapshot, "read-committed": self.read_committed}
        return shown.get(isolation, frozenset())

    def choose(self) -> Callable[[int], int]:
        turn = iter(range(10**6))
        steps = list(self.steps or ())
        if self.steps is None:
            return lambda clients: next(turn) % clients
        return lambda clients: steps.pop(0) if steps else 0


def skewed(write: str) -> list[list[Request]]:
    """Each reads what the other writes."""
    return [
        [Request("txn", [("r", "x", None), (write, "y", 1)])],
        [Request("txn", [("r", "y", None), (write, "x", 2)])],
    ]


def updating(write: str) -> list[list[Request]]:
    """Both read a key and write it; then both read it again."""
    return [[Request("txn", [("r", "x", None), (write, "x", v)]), READ_X] for v in (1, 2)]


def passing(write: str) -> list[list[Request]]:
    """One reads two keys, and between that the other writes both."""
    return [
        [Request("txn", [("r", "x", None), ("r", "y", None)])],
        [Request("txn", [(write, "x", 1), (write, "y", 1)])],
    ]


# invoked, before each micro-operation, before the decision, decided, completed, gone
PASSING = [0, 0, 0, *[1] * 7]
TWO_READERS = [*[0] * 3, *[1] * 3, *[2] * 6, *[2] * 6]

TRANSFERS = bank(2, accounts=3, total=30)
DRAWS = write_skew(2, pairs=1, each=50)

PLANTED = {
    "list-append: write skew": Planted(
        check_append, skewed("append"), snapshot={"G2-item"}, read_committed={"G2-item"}
    ),
    "list-append: lost update": Planted(
        check_append, updating("append"), read_committed={"lost-update", "G-single"}
    ),
    "list-append: read skew": Planted(
        check_append, passing("append"), read_committed={"G-single"}, steps=PASSING
    ),
    "rw-register: write skew": Planted(
        check_register, skewed("w"), snapshot={"G2-item"}, read_committed={"G2-item"}
    ),
    "rw-register: lost update": Planted(
        check_register, updating("w"), read_committed={"lost-update", "G2-item"}
    ),
    "rw-register: read skew": Planted(
        check_register, passing("w"), read_committed={"G-single"}, steps=PASSING
    ),
    "bank: money from nothing": Planted(
        TRANSFERS.check,
        [[Request("transfer", [("transfer", 0, to, 5)])] for to in (1, 2)],
        read_committed={"bank-total"},
        setup=TRANSFERS.setup,
        final=TRANSFERS.final,
    ),
    "write-skew: both draw": Planted(
        DRAWS.check,
        [[Request("draw", [("draw", *pair, 80)])] for pair in ((0, 1), (1, 0))],
        snapshot={"write-skew"},
        read_committed={"write-skew"},
        setup=DRAWS.setup,
        final=DRAWS.final,
    ),
    "counter: an increment is lost": Planted(
        counter(2).check,
        [[Request("add", [("add", "counter", 1)])]] * 2,
        read_committed={"counter-lost"},
        final=counter(2).final,
    ),
    "set: an element is lost": Planted(
        grow_set(2).check,
        [[Request("add", [("conj", "set", element)])] for element in (1, 2)],
        read_committed={"set-lost"},
        final=grow_set(2).final,
    ),
    "long-fork: two orders of two writes": Planted(
        lambda history: check_long_fork(history, groups=[(0, 1)]),
        [
            [Request("read", [("r", 0, None), ("r", 1, None)])],
            [Request("read", [("r", 1, None), ("r", 0, None)])],
            [Request("write", [("w", 0, 1)])],
            [Request("write", [("w", 1, 1)])],
        ],
        read_committed={"long-fork"},
        steps=TWO_READERS,
    ),
}


def played(planted: Planted, store: Stepped) -> History:
    return in_a_row(
        play(store, [planted.setup], lambda clients: 0),
        play(store, planted.scripts, planted.choose()),
        play(store, [planted.final], lambda clients: 0),
    )


def in_a_row(*parts: History) -> History:
    """One history of several, each after the one before."""
    return merge([list(shifted(part, number * 10**6)) for number, part in enumerate(parts)])


def shifted(part: History, time: int) -> Iterator[Op]:
    return (attrs.evolve(op, time=time + op.index) for op in part.ops)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_anomaly_shows_where_it_is_permitted(
    s: Substrate, name: str, isolation: str
) -> None:
    planted = PLANTED[name]
    history = played(planted, Stepped(s, isolation))
    findings = planted.check(history)
    assert names(findings) == planted.expected(isolation), report(history, findings)


@pytest.mark.parametrize("isolation", ["serializable", "snapshot"])
@pytest.mark.parametrize("name", PLANTED)
def test_queries_are_isolated_as_refs_are(s: Substrate, name: str, isolation: str) -> None:
    planted = PLANTED[name]
    history = played(planted, Stepped(s, isolation, reads="queries"))
    findings = planted.check(history)
    assert names(findings) == planted.expected(isolation), report(history, findings)


# ---------------------------------------------------------------------------- at random

CLIENTS = 4
CHANGING = ("list-append", "write-skew", "counter", "set")  # the others only read and set
IN_WAYS = [(name, way) for name in WORKLOADS for way in WAYS if way == "alter" or name in CHANGING]


def at_random(name: str, store: Stepped, *, seed: int, requests: int) -> History:
    """Setup, all clients in an interleaving that *seed* chooses, final."""
    workload = WORKLOADS[name](CLIENTS)
    scripts = [
        list(islice(workload.requests(Random(f"{seed}/{client}"), client), requests))
        for client in range(CLIENTS)
    ]
    choose = Random(seed).randrange
    parts = [[workload.setup], scripts, [workload.final]]
    return in_a_row(*(play(store, part, choose) for part in parts))


@pytest.mark.parametrize(("name", "way"), IN_WAYS)
def test_serializable_is_clean(s: Substrate, name: str, way: str, tmp_path) -> None:
    history = at_random(name, Stepped(s, way=way), seed=1, requests=10)
    dump(history, tmp_path / "history.edn")
    findings = WORKLOADS[name](CLIENTS).check(history)
    assert not findings, f"{tmp_path / 'history.edn'}\n{report(history, findings)}"


@pytest.mark.parametrize("name", WORKLOADS)
def test_serializable_queries_are_clean(s: Substrate, name: str) -> None:
    history = at_random(name, Stepped(s, reads="queries"), seed=2, requests=10)
    findings = WORKLOADS[name](CLIENTS).check(history)
    assert not findings, report(history, findings)


# A commute lands on the newest value of its cell while the reads of its transaction are older: that
# is no conflict, and no snapshot either. What a transaction commutes and reads counts as written.
COMMUTES = frozenset({"G-single", "G-nonadjacent"})


@pytest.mark.parametrize(("name", "way"), IN_WAYS)
def test_snapshot_isolation_shows_exactly_what_it_permits(
    s: Substrate, name: str, way: str
) -> None:
    workload = WORKLOADS[name](CLIENTS)
    permitted = workload.snapshot_permits
    if way == "commute" and name == "list-append":
        permitted |= COMMUTES
    history = at_random(name, Stepped(s, "snapshot", way=way), seed=1, requests=25)
    findings = workload.check(history)
    assert names(findings) <= permitted, report(history, findings)
    assert bool(findings) == bool(permitted), "this seed is of no use"


@pytest.mark.parametrize("name", sorted(WORKLOADS.keys() - {"long-fork"}))
def test_no_transaction_at_all_is_caught(s: Substrate, name: str) -> None:
    history = at_random(name, Stepped(s, "read-committed"), seed=1, requests=25)
    assert WORKLOADS[name](CLIENTS).check(history)
