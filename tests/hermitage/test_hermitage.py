"""Which anomalies each isolation prevents, on both backends: the table of docs/isolation.md.

`python -m tests.hermitage.anomalies` prints the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence import Substrate
from tests.hermitage.anomalies import MATRIX, Anomaly, Expected, table
from tests.hermitage.world import ISOLATIONS, World

PAGE = Path(__file__).resolve().parents[2] / "docs" / "isolation.md"


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("anomaly", MATRIX, ids=lambda anomaly: anomaly.name)
def test_what_happens(s: Substrate, anomaly: Anomaly, isolation: str) -> None:
    world = World(s, isolation)
    happened = anomaly.script(world)
    assert Expected(happened, tuple(world.refused)) == anomaly.expected(isolation)
    assert s.check() == []


def test_serializable_prevents_everything_and_the_scripts_can_fail() -> None:
    assert not any(anomaly.serializable.happens for anomaly in MATRIX)
    assert {anomaly.name for anomaly in MATRIX if anomaly.snapshot.happens} == {
        "G2-item",
        "G2",
        "G2, two edges",
    }
    assert sum(anomaly.without.happens for anomaly in MATRIX) >= 9


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")
