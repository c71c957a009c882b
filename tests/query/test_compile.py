"""The SQL that queries become: one statement, its order, what it leaves out, what it binds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence import Substrate
from persistence.db import Db
from persistence.query.run import _PLANS
from persistence.values import Keyword, read

SCHEMA = """[
  {:db/ident :name :db/valueType :db.type/string :db/index true}
  {:db/ident :email :db/valueType :db.type/string :db/unique :db.unique/identity}
  {:db/ident :age :db/valueType :db.type/long}
  {:db/ident :sex :db/valueType :db.type/keyword}
  {:db/ident :tag :db/valueType :db.type/string :db/cardinality :db.cardinality/many}
  {:db/ident :to :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}]"""


@pytest.fixture(scope="module")
def db() -> Iterator[Db]:
    with Substrate.open(":memory:") as s:
        s.fact.transact(SCHEMA)
        s.fact.transact(
            [
                {
                    "db/id": 1000 + i,
                    "name": f"n{i % 8}",
                    "email": f"{i}@x",
                    "age": i,
                    "sex": Keyword("m" if i % 2 else "f"),
                    "tag": ["a", "b"],
                    "to": [1000 + (i + 1) % 50],
                }
                for i in range(50)
            ]
        )
        yield s.fact.db()


def test_a_constant_never_stands_in_the_text(db: Db) -> None:
    evil = "'; DROP TABLE fact; --"
    shown = db.explain("[:find ?e :in $ ?n :where [?e :name ?n]]", evil)
    assert evil in shown.params
    assert "DROP" not in shown.sql
    assert db.q(f'[:find ?e :where [?e :name "{evil}"]]') == []


@pytest.mark.parametrize(
    "query",
    [
        '[:find ?e :where [?e :name "n1"]]',
        "[:find ?e ?a :where [?e :age ?a] [?e :name ?n]]",
        "[:find ?m ?a :where [?e :email ?m] [?e :age ?a]]",
        "[:find ?e ?t :where [?e :tag ?t]]",
        "[:find ?s :in $ ?e :where [?e :sex ?s]]",
        "[:find ?e ?f :where [?e :to ?f] [?f :age ?a]]",
    ],
)
def test_keys_make_distinct_needless(db: Db, query: str) -> None:
    inputs = [1001] if ":in" in query else []
    assert "DISTINCT" not in db.explain(query, *inputs).sql


@pytest.mark.parametrize(
    "query",
    [
        "[:find ?n :where [?e :name ?n]]",
        "[:find ?e :where [?e :tag ?t]]",
        "[:find ?t ?a :where [?e :tag ?t] [?e :sex ?a]]",
        "[:find ?s ?a :where [?e :sex ?s] [?e :to ?f] [?f :sex ?a]]",
    ],
)
def test_rows_that_may_repeat_are_made_distinct(db: Db, query: str) -> None:
    found = db.q(query)
    assert "DISTINCT" in db.explain(query).sql
    assert len(found) == len(set(found))


def _loops(plan: str) -> list[str]:
    """The loops over facts, outermost first."""
    return [line for line in plan.splitlines() if "SEARCH f" in line]


def test_the_written_order_of_clauses_never_matters(db: Db) -> None:
    clauses = ['[?e :name "n1"]', "[?e :age ?a]", "[?e :sex :m]", "[(> ?a 20)]"]
    plans = {
        db.explain(f"[:find ?e ?a :where {' '.join(order)}]").plan
        for order in (clauses, clauses[::-1], clauses[2:] + clauses[:2])
    }
    assert len(plans) == 1
    assert "avet" in _loops(plans.pop())[0]


def test_a_known_entity_or_a_unique_value_leads(db: Db) -> None:
    plan = db.explain('[:find ?n :where [?e :sex :m] [?e :name ?n] [?e :email "7@x"]]').plan
    assert "avet" in _loops(plan)[0]
    plan = db.explain("[:find ?n ?m :where [?f :email ?m] [1001 :to ?f] [1001 :name ?n]]").plan
    assert all("e=?" in line for line in _loops(plan))


def test_a_comparison_of_an_indexed_attribute_is_a_range(db: Db) -> None:
    shown = db.explain('[:find ?e ?n :where [?e :name ?n] [(> ?n "n5")]]')
    assert "v>?" in shown.plan


def test_a_join_on_values_without_an_index_makes_one(db: Db) -> None:
    shown = db.explain("[:find ?e ?f :where [?e :age ?a] [?f :age ?a]]")
    assert "AUTOMATIC" in shown.plan
    assert len(db.q("[:find ?e ?f :where [?e :age ?a] [?f :age ?a]]")) == 50


def test_a_second_run_compiles_nothing(db: Db) -> None:
    query = "[:find ?e :in $ ?a :where [?e :age ?a] [?e :sex :m]]"
    db.q(query, 1)
    kept = len(_PLANS)
    assert [db.q(query, a) for a in (3, 5)] == [[(1003,)], [(1005,)]]
    assert len(_PLANS) == kept


def test_a_plan_notices_that_another_process_moved_the_head(tmp_path: Path) -> None:
    uri = str(tmp_path / "store.db")
    with Substrate.open(uri) as s, Substrate.open(uri) as other:
        s.fact.transact("[{:db/id 50 :n 1}]")
        old = s.fact.db()
        query = "[:find [?v ...] :where [50 :n ?v]]"
        empty = "[:find [?v ...] :where [51 :n ?v]]"
        assert (old.q(query), old.q(empty)) == ([1], [])
        other.fact.transact("[[:db/add 50 :n 2] [:db/add 51 :n 3]]")
        other.fact.transact("[[:db/retract 51 :n 3]]")
        assert (old.q(query), s.fact.db().q(query), old.q(query)) == ([1], [2], [1])
        assert old.q(empty) == []


def test_a_plan_notices_new_attributes_declarations_and_flags() -> None:
    with Substrate.open(":memory:") as s:
        query = "[:find [?v ...] :where [_ :size ?v]]"
        assert s.fact.db().q(query) == []
        s.fact.transact("[{:db/id 60 :size 1}]", valid_from="2020-01-01")
        assert s.fact.db().q(query) == [1]
        s.fact.transact("[[:db/add 60 :size 2]]", valid_from="2021-01-01")
        assert s.fact.db().q(query) == [2]
        assert s.fact.db().valid_at("2020-06-01").q(query) == [1]
        s.fact.transact(
            "[{:db/ident :size :db/valueType :db.type/long"
            " :db/cardinality :db.cardinality/many :db/index true}]"
        )
        s.fact.transact("[[:db/add 60 :size 3]]")
        assert sorted(s.fact.db().q(query)) == [2, 3]


def test_a_long_value_changes_how_texts_are_compared() -> None:
    long = "x" * 5000
    with Substrate.open(":memory:") as s:
        s.fact.transact("[{:db/ident :text :db/valueType :db.type/string}]")
        s.fact.transact([{"db/id": 70, "text": "short"}])
        query = "[:find ?e ?t :where [?e :text ?t]]"
        assert s.fact.db().q(query) == [(70, "short")]
        s.fact.transact([{"db/id": 71, "text": long}])
        db = s.fact.db()
        assert sorted(db.q(query)) == [(70, "short"), (71, long)]
        assert db.q("[:find [?e ...] :in $ ?t :where [?e :text ?t]]", long) == [71]
        assert db.q('[:find [?e ...] :where [?e :text ?t] [(ends-with? ?t "xx")]]') == [71]


def test_explain_shows_statements_plan_and_steps(db: Db) -> None:
    whole = db.explain("[:find ?e :where [?e :age 3]]")
    assert (whole.staged, len(whole.stages)) == (False, 1)
    assert "SEARCH" in repr(whole)
    staged = db.explain('[:find ?x :where [?e :age 3] [?e :name ?n] [(str ?n "!") ?x]]')
    assert staged.staged
    assert 'Python: [(str ?n "!") ?x]' in repr(staged)


def test_totals_of_the_past_are_made_of_the_totals_of_each_segment() -> None:
    with Substrate.open(":memory:") as s:
        s.fact.transact("[{:db/ident :price :db/valueType :db.type/long}]")
        first = s.fact.transact("[{:db/id 1 :price 5} {:db/id 2 :price 7} {:db/id 3 :price 7}]")
        s.fact.transact("[{:db/id 1 :price 6} {:db/id 2 :price 8}]", valid_from="2030-01-01")
        s.fact.transact("[[:db/retract 3 :price 7]]")
        found = "(sum ?p) (count ?p) (avg ?p) (min ?p) (max ?p)"
        query = f"[:find {found} :with ?e :where [?e :price ?p]]"
        now = s.fact.db()
        then = now.as_of(first.t)
        assert "AS parts" in then.explain(query).sql
        assert then.q(query) == [(19, 3, 19 / 3, 5, 7)]
        assert now.q(query) == [(12, 2, 6, 5, 7)]
        assert now.valid_at("2031-01-01").q(query) == [(14, 2, 7, 6, 8)]
        assert then.valid_at("2000-01-01").q(query) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('[:find [?e ...] :where [(ground ["7@x" "no"]) [?m ...]] [?e :email ?m]]', [1007]),
        (
            '[:find [?e ...] :where [(ground [["7@x" 7] ["8@x" 7]]) [[?m ?a]]]'
            " [?e :email ?m] [?e :age ?a]]",
            [1007],
        ),
        ("[:find [?m ...] :where [(ground [1007 :none]) [?e _]] [?e :email ?m]]", ["7@x"]),
    ],
)
def test_a_collection_in_the_query_leads_to_facts_as_an_input_does(
    db: Db, query: str, expected: list[object]
) -> None:
    assert db.q(query) == expected
    shown = db.explain(query)
    assert not shown.staged
    assert "SCAN f" not in shown.plan


@pytest.mark.parametrize("value", ["[1 nil]", f'[1 "{"x" * 300}"]', "nil", "[]"])
def test_what_no_fact_holds_is_grounded_all_the_same(db: Db, value: str) -> None:
    query = f"[:find [?x ...] :in $ :where [(ground {value}) [?x ...]]]"
    assert db.q(query) == list(read(value) or ())
