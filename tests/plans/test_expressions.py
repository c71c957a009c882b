"""Expressions: small, exact, and they always end."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.plans.expressions import evaluate, looked_into
from persistence.plans.functions import FUNCTIONS, Misuse
from persistence.values import List, Symbol, encode, read
from tests.plans.strategies import NAMES, expressions, literals
from tests.values import strategies as values

BOUND = {
    Symbol("x"): 3,
    Symbol("m"): read('{:a {"b" [1 2]} :none nil}'),
    Symbol("v"): read("[1 :k nil]"),
    Symbol("$"): "last",
}

GIVES = {
    "x": "3",
    "$": '"last"',
    "(= 1 1)": "true",
    "(= 1 1.0)": "false",
    "(= 1 true)": "false",
    "(= [1] [1.0])": "false",
    "(= #{1 2} #{2 1} #{1 2})": "true",
    '(not= :a ":a")': "true",
    "(< 1 2.5 7/2 4M)": "true",
    "(<= 1 1.0 1M)": "true",
    "(> 3 x)": "false",
    "(>= x 3)": "true",
    "(< 1 ##NaN)": "false",
    "(and)": "true",
    "(and 1 nil (get 1 1))": "nil",
    "(or false 0 (get 1 1))": "0",
    "(or)": "nil",
    "(not 0)": "false",
    "(get m :a)": '{"b" [1 2]}',
    "(get m :none 1)": "nil",
    "(get m :z 1)": "1",
    "(get v 1)": ":k",
    "(get v 9 :no)": ":no",
    "(get v -1)": "nil",
    "(get nil :a 2)": "2",
    '(get-in m [:a "b" 1])': "2",
    "(get-in m [:a :z 0] 5)": "5",
    "(get-in m [])": '{:a {"b" [1 2]} :none nil}',
    "(count v)": "3",
    '(count "añb")': "3",
    "(count nil)": "0",
    "(empty? #{})": "true",
    "(contains? m :none)": "true",
    "(contains? v nil)": "true",
    "(contains? v 1.0)": "false",
    '(contains? "team" "tea")': "true",
    '(str "a" nil 1 :k [x] \\c)': '"a1:k[3]c"',
    "(+ 1 2 x)": "6",
    "(+ 1/2 1/2)": "1",
    "(+ 1.10M 1)": "2.10M",
    "(- x)": "-3",
    "(- 10 x 1)": "6",
    "(* x 1.5)": "4.5",
    "(quote (a b))": "(a b)",
    "{:n [x {:k (+ x 1)}] :lit #{1}}": "{:n [3 {:k 4}] :lit #{1}}",
}


@pytest.mark.parametrize("text", GIVES)
def test_an_expression_gives_its_value(text: str) -> None:
    form = read(text)
    assert not looked_into(form)[1]
    assert encode(evaluate(form, BOUND)) == encode(read(GIVES[text]))


@pytest.mark.parametrize(
    "text",
    [
        '(< 1 "2")',
        "(< true 2)",
        "(+ 1 nil)",
        "(+ 1.0 1M)",
        "(+ 1/3 1M)",
        "(get 3 :a)",
        '(get v "1")',
        "(get v true)",
        "(get-in m :a)",
        "(count 3)",
        "(contains? 3 3)",
        '(contains? "a" 1)',
        "(+ 1E6000M 1E-6000M)",
        "(* 1E6000M 1E6000M)",
    ],
)
def test_what_a_function_cannot_take_is_told(text: str) -> None:
    with pytest.raises(Misuse) as caught:
        evaluate(read(text), BOUND)
    assert caught.value.reason and caught.value.fix


@given(literals)
def test_a_literal_is_what_it_is(form: object) -> None:
    assert not looked_into(form)[1] or "deeper" in looked_into(form)[1][-1][0]
    evaluate(form, BOUND)


@given(values.values)
def test_quote_gives_any_value_as_it_stands(value: object) -> None:
    assert encode(evaluate(List([Symbol("quote"), value]), BOUND)) == encode(value)


@given(expressions(frozenset(NAMES)), st.dictionaries(st.sampled_from(NAMES), values.values))
def test_an_expression_gives_a_value_or_says_why_not(
    form: object, given_: dict[Symbol, object]
) -> None:
    bound = {**dict.fromkeys(NAMES), Symbol("$"): None, **given_}
    names, flaws = looked_into(form)
    assert {*names} <= bound.keys() and not flaws
    try:
        first = evaluate(form, bound)
    except Misuse as misuse:
        assert misuse.fix
    else:
        assert encode(first) == encode(evaluate(form, bound))


@given(st.lists(st.integers() | st.fractions(), min_size=1, max_size=4))
def test_arithmetic_is_exact(numbers: list[int | Fraction]) -> None:
    form = List([Symbol("+"), *numbers])
    total = sum(numbers)
    assert evaluate(form, {}) == total
    product = evaluate(List([Symbol("*"), *numbers, 1]), {})
    assert product == numbers[0] * Fraction(product, numbers[0]) if numbers[0] else product == 0


@given(values.decimals, values.decimals)
def test_decimals_are_never_rounded(one: Decimal, other: Decimal) -> None:
    found = evaluate(List([Symbol("*"), one, other]), {})
    assert Fraction(found) == Fraction(one) * Fraction(other)


def test_every_function_is_written_as_it_says() -> None:
    for name, function in FUNCTIONS.items():
        form = read(function.usage)
        assert form[0] == Symbol(name) and len(form) - 1 >= function.least


def test_an_expression_nests_so_deep_and_no_deeper() -> None:
    deep: object = 1
    for _ in range(70):
        deep = List([Symbol("not"), deep])
    assert "nests deeper" in looked_into(deep)[1][0][0]


def test_parts_that_are_shared_count_as_often_as_they_stand() -> None:
    value: object = "ab"
    with pytest.raises(Misuse):
        for _ in range(40):
            value = evaluate(read("[$ $]"), {Symbol("$"): value})
    assert isinstance(value, tuple)
