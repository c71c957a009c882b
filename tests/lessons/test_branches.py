"""Lessons 8, 11 and 17, as far as they are about branches.

What random branches, writes and merges do is held against a model in tests/branches; the cases
here are the failures that were reproduced in earlier systems.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from persistence import Db, FrozenClock, Keyword, Substrate
from persistence.errors import MergeConflict

DAY = 86_400_000_000
MANY = "[{:db/ident :tag :db/cardinality :db.cardinality/many}]"
DAYS = ("2026-01-01", "2026-01-15", "2026-03-01", "2026-03-02", "2027-01-01")


def everything(db: Db) -> list[Any]:
    """All facts with their times, at several days, and all of history."""
    facts = "[:find ?e ?a ?v ?tx :where [?e ?a ?v ?tx]]"
    told = "[:find ?e ?a ?v ?tx ?op ?f ?t :where [?e ?a ?v ?tx ?op ?f ?t]]"
    return [
        *(sorted(db.valid_at(day).q(facts), key=repr) for day in DAYS),
        *(str(db.valid_at(day).pull("[*]", 101)) for day in DAYS),
        sorted(db.history().q(told), key=repr),
        [tuple(d) for d in db.datoms("aevt", Keyword("name"))],
        sorted(str(name) for name, about in db.schema.attributes.items() if about.entity),
    ]


def rows(s: Substrate, branch: int) -> list[Any]:
    """The index rows that a branch has written, wherever an index by value may have put them."""
    with s._connection.store.snapshot() as snapshot:
        return sorted((row[:-2] for row in snapshot.facts() if row[0] // 3 == branch), key=repr)


@pytest.fixture
def filled(s: Substrate) -> Substrate:
    s.fact.transact(MANY)
    s.fact.transact(
        [{"db/id": 101, "name": "x", "tag": ["a", "b"]}, {"db/id": 102, "name": "y"}],
        valid_from="2026-01-01",
    )
    return s


# -------------------------------------------------------------------------- lesson 8


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_making_a_branch_does_no_work_per_datom(s: Substrate, depth: int) -> None:
    """Lesson 8: ten facts or a thousand, of any branch: the same few rows, in one transaction."""
    of, grown = "main", []
    for level in range(depth):
        s.branch.create(f"level {level}", of=of)
        of = f"level {level}"
    line = s.branch.open(of).fact
    for size in (10, 1_000):
        line.transact([{"db/id": 1_000 + size + n, "name": f"n{n}"} for n in range(size)])
        before = s.statistics().rows
        s.branch.create(f"of {size}", of=of)
        after = s.statistics().rows
        grown.append({table: after[table] - before.get(table, 0) for table in after})
    assert grown[0] == grown[1]
    assert grown[0]["tx"] == 1 and max(grown[0].values()) <= 4


def test_a_branch_never_writes_to_what_it_came_from(filled: Substrate) -> None:
    """Lesson 8: not when it replaces, cuts, retracts, declares, or is merged elsewhere."""
    s = filled
    branch = s.branch.create("b")
    child = s.branch.create("child", of="b")
    main = rows(s, 0)
    seen = everything(branch.fact.db())
    child.fact.transact([{"db/id": 101, "name": "z", "tag": "c"}])
    child.fact.transact(
        [{"db/id": 101, "name": "cut"}], valid_from="2026-01-10", valid_to="2026-02-01"
    )
    child.fact.transact([["db/retractEntity", 102]], valid_from="2026-01-01")
    child.fact.transact("[{:db/ident :name :db/index true}]")
    assert everything(branch.fact.db()) == seen
    assert rows(s, branch.number) == []
    assert rows(s, 0) == main
    assert s.check() == []


def test_a_held_value_of_a_branch_never_changes(filled: Substrate, clock: FrozenClock) -> None:
    """Lesson 8: not by writes on it, on its parent or its children, nor by merges either way."""
    s = filled
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 101, "name": "on b"}])
    db = branch.fact.db()
    trial = branch.fact.with_([{"db/id": 102, "name": "trial"}]).db_after
    held = {"now": db, "before": db.as_of(2), "main": s.fact.db(), "trial": trial}
    answers = {name: everything(view) for name, view in held.items()}
    clock.advance(DAY)
    s.fact.transact([{"db/id": 102, "name": "on main"}, {"db/id": 101, "tag": "m"}])
    child = s.branch.create("child", of="b")
    child.fact.transact([["db/retractEntity", 101]], valid_from="2026-01-01")
    branch.fact.transact([{"db/id": 101, "name": "later", "late": 1}], valid_from="2026-01-10")
    s.branch.merge("main", into="b", resolve="theirs")
    s.branch.merge("child", into="b", resolve="theirs")
    s.branch.merge("b", resolve="theirs")
    s.branch.discard("b")
    assert {name: everything(view) for name, view in held.items()} == answers


# ------------------------------------------------------------------------- lesson 11


@pytest.mark.parametrize("resolve", ["ours", "theirs"])
def test_a_merge_never_changes_the_past(
    filled: Substrate, clock: FrozenClock, resolve: str
) -> None:
    """Lesson 11: every earlier basis answers as before, at every day, although what is merged
    holds since long ago; and the log of before is what it was."""
    s = filled
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 101, "name": "tried", "note": "n"}], valid_from="2026-01-01")
    branch.fact.transact([["db/retract", 101, "tag", "a"]], valid_from="2026-01-10")
    branch.fact.transact([["db/retractEntity", 102]], valid_from="2026-01-01")
    clock.advance(DAY)
    s.fact.transact([{"db/id": 101, "name": "meanwhile"}])
    basis, main = s.fact.db().basis, s.fact

    def past() -> list[Any]:
        return [everything(main.db().as_of(t)) for t in range(basis + 1)]

    before, log = past(), [tuple(d) for d in main.db().log(0, basis)]
    clock.advance(DAY)
    with pytest.raises(MergeConflict):
        s.branch.merge("b")
    done = s.branch.merge("b", resolve=resolve)
    assert past() == before
    assert [tuple(d) for d in main.db().log(0, basis)] == log
    assert main.db().valid_at("2026-01-15").get(101, "note") == "n"
    assert main.db().get(101, "name") == ("meanwhile" if resolve == "ours" else "tried")
    assert done.report is not None and done.report.time == clock.now(), "the target's own clock"
    assert {d.tx_time for d in done.report.tx_data} == {clock.now()}


# ------------------------------------------------------------------------- lesson 17


def test_branches_share_no_state_that_changes(filled: Substrate) -> None:
    """Lesson 17: threads on sibling branches, each sees its own writes and nobody else's."""
    s = filled
    lines = [s.branch.create(f"b{n}") for n in range(4)]

    def work(place: int) -> list[Any]:
        seen, fact = [], lines[place].fact
        for step in range(10):
            new = {"db/id": "new", "name": f"new {place} {step}"}
            fact.transact([{"db/id": 101, "name": f"{place} {step}", "tag": f"t{place}"}, new])
            seen.append(fact.db().get(101, "name"))
        return seen

    with ThreadPoolExecutor(len(lines)) as pool:
        told = list(pool.map(work, range(len(lines))))
    assert told == [[f"{place} {step}" for step in range(10)] for place in range(len(lines))]
    made = []
    for place, line in enumerate(lines):
        db = line.fact.db()
        assert sorted(db.get(101, "tag")) == ["a", "b", f"t{place}"]
        found = db.q("[:find ?e ?n :where [?e :name ?n] [(> ?e 102)]]")
        assert sorted(n for _, n in found) == sorted(f"new {place} {step}" for step in range(10))
        made.append({e for e, _ in found})
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(made, 2))
    assert s.fact.db().get(101, "name") == "x" and sorted(s.fact.db().get(101, "tag")) == ["a", "b"]
    assert s.check() == []


def test_a_value_that_is_changed_in_memory_changes_on_no_branch(s: Substrate) -> None:
    """Lesson 17: what goes in and what comes out are copies."""
    plan = {"steps": ["one", "two"]}
    s.fact.transact([{"db/id": 101, "plan": [plan]}])
    lines = [s.branch.create(name).fact for name in ("b", "c")]
    lines[0].transact([{"db/id": 102, "plan": [plan]}])
    plan["steps"].append("three")
    pulled = lines[0].db().pull(["plan"], 101)
    assert "three" not in str(pulled) and pulled == lines[1].db().pull(["plan"], 101)
    found = lines[0].db().q("[:find ?e ?p :where [?e :plan ?p]]")
    found.clear()
    assert len(lines[0].db().q("[:find ?e ?p :where [?e :plan ?p]]")) == 2
    assert len(lines[1].db().q("[:find ?e ?p :where [?e :plan ?p]]")) == 1


def test_only_what_is_merged_of_several_branches_remains(filled: Substrate) -> None:
    """Lesson 17: several were tried and one is kept; the others leave no facts on the line."""
    s = filled
    for place in range(3):
        s.branch.create(f"try {place}").fact.transact(
            [{"db/id": 101, "name": f"try {place}"}, {"db/id": f"n{place}", "only": place}]
        )
    s.branch.merge("try 1")
    for place in (0, 2):
        s.branch.discard(f"try {place}")
    db = s.fact.db()
    assert db.get(101, "name") == "try 1"
    assert db.q("[:find [?n ...] :where [_ :only ?n]]") == [1]
    told = db.history().q("[:find [?n ...] :where [101 :name ?n]]")
    assert set(told) == {"x", "try 1"}
    assert s.branch.open("try 2", discarded=True).fact.db().get(101, "name") == "try 2"
