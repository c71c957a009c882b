"""The conformance suite runs once for each backend."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from persistence.store import Store, open_store
from persistence.store.postgres import PostgresStore
from tests.store.relay import Relay, connected


@pytest.fixture
def store(store_uri: str) -> Iterator[Store]:
    """A new, empty store, on each backend in turn."""
    opened = open_store(store_uri)
    yield opened
    opened.close()


@pytest.fixture
def uri(fresh_postgres_uri: str) -> str:
    """The address of an empty Postgres database."""
    return fresh_postgres_uri


@pytest.fixture
def postgres(uri: str) -> Iterator[PostgresStore]:
    """A new, empty store in a database of its own."""
    store = connected(uri)
    yield store
    store.close()


@pytest.fixture
def admin(uri: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(uri, autocommit=True) as connection:
        yield connection


@pytest.fixture
def relay(uri: str) -> Iterator[Relay]:
    query = parse_qs(urlsplit(uri).query)
    host = query.get("host", [""])[0]
    if not host.startswith("/"):
        pytest.skip("the server of PERSISTENCE_TEST_POSTGRES listens on no local socket")
    with tempfile.TemporaryDirectory() as directory:
        port = int(query.get("port", ["5432"])[0])
        relay = Relay(Path(directory), f"{host}/.s.PGSQL.{port}", port)
        yield relay
        relay.close()
