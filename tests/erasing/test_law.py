"""Whatever was written, an erasure takes the sensitive facts of an entity, and nothing else."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from persistence import FrozenClock, Substrate
from persistence.erasing import erase
from persistence.errors import TransactionError

SCHEMA = """[{:db/ident :one :db/sensitive true :db/index true}
             {:db/ident :many :db/sensitive true :db/cardinality :db.cardinality/many}
             {:db/ident :text :db/sensitive true :db/fulltext true :db/valueType :db.type/string}
             {:db/ident :none :db/sensitive true :db/noHistory true}
             {:db/ident :open}]"""
VALUES = ("a", "b", "long " * 60)
DAYS = ("2026-01-01", "2026-02-01", "2026-03-01", None)

entities = st.integers(1, 3)
steps = st.one_of(
    st.tuples(
        st.sampled_from(("add", "retract")),
        st.sampled_from(("main", "side")),
        entities,
        st.sampled_from(("one", "many", "text", "none", "open")),
        st.sampled_from(VALUES),
        st.sampled_from(DAYS[:3]),
        st.sampled_from(DAYS),
    ),
    st.tuples(st.just("erase"), st.sets(entities, min_size=1)),
)


def state(s: Substrate) -> tuple[set[Any], set[Any], list[Any]]:
    with s._connection.store.snapshot() as snapshot:
        known = snapshot.transactions(0, 999, 999)
        return set(snapshot.facts()), set(snapshot.every_owned()), known


def carried_out(s: Substrate, step: Any) -> None:
    if step[0] == "erase":
        erased(s, step[1])
        return
    op, line, e, a, value, start, end = step
    if end is not None and end <= start:
        return
    facts = s.fact if line == "main" else s.branch.open("side").fact
    facts.transact([[f":db/{op}", e, a, value]], valid_from=start, valid_to=end)


def erased(s: Substrate, some: set[int]) -> None:
    facts, owned, known = state(s)
    names = {n: name for n, name, _ in s._connection.store.snapshot().attributes()}

    def gone(a: int, e: int) -> bool:
        return e in some and names[a] in ("one", "many", "text", "none")

    try:
        erasure = erase(s._connection, some)
    except TransactionError:
        assert not any(gone(row[1], row[2]) for row in facts)
        return
    assert erasure.remains == ()
    left, kept, later = state(s)
    assert later[:-1] == known
    assert {row for row in left if row[7] < erasure.t} == {
        row for row in facts if not gone(row[1], row[2])
    }
    assert kept == {row for row in owned if not gone(row[1], row[2])}


@given(st.lists(steps, max_size=25))
def test_erasing_takes_what_is_sensitive_and_nothing_else(history: list[Any]) -> None:
    with Substrate.open(":memory:", clock=FrozenClock(1_800_000_000_000_000)) as s:
        s.fact.transact(SCHEMA)
        s.fact.transact([{"db/id": f"e{n}", "open": "x"} for n in range(3)])
        s.branch.create("side")
        for step in [*history, ("erase", {1, 2})]:
            carried_out(s, step)
        assert s.check() == []
        before = state(s)
        s.reindex()
        assert state(s) == before
        assert s.check() == []
