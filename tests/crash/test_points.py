"""A commit that is stopped at any of its points is there, or it is not, as the point says."""

from __future__ import annotations

from pathlib import Path

import pytest

from persistence import Keyring
from tests.crash.points import POINTS, Point
from tests.crash.stopped import stopped_at

# Every point with one kind of work; `python -m tests.crash` tries them with all.
CASES = [
    pytest.param(point, point.kinds[n % len(point.kinds)], backend, id=f"{point}-{backend}")
    for n, point in enumerate(POINTS)
    for backend in point.backends
]


@pytest.mark.parametrize(("point", "kind", "backend"), CASES)
def test_what_a_stopped_commit_leaves(
    point: Point, kind: str, backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = str(tmp_path / "store.db")
    if backend == "postgres":
        uri = f"{request.getfixturevalue('fresh_postgres_uri')}"
    assert stopped_at(point, kind, uri, tmp_path / "journal") == []


SIGNED = [
    pytest.param(point, kind, id=f"{point}-{kind}")
    for point in POINTS
    if "sqlite" in point.backends
    for kind in ("transact", "group")
    if kind in point.kinds
]


@pytest.mark.parametrize(("point", "kind"), SIGNED)
def test_facts_entry_and_checkpoint_are_there_together(
    point: Point, kind: str, tmp_path: Path
) -> None:
    """Lesson 16, of a log that is signed."""
    keys = str(tmp_path / "keys")
    Keyring.generate("example.com/crash", "ana", directory=keys)
    assert stopped_at(point, kind, str(tmp_path / "s.db"), tmp_path / "journal", keys) == []


def test_points_are_numbered_once() -> None:
    assert len({point.number for point in POINTS}) == len(POINTS)
