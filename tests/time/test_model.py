"""The store against the model: random writes on both axes, then every point of both axes."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from persistence import Keyword, Substrate
from persistence.clock import FrozenClock
from persistence.datoms import moment
from persistence.errors import ConflictError

from .model import POINTS, Conflict, Model

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
SCHEMA = """[{:db/ident :many :db/cardinality :db.cardinality/many}
             {:db/ident :part :db/cardinality :db.cardinality/many
              :db/valueType :db.type/ref :db/isComponent true}
             {:db/ident :boss :db/valueType :db.type/ref}]"""

ENTITIES = (101, 102, 103)  # not those of the attributes
VALUES = ("x", "y", 1, 1.0, True)
entities = st.sampled_from(ENTITIES)


def facts() -> st.SearchStrategy[tuple[int, str, object]]:
    return st.one_of(
        st.tuples(entities, st.sampled_from(("one", "other", "many")), st.sampled_from(VALUES)),
        st.tuples(entities, st.sampled_from(("part", "boss")), entities),
    )


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int | None] | None:
    """Nothing for the default, or a start and an end, which may be open."""
    if draw(st.booleans()):
        return None
    start = draw(st.integers(0, POINTS - 1))
    end = draw(st.none() | st.integers(start + 1, POINTS))
    return start, end


operations = st.one_of(
    st.tuples(st.just("add"), facts(), spans()),
    st.tuples(st.just("add"), facts(), spans()),
    st.tuples(st.just("retract"), facts(), spans()),
    st.tuples(st.just("retractAttribute"), facts(), spans()),
    st.tuples(st.just("retractEntity"), facts(), spans()),
)


def same(value: object) -> object:
    """Python says 1 == True == 1.0, the store does not."""
    return (type(value), value)


class Bitemporal(RuleBasedStateMachine):
    uri = ":memory:"

    def __init__(self) -> None:
        super().__init__()
        self.point = 0
        self.clock = FrozenClock(START)
        self.store = Substrate.open(self.uri, clock=self.clock)
        self.model = Model({"many", "part"}, {"part"}, {"part", "boss"})

    @initialize()
    def declare(self) -> None:
        self.store.fact.transact(SCHEMA, valid_from=moment(START))
        self.model.commit(self.model.begin())

    @rule(steps=st.integers(0, 3))
    def time_passes(self, steps: int) -> None:
        steps = min(steps, POINTS - 1 - self.point)
        self.point += steps
        self.clock.advance(steps * SECOND)

    @rule(wanted=st.lists(operations, min_size=1, max_size=4), whole=spans())
    def transact(self, wanted: list, whole: tuple[int, int | None] | None) -> None:
        forms, draft, conflict = [], self.model.begin(), False
        for name, (e, a, v), span in wanted:
            start, end = span or whole or (self.point, None)
            points = range(start, POINTS + 1 if end is None else end)
            given = [] if span is None else [self.at(start), None if end is None else self.at(end)]
            if span is not None and end is None and whole is not None and whole[1] is not None:
                given[1] = None
                points = range(start, whole[1])
                if start >= whole[1]:
                    continue
            v = v if a not in ("part", "boss") else int(v)
            key = v if a in ("part", "boss") else same(v)
            if name == "retractEntity":
                forms.append([":db/retractEntity", e, *given])
                draft.retract_entity(e, points)
            elif name == "retractAttribute":
                forms.append([":db/retractAttribute", e, a, *given])
                draft.retract_attribute(e, a, points)
            elif name == "retract":
                forms.append([":db/retract", e, a, v, *given])
                draft.retract(e, a, key, points)
            else:
                forms.append([":db/add", e, a, v, *given])
                try:
                    draft.assert_(e, a, key, points)
                except Conflict:
                    conflict = True
                    break
        options = {}
        if whole is not None:
            options["valid_from"] = self.at(whole[0])
            if whole[1] is not None:
                options["valid_to"] = self.at(whole[1])
        if conflict:
            with pytest.raises(ConflictError):
                self.store.fact.transact(forms, **options)
            return
        speculated = self.store.fact.db().with_(forms, **options)
        report = self.store.fact.transact(forms, **options)
        self.model.commit(draft)
        assert report.t == len(self.model.states) - 1
        assert self.seen(speculated.db_after, self.point) == self.seen(
            self.store.fact.db(), self.point
        )

    def at(self, point: int):
        return moment(START + point * SECOND)

    def seen(self, db, point: int) -> set:
        found = db.valid_at(self.at(point)).q(
            "[:find ?e ?a ?v :in $ [?a ...] :where [?e ?a ?v]]",
            [Keyword(name) for name in ("one", "other", "many", "part", "boss")],
        )
        return {(e, a.name, v if a.name in ("part", "boss") else same(v)) for e, a, v in found}

    @invariant()
    def the_present_agrees(self) -> None:
        t = len(self.model.states) - 1
        db = self.store.fact.db()
        assert db.basis == t
        assert self.seen(db, self.point) == self.model.holds(t, self.point)

    @rule(data=st.data())
    def any_point_of_both_axes_agrees(self, data: st.DataObject) -> None:
        t = data.draw(st.integers(0, len(self.model.states) - 1))
        point = data.draw(st.integers(0, POINTS + 2))
        db = self.store.fact.db()
        assert self.seen(db.as_of(t), point) == self.model.holds(t, point)
        e = data.draw(entities)
        held = {v for (one, a, v) in self.model.holds(t, point) if (one, a) == (e, "one")}
        got = db.valid_at(self.at(point)).as_of(t).get(e, "one")
        assert ({same(got)} if got is not None else set()) == held

    @rule()
    def the_index_is_what_the_log_says(self) -> None:
        assert self.store.check() == []

    @rule()
    def reindexing_changes_nothing(self) -> None:
        with self.store._connection.store.snapshot() as snapshot:
            before = sorted(snapshot.facts(), key=repr)
        self.store.reindex()
        with self.store._connection.store.snapshot() as snapshot:
            assert sorted(snapshot.facts(), key=repr) == before

    def teardown(self) -> None:
        db = self.store.fact.db()
        for t in range(len(self.model.states)):
            for point in range(POINTS + 1):
                assert self.seen(db.as_of(t), point) == self.model.holds(t, point), (t, point)
        self.store.close()


TestBitemporal = Bitemporal.TestCase
TestBitemporal.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
