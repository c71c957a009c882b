"""Random transactions, said at once to a line of the store and to its model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from persistence import Keyword, Report
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
REFS = ("part", "boss")
ATTRIBUTES = ("one", "other", "many", *REFS)
entities = st.sampled_from(ENTITIES)


def facts() -> st.SearchStrategy[tuple[int, str, object]]:
    return st.one_of(
        st.tuples(entities, st.sampled_from(("one", "other", "many")), st.sampled_from(VALUES)),
        st.tuples(entities, st.sampled_from(REFS), entities),
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


def new_model() -> Model:
    return Model({"many", "part"}, {"part"}, set(REFS))


def same(value: object) -> object:
    """Python says 1 == True == 1.0, the store does not."""
    return (type(value), value)


def known(a: str, value: object) -> object:
    """A value as the model keeps it."""
    return value if a in REFS else same(value)


def at(point: int) -> Any:
    return moment(START + point * SECOND)


def seen(db: Any, point: int) -> set[tuple[int, str, object]]:
    """The facts that *db* shows at *point*."""
    found = db.valid_at(at(point)).q(
        "[:find ?e ?a ?v :in $ [?a ...] :where [?e ?a ?v]]", [Keyword(name) for name in ATTRIBUTES]
    )
    return {(e, a.name, known(a.name, v)) for e, a, v in found}


def said(
    fact: Any, model: Model, now: int, wanted: list[Any], whole: tuple[int, int | None] | None
) -> Report | None:
    """Transacts *wanted* on both and compares a speculation with what is committed.

    None when the operations contradict each other, which both must find.
    """
    forms, draft, conflict = [], model.begin(), False
    for name, (e, a, v), span in wanted:
        start, end = span or whole or (now, None)
        points = range(start, POINTS + 1 if end is None else end)
        given = [] if span is None else [at(start), None if end is None else at(end)]
        if span is not None and end is None and whole is not None and whole[1] is not None:
            given[1] = None
            points = range(start, whole[1])
            if start >= whole[1]:
                continue
        if name == "retractEntity":
            forms.append([":db/retractEntity", e, *given])
            draft.retract_entity(e, points)
        elif name == "retractAttribute":
            forms.append([":db/retractAttribute", e, a, *given])
            draft.retract_attribute(e, a, points)
        elif name == "retract":
            forms.append([":db/retract", e, a, v, *given])
            draft.retract(e, a, known(a, v), points)
        else:
            forms.append([":db/add", e, a, v, *given])
            try:
                draft.assert_(e, a, known(a, v), points)
            except Conflict:
                conflict = True
                break
    options = {}
    if whole is not None:
        options["valid_from"] = at(whole[0])
        if whole[1] is not None:
            options["valid_to"] = at(whole[1])
    if conflict:
        with pytest.raises(ConflictError):
            fact.transact(forms, **options)
        return None
    speculated = fact.db().with_(forms, **options)
    report: Report = fact.transact(forms, **options)
    model.commit(draft)
    assert seen(speculated.db_after, now) == seen(fact.db(), now)
    return report
