"""Writers that are killed at any moment lose nothing that they acknowledged.

A few of the kills; `python -m tests.crash --backend sqlite --kills 300` makes as many as one likes.
"""

from __future__ import annotations

import pytest

from tests.crash.campaign import Backend, Campaign
from tests.crash.servers import Server, pgbouncer


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_process_loses_nothing_on_sqlite(seed: int) -> None:
    assert Campaign("sqlite", seed, ways=("process",)).run(3).findings == []


@pytest.mark.parametrize("way", ["process", "server", "backend", "terminate"])
def test_a_kill_loses_nothing_on_postgres(way: str, server: Server) -> None:
    assert Campaign("postgres", 3, server, ways=(way,)).run(3).findings == []


@pytest.mark.parametrize("way", ["power", "process"])
def test_a_signed_log_is_covered_by_its_checkpoint_after_a_crash(way: str) -> None:
    assert Campaign("sqlite", 6, ways=(way,), signed=True).run(3).findings == []


@pytest.mark.skipif(pgbouncer() is None, reason="needs the program pgbouncer (package pgbouncer)")
def test_a_killed_pooler_loses_nothing(server: Server) -> None:
    assert Campaign("postgres", 4, server, ways=("pooler",)).run(3).findings == []


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_a_campaign_counts_what_it_did(backend: Backend, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("server") if backend == "postgres" else None
    tally = Campaign(backend, 5, server, ways=("process",)).run(1)
    done = tally.as_data()
    assert done["total"] == sum(done["kills"].values()) >= 1
    assert set(done["operations"]) <= {"committed", "intends", "refused", "unknown"}
