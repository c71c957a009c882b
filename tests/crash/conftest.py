"""A PostgreSQL server that tests may crash."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.servers import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server
