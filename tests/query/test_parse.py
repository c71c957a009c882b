"""What a query may say, and that every error names the clause and the variables."""

from __future__ import annotations

import pytest

from persistence.errors import EdnError, LimitExceeded, QueryError, UnboundVariable
from persistence.query import run
from persistence.query.ast import COLLECTION, RELATION, SCALAR, TUPLE
from persistence.query.parse import parse, parse_rules
from persistence.values import Keyword, Symbol


@pytest.mark.parametrize(
    ("find", "shape"),
    [
        ("?e", RELATION),
        ("?e ?n", RELATION),
        ("[?e ...]", COLLECTION),
        ("[?e ?n]", TUPLE),
        ("?e .", SCALAR),
        ("(count ?e) .", SCALAR),
        ("(max 2 ?n) (pull ?e [:name])", RELATION),
    ],
)
def test_find_specs(find: str, shape: str) -> None:
    assert parse(f"[:find {find} :where [?e :name ?n]]").shape == shape


def test_the_map_form_and_python_data_mean_the_same_as_the_vector_form() -> None:
    text = parse("[:find ?e :in $ ?n :where [?e :name ?n]]")
    as_map = parse("{:find [?e] :in [$ ?n] :where [[?e :name ?n]]}")
    e, n = Symbol("?e"), Symbol("?n")
    as_data = parse(
        {
            Keyword("find"): [e],
            Keyword("in"): [Symbol("$"), n],
            Keyword("where"): [[e, Keyword("name"), n]],
        }
    )
    for other in (as_map, as_data):
        assert (other.shape, other.find, other.inputs, other.where) == (
            text.shape,
            text.find,
            text.inputs,
            text.where,
        )


def test_one_text_is_parsed_once() -> None:
    text = "[:find ?e :where [?e :parsed-once]]"
    assert parse(text) is parse(text)


def test_clauses_print_as_they_were_written() -> None:
    clauses = (
        '[?e :name "Ivan"]',
        "[$b ?e :age _ ?tx :db/add ?from ?to]",
        "[(< ?a 3 ?b)]",
        "[(f $ ?a) [[?x _] ...]]",
        "(not [?e :name])",
        "(not-join [?e] [?e :name ?x])",
        "(or [?e :a] (and [?e :b] [?e :c]))",
        "(or-join [[?a] ?e] [?e :a ?a] [?e :b ?a])",
        "(rule ?e 1 _)",
    )
    query = parse(f"[:find ?e :in $ $b ?a % :where {' '.join(clauses)} [?e :b ?b]]")
    assert tuple(map(repr, query.where[:-1])) == clauses


def test_order_limit_offset_and_timeout() -> None:
    query = parse(
        "[:find ?n (count ?e) :in $ ?k :where [?e :name ?n]"
        " :order-by (count ?e) :desc ?n :limit ?k :offset 2 :timeout 500]"
    )
    assert [(each.place, each.descending) for each in query.order] == [(1, True), (0, False)]
    assert (repr(query.limit), query.offset, query.timeout) == ("?k", 2, 0.5)


WRONG = [
    ("[:where [?e :a]]", "nothing to find"),
    ("[:find ?e :wher [?e :a]]", ":wher"),
    ("[:find ?e :where ?e]", "?e"),
    ("[:find ?e :where []]", "[]"),
    ("[:find ?e :where [?e :a 1 2 3 4 5 6]]", "[?e :a 1 2 3 4 5 6]"),
    ("[:find ?e :where [(f ?e) ?x ?y] [?e]]", "[(f ?e) ?x ?y]"),
    ("[:find ?e :where [?e :a] (not)]", "(not)"),
    ("[:find ?e :where [?e :a] (not-join [?e ?z] [?e :b])]", "?z"),
    ("[:find ?e :where (or)]", "(or)"),
    ("[:find ?e :in [] :where [?e :a]]", "[]"),
    ("[:find ?e ?n :keys a :where [?e :name ?n]]", ":keys"),
    ("[:find ?e . :keys a :where [?e :name]]", ":keys"),
    ("[:find ?e :keys a :strs a :where [?e :name]]", ":keys :strs"),
    ("[:find ?e :where [?e :a] :order-by ?x]", "?x"),
    ("[:find ?e :where [?e :a] :limit -1]", ":limit"),
    ("[:find ?e :in $ $ :where [?e :a]]", ":in"),
    ("[:find (count 1) :where [?e :a]]", "(count 1)"),
    ("[:find (pull ?e) :where [?e :a]]", "(pull ?e)"),
    ("[:find ?e :where [$other ?e :a]]", "$other"),
    ("[:find ?e :in $ :where (rule ?e)]", "%"),
    ("[:find ?e :with ?e :where [?e :a]]", "?e"),
    ("[:find ?e :where [(:f ?e)]]", ":f"),
]


@pytest.mark.parametrize(("text", "named"), WRONG)
def test_an_error_names_its_place(text: str, named: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert named in str(caught.value)


UNBOUND = [
    ("[:find ?x :where [?e :a]]", ["?x"], "?x"),
    ("[:find ?e :where [?e :a ?a] [(> ?a ?min)]]", ["?min"], "[(> ?a ?min)]"),
    ("[:find ?e :where [?e] [(+ ?p ?q) ?r]]", ["?p", "?q"], "[(+ ?p ?q) ?r]"),
    ("[:find ?e :where [?e :a] (not [?z :b])]", ["?z"], "(not [?z :b])"),
    (
        "[:find ?e :where [?e :a] (or [?e :b ?x] [?e :c])]",
        ["?x"],
        "(or [?e :b ?x] [?e :c])",
    ),
    (
        "[:find ?e :where (or-join [[?e]] [?e :b])]",
        ["?e"],
        "(or-join [[?e]] [?e :b])",
    ),
    ("[:find ?e :where (not-join [?e] [?e :a])]", ["?e"], "(not-join [?e] [?e :a])"),
]


@pytest.mark.parametrize(("text", "variables", "clause"), UNBOUND)
def test_an_unbound_variable_is_named_with_its_clause(
    text: str, variables: list[str], clause: str
) -> None:
    with pytest.raises(UnboundVariable) as caught:
        run(text, [[]])
    assert list(caught.value.data["variables"]) == variables
    assert clause in str(caught.value)
    assert caught.value.hint


def test_the_written_order_never_leaves_a_variable_unbound() -> None:
    facts = [[1, 5], [2, 50]]
    assert run("[:find ?e :where [(> ?a 10)] (not [?e 7]) [?e ?a]]", [facts]) == [(2,)]


BAD_RULES = [
    ("[[(r) [?a :x]]]", "(r)"),
    ("[[(r $a) [$a :x]]]", "$a"),
    ("[[(r ?a ?b) [?a :x]]]", "?b"),
    ("[[(r ?a) [?a :x]] [(r ?a ?b) [?a :x ?b]]]", "r"),
    ("[[(r ?a)]]", "(r ?a)"),
    ("[[(p ?a) [?a :x] (not (q ?a))] [(q ?a) [?a :y] (p ?a)]]", "(not (q ?a))"),
]


@pytest.mark.parametrize(("text", "named"), BAD_RULES)
def test_rules_are_checked(text: str, named: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_rules(text)
    assert named in str(caught.value)


def test_a_rule_that_does_not_exist_is_named_with_those_that_do() -> None:
    query = "[:find ?x :in $ % :where (wat ?x)]"
    with pytest.raises(QueryError, match=r"\(wat \?x\)") as caught:
        run(query, [[], "[[(what ?x) [?x :a]]]"])
    assert "what" in str(caught.value.hint)
    with pytest.raises(QueryError, match="takes 1 arguments, not 2"):
        run("[:find ?x :in $ % :where (what ?x ?x)]", [[], "[[(what ?x) [?x :a]]]"])


def test_text_that_is_no_edn_is_told_with_its_place() -> None:
    with pytest.raises(EdnError) as caught:
        parse("[:find ?e\n :where [?e :name ]")
    assert (caught.value.line, caught.value.column) == (1, 1)


def test_a_query_is_no_place_for_data() -> None:
    with pytest.raises(LimitExceeded, match="characters"):
        parse('[:find ?e :where [?e :a "' + "x" * 70_000 + '"]]')


INPUTS = [
    ("[:find ?a :in ?a :where [(> ?a 0)]]", [], "too few inputs"),
    ("[:find ?a :in ?a :where [(> ?a 0)]]", [1, 2], "too many inputs"),
    ("[:find ?a :in [?a ?b]]", [[1]], "fewer than"),
    ("[:find ?a :in [?a ...]]", [1], "no collection"),
    ("[:find ?a :in [[?a ?b]]]", [[1]], "no sequence"),
    ("[:find ?a :in $ :where [?a]]", [5], "neither a database nor a collection"),
    ("[:find ?a :in $ :where [?a]]", [[5]], "no tuple"),
    ("[:find ?a :in ?a ?k :limit ?k]", [1, "x"], "not a number of rows"),
]


@pytest.mark.parametrize(("text", "inputs", "problem"), INPUTS)
def test_inputs_that_do_not_fit_are_refused(text: str, inputs: list[object], problem: str) -> None:
    with pytest.raises(QueryError, match=problem):
        run(text, inputs)
