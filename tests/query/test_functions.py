"""What the functions of a query answer, and how they refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import LimitExceeded, QueryError
from persistence.query.allen import ALLEN, intersects
from persistence.query.functions import FUNCTIONS, PREDICATES, FunctionRegistry, truthy
from persistence.values import Char, Keyword, List, Map, Set, Symbol, Tagged, identity


def call(name: str, *arguments: Any) -> Any:
    return FUNCTIONS[name](*arguments)


def test_equality_is_value_identity_and_not_python_s() -> None:
    assert call("=", 1, 1, 1)
    assert not call("=", 1, 1.0)
    assert not call("=", 1, True)
    assert not call("=", (1, 2), List((1, 2)))
    assert call("=", Map({"a": [1]}), Map({"a": (1,)}))
    assert call("==", 1, 1.0, Decimal("1.0"))
    assert call("not=", Keyword("a"), Symbol("a"))


def test_comparisons_chain_over_any_number_of_values() -> None:
    assert call("<", 1, 2, 3)
    assert not call("<", 1, 3, 2)
    assert call("<=", 1, 1, 2)
    assert call(">", "b", "a")
    assert call("<", 1)


def test_comparisons_follow_one_order_over_all_types() -> None:
    assert call("<", 1, "")
    assert call("<", 2, 2.5)
    assert call("<", True, 0)
    assert call("<", (1, 2), (1, 3))


def test_arithmetic_is_exact_unless_a_float_takes_part() -> None:
    assert call("+", 2**70, 1) == 2**70 + 1
    assert identity(call("+", Decimal("1.10"), Decimal("2.20"))) == identity(Decimal("3.30"))
    assert call("/", 1, 3) == Fraction(1, 3)
    assert identity(call("/", 6, 3)) == identity(2)
    assert identity(call("+", 1, 0.5)) == identity(1.5)
    assert identity(call("*", Fraction(1, 2), 2)) == identity(1)
    assert identity(call("-", 5)) == identity(-5)
    assert identity(call("/", 4)) == identity(Fraction(1, 4))


@given(st.integers(-50, 50), st.integers(-9, 9).filter(bool))
def test_quot_and_rem_rebuild_the_dividend(a: int, b: int) -> None:
    assert call("quot", a, b) * b + call("rem", a, b) == a
    assert call("mod", a, b) == a % b


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("+", ("a", 1), "not a number"),
        ("+", (True, 1), "not a number"),
        ("/", (1, 0), "divides by zero"),
        ("inc", (1, 2), "does not take 2 arguments"),
        ("even?", (1.0,), "not an integer"),
        ("subs", ("abc", 2, 9), "no 2 to 9"),
        ("starts-with?", (1, "a"), "not a string"),
        ("hash-map", ("a",), "no value"),
        ("before?", (1, 1, 2, 3), "empty"),
    ],
)
def test_a_refusal_names_the_function_and_its_arguments(
    name: str, arguments: tuple[Any, ...], reason: str
) -> None:
    with pytest.raises(QueryError, match=reason) as caught:
        call(name, *arguments)
    assert caught.value.data["function"] == name
    assert caught.value.data["arguments"] == arguments


def test_numbers_do_not_grow_past_what_a_value_may_be() -> None:
    with pytest.raises(LimitExceeded):
        call("*", 10**4000, 10**4000)
    with pytest.raises(LimitExceeded):
        call("range", 10**9)


def test_collections() -> None:
    assert call("vector", 1, 2) == (1, 2)
    assert call("list", 1) == List((1,))
    assert call("set", (1, 1, 1.0)) == Set([1, 1.0])
    assert call("hash-map", "a", 1) == Map({"a": 1})
    assert call("count", "héé") == 3
    assert call("count", None) == 0
    assert call("get", (7, 8), 1) == 8
    assert call("get", "ab", 0) == Char("a")
    assert call("get", Map([(1, "int"), (1.0, "float")]), 1.0) == "float"
    assert call("get", None, 1, "none") == "none"
    assert call("contains?", Set([1]), 1) and not call("contains?", Set([1]), True)
    assert call("range", 5, 0, -2) == (5, 3, 1)
    assert call("not-empty", ()) is None


def test_text_and_names() -> None:
    assert call("str", "a", None, Keyword("b"), 1.5, Char("c")) == "a:b1.5c"
    assert call("pr-str", "a", Keyword("b")) == '"a" :b'
    assert call("keyword", "user", "name") is Keyword("user/name")
    assert call("name", Keyword("user/name")) == "name"
    assert call("namespace", Keyword("name")) is None
    assert call("type", Decimal("1")) is Keyword("db.type/bigdec")
    assert call("clojure.string/upper-case", "ab") == "AB"


def test_regular_expressions_are_values() -> None:
    pattern = call("re-pattern", "(a)(b)?")
    assert pattern == Tagged("regex", "(a)(b)?")
    assert call("re-find", pattern, "xac") == ("a", "a", None)
    assert call("re-matches", "a+", "aab") is None
    assert call("re-seq", "[0-9]+", "1, 22") == ("1", "22")


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(a|ab)*", r"(\d+\.)*", r"(a)\1", "(?:x*)*", "((a*)b?)+"]
)
def test_patterns_that_may_backtrack_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(QueryError, match="exponential"):
        call("re-find", pattern, "a" * 40)


@pytest.mark.parametrize("pattern", ["(foo|bar)+", "(a++b)*", "[(a+)+]*", r"\(a+\)+", "(?i:a)+x"])
def test_patterns_that_cannot_are_not(pattern: str) -> None:
    call("re-find", pattern, "a" * 40)


def test_logic_counts_only_nil_and_false_as_no() -> None:
    assert truthy(0) and truthy("") and not truthy(None) and not truthy(False)
    assert call("and", 1, None, 2) is None
    assert call("or", None, False, 3) == 3
    assert call("not", 0) is False
    assert call("-differ?", 1, 2, 1, 3) and not call("-differ?", 1, 2, 1, 2)


points = st.integers(0, 6)


@given(points, st.integers(1, 4), points, st.integers(1, 4))
def test_exactly_one_of_allen_s_relations_holds(a: int, m: int, c: int, n: int) -> None:
    ends = (a, a + m, c, c + n)
    holding = [name for name, holds in ALLEN.items() if holds(*ends)]
    assert len(holding) == 1
    apart = {"before?", "meets?", "after?", "met-by?"}
    assert intersects(*ends) == (holding[0] not in apart)
    assert holding == [name for name, holds in ALLEN.items() if holds(ends[:2], ends[2:])]


def test_intervals_may_be_given_as_instants_and_stay_open() -> None:
    day = [datetime(2026, 1, number, tzinfo=UTC) for number in range(1, 4)]
    assert call("meets?", day[0], day[1], day[1], None)
    assert call("overlaps?", day[0], day[2], day[1], None)
    assert call("inst-ms", day[0]) == 1767225600000


def test_every_name_says_whether_it_answers_yes_or_no() -> None:
    assert {"=", "<", "even?", "before?", "clojure.string/blank?"} <= PREDICATES
    assert "+" not in PREDICATES
    assert set(FUNCTIONS) >= PREDICATES


def test_a_registry_is_a_value() -> None:
    empty = FunctionRegistry()
    one = empty.with_function("shout", lambda text: text + "!").with_function(
        "inc", lambda x: "mine"
    )
    assert "shout" not in empty and one["shout"]("a") == "a!"
    assert one["inc"](1) == "mine" and empty["inc"](1) == 2
    with pytest.raises(QueryError, match="there is no function nope"):
        empty["nope"]
    with pytest.raises(QueryError, match="cannot be called"):
        empty.with_function("x", 1)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match=r"\(shout 1\)"):
        one["shout"](1)
