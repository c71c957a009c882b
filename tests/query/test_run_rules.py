"""Rules and staging: what recurs, what is negated, what only Python can say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from persistence import Substrate
from persistence.db import Db
from persistence.errors import QueryError
from persistence.query import FunctionRegistry, run
from persistence.values import Keyword

EDGES = [(1, 2), (2, 3), (3, 4), (4, 2), (5, 6)]
REACH = {(a, b) for a in (1, 2, 3, 4) for b in (2, 3, 4)} | {(5, 6)}

RIGHT = "[[(to ?x ?y) [?x :to ?y]] [(to ?x ?y) [?x :to ?t] (to ?t ?y)]]"
LEFT = "[[(to ?x ?y) [?x :to ?y]] [(to ?x ?y) (to ?x ?t) [?t :to ?y]]]"
TWICE = "[[(to ?x ?y) [?x :to ?y]] [(to ?x ?y) (to ?x ?t) (to ?t ?y)]]"
MUTUAL = """[[(to ?x ?y) [?x :to ?y]] [(to ?x ?y) [?x :to ?t] (via ?t ?y)]
             [(via ?x ?y) [?x :to ?y]] [(via ?x ?y) [?x :to ?t] (to ?t ?y)]]"""
IN_PYTHON = "[[(to ?x ?y) [?x :to ?y]] [(to ?x ?y) [?x :to ?t] [(vector ?t) [?u]] (to ?u ?y)]]"
IN_OR = "[[(to ?x ?y) (or-join [?x ?y] [?x :to ?y] (and [?x :to ?t] (to ?t ?y)))]]"
ALL = [RIGHT, LEFT, TWICE, MUTUAL, IN_PYTHON, IN_OR]


@pytest.fixture(params=["ref", "plain", "collection"])
def graph(request: pytest.FixtureRequest, store_uri: str) -> Iterator[Any]:
    if request.param == "collection":
        yield [(a, Keyword("to"), b) for a, b in EDGES]
        return
    many = ":db/cardinality :db.cardinality/many"
    typed = ":db/valueType :db.type/ref" if request.param == "ref" else ""
    with Substrate.open(store_uri) as s:
        s.fact.transact(f"[{{:db/id 900 :db/ident :to {many} {typed}}}]")
        s.fact.transact([(Keyword("db/add"), a, Keyword("to"), b) for a, b in EDGES])
        yield s.fact.db()


@pytest.mark.parametrize("rules", ALL)
def test_a_closure_is_the_same_however_it_is_written(graph: Any, rules: str) -> None:
    assert set(run("[:find ?x ?y :in $ % :where (to ?x ?y)]", [graph, rules])) == REACH


@pytest.mark.parametrize("rules", ALL)
def test_bound_arguments_narrow_a_closure(graph: Any, rules: str) -> None:
    forward = run("[:find [?y ...] :in $ % ?x :where (to ?x ?y)]", [graph, rules, 5])
    backward = run("[:find [?x ...] :in $ % :where (to ?x 6)]", [graph, rules])
    both = run(
        "[:find ?x ?y :in $ % [[?x ?y]] :where (to ?x ?y)]", [graph, rules, [(1, 4), (4, 1)]]
    )
    loops = run("[:find [?x ...] :in $ % :where (to ?x ?x)]", [graph, rules])
    assert (forward, backward, both, sorted(loops)) == ([6], [5], [(1, 4)], [2, 3, 4])


@pytest.mark.parametrize("rules", ALL)
def test_a_closure_can_be_negated(graph: Any, rules: str) -> None:
    query = "[:find ?x ?y :in $ % :where [?x :to] [?y :to] (not (to ?x ?y))]"
    sources = {a for a, _ in EDGES}
    expected = {(a, b) for a in sources for b in sources} - REACH
    assert set(run(query, [graph, rules])) == expected


def test_a_rule_reads_the_source_it_is_called_with(graph: Any) -> None:
    query = "[:find ?x ?y :in $a $b % :where ($a to ?x ?y) ($b to ?x ?y)]"
    other = [(5, Keyword("to"), 6), (1, Keyword("to"), 9)]
    assert run(query, [graph, other, RIGHT]) == [(5, 6)]


def test_required_arguments_must_be_bound(graph: Any) -> None:
    rules = "[[(after [?x] ?y) [?x :to ?y]]]"
    assert run("[:find ?y :in $ % :where (after 5 ?y)]", [graph, rules]) == [(6,)]
    with pytest.raises(QueryError, match=r"\?x is not bound in \(after \?x \?y\)"):
        run("[:find ?y :in $ % :where (after ?x ?y)]", [graph, rules])


def test_a_rule_can_count_down_without_any_database() -> None:
    rules = """[[(down ?a ?b) [(> ?a 0)] [(dec ?a) ?b]]
                [(down ?a ?b) [(> ?a 0)] [(dec ?a) ?t] (down ?t ?b)]]"""
    assert sorted(run("[:find [?b ...] :in ?n % :where (down ?n ?b)]", [4, rules])) == [0, 1, 2, 3]


def test_a_function_of_ones_own_is_a_step_of_its_own(graph: Any) -> None:
    functions = FunctionRegistry().with_function("far?", lambda a, b: b - a > 1)
    query = "[:find ?x ?y :in $ % :where (to ?x ?y) [(far? ?x ?y)]]"
    found = run(query, [graph, RIGHT], functions=functions)
    assert set(found) == {(a, b) for a, b in REACH if b - a > 1}
    with pytest.raises(QueryError, match=r"there is no predicate far\? in \[\(far\? \?x \?y\)\]"):
        run(query, [graph, RIGHT])


def test_what_python_finds_leads_back_into_the_store() -> None:
    with Substrate.open(":memory:") as s:
        s.fact.transact('[{:name "a-1" :next "1"} {:name "1" :next "z"} {:name "b" :next "q"}]')
        db: Db = s.fact.db()
        query = "[:find ?n ?m :where [?e :name ?n] [(subs ?n 2) ?k] [?f :name ?k] [?f :next ?m]]"
        guarded = query.replace("[(subs", '[(includes? ?n "-")] [(subs')
        assert db.q(guarded) == [("a-1", "z")]
        assert db.explain(guarded).staged
        tests = '(or-join [?n] [(= ?n "b")] (and [(subs ?n 0 1) ?r] [(= ?r "a")]))'
        either = f"[:find [?n ...] :where [?e :name ?n] {tests}]"
        assert sorted(db.q(either)) == ["a-1", "b"]
        nots = '[:find [?n ...] :where [?e :name ?n] (not [?e :next ?m] [(upper-case ?m) "Z"])]'
        assert sorted(db.q(nots.replace('"Z"]', '?u] [(= ?u "Z")]'))) == ["a-1", "b"]


def test_a_predicate_can_be_an_input() -> None:
    with Substrate.open(":memory:") as s:
        s.fact.transact("[{:n 1} {:n 2} {:n 3}]")
        query = "[:find [?n ...] :in $ ?keep :where [_ :n ?n] [(?keep ?n)]]"
        assert sorted(s.fact.db().q(query, lambda n: n > 1)) == [2, 3]
        with pytest.raises(QueryError, match="division"):
            s.fact.db().q(query, lambda n: n / 0)
