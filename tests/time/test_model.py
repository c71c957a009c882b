"""The store against the model: random writes on both axes, then every point of both axes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from persistence import Substrate
from persistence.clock import FrozenClock
from persistence.datoms import moment

from .model import POINTS
from .steps import (
    SCHEMA,
    SECOND,
    START,
    at,
    entities,
    new_model,
    operations,
    said,
    same,
    seen,
    spans,
)


class Bitemporal(RuleBasedStateMachine):
    uri = ":memory:"

    def __init__(self) -> None:
        super().__init__()
        self.point = 0
        self.clock = FrozenClock(START)
        self.store = Substrate.open(self.uri, clock=self.clock)
        self.model = new_model()

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
        report = said(self.store.fact, self.model, self.point, wanted, whole)
        assert report is None or report.t == len(self.model.states) - 1

    @invariant()
    def the_present_agrees(self) -> None:
        t = len(self.model.states) - 1
        db = self.store.fact.db()
        assert db.basis == t
        assert seen(db, self.point) == self.model.holds(t, self.point)

    @rule(data=st.data())
    def any_point_of_both_axes_agrees(self, data: st.DataObject) -> None:
        t = data.draw(st.integers(0, len(self.model.states) - 1))
        point = data.draw(st.integers(0, POINTS + 2))
        db = self.store.fact.db()
        assert seen(db.as_of(t), point) == self.model.holds(t, point)
        e = data.draw(entities)
        held = {v for (one, a, v) in self.model.holds(t, point) if (one, a) == (e, "one")}
        got = db.valid_at(at(point)).as_of(t).get(e, "one")
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
                assert seen(db.as_of(t), point) == self.model.holds(t, point), (t, point)
        self.store.close()


TestBitemporal = Bitemporal.TestCase
TestBitemporal.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
