"""Lessons 1 to 8, 10 and 11: what earlier systems got wrong about facts and time.

Lesson 9, on what reads and writes cost, is in test_flat_cost.py; what lessons 8 and 11 say of
branches is in test_branches.py. The state machine in tests/time/test_model.py holds random writes
and reads on both axes against a model, and so searches for further failures of lessons 2 to 5; the
cases here are those that were reproduced.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence import (
    Db,
    FrozenClock,
    Keyword,
    Substrate,
    Tagged,
    UnknownBasis,
    ValueRefused,
    read,
)
from persistence.errors import TransactionError
from persistence.values import identity
from tests.values.strategies import long_strings, values

DAY = 86_400_000_000
REF = "[{:db/ident :boss :db/valueType :db.type/ref}]"
MANY = "[{:db/ident :tag :db/cardinality :db.cardinality/many}]"


def value(db: Db, e: int, attribute: str) -> Any:
    """The value, asked in every way there is; all of them must agree."""
    ident = Keyword(attribute)
    entity = db.entity(e)
    pulled = db.pull([ident], e)
    found = {
        "get": db.get(e, ident),
        "q": db.q("[:find ?v . :in $ ?e ?a :where [?e ?a ?v]]", e, ident),
        "q by name": db.q(f"[:find ?v . :in $ ?e :where [?e :{attribute} ?v]]", e),
        "entity": entity.get(ident) if entity is not None else None,
        "datoms": next((datom.v for datom in db.datoms("eavt", e, ident)), None),
        "aevt": next((datom.v for datom in db.datoms("aevt", ident, e)), None),
    }
    if not db.schema[ident].ref:
        found["pull"] = pulled.get(ident) if pulled is not None else None
    else:
        found["entity"] = None if found["entity"] is None else found["entity"].id
    assert len({identity(each) for each in found.values()}) == 1, found
    return found["get"]


def told(db: Db, e: int, attribute: str) -> list[tuple[Any, bool]]:
    """The history of one cell, oldest first."""
    rows = db.history().q(
        "[:find ?tx ?op ?v :in $ ?e ?a :where [?e ?a ?v ?tx ?op]]", e, Keyword(attribute)
    )
    return [(v, op) for _, op, v in sorted(rows, key=lambda row: (row[0], row[1]))]


# -------------------------------------------------------------------------- lesson 1


def test_a_second_value_replaces_the_first(s: Substrate) -> None:
    """Lesson 1: overwriting works the same on every backend."""
    e = s.fact.transact([{"db/id": "e", "price": 1}]).tempids["e"]
    for price in (2, 2.0, Decimal("2.0"), "2", 3):
        s.fact.transact([{"db/id": e, "price": price}])
        assert identity(value(s.fact.db(), e, "price")) == identity(price)


def test_two_attributes_of_one_entity_are_overwritten_apart(s: Substrate) -> None:
    """Lesson 1: two attributes of one entity."""
    e = s.fact.transact([{"db/id": "e", "price": 1, "stock": 1}]).tempids["e"]
    s.fact.transact([{"db/id": e, "price": 2}])
    s.fact.transact([{"db/id": e, "stock": 3}])
    db = s.fact.db()
    assert (value(db, e, "price"), value(db, e, "stock")) == (2, 3)


def test_a_reference_updated_twice_points_to_the_last(s: Substrate) -> None:
    """Lesson 1: a ref updated twice, read forwards and backwards."""
    s.fact.transact(REF)
    names = [{"db/id": name, "name": name} for name in "abc"]
    ids = s.fact.transact([*names, {"db/id": "w", "boss": "a"}]).tempids
    for boss in "bc":
        s.fact.transact([{"db/id": ids["w"], "boss": ids[boss]}])
    db = s.fact.db()
    assert value(db, ids["w"], "boss") == ids["c"]
    led = db.q("[:find ?b ?w :where [?w :boss ?b]]")
    assert led == [(ids["c"], ids["w"])]
    assert [db.pull("[:_boss]", ids[b]) is not None for b in "abc"] == [False, False, True]


# -------------------------------------------------------------------------- lesson 2


def test_asserting_again_what_holds_adds_nothing_and_keeps_the_value(s: Substrate) -> None:
    """Lesson 2: asserting again what already holds."""
    e = s.fact.transact([{"db/id": "e", "price": 1}]).tempids["e"]
    report = s.fact.transact([{"db/id": e, "price": 1}])
    assert report.tx_data == ()
    assert value(s.fact.db(), e, "price") == 1


@pytest.mark.parametrize("path", ["ABA", "ABBA", "ABAB", "ABCA", "AABBAA"])
def test_there_and_back_within_one_instant_ends_at_the_last(s: Substrate, path: str) -> None:
    """Lesson 2: A → B → A within one instant; the clock stands still."""
    e = s.fact.transact([{"db/id": "e", "name": path[0]}]).tempids["e"]
    basis = [s.fact.db().basis]
    for name in path[1:]:
        basis.append(s.fact.transact([{"db/id": e, "name": name}]).t)
        assert value(s.fact.db(), e, "name") == name
    seen = [value(s.fact.db().as_of(t), e, "name") for t in basis]
    assert "".join(seen) == path


# -------------------------------------------------------------------------- lesson 3


def test_a_correction_changes_exactly_the_corrected_stretch(s: Substrate) -> None:
    """Lesson 3: the rest of the past, and the future, stay as they were."""
    e = s.fact.transact([{"db/id": "e", "price": 10}], valid_from="2026-01-01").tempids["e"]
    s.fact.transact([{"db/id": e, "price": 20}], valid_from="2026-02-01")
    s.fact.transact([{"db/id": e, "price": 12}], valid_from="2026-01-10", valid_to="2026-01-20")
    db = s.fact.db()
    days = ["2025-12-31", "2026-01-01", "2026-01-09T23:59:59.999999Z", "2026-01-10"]
    days += ["2026-01-19T23:59:59.999999Z", "2026-01-20", "2026-01-31", "2026-02-01", "2027-01-01"]
    assert [value(db.valid_at(day), e, "price") for day in days] == [
        *(None, 10, 10, 12),
        *(12, 10, 10, 20, 20),
    ]


def test_all_four_quadrants_of_a_correction_are_right(s: Substrate, clock: FrozenClock) -> None:
    """Lesson 3: both axes can be fixed at once. The table of design section 3."""
    e = s.fact.transact([{"db/id": "e", "price": 10}]).tempids["e"]
    clock.advance(31 * DAY)  # April 1
    s.fact.transact([{"db/id": e, "price": 12}], valid_from="2026-03-15")
    db = s.fact.db()
    quadrants = {
        (known, day): value(db.as_of(known).valid_at(day), e, "price")
        for known in ("2026-03-31", "2026-04-02")
        for day in ("2026-03-10", "2026-03-20")
    }
    assert quadrants == {
        ("2026-03-31", "2026-03-10"): 10,
        ("2026-03-31", "2026-03-20"): 10,
        ("2026-04-02", "2026-03-10"): 10,
        ("2026-04-02", "2026-03-20"): 12,
    }


def test_the_order_of_the_axes_does_not_matter(s: Substrate, clock: FrozenClock) -> None:
    """Lesson 3: as_of and valid_at compose in any order, and `at` is both."""
    e = s.fact.transact([{"db/id": "e", "price": 10}]).tempids["e"]
    clock.advance(31 * DAY)
    s.fact.transact([{"db/id": e, "price": 12}], valid_from="2026-03-15")
    db = s.fact.db()
    for known, day in itertools.product(("2026-03-20", "2026-04-02"), repeat=2):
        one, other = db.as_of(known).valid_at(day), db.valid_at(day).as_of(known)
        assert one == other
        assert value(one, e, "price") == value(other, e, "price")
    assert db.at("2026-03-20") == db.as_of("2026-03-20").valid_at("2026-03-20")


# -------------------------------------------------------------------------- lesson 4


def test_a_retraction_hides_the_value_from_its_day_on_in_every_read(s: Substrate) -> None:
    """Lesson 4: hidden from D on, kept before D, and in history for ever."""
    e = s.fact.transact([{"db/id": "e", "name": "x", "other": 1}], valid_from="2026-01-01").tempids[
        "e"
    ]
    s.fact.transact([["db/retract", e, "name", "x"]], valid_from="2026-02-01")
    db = s.fact.db()
    for day, seen in [("2026-01-31", "x"), ("2026-02-01", None), ("2030-01-01", None)]:
        assert value(db.valid_at(day), e, "name") == seen
    ident = Keyword("name")
    gone = db.valid_at("2026-02-01")
    assert gone.q("[:find ?e . :where [?e :name]]") is None
    assert gone.q("[:find ?e . :where [?e :other] [(missing? $ ?e :name)]]") == e
    assert gone.q('[:find ?n . :where [?e :other] [(get-else $ ?e :name "none") ?n]]') == "none"
    assert ident not in gone.pull("[*]", e)
    assert list(db.valid_between("2026-02-01", "2027-01-01").datoms("aevt", ident)) == []
    assert [d.v for d in db.valid_between("2026-01-15", "2027-01-01").datoms("aevt", ident)] == [
        "x"
    ]
    assert told(db, e, "name") == [("x", True), ("x", False)]


@pytest.mark.parametrize("form", ["db/retract", "db/retractAttribute", "db/retractEntity"])
def test_every_form_of_retraction_keeps_what_was_before(s: Substrate, form: str) -> None:
    """Lesson 4: with a value, of an attribute, of an entity."""
    s.fact.transact(MANY)
    e = s.fact.transact(
        [{"db/id": "e", "name": "x", "tag": ["a", "b"]}], valid_from="2026-01-01"
    ).tempids["e"]
    forms = {
        "db/retract": [["db/retract", e, "name", "x"], ["db/retract", e, "tag"]],
        "db/retractAttribute": [[form, e, "name"], [form, e, "tag"]],
        "db/retractEntity": [[form, e]],
    }[form]
    s.fact.transact(forms, valid_from="2026-02-01")
    facts = "[:find ?a ?v :in $ ?e [?a ...] :where [?e ?a ?v]]"
    asked = [Keyword("name"), Keyword("tag")]
    before, after = (s.fact.db().valid_at(f"2026-0{month}-15") for month in (1, 2))
    assert {(a.name, v) for a, v in before.q(facts, e, asked)} == {
        *(("name", "x"), ("tag", "a"), ("tag", "b"))
    }
    assert after.q(facts, e, asked) == []


# -------------------------------------------------------------------------- lesson 5


def test_overwriting_one_fact_never_touches_its_siblings(s: Substrate) -> None:
    """Lesson 5: facts of one transaction are not one thing."""
    s.fact.transact(MANY)
    ids = s.fact.transact(
        [
            {"db/id": "a", "name": "a", "price": 1, "tag": ["x", "y"]},
            {"db/id": "b", "name": "b", "price": 1, "tag": ["x", "y"]},
        ]
    ).tempids
    s.fact.transact([{"db/id": ids["a"], "price": 2}, ["db/retract", ids["b"], "tag", "x"]])
    db = s.fact.db()
    assert set(db.q("[:find ?n ?p :where [?e :name ?n] [?e :price ?p]]")) == {("a", 2), ("b", 1)}
    assert set(db.q("[:find ?n ?t :where [?e :name ?n] [?e :tag ?t]]")) == {
        *(("a", "x"), ("a", "y"), ("b", "y"))
    }
    untouched = [told(db, ids[e], "name") for e in "ab"]
    assert untouched == [[("a", True)], [("b", True)]]


# -------------------------------------------------------------------------- lesson 6


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Substrate]:
    """One store for all examples: entities are new each time, so none meets another."""
    if request.param == "sqlite":
        uri = str(tmp_path_factory.mktemp("lesson6") / "store.db")
    else:
        base: str = request.getfixturevalue("postgres_uri")
        uri = f"{base}{'&' if '?' in base else '?'}schema=lesson6"
    with Substrate.open(uri) as s:
        s.fact.transact("[{:db/ident :indexed :db/index true}]")
        yield s


def returned(s: Substrate, given: list[Any]) -> None:
    """Each of the values comes back unchanged by every way of reading, and finds itself."""
    forms = [{"db/id": f"e{n}", "plain": v, "indexed": v} for n, v in enumerate(given)]
    report = s.fact.transact(forms)
    db = s.fact.db()
    logged = {(d.e, d.a.name): d.v for d in db.log(report.t, report.t)}
    for n, sent in enumerate(given):
        e, same = report.tempids[f"e{n}"], identity(sent)
        for attribute in ("plain", "indexed"):
            assert identity(value(db, e, attribute)) == same
            assert identity(logged[e, attribute]) == same
            found = db.q(f"[:find [?e ...] :in $ ?v :where [?e :{attribute} ?v]]", sent)
            assert e in found
            others = {report.tempids[f"e{m}"] for m, v in enumerate(given) if identity(v) != same}
            assert not others & set(found)


EXAMPLES = read(
    r"""
    [true 1 1.0 1M 1.0M 1.00M 1/3 12345678901234567890123 "1" "" "NaN" "a\nb" \a :x :n/x x n/x
     -0.0 0.0 ##NaN ##Inf ##-Inf #inst "2026-03-01T00:00:00.000001Z" #inst "1815-12-10T00:00:00Z"
     #uuid "6c84fb90-12c4-11e1-840d-7b25c5ee775a" #bytes "AAEC" [] () {} #{} [1 1.0] (1 1.0)
     {:a 1, "a" 1.0} #{1 1.0 true} #money [12.50M :EUR] [[nil]] {nil nil}]
    """,
    default=Tagged,
)


def test_values_of_every_type_come_back_unchanged(kept: Substrate) -> None:
    """Lesson 6: one of each, all at once, so that none is taken for its likeness."""
    returned(kept, list(EXAMPLES))


@settings(max_examples=25)
@given(given=st.lists(values.filter(lambda v: v is not None) | long_strings, max_size=8))
def test_random_values_come_back_unchanged(kept: Substrate, given: list[Any]) -> None:
    """Lesson 6: what EDN can say, on every backend, also interned and with NUL in it."""
    returned(kept, given)


@pytest.mark.parametrize(
    "bad",
    [
        *(object(), 1j, bytearray(b"x"), dt.date(2026, 3, 1), dt.timedelta(1), range(3)),
        *(dt.datetime(2026, 3, 1), "\ud800", Decimal("NaN"), Path("x"), int, len),  # noqa: DTZ001
        [1, object()],
        {"k": 1j},
    ],
    ids=lambda bad: type(bad).__name__,
)
def test_what_cannot_be_kept_is_refused_at_write(kept: Substrate, bad: Any) -> None:
    """Lesson 6: refused, never turned into a string, and nothing is written."""
    before = kept.fact.db().basis
    with pytest.raises((ValueRefused, TransactionError)):
        kept.fact.transact([["db/add", "e", "wrong", bad]])
    assert kept.fact.db().basis == before
    assert kept.fact.db().q("[:find ?v . :where [_ :wrong ?v]]") is None


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *(("long", 1.0), ("long", "1"), ("long", True), ("double", 1), ("string", 1)),
        *(("boolean", 1), ("bigdec", 1.5), ("keyword", ":x"), ("instant", "2026-03-01")),
        *(("uuid", "6c84fb90-12c4-11e1-840d-7b25c5ee775a"), ("ref", "not a tempid here")),
    ],
)
def test_a_value_of_another_type_is_refused_and_not_converted(
    s: Substrate, kind: str, wrong: Any
) -> None:
    """Lesson 6: a declared type is a promise; nothing is made to fit in silence."""
    s.fact.transact(f"[{{:db/ident :typed :db/valueType :db.type/{kind}}}]")
    if kind == "ref":
        wrong = Keyword("no/such-ident")
    with pytest.raises((TransactionError, ValueRefused)):
        s.fact.transact([["db/add", "e", "typed", wrong]])
    assert s.fact.db().q("[:find ?v . :where [_ :typed ?v]]") is None


# -------------------------------------------------------------------------- lesson 7

SAME = [
    "2026-03-01T00:30:00Z",
    "2026-03-01T00:30:00.000000+00:00",
    "2026-03-01T09:30:00+09:00",
    "2026-02-28T14:30:00-10:00",
    "2026-02-28T20:00:00-04:30",
]


def test_an_instant_is_one_value_whatever_its_offset_and_text(s: Substrate) -> None:
    """Lesson 7: what is the same instant is the same value, and adds nothing."""
    e = s.fact.transact([{"db/id": "e", "at": dt.datetime.fromisoformat(SAME[0])}]).tempids["e"]
    for text in SAME[1:]:
        assert s.fact.transact([{"db/id": e, "at": dt.datetime.fromisoformat(text)}]).tx_data == ()
        found = s.fact.db().q(
            "[:find ?e . :in $ ?at :where [?e :at ?at]]", dt.datetime.fromisoformat(text)
        )
        assert found == e


def test_instants_compare_by_time_and_not_by_text(s: Substrate) -> None:
    """Lesson 7: the later text, and the greater offset, is not the later instant."""
    times = {
        "first": "2026-03-01T09:00:00+09:00",  # midnight UTC, and the greatest of the texts
        "second": "2026-02-28T19:00:00-06:00",
        "third": "2026-03-01T02:00:00Z",
    }
    s.fact.transact(
        [{"name": n, "at": dt.datetime.fromisoformat(text)} for n, text in times.items()]
    )
    db = s.fact.db()
    ordered = db.q("[:find ?at ?n :where [?e :name ?n] [?e :at ?at] :order-by ?at]")
    assert [name for _, name in ordered] == ["first", "second", "third"]
    assert set(
        db.q("[:find ?a ?b :where [?x :name ?a] [?x :at ?s] [?y :name ?b] [?y :at ?t] [(< ?s ?t)]]")
    ) == {("first", "second"), ("first", "third"), ("second", "third")}


@pytest.mark.parametrize("text", SAME)
def test_views_take_the_instant_and_not_its_text(
    s: Substrate, clock: FrozenClock, text: str
) -> None:
    """Lesson 7: as_of, valid_at and intervals; a date is its midnight in UTC."""
    e = s.fact.transact([{"db/id": "e", "n": 1}], valid_from="2026-03-01").tempids["e"]
    clock.advance(30 * 60_000_000)
    s.fact.transact([{"db/id": e, "n": 2}], valid_from=text)
    clock.advance(30 * 60_000_000)
    s.fact.transact([{"db/id": e, "n": 3}])
    db = s.fact.db()
    assert db.as_of(text).basis == 2
    assert value(db.valid_at(text), e, "n") == 2
    assert value(db.valid_at("2026-03-01T00:29:59.999999Z"), e, "n") == 1
    assert db.valid_at(text) == db.valid_at(SAME[0])
    assert db.as_of(dt.datetime.fromisoformat(text)) == db.as_of(SAME[0])


# -------------------------------------------------------------------------- lesson 8


def everything(db: Db) -> list[Any]:
    """All facts with their times, and what rules and pulls say."""
    rows = db.q("[:find ?e ?a ?v ?tx :where [?e ?a ?v ?tx]]")
    e = db.q("[:find ?e . :where [?e :name]]")
    return [
        sorted(rows, key=repr),
        [tuple(d) for d in db.datoms("aevt", Keyword("name"))],
        None if db.is_history or db.between else str(db.pull("[*]", e)),
        sorted(db.schema.attributes, key=str),
    ]


def test_a_held_value_never_changes_under_later_writes(
    s: Substrate, store_uri: str, clock: FrozenClock
) -> None:
    """Lesson 8: not by new facts, corrections, retractions, schema, or another connection."""
    s.fact.transact(MANY)
    ids = s.fact.transact(
        [{"db/id": "e", "name": "x", "tag": ["a", "b"]}, {"db/id": "f", "name": "y"}],
        valid_from="2026-01-01",
    ).tempids
    db = s.fact.db()
    held = {
        "now": db,
        "then": db.as_of(2),
        "before": db.valid_at("2026-02-01"),
        "history": db.history(),
        "since": db.since(1),
        "between": db.valid_between("2026-01-01", "2027-01-01"),
        "trial": db.with_([{"db/id": ids["e"], "name": "trial"}]).db_after,
    }
    answers = {name: everything(view) for name, view in held.items()}
    clock.advance(DAY)
    with Substrate.open(store_uri, clock=clock) as other:
        other.fact.transact([{"db/id": ids["e"], "name": "z", "tag": "c"}])
        other.fact.transact([{"db/id": ids["e"], "name": "w"}], valid_from="2026-01-15")
        other.fact.transact([["db/retractEntity", ids["f"]]], valid_from="2026-01-01")
        other.fact.transact("[{:db/ident :name :db/index true} {:db/ident :late}]")
    s.fact.transact([["db/retract", ids["e"], "tag", "a"]], valid_from="2026-01-01")
    assert {name: everything(view) for name, view in held.items()} == answers
    assert everything(s.fact.db()) != answers["now"]


def test_a_line_of_speculation_never_writes_to_what_it_starts_from(s: Substrate) -> None:
    """Lesson 8: speculation leaves store and parent as they are."""
    e = s.fact.transact([{"db/id": "e", "name": "x"}]).tempids["e"]
    db, rows = s.fact.db(), s.statistics().rows
    trials = [db.with_([{"db/id": e, "name": f"trial {n}"}, {"name": "new"}]) for n in range(3)]
    deeper = trials[0].db_after.with_([{"db/id": e, "name": "deeper"}])
    seen = [value(trial.db_after, e, "name") for trial in (*trials, deeper)]
    assert seen == ["trial 0", "trial 1", "trial 2", "deeper"]
    assert value(db, e, "name") == value(s.fact.db(), e, "name") == "x"
    assert s.statistics().rows == rows
    assert s.check() == []


# ------------------------------------------------------------------------- lesson 10

QUESTIONS = [
    '[:find ?e :where [?e :name "n1"]]',
    "[:find ?e ?n :where [?e :name ?n]]",
    '[:find ?e ?n :where [?e :name ?n] [(< "n0" ?n)]]',
    "[:find ?a ?b :where [?a :name ?n] [?b :name ?n] [(not= ?a ?b)]]",
    '[:find ?e :where [?e :size ?s] [(>= ?s 2)] (not [?e :name "n2"])]',
    "[:find ?n (count ?e) :where [?e :name ?n]]",
    "[:find ?e ?t :where [?e :tag ?t] [?e :size ?t]]",
    "[:find ?n ?f ?to :where [?e :name ?n _ _ ?f ?to]]",
]


def answers(s: Substrate) -> list[Any]:
    db = s.fact.db().as_of(3)
    views = [
        *(db, s.fact.db().valid_at("2027-01-01"), db.valid_at("2026-01-15")),
        *(db.history(), db.since(2), db.valid_between("2026-01-01", "2026-02-10")),
    ]
    return [sorted(view.q(question), key=repr) for view in views for question in QUESTIONS]


def test_creating_and_dropping_an_index_never_changes_an_answer(s: Substrate) -> None:
    """Lesson 10: with facts that are current, bounded, replaced and retracted."""
    s.fact.transact(MANY)
    forms = [
        {"db/id": 101 + n, "name": f"n{n % 3}", "size": n % 4, "tag": [n % 4, "t"]}
        for n in range(12)
    ]
    s.fact.transact(forms, valid_from="2026-01-01")
    s.fact.transact(
        [{"db/id": 101, "name": "n9"}, ["db/retract", 102, "tag", "t"], {"db/id": 103, "size": 9}],
        valid_from="2026-01-10",
        valid_to="2026-02-01",
    )
    expected = answers(s)
    assert sum(map(bool, expected)) > len(expected) // 2
    for flag in ("true", "false", "true"):
        for name in ("name", "size", "tag"):
            s.fact.transact(f"[{{:db/ident :{name} :db/index {flag}}}]")
            assert answers(s) == expected
    s.fact.transact("[{:db/ident :tag :db/index false}]")
    s.reindex()
    assert answers(s) == expected
    assert s.check() == []


# ------------------------------------------------------------------------- lesson 11


def test_taking_over_a_speculation_never_changes_the_past(s: Substrate, clock: FrozenClock) -> None:
    """Lesson 11: what was tried aside and then committed is new; every earlier basis answers as
    before, at every day, although the target went on in between."""
    e = s.fact.transact([{"db/id": "e", "name": "x"}], valid_from="2026-01-01").tempids["e"]
    trial = s.fact.db().with_([{"db/id": e, "name": "tried", "note": "new"}])
    clock.advance(DAY)
    s.fact.transact([{"db/id": e, "name": "meanwhile"}])
    days = ("2026-01-15", "2026-03-01", "2026-03-02", "2027-01-01")
    basis = s.fact.db().basis

    def past() -> list[Any]:
        db = s.fact.db()
        views = [db.as_of(t).valid_at(day) for t in range(basis + 1) for day in days]
        return [(view.get(e, "name"), view.get(e, "note")) for view in views]

    before, log = past(), [tuple(d) for d in s.fact.db().log(0, basis)]
    s.fact.transact(list(trial.tx_data))
    assert past() == before
    assert [tuple(d) for d in s.fact.db().log(0, basis)] == log
    assert s.fact.db().get(e, "note") == "new"
    with pytest.raises(UnknownBasis):
        s.fact.db().as_of(s.fact.db().basis + 1)
