"""Answers over hand-made data, on both backends."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Substrate
from persistence.db import Db
from persistence.errors import BudgetExceeded, EntityNotFound, QueryError
from persistence.query import run
from persistence.values import Keyword, Map, Symbol, compare, identity

K = Keyword

SCHEMA = """[
  {:db/ident :name :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :age :db/valueType :db.type/long :db/index true}
  {:db/ident :score :db/valueType :db.type/double}
  {:db/ident :friend :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
  {:db/ident :alias :db/cardinality :db.cardinality/many}
  {:db/ident :doc :db/valueType :db.type/string :db/fulltext true}]"""

PEOPLE = """[
  {:db/id 101 :name "Ivan" :age 15 :alias ["I" :i] :doc "the quick fox" :db/ident :ivan}
  {:db/id 102 :name "Petr" :age 37 :friend 101 :score 1.5 :doc "a lazy dog"}
  {:db/id 103 :name "Oleg" :age 37 :friend [101 102] :alias "O" :nick "quick"}]"""


@pytest.fixture
def db(store_uri: str) -> Iterator[Db]:
    with Substrate.open(store_uri) as s:
        s.fact.transact(SCHEMA)
        s.fact.transact(PEOPLE)
        yield s.fact.db()


ANSWERS: list[tuple[str, list[Any], Any]] = [
    ('[:find ?e :where [?e :name "Ivan"]]', [], {(101,)}),
    (
        "[:find ?n ?a :where [?e :name ?n] [?e :age ?a]]",
        [],
        {("Ivan", 15), ("Petr", 37), ("Oleg", 37)},
    ),
    ("[:find [?n ...] :where [?e :age 37] [?e :name ?n]]", [], {"Petr", "Oleg"}),
    ("[:find [?n ?a] :where [101 :name ?n] [101 :age ?a]]", [], ("Ivan", 15)),
    ("[:find ?n . :where [101 :name ?n]]", [], "Ivan"),
    ("[:find ?n . :where [999 :name ?n]]", [], None),
    ("[:find ?x :where [_ :nobody-used-this ?x]]", [], set()),
    ('[:find ?n :where [?e :friend [:name "Ivan"]] [?e :name ?n]]', [], {("Petr",), ("Oleg",)}),
    ("[:find ?n :where [?e :friend :ivan] [?e :name ?n]]", [], {("Petr",), ("Oleg",)}),
    ("[:find ?v :where [:ivan :alias ?v]]", [], {("I",), (K("i"),)}),
    ("[:find ?n :in $ ?e :where [?e :name ?n]]", [(K("name"), "Petr")], {("Petr",)}),
    (
        "[:find ?e ?a :in $ [?e ...] :where [?e :age ?a]]",
        [[(K("name"), "Petr"), 101, "x", K("nobody")]],
        {((K("name"), "Petr"), 37), (101, 15)},
    ),
    ("[:find ?v :in $ ?a :where [103 ?a ?v]]", [K("age")], {(37,)}),
    ("[:find ?a :where [103 ?a 37]]", [], {(K("age"),)}),
    ("[:find ?n :where [?e :name ?n] (not [?e :friend])]", [], {("Ivan",)}),
    ("[:find ?n :where [?e :name ?n] (not-join [?e] [?x :friend ?e])]", [], {("Oleg",)}),
    ("[:find ?n :where [?e :name ?n] (or [?e :age 15] [?e :score])]", [], {("Ivan",), ("Petr",)}),
    (
        "[:find ?n ?x :where [?e :name ?n] (or-join [?e ?x] [?e :age ?x] [?e :score ?x])]",
        [],
        {("Ivan", 15), ("Petr", 37), ("Petr", 1.5), ("Oleg", 37)},
    ),
    (
        "[:find ?n ?x :where [?e :name ?n] [(get-else $ ?e :nick :none) ?x]]",
        [],
        {("Ivan", K("none")), ("Petr", K("none")), ("Oleg", "quick")},
    ),
    (
        "[:find ?n ?a ?x :where [?e :name ?n] [(get-some $ ?e :nick :score :age) [?a ?x]]]",
        [],
        {("Ivan", K("age"), 15), ("Petr", K("score"), 1.5), ("Oleg", K("nick"), "quick")},
    ),
    ("[:find ?n :where [?e :name ?n] [(missing? $ ?e :score)]]", [], {("Ivan",), ("Oleg",)}),
    ("[:find ?n :where [?e :name ?n] [(missing? $ ?e :_friend)]]", [], {("Oleg",)}),
    (
        "[:find ?n ?b :where [?e :name ?n] [?e :age ?a] [(+ ?a 1) ?b] [(> ?b 20)]]",
        [],
        {("Petr", 38), ("Oleg", 38)},
    ),
    ('[:find ?n ?m :where [?e :name ?n] [(str ?n "!") ?m] [?e :age 15]]', [], {("Ivan", "Ivan!")}),
    ("[:find ?x ?y :where [(ground [[1 2] [3 4]]) [[?x ?y]]]]", [], None),
    (
        "[:find ?n ?f :where [?e :name ?n] [?e :friend ?f]"
        " :order-by ?n ?f :desc :limit 2 :offset 1]",
        [],
        [("Oleg", 101), ("Petr", 101)],
    ),
    ("[:find ?n (count ?f) :where [?e :name ?n] [?e :friend ?f]]", [], {("Petr", 1), ("Oleg", 2)}),
    ("[:find (sum ?a) . :where [_ :age ?a]]", [], 52),
    ("[:find (sum ?a) . :with ?e :where [?e :age ?a]]", [], 89),
    ("[:find (sum ?a) . :where [_ :nobody-used-this ?a]]", [], None),
    ("[:find (max 2 ?n) . :where [_ :name ?n]]", [], ("Oleg", "Petr")),
    ("[:find ?n :keys who :where [101 :name ?n]]", [], [Map({K("who"): "Ivan"})]),
    ('[:find ?e :where [(fulltext $ :doc "QUICK") [[?e]]]]', [], {(101,)}),
    ("[:find ?v :in $ ?w :where [(fulltext $ :doc ?w) [[_ ?v]]]]", ["dog lazy"], {("a lazy dog",)}),
    (
        '[:find (pull ?e [:name {:friend [:age]}]) . :where [?e :name "Petr"]]',
        [],
        {K("name"): "Petr", K("friend"): [{K("age"): 15}]},
    ),
]


@pytest.mark.parametrize(("query", "inputs", "expected"), ANSWERS)
def test_answers(db: Db, query: str, inputs: list[Any], expected: Any) -> None:
    if expected is None and "ground" in query:
        with pytest.raises(QueryError, match="too many inputs"):
            db.q(query, *inputs)  # nothing in it reads a database
        return
    found = db.q(query, *inputs)
    if isinstance(expected, set):
        assert len(found) == len(expected)
        assert {identity(row) for row in found} == {identity(row) for row in expected}
    else:
        assert found == expected


def test_a_name_that_names_nothing_is_an_error_in_a_clause(db: Db) -> None:
    with pytest.raises(EntityNotFound, match="Valery"):
        db.q('[:find ?f :where [[:name "Valery"] :friend ?f]]')


def test_two_database_values_in_one_statement(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.fact.transact(SCHEMA)
        s.fact.transact(PEOPLE)
        then = s.fact.db()
        s.fact.transact('[[:db/add 101 :age 16] [:db/add 104 :name "Yuri"]]')
        now = s.fact.db()
        changed = """[:find ?n ?b ?a :in $then $now
                      :where [$then ?e :name ?n] [$then ?e :age ?b] [$now ?e :age ?a]
                             [(!= ?a ?b)]]"""
        assert run(changed, [then, now]) == [("Ivan", 15, 16)]
        new = "[:find [?n ...] :in $then $now :where [$now ?e :name ?n] (not [$then ?e :name])]"
        assert run(new, [then, now]) == ["Yuri"]


def test_two_stores_and_a_collection_in_one_query(db: Db) -> None:
    with Substrate.open(":memory:") as other:
        other.fact.transact('[{:person "Ivan" :city "Omsk"} {:person "Petr" :city "Tver"}]')
        query = """[:find ?n ?c ?z :in $ $cities $zones
                    :where [?e :name ?n] [?e :age ?a] [(< ?a 20)]
                           [$cities ?p :person ?n] [$cities ?p :city ?c] [$zones ?c ?z]]"""
        assert run(query, [db, other.fact.db(), [["Omsk", 6], ["Tver", 3]]]) == [
            ("Ivan", "Omsk", 6)
        ]


VALUES = [1, 1.0, True, "one", K("one"), Symbol("x"), -0.0, 0.0, math.nan, math.inf, 2**70]
VALUES += [Decimal("1.0"), Decimal("1.00"), "long " * 100, b"abc", (1, 2), "a\x00b", 5e-324, 0.1]


@pytest.fixture
def values(store_uri: str) -> Iterator[Db]:
    with Substrate.open(store_uri) as s:
        s.fact.transact("[{:db/id 1000 :db/ident :any}]")
        s.fact.transact([{"db/id": i, "any": value} for i, value in enumerate(VALUES, 1)])
        yield s.fact.db()


def test_every_value_is_found_by_itself_alone_and_comes_back_unchanged(values: Db) -> None:
    for i, value in enumerate(VALUES, 1):
        assert values.q("[:find [?e ...] :in $ ?v :where [?e :any ?v]]", value) == [i]
        rows = values.q("[:find ?e ?v :in $ [?v ...] :where [?e :any ?v]]", [value, "other"])
        assert [e for e, _ in rows] == [i]
        back = values.q("[:find ?v . :in $ ?e :where [?e :any ?v]]", i)
        assert identity(back) == identity(value)


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=", "!="])
def test_comparisons_follow_the_order_of_all_values(values: Db, op: str) -> None:
    test = {
        "<": lambda order: order < 0,
        "<=": lambda order: order <= 0,
        ">": lambda order: order > 0,
        ">=": lambda order: order >= 0,
        "=": lambda order: order == 0,
        "!=": lambda order: order != 0,
    }[op]
    query = f"[:find [?e ...] :in $ ?w :where [?e :any ?v] [({op} ?v ?w)]]"
    for bound in (
        1,
        1.0,
        0.5,
        "one",
        K("one"),
        True,
        2**70,
        Decimal("1.0"),
        math.nan,
        -0.0,
        (1, 2),
    ):
        expected = [i for i, value in enumerate(VALUES, 1) if test(compare(value, bound))]
        assert sorted(values.q(query, bound)) == expected, bound
    pairs = values.q(f"[:find ?a ?b :where [?a :any ?x] [?b :any ?y] [({op} ?x ?y)]]")
    assert sorted(pairs) == [
        (i, j)
        for i, x in enumerate(VALUES, 1)
        for j, y in enumerate(VALUES, 1)
        if test(compare(x, y))
    ]


def test_integers_never_overflow_in_silence(store_uri: str) -> None:
    big = 2**62
    with Substrate.open(store_uri) as s:
        s.fact.transact("[{:db/ident :n :db/valueType :db.type/long}]")
        s.fact.transact([{"n": value} for value in (1, big, big + 1)])
        db = s.fact.db()
        assert sorted(db.q("[:find [?y ...] :where [_ :n ?x] [(* ?x 4) ?y]]")) == [
            4,
            4 * big,
            4 * big + 4,
        ]
        assert db.q("[:find (sum ?x) . :where [_ :n ?x]]") == 2 * big + 2
        assert sorted(db.q("[:find [?y ...] :where [_ :n ?x] [(+ ?x ?x) ?y] [(> ?y 9)]]")) == [
            2 * big,
            2 * big + 2,
        ]


@given(
    st.lists(
        st.floats(allow_nan=False), min_size=1, max_size=20, unique_by=lambda f: struct.pack("d", f)
    )
)
def test_floats_arrive_bit_exact(floats: list[float]) -> None:
    with Substrate.open(":memory:") as s:
        rows = s.fact.db().q(
            "[:find ?i ?f :in $ [[?i ?f]] :where (or [(identity ?i) ?j] [_ :none ?j])]",
            list(enumerate(floats)),
        )
    assert [struct.pack("d", f) for _, f in sorted(rows)] == [struct.pack("d", f) for f in floats]


def test_budgets_end_a_query(db: Db) -> None:
    with pytest.raises(BudgetExceeded, match="2 rows"):
        db.q("[:find ?n :where [_ :name ?n]]", rows=2)
    assert len(db.q("[:find ?n :where [_ :name ?n]]", rows=3)) == 3
    endless = "[[(up ?n) [(ground 0) ?n]] [(up ?n) (up ?m) [(inc ?m) ?n]]]"
    with pytest.raises(BudgetExceeded, match="time"):
        db.q("[:find ?n :in $ % :where [101 :age] (up ?n)]", endless, seconds=0.2)


def test_a_query_that_reads_much_is_stopped_inside_the_engine(db: Db) -> None:
    joins = " ".join(f"[?e{i} ?a{i} ?v{i}]" for i in range(12))
    with pytest.raises(BudgetExceeded):
        db.q(f"[:find (count ?v0) . :where {joins}]", seconds=0.3)
