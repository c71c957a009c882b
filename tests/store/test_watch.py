"""Commits of any process are heard of, and nobody is told when nobody listens."""

from __future__ import annotations

from threading import Condition

import pytest

from persistence import Substrate
from persistence.store import open_store


@pytest.mark.parametrize("round", range(3))
def test_a_commit_elsewhere_ends_the_wait(store_uri: str, round: int) -> None:
    with Substrate.open(store_uri) as here, Substrate.open(store_uri) as there:
        connection = here._connection
        with connection.watching() as changed:
            seen = connection.db().basis
            t = there.fact.transact([{"note": f"round {round}"}]).t
            assert changed(seen, 60.0) == t
            assert changed(t, 0.01) == t, "and without one it ends with its time"


def test_a_commit_of_this_process_ends_the_wait(store_uri: str) -> None:
    with Substrate.open(store_uri) as s, s._connection.watching() as changed:
        t = s.fact.transact([{"note": "here"}]).t
        assert changed(t - 1, 60.0) == t


def test_postgres_notifies_those_who_listen(fresh_postgres_uri: str) -> None:
    store = open_store(fresh_postgres_uri)
    with Substrate.open(fresh_postgres_uri) as writer, store.watch() as watch:
        writer.fact.transact([{"note": "told"}])
        heard = list(watch.connection.notifies(timeout=60.0, stop_after=1))
        assert [each.channel.startswith("persistence_") for each in heard] == [True]
        watch.wait(0.01, Condition())
    store.close()
