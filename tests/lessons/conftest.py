"""A store on each backend, under a clock that stands still until it is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from persistence import FrozenClock, Substrate
from persistence.values import micros

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(micros(START))


@pytest.fixture
def s(store_uri: str, clock: FrozenClock) -> Iterator[Substrate]:
    with Substrate.open(store_uri, clock=clock) as opened:
        yield opened
