"""The judge is judged: what is planted in a store, or in what its writers said, is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from persistence import Substrate
from tests.crash.journal import COMMITTED, INTENDS, PERFORMS, REFUSED, Journal
from tests.crash.verdict import Judge
from tests.crash.workload import COUNTER, TALLY, Writer, found, performing, whole


@pytest.fixture
def s() -> Iterator[Substrate]:
    with Substrate.open(":memory:") as s:
        found(s)
        yield s


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path / "journal")


@pytest.fixture
def journal(judge: Judge, s: Substrate) -> Journal:
    """The journal, after a little of every kind of work."""
    journal = Journal(judge.journal)
    performing(s, journal)
    writer = Writer(s, journal, "w.0", Random(1))
    for kind in ("transact", "bounded", "bulk", "count", "serial", "tally", "effect", "transact"):
        writer.do(kind)
    for kind in ("create", "draft", "merge", "discard", "create", "draft"):
        writer.do(kind)
    return journal


def wheres(judge: Judge, s: Substrate) -> list[str]:
    return [finding.where for finding in judge.findings(s)]


def test_sound_work_has_no_findings(s: Substrate, judge: Judge, journal: Journal) -> None:
    assert wheres(judge, s) == []
    assert wheres(judge, s) == []


@pytest.mark.parametrize("kind", ["transact", "count", "create", "draft", "merge", "discard"])
def test_an_acknowledged_commit_that_is_lost_is_found(
    s: Substrate, judge: Judge, journal: Journal, kind: str
) -> None:
    journal.say(INTENDS, "x.0-1", kind=kind, on="nowhere", brings="x.0-0")
    assert wheres(judge, s) == []
    journal.say(COMMITTED, "x.0-1", t=1)
    assert wheres(judge, s) == [f"{kind} x.0-1"]


def test_half_a_transaction_is_found(s: Substrate, judge: Judge, journal: Journal) -> None:
    journal.say(INTENDS, "x.0-1", kind="bounded")
    s.fact.transact(whole("x.0-1")[:-1])
    assert wheres(judge, s) == ["x.0-1 on main"]


def test_a_refused_commit_that_is_there_is_found(
    s: Substrate, judge: Judge, journal: Journal
) -> None:
    journal.say(INTENDS, "x.0-1", kind="bounded")
    s.fact.transact(whole("x.0-1"))
    assert wheres(judge, s) == []
    journal.say(REFUSED, "x.0-1")
    assert wheres(judge, s) == ["bounded x.0-1"]


def test_what_nobody_intended_is_found(s: Substrate, judge: Judge, journal: Journal) -> None:
    s.fact.transact(whole("x.0-1"))
    assert wheres(judge, s) == ["x.0-1 on main"]


@pytest.mark.parametrize(("cell", "where"), [(COUNTER, "counter"), (TALLY, "tally")])
@pytest.mark.parametrize("by", [-1, 1])
def test_a_lost_or_repeated_increment_is_found(
    s: Substrate, judge: Judge, journal: Journal, cell: int, where: str, by: int
) -> None:
    s.txn.run(lambda tx: tx.ref(cell, "n").alter(lambda n: n + by))
    assert wheres(judge, s) == [where]


def test_a_commit_that_comes_back_is_found(s: Substrate, judge: Judge, journal: Journal) -> None:
    journal.say(INTENDS, "x.0-1", kind="bounded")
    assert wheres(judge, s) == []
    s.fact.transact(whole("x.0-1"))
    assert wheres(judge, s) == ["bounded x.0-1"]


def test_an_older_state_of_a_worker_is_found(s: Substrate, judge: Judge, journal: Journal) -> None:
    s.fact.transact([{"worker/name": "w.0", "worker/last": "w.0-0"}])
    assert wheres(judge, s) == ["last of w.0"]


def test_a_draft_on_the_main_line_is_found(s: Substrate, judge: Judge, journal: Journal) -> None:
    journal.say(INTENDS, "x.0-1", kind="draft", on="nowhere")
    s.fact.transact(whole("x.0-1"))
    assert "draft x.0-1" in wheres(judge, s)


@pytest.mark.parametrize(("op", "key"), [("x.0-9", "new"), ("w.0-6", "another")])
def test_an_effect_of_nothing_or_with_another_key_is_found(
    s: Substrate, judge: Judge, journal: Journal, op: str, key: str
) -> None:
    journal.say(PERFORMS, op, key=key)
    assert wheres(judge, s) == [f"effect of {op}"]


def test_an_index_that_is_not_the_log_is_found(
    s: Substrate, judge: Judge, journal: Journal
) -> None:
    with s._connection.store.session() as session:
        session.rows("UPDATE fact SET vf = vf + 1 WHERE seg = 0 AND e = 1")
    assert wheres(judge, s) != []
