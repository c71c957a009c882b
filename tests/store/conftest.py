"""The conformance suite runs once for each backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from persistence.store import Store, open_store


@pytest.fixture
def store(store_uri: str) -> Iterator[Store]:
    """A new, empty store, on each backend in turn."""
    opened = open_store(store_uri)
    yield opened
    opened.close()
