"""Lessons 36 and 37: the project's own tests and benchmarks mean what they say."""

from __future__ import annotations

import ast
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import apsw
import pytest

from bench import timing
from persistence import FrozenClock, Substrate
from persistence.values import micros

ROOT = Path(__file__).resolve().parents[2]
HOUR = dt.timedelta(hours=1)

# Dates on which something is odd: a leap day, the ends of a year, clocks put forward and back,
# the end of 32-bit seconds, and the days before the epoch.
ODD_DATES = {
    "a leap day": dt.datetime(2028, 2, 29, 12, tzinfo=dt.UTC),
    "the last second of a year": dt.datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    "the first of a year": dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    "clocks go forward": dt.datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
    "clocks go back": dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "New York in summer": dt.datetime(2026, 11, 1, 1, 59, tzinfo=ZoneInfo("America/New_York")),
    "the end of 32 bits": dt.datetime(2038, 1, 19, 3, 14, 8, tzinfo=dt.UTC),
    "before the epoch": dt.datetime(1969, 12, 31, 23, 59, tzinfo=dt.UTC),
    "far ahead": dt.datetime(2999, 6, 30, tzinfo=dt.UTC),
}


# ------------------------------------------------------------------------- lesson 36


def story(uri: str, now: dt.datetime) -> list[object]:
    """Facts, a correction and a retraction around *now*, and what every view says of them.

    Instants go in and out in the zone of *now*; hours pass in UTC, where each has sixty minutes.
    """

    def after(hours: float) -> dt.datetime:
        return (now.astimezone(dt.UTC) + hours * HOUR).astimezone(now.tzinfo)

    clock = FrozenClock(micros(now))
    with Substrate.open(uri, clock=clock) as s:
        e = s.fact.transact([{"db/id": "e", "price": 10}]).tempids["e"]
        clock.instant = micros(after(3))
        s.fact.transact([{"db/id": e, "price": 12}], valid_from=after(1), valid_to=after(2))
        clock.instant = micros(after(4))
        s.fact.transact([["db/retract", e, "price"]])
        db = s.fact.db()
        return [
            [db.as_of(after(n)).valid_at(after(m / 2)).get(e, "price") for m in range(10)]
            for n in range(6)
        ]


@pytest.mark.parametrize("when", ODD_DATES)
def test_the_same_story_is_told_on_any_date(store_uri: str, when: str) -> None:
    """Lesson 36: on any date, under a clock that stands on it."""
    told = story(store_uri, ODD_DATES[when])
    before, after = [10] * 10, [10, 10, 12, 12, 10, 10, 10, 10, 10, 10]
    assert told == [before, before, before, after, after[:8] + [None] * 2, after[:8] + [None] * 2]


PROGRAM = """
import json, os, sys
from persistence import Substrate
with Substrate.open(sys.argv[1]) as s:
    e = s.fact.transact([{"db/id": "e", "day": 1}], valid_from="2026-03-29").tempids["e"]
    s.fact.transact([{"db/id": e, "day": 2}], valid_from="2026-03-30")
    db = s.fact.db()
    days = ["2026-03-28T23:59:59Z", "2026-03-29", "2026-03-30T00:00:00+02:00", "2026-03-30"]
    print(json.dumps([db.valid_at(day).get(e, "day") for day in days]))
"""


@pytest.mark.parametrize("home", ["nowhere", "read-only", "unset", "with spaces é"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/St_Johns"])
def test_no_home_directory_and_no_local_time_zone_matters(
    tmp_path: Path, home: str, zone: str
) -> None:
    """Lesson 36: in any home directory, and wherever the machine believes to be."""
    places = {"nowhere": tmp_path / "not" / "there", "read-only": tmp_path / "ro"}
    place = places.get(home, tmp_path / home)
    if home in ("read-only", "with spaces é"):
        place.mkdir(mode=0o555)
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(place), "TZ": zone, "LC_ALL": "C"}
    if home == "unset":
        del env["HOME"]
    store = tmp_path / "store.db"
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, str(store)],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (json.loads(done.stdout or "null"), done.stderr) == ([None, 1, 1, 2], "")
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} <= {"store.db", place.name}


def calls(tree: ast.AST) -> Iterator[tuple[int, str, ast.Call]]:
    """Every call with a dotted name, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


def test_no_test_asks_for_the_date_or_the_home_directory() -> None:
    """Lesson 36: what a test does not ask for cannot change its outcome."""
    asked = ("date.today", "datetime.now", "datetime.utcnow", "datetime.today", "Path.home")
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, name, _ in calls(ast.parse(path.read_text(encoding="utf-8")))
        if name.endswith((*asked, ".expanduser"))
    ]
    assert not found, "\n".join(found)


def test_every_skip_says_what_is_missing() -> None:
    """Lesson 36: a skip without a reason hides what is not tested."""
    mute = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for line, name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            if not name.endswith(("pytest.skip", "mark.skip", "mark.skipif", "importorskip")):
                continue
            given = [*call.args, *(each.value for each in call.keywords if each.arg == "reason")]
            texts = [each for each in given if isinstance(each, ast.JoinedStr | ast.Constant)]
            words = " ".join(ast.unparse(text) for text in texts).split()
            if len(words) < 3 and not name.endswith("importorskip"):
                mute.append(f"{path.relative_to(ROOT)}:{line}: {ast.unparse(call)}")
    assert not mute, "\n".join(mute)


# ------------------------------------------------------------------------- lesson 37


class Fast:
    """A contender of a race that answers without having done the work."""

    def __init__(self, name: str, answer: object) -> None:
        self.name = name
        self._answer = answer

    def answer(self) -> object:
        return self._answer


def test_a_contender_that_did_other_work_is_not_timed() -> None:
    """Lesson 37: a benchmark compares work that was done. Before anything is timed the answers
    are compared, and a difference ends the run."""
    rows = [(1, "Ivan"), (2, "Ivan")]
    assert timing.agree("q1", [Fast("ours", rows), Fast("floor", rows)]) == rows
    for other in ([], rows[:1], [(1, "Ivan"), (2, "Petr")]):
        with pytest.raises(timing.Disagreement, match="q1: ours answers"):
            timing.agree("q1", [Fast("ours", rows), Fast("idle", other)])


# Each writes bytes that decode without complaint: only what they should be tells them apart.
VALID_BYTES = {
    "another value of the same type": "UPDATE log SET v = 999 WHERE v = 10",
    "another entity": "UPDATE log SET e = e + 1 WHERE v = 10",
    "a day later": f"UPDATE log SET vf = vf + {24 * 3_600_000_000} WHERE v = 10",
    "a retraction for an assertion": "UPDATE log SET op = 0 WHERE v = 10",
    "two datoms in the other order": "UPDATE log SET i = 1 - i WHERE t = 2 AND i IN (0, 1)",
    "a datom of another transaction": "UPDATE log SET v = 12 WHERE v = 10",
    "the time of a transaction": "UPDATE tx SET time = time + 1 WHERE t = 2",
    "the present in the index": "UPDATE fact SET v = 999 WHERE v = 12",
}


@pytest.mark.parametrize("what", VALID_BYTES)
def test_tampering_with_valid_bytes_is_found_without_a_decode_error(
    tmp_path: Path, what: str
) -> None:
    """Lesson 37: the store still opens, every row still decodes, and the ids catch it."""
    path = tmp_path / "store.db"
    with Substrate.open(path, clock=FrozenClock(0)) as s:
        s.fact.transact([{"name": "first"}])
        e = s.fact.transact([{"db/id": "e", "price": 10, "stock": 3}]).tempids["e"]
        s.fact.transact([{"db/id": e, "price": 12}])
        assert s.check() == []
    file = apsw.Connection(str(path))
    for (trigger,) in list(file.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
        file.execute(f"DROP TRIGGER {trigger}")
    if "i = 1 - i" in VALID_BYTES[what]:  # not both at once: the place is a key
        file.execute("UPDATE log SET i = -1 WHERE t = 2 AND i = 0")
        file.execute("UPDATE log SET i = 0 WHERE t = 2 AND i = 1")
        file.execute("UPDATE log SET i = 1 WHERE t = 2 AND i = -1")
    else:
        file.execute(VALID_BYTES[what])
    assert file.total_changes() > 0
    file.close()
    with Substrate.open(path) as s:
        log = list(s.fact.db().log())
        assert all(datom.v is not None for datom in log)
        found = s.check()
    assert found
    assert not [finding for finding in found if "decode" in str(finding).lower()]
