"""Stores whose files can be read byte by byte."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql

from persistence import Substrate
from persistence.clock import FrozenClock

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def own_server() -> Iterator[str]:
    """A PostgreSQL server whose write-ahead log nobody else writes to."""
    from tests import postgres  # noqa: PLC0415  not there where another server is given

    run = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with postgres.server(f"erase-{run}-{uuid.uuid4().hex[:6]}") as uri:
        yield uri


@pytest.fixture
def own_database(own_server: str) -> Iterator[str]:
    name = f"erased_{next(_numbers)}"
    with psycopg.connect(own_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield urlsplit(own_server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(own_server, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(params=["sqlite", "postgres"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store is to be, on each backend in turn."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    found: str = request.getfixturevalue("own_database")
    return found


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(1_800_000_000_000_000)


@pytest.fixture
def s(uri: str, clock: FrozenClock) -> Iterator[Substrate]:
    with Substrate.open(uri, clock=clock) as opened:
        yield opened


@pytest.fixture
def found(uri: str) -> Callable[[bytes], list[str]]:
    """The files of the store, or of its whole server, that hold a sequence of bytes."""
    place = Path(uri).parent
    if uri.startswith("postgres"):
        place = Path(parse_qs(urlsplit(uri).query)["host"][0])

    def scan(needle: bytes) -> list[str]:
        return sorted(
            str(path.relative_to(place))
            for path in place.rglob("*")
            if path.is_file() and needle in path.read_bytes()
        )

    return scan
