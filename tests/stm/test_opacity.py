"""Every attempt sees one consistent state, the doomed ones too."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from persistence import Substrate
from persistence.stm import Transaction

TOTAL = "[:find (sum ?b) . :with ?e :where [?e :account/balance ?b]]"


def test_the_invariant_holds_inside_of_every_attempt(s: Substrate) -> None:
    """Money moves between accounts; whoever looks, in whatever way, always finds all of it."""
    attempts: list[int] = []
    start = threading.Barrier(4)

    def move(tx: Transaction, source: int, target: int) -> None:
        attempts.append(tx.basis)
        refs = {e: tx.ref(e, "account/balance") for e in (source, target)}
        held = {e: ref.deref() for e, ref in refs.items()}
        others = [tx.get(e, "account/balance") for e in (1, 2, 3) if e not in held]
        assert sum(held.values()) + sum(others) == 300
        refs[source].set(held[source] - 1)
        refs[target].set(held[target] + 1)
        assert tx.q(TOTAL) == 300
        pulled = tx.db.pull_many(["account/balance"], [1, 2, 3])
        assert sum(value for each in pulled for value in each.values()) == 300

    def work(worker: int) -> None:
        start.wait()
        for step in range(12):
            source = 1 + (worker + step) % 3
            s.txn.run(move, source, 1 + source % 3)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(attempts) >= 48
    assert s.fact.db().q(TOTAL) == 300
    assert s.check() == []
