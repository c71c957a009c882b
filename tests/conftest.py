"""What every test may ask for: Hypothesis profiles, a real PostgreSQL, the shared data.

The suite brings its own PostgreSQL in a wheel. Under pytest-xdist the workers share one server:
the first to ask starts it, the last to leave stops it and deletes its files. Set
PERSISTENCE_TEST_POSTGRES to a URI whose user may create databases to use another server.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent

# A shared machine is sometimes slow: a deadline would then report the neighbour, not the code.
slow_is_fine = {
    "deadline": None,
    "print_blob": True,  # a failure shows the line that repeats it
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("dev", **slow_is_fine)
settings.register_profile("ci", database=None, **slow_is_fine)
settings.register_profile("deep", max_examples=2_000, **slow_is_fine)
# While the code moves: few examples, and a failure is shown as it was found.
settings.register_profile(
    "quick", max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate], **slow_is_fine
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:12]
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of a PostgreSQL server's own database, from which others are created."""
    given = os.environ.get("PERSISTENCE_TEST_POSTGRES")
    if given:
        yield given
        return
    from tests import postgres  # noqa: PLC0415  needless, and absent, where a URI is given

    if WORKER in ("main", "gw0"):
        postgres.stop_orphans()
    with postgres.server(RUN) as uri:
        yield uri


@contextmanager
def _database(server: str, name: str) -> Iterator[str]:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def postgres_uri(postgres_server: str) -> Iterator[str]:
    """The URI of a database that this test process has to itself."""
    with _database(postgres_server, f"persistence_{RUN}_{WORKER}") as uri:
        yield uri


_numbers = itertools.count(1)


@pytest.fixture
def fresh_postgres_uri(postgres_server: str) -> Iterator[str]:
    """The URI of a new, empty database that goes away after the test."""
    with _database(postgres_server, f"persistence_{RUN}_{WORKER}_{next(_numbers)}") as uri:
        yield uri


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The conformance cases and data sets that are too large for the repository."""
    place = Path(os.environ.get("PERSISTENCE_SHARED", ROOT.parent / "shared"))
    if not place.is_dir():
        pytest.skip(
            f"no shared data in {place}: put it there, or name its place in PERSISTENCE_SHARED"
        )
    return place


@pytest.fixture(params=["sqlite", "postgres"])
def store_uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of a new, empty store, on each backend in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    base: str = request.getfixturevalue("postgres_uri")
    return f"{base}{'&' if '?' in base else '?'}schema=store_{next(_numbers)}"
