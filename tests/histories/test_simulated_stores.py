"""The checkers against stores of known isolation: silent where they are right, loud where not.

Whatever the interleaving, a serial store shows nothing and snapshot isolation shows only what it
permits. A store that reads committed data and checks nothing loses updates.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.histories.checker import check_append, check_register
from tests.histories.finding import names
from tests.histories.microops import Request
from tests.histories.stores import ReadCommitted, Serial, Snapshot, StaleReads, play
from tests.histories.workloads import list_append, rw_register

CLIENTS = 3
G2_ONLY = {"G2-item", "G2-item-process", "G2-item-realtime"}


@st.composite
def scripts(draw: st.DrawFn, write: str) -> list[list[Request]]:
    """A few transactions for each client over three keys, every write unique."""
    fresh = iter(range(1, 1000))
    kinds = draw(
        st.lists(
            st.lists(
                st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=4),
                max_size=5,
            ),
            min_size=CLIENTS,
            max_size=CLIENTS,
        )
    )
    return [
        [
            Request("txn", [(write, k, next(fresh)) if w else ("r", k, None) for w, k in mops])
            for mops in script
        ]
        for script in kinds
    ]


randoms = st.randoms(use_true_random=False)
luck = st.sampled_from(["ok", "ok", "ok", "abort", "lost", "dropped"])


@given(scripts("append"), randoms, st.data())
def test_a_serial_store_of_lists_is_clean(
    scripts: list[list[Request]], rng: Random, data: st.DataObject
) -> None:
    history = play(Serial(), scripts, rng.randrange, luck=lambda: data.draw(luck))
    assert check_append(history) == ()


@given(scripts("w"), randoms, st.data())
def test_a_serial_store_of_registers_is_clean(
    scripts: list[list[Request]], rng: Random, data: st.DataObject
) -> None:
    history = play(Serial(), scripts, rng.randrange, luck=lambda: data.draw(luck))
    assert check_register(history) == ()
    assert check_register(history, key_order="process") == ()
    assert check_register(history, key_order="realtime") == ()


@given(scripts("append"), randoms, st.data())
def test_snapshot_isolation_of_lists_shows_nothing_but_g2(
    scripts: list[list[Request]], rng: Random, data: st.DataObject
) -> None:
    history = play(Snapshot(), scripts, rng.randrange, luck=lambda: data.draw(luck))
    assert names(check_append(history)) <= G2_ONLY


@given(scripts("w"), randoms, st.data())
def test_snapshot_isolation_of_registers_shows_nothing_but_g2(
    scripts: list[list[Request]], rng: Random, data: st.DataObject
) -> None:
    history = play(Snapshot(), scripts, rng.randrange, luck=lambda: data.draw(luck))
    assert names(check_register(history, key_order="realtime")) <= G2_ONLY


@given(scripts("append"), randoms)
def test_stale_reads_are_serializable(scripts: list[list[Request]], rng: Random) -> None:
    history = play(StaleReads(rng), scripts, rng.randrange)
    assert check_append(history, orders=()) == ()


def alternating() -> Callable[[int], int]:
    """Lets all clients take the same step before any takes the next."""
    turn = iter(range(10**9))
    return lambda clients: next(turn) % clients


def skewed(write: str) -> list[list[Request]]:
    """Two transactions that each read what the other writes."""
    return [
        [Request("txn", [("r", "x", None), (write, "y", 1)])],
        [Request("txn", [("r", "y", None), (write, "x", 2)])],
    ]


def updating(write: str) -> list[list[Request]]:
    """Two transactions that read the same key and write it, and then two readers."""
    read = Request("txn", [("r", "x", None)])
    return [[Request("txn", [("r", "x", None), (write, "x", value)]), read] for value in (1, 2)]


@pytest.mark.parametrize(("write", "check"), [("append", check_append), ("w", check_register)])
def test_write_skew_happens_under_snapshot_isolation_and_is_found(
    write: str, check: Callable[..., tuple]
) -> None:
    assert names(check(play(Snapshot(), skewed(write), alternating()))) == {"G2-item"}
    assert names(check(play(Serial(), skewed(write), alternating()))) == set()


@pytest.mark.parametrize(("write", "check"), [("append", check_append), ("w", check_register)])
def test_an_update_is_lost_under_read_committed_and_found(
    write: str, check: Callable[..., tuple]
) -> None:
    assert "lost-update" in names(check(play(ReadCommitted(), updating(write), alternating())))
    assert names(check(play(Snapshot(), updating(write), alternating()))) == set()
    assert names(check(play(Serial(), updating(write), alternating()))) == set()


def test_read_skew_happens_under_read_committed_and_is_found() -> None:
    reader = [Request("txn", [("r", "x", None), ("r", "y", None)])]
    writer = [Request("txn", [("append", "x", 1), ("append", "y", 1)])]
    # The reader is invoked and reads x; then the writer runs to its end.
    steps = [0, 0, 0, *[1] * 6]

    def choose(clients: int) -> int:
        return steps.pop(0) if steps else 0

    assert names(check_append(play(ReadCommitted(), [reader, writer], choose))) == {"G-single"}


def test_a_stale_read_is_found_by_real_time_and_not_without() -> None:
    writer = [Request("txn", [("append", "x", 1)])]
    reader = [Request("txn", [("r", "x", None)])]
    oldest = Random(0)
    oldest.choice = lambda states: states[0]  # type: ignore[method-assign]
    history = play(StaleReads(oldest), [writer, reader], lambda clients: 0)
    assert names(check_append(history)) == {"G-single-realtime"}
    assert names(check_append(history, orders=("process",))) == set()
    assert names(check_append(history, orders=())) == set()


@pytest.mark.parametrize("workload", [list_append(5), rw_register(5)], ids=lambda w: w.name)
def test_five_thousand_transactions_are_judged(workload) -> None:
    scripts = [list(islice(workload.requests(Random(n), n), 1000)) for n in range(5)]
    choose = Random(1).randrange
    assert workload.check(play(Serial(), scripts, choose)) == ()
    under_snapshot = names(workload.check(play(Snapshot(), scripts, choose)))
    assert "G2-item" in under_snapshot <= workload.snapshot_permits
    assert {"lost-update", "G-single"} <= names(
        workload.check(play(ReadCommitted(), scripts, choose))
    )
