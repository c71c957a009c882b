"""Branches against the model: random lines, writes, merges and discards, read at every point."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from persistence import Keyword, Substrate
from persistence.clock import FrozenClock
from persistence.datoms import Datom, moment
from persistence.errors import BranchError, MergeConflict
from persistence.values import micros
from tests.branches.model import Line, State, changed, merge_base, merged
from tests.time.model import POINTS, Fact
from tests.time.steps import (
    ATTRIBUTES,
    REFS,
    SCHEMA,
    SECOND,
    START,
    at,
    entities,
    known,
    new_model,
    operations,
    said,
    seen,
    spans,
)

LINES = 6  # at most
PLAIN = [name for name in ATTRIBUTES if name not in REFS]
points = st.integers(0, POINTS + 1)
few = st.tuples(  # of one entity, so that lines disagree often
    st.sampled_from(("add", "add", "add", "retract", "retractAttribute")),
    st.sampled_from([(101, a, v) for a in ("one", "many") for v in ("x", "y", 1)]),
    st.none() | spans(),
)
_numbers = itertools.count(1)
Told = dict[tuple[Fact, Any, bool], set[int]]


def covered(start: int, end: int) -> set[int]:
    return {point for point in range(POINTS + 1) if start <= START + point * SECOND < end}


def changes(datoms: Any) -> dict[tuple[Fact, bool], set[int]]:
    """The points that datoms cover, for each fact and whether it is asserted."""
    found: dict[tuple[Fact, bool], set[int]] = {}
    for d in datoms:
        if d.a.name in ATTRIBUTES:
            fact = (d.e, d.a.name, known(d.a.name, d.v))
            span = covered(d.valid_from, d.valid_to)
            assert span, "no datom says nothing"
            assert not found.get((fact, d.added), set()) & span, "nothing is said twice"
            found.setdefault((fact, d.added), set()).update(span)
    return found


class Branching(RuleBasedStateMachine):
    server: str | None = None  # the URI of a PostgreSQL database; else a file of SQLite

    def __init__(self) -> None:
        super().__init__()
        self.point = 0
        self.clock = FrozenClock(START)
        self.place = tempfile.TemporaryDirectory()
        self.uri = str(Path(self.place.name) / "store.db")
        if self.server is not None:
            mark = "&" if "?" in self.server else "?"
            self.uri = f"{self.server}{mark}schema=branches_{next(_numbers)}"
        self.store = self.opened()
        self.lines = {"main": Line(new_model(), "main", None, 0)}

    # ------------------------------------------------------------------------------- writes

    @initialize()
    def declare(self) -> None:
        main = self.lines["main"]
        main.ts.append(self.store.fact.transact(SCHEMA, valid_from=moment(START)).t)
        main.commit(main.begin())

    @rule(steps=st.integers(0, 3))
    def time_passes(self, steps: int) -> None:
        steps = min(steps, POINTS - 1 - self.point)
        self.point += steps
        self.clock.advance(steps * SECOND)

    @precondition(lambda self: len(self.lines) < LINES)
    @rule(data=st.data(), past=st.booleans())
    def begin(self, data: st.DataObject, past: bool) -> None:
        parent, name = self.line(data, discarded=past), f"b{len(self.lines)}"
        t = data.draw(st.integers(1, self.head)) if past else self.head
        of = self.db(parent).as_of(t) if past else parent.name
        self.store.branch.create(name, of=of)
        from_, _ = parent.place(t)
        self.lines[name] = Line(from_, name, from_, t)

    @rule(data=st.data(), wanted=st.lists(operations, min_size=1, max_size=4), whole=spans())
    def transact(self, data: st.DataObject, wanted: Any, whole: Any) -> None:
        self.say(self.line(data), wanted, whole)

    def say(self, line: Line, wanted: Any, whole: Any) -> None:
        report = said(self.fact(line), line, self.point, wanted, whole)
        if report is not None:
            line.ts.append(report.t)

    @precondition(lambda self: len(self.lines) > 1)
    @rule(data=st.data(), resolve=st.sampled_from(("ours", "theirs")))
    def merge(self, data: st.DataObject, resolve: Any) -> None:
        into, source = self.line(data), self.line(data)
        assume(into is not source)
        self.merge_into(into, source, resolve)

    @rule(data=st.data(), resolve=st.sampled_from(("ours", "theirs")))
    def two_lines_go_on_and_are_merged(self, data: st.DataObject, resolve: Any) -> None:
        if len(self.lines) < LINES:
            self.begin(data, past=False)
        into, source = self.line(data), self.line(data)
        for line in (into, source):
            for wanted in data.draw(st.lists(st.lists(few, min_size=1, max_size=2), max_size=2)):
                self.say(line, wanted, None)
        if into is not source:
            self.merge_into(into, source, resolve)

    def merge_into(self, into: Line, source: Line, resolve: Any) -> None:
        base = merge_base(self.lines, into, source, self.head)
        state, conflicts = merged(base, into.states[-1], source.states[-1], into.many, resolve)
        planned = self.store.branch.merge(source.name, into=into.name, dry_run=True)
        assert {
            (one.entity, one.attribute.name, point)
            for one in planned.conflicts
            for point in covered(one.valid_from, one.valid_to)
        } == conflicts
        before, tip = self.head, source.ts[-1]
        if conflicts:
            with pytest.raises(MergeConflict):
                self.store.branch.merge(source.name, into=into.name)
            assert self.head == before
        self.store.branch.merge(source.name, into=into.name, resolve=resolve)
        into.ts.append(self.head)
        into.states.append({fact: set(held) for fact, held in state.items()})
        into.merged[self.head] = (source, tip)
        again = self.store.branch.merge(source.name, into=into.name, dry_run=True)
        assert again.datoms == again.conflicts == ()

    @precondition(lambda self: len(self.lines) > 2)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        line = self.line(data)
        assume(line.name != "main")
        fact = self.fact(line)
        self.store.branch.discard(line.name)
        line.discarded = True
        with pytest.raises(BranchError):
            fact.transact([[":db/add", 101, "one", "x"]])

    # -------------------------------------------------------------------------------- reads

    @rule(data=st.data(), point=points, e=entities)
    def any_point_of_any_line_agrees(self, data: st.DataObject, point: int, e: int) -> None:
        line, t = self.line(data, discarded=True), data.draw(st.integers(0, self.head))
        db, held = self.db(line).as_of(t).valid_at(at(point)), line.holds_at(t, point)
        assert seen(db, point) == held
        by_attribute = {
            a: {v for other, name, v in held if (other, name) == (e, a)} for a in ATTRIBUTES
        }
        pulled = db.pull([Keyword(a) for a in PLAIN], e) or {}
        for a, values in by_attribute.items():
            assert {known(a, d.v) for d in db.datoms("eavt", e, Keyword(a))} == values
            assert {known(a, d.v) for d in db.datoms("aevt", Keyword(a), e)} == values
            if a in PLAIN:
                for found in (db.get(e, a), pulled.get(Keyword(a))):
                    assert {known(a, v) for v in _listed(found)} == values

    @rule(data=st.data())
    def a_history_is_what_was_said_along_the_line(self, data: st.DataObject) -> None:
        line, t = self.line(data, discarded=True), data.draw(st.integers(0, self.head))
        rows = self.db(line).as_of(t).history().q(
            "[:find ?e ?a ?v ?tx ?op ?from ?to :in $ [?a ...] "
            ":where [?e ?a ?v ?tx ?op ?from ?to]]",
            [Keyword(name) for name in ATTRIBUTES],
        )  # fmt: skip
        found: Told = {}
        for e, a, v, tx, op, start, end in rows:
            key = ((e, a.name, known(a.name, v)), tx - (1 << 46), op)
            found.setdefault(key, set()).update(covered(micros(start), micros(end)))
        assert found == line.told(t)

    @rule(data=st.data())
    def a_difference_turns_one_state_into_the_other(self, data: st.DataObject) -> None:
        (a, old), (b, new) = self.state(data), self.state(data)
        datoms: list[Datom] = list(self.store.branch.diff(a, b))
        expected = {(fact, added): span for fact, span, added in changed(old, new)}
        assert changes(datoms) == expected
        after = a.with_(datoms).db_after
        for point in (0, self.point, POINTS):
            assert seen(after, point) == seen(b, point)
        assert list(self.store.branch.diff(after, b)) == []

    @invariant()
    def the_present_of_every_line_agrees(self) -> None:
        for line in self.lines.values():
            assert seen(self.db(line), self.point) == line.holds_at(self.head, self.point)

    # ------------------------------------------------------------------------------- upkeep

    @rule()
    def the_store_is_sound(self) -> None:
        assert self.store.check() == []

    @rule()
    def reindexing_changes_nothing(self) -> None:
        before = self.rows()
        self.store.reindex()
        assert self.rows() == before

    @rule(point=points)
    def who_opens_it_anew_sees_the_same(self, point: int) -> None:
        with self.opened() as other:
            for line in self.lines.values():
                db = other.branch.open(line.name, discarded=True).fact.db()
                assert seen(db, point) == line.holds_at(self.head, point)
            listed = [one.name for one in other.branch.list()]
        assert listed == [line.name for line in self.lines.values() if not line.discarded]

    def teardown(self) -> None:
        try:
            for line in self.lines.values():
                db = self.db(line)
                for t in line.ts:
                    for point in (0, POINTS // 2, POINTS):
                        assert seen(db.as_of(t), point) == line.holds_at(t, point), (line.name, t)
            assert self.store.check() == []
        finally:
            self.store.close()
            self.place.cleanup()

    # ------------------------------------------------------------------------------ helpers

    def opened(self) -> Substrate:
        options = {} if self.server is not None else {"synchronous": "OFF"}
        return Substrate.open(self.uri, clock=self.clock, **options)

    @property
    def head(self) -> int:
        return self.store.fact.db().basis

    def line(self, data: st.DataObject, *, discarded: bool = False) -> Line:
        names = [name for name, one in self.lines.items() if discarded or not one.discarded]
        return self.lines[data.draw(st.sampled_from(names))]

    def fact(self, line: Line) -> Any:
        return self.store.branch.open(line.name, discarded=True).fact

    def db(self, line: Line) -> Any:
        return self.fact(line).db()

    def state(self, data: st.DataObject) -> tuple[Any, State]:
        """A state of some line, of the store and of the model."""
        line, t = self.line(data, discarded=True), data.draw(st.integers(1, self.head))
        return self.db(line).as_of(t), line.state(t)

    def rows(self) -> list[Any]:
        with self.store._connection.store.snapshot() as snapshot:
            return sorted((*snapshot.facts(), *snapshot.every_owned()), key=repr)


def _listed(found: Any) -> Any:
    return [] if found is None else found if isinstance(found, list | tuple) else [found]


TestBranching = Branching.TestCase
TestBranching.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_the_same_on_postgres(postgres_uri: str) -> None:
    class OnPostgres(Branching):
        server = postgres_uri

    few_examples = settings(max_examples=4, stateful_step_count=12, deadline=None)
    run_state_machine_as_test(OnPostgres, settings=few_examples)
