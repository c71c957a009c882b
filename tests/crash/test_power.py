"""SQLite without power: FULL keeps every acknowledged commit, NORMAL at least a whole store."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from persistence import Substrate
from persistence.maintenance import Finding
from tests.crash.campaign import Campaign, Site, cut
from tests.crash.journal import COMMITTED, heard
from tests.crash.power import Image
from tests.crash.verdict import Judge, seen
from tests.crash.workload import found


def site(directory: Path, *, durable: bool) -> Site:
    uri = str(directory / "store.db")
    with Substrate.open(uri) as s:
        found(s)
    return Site(uri, directory, Judge(directory / "journal", durable=durable))


def looked(place: Site) -> list[Finding]:
    with Substrate.open(place.uri) as s:
        return place.judge.findings(s)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_full_keeps_every_acknowledged_commit(seed: int, tmp_path: Path) -> None:
    place, rng = site(tmp_path, durable=True), Random(seed)
    for _ in range(2):
        cut(place, rng, "FULL")
        assert looked(place) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_normal_keeps_a_whole_store_up_to_some_commit(seed: int, tmp_path: Path) -> None:
    place = site(tmp_path, durable=False)
    cut(place, Random(seed), "NORMAL")
    assert looked(place) == []


def test_normal_loses_the_last_commits(tmp_path: Path) -> None:
    """Else the cuts would not reach what is not synced, and FULL would be shown by nothing."""
    lost = 0
    for seed in range(10):
        (tmp_path / str(seed)).mkdir()
        place = site(tmp_path / str(seed), durable=False)
        cut(place, Random(seed), "NORMAL")
        with Substrate.open(place.uri) as s:
            now = seen(s)
        ops = heard(place.judge.journal).ops.values()
        lost += sum(op.state == COMMITTED and now.shows(op) is False for op in ops)
        if lost:
            return
    raise AssertionError("ten cuts have lost nothing")


def test_a_store_that_loses_power_at_its_birth_is_born_again() -> None:
    campaign = Campaign("sqlite", 6)
    campaign.power(birth=True)
    assert campaign.tally.findings == []


# ------------------------------------------------------------------- the disk itself


class Always(Random):
    """Chance that chooses *how*, and keeps no sector that it may lose."""

    def __init__(self, how: str) -> None:
        super().__init__(0)
        self.how = how

    def choice(self, seq: object) -> str:
        return self.how

    def random(self) -> float:
        return 0.9


def test_what_is_synced_survives_and_the_rest_may_not() -> None:
    image = Image(bytearray(b"old."), synced=True)
    image.changes.append((0, b"new!"))
    assert image.after_cut(Always("nothing")) == b"old."
    assert image.after_cut(Always("everything")) == b"new!"
    image.settle()
    assert image.after_cut(Always("nothing")) == b"new!"


def test_a_write_is_torn_between_sectors_and_in_any_order() -> None:
    found = set()
    for seed in range(200):
        image = Image(bytearray(1024), synced=True)
        image.changes += [(0, b"a" * 1024), (256, b"b" * 512)]
        after = image.after_cut(Random(seed))
        assert after is not None and len(after) == 1024
        found.add((after[0:1], after[256:257], after[512:513], after[1023:1024]))
    assert (b"\0", b"\0", b"b", b"\0") in found, "the later write alone, and only its second half"
    assert (b"a", b"a", b"\0", b"\0") in found, "the first sector of the first write alone"


def test_a_file_that_was_never_synced_may_be_gone() -> None:
    image = Image(bytearray(), synced=False, changes=[(0, b"data")])
    assert {image.after_cut(Random(seed)) for seed in range(50)} >= {None, b"", b"data"}
