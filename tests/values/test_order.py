"""One total order over all values: numbers by value, vectors by element, ties by identity."""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import LimitExceeded, ValueRefused
from persistence.values import (
    LIMITS,
    Char,
    Keyword,
    List,
    Map,
    Set,
    Symbol,
    Tagged,
    compare,
    encode,
    from_sort_key,
    identity,
    sort_key,
)
from tests.values.strategies import decimals, numbers, ratios, values


def test_the_classes_sort_in_their_stated_order() -> None:
    ascending: list[Any] = [
        None,
        False,
        True,
        float("-inf"),
        -(10**30),
        Decimal("-1.5"),
        -1,
        0,  # equal numbers: the kind decides, so the int comes before the float
        -0.0,
        0.0,
        Decimal("-0"),
        Decimal("0"),
        Decimal("0.0"),
        Fraction(1, 3),
        0.5,
        Decimal("0.5"),
        Fraction(1, 2) + Fraction(1, 10**20),
        1,
        1.0,
        Decimal("1"),
        Decimal("1.0"),
        Decimal("1.00"),
        2**53,
        2**53 + 1,
        10**40,
        float("inf"),
        float("nan"),
        dt.datetime(1969, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        Char("\x00"),
        Char("a"),
        Char("😀"),
        "",
        "\x00",
        "\x01",
        "\x02",
        "a",
        "a\x00",
        "a ",
        "aa",
        "b",
        Keyword("a"),
        Keyword("a!"),
        Keyword("aa"),
        Symbol("a"),
        uuid.UUID(int=5),
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x01",
        (),
        (1,),
        (1, 0),
        (1.0,),
        (2,),
        ("",),
        ("", 1),
        ("a",),
        ((),),
        ((1,),),
        (List(),),
        List(),
        List([5]),
        Map(),
        Map({"a": 1}),
        Set(),
        Tagged("a", 1),
    ]
    for i, low in enumerate(ascending):
        assert compare(low, low) == 0
        for high in ascending[i + 1 :]:
            assert compare(low, high) == -1, (low, high)
            assert compare(high, low) == 1, (low, high)


def _exact(x: Any) -> Fraction:
    return Fraction(*x.as_integer_ratio())


def _finite(x: Any) -> bool:
    return type(x) is not float or abs(x) < float("inf")


@given(numbers.filter(_finite), numbers.filter(_finite))
def test_numbers_of_all_kinds_compare_by_their_exact_value(a: Any, b: Any) -> None:
    by_value = (_exact(a) > _exact(b)) - (_exact(a) < _exact(b))
    if by_value:
        assert compare(a, b) == by_value
    else:
        assert (compare(a, b) == 0) == (identity(a) == identity(b))


@given(st.lists(decimals | ratios | st.integers(2**63, 2**80), min_size=2, max_size=2))
def test_near_numbers_compare_by_their_exact_value(pair: list[Any]) -> None:
    a, b = _exact(pair[0]), _exact(pair[1])
    middle = (a + b) / 2
    if a < b and middle.denominator != 1:
        assert compare(pair[0], middle) == -1 == compare(middle, pair[1])


@given(values, values, values)
def test_it_is_a_total_order_consistent_with_identity(a: Any, b: Any, c: Any) -> None:
    assert (compare(a, b) == 0) == (encode(a) == encode(b))
    assert compare(a, b) == -compare(b, a)
    low, middle, high = sorted([a, b, c], key=functools.cmp_to_key(compare))
    assert compare(low, middle) <= 0
    assert compare(middle, high) <= 0
    assert compare(low, high) <= 0


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_vectors_compare_element_by_element(a: list[Any], b: list[Any]) -> None:
    expected = next((c for x, y in zip(a, b, strict=False) if (c := compare(x, y))), 0)
    if not expected:
        expected = (len(a) > len(b)) - (len(a) < len(b))
    assert compare(a, b) == expected
    assert compare(List(a), List(b)) == expected


@given(values)
def test_a_sort_key_holds_its_value_exactly(value: Any) -> None:
    again = from_sort_key(sort_key(value))
    assert type(again) is type(value)
    assert identity(again) == identity(value)


@given(values, values)
def test_sort_keys_compare_alike_as_utf8_and_hold_no_nul(a: Any, b: Any) -> None:
    one, other = sort_key(a), sort_key(b)
    assert (one < other) == (one.encode() < other.encode())
    assert "\x00" not in one


@pytest.mark.parametrize("key", ["", "z", "aa", "c1", "k", "fabc", "gA", "c11", "i12", " ", "e"])
def test_text_that_is_no_sort_key_is_refused(key: str) -> None:
    with pytest.raises(ValueRefused):
        from_sort_key(key)


def test_numbers_at_the_limits_have_keys() -> None:
    for value in (
        10**LIMITS.number_digits - 1,
        -(10**LIMITS.number_digits) + 1,
        Decimal((1, (9,) * LIMITS.number_digits, LIMITS.exponent)),
        Decimal((0, (3,) * LIMITS.number_digits, -LIMITS.exponent)),
        5e-324,
        1.7976931348623157e308,
    ):
        assert identity(from_sort_key(sort_key(value))) == identity(value)
    with pytest.raises(LimitExceeded):
        sort_key([Decimal("1E+999999999")])


def test_what_is_no_value_has_no_place_in_the_order() -> None:
    deep: Any = 1
    for _ in range(LIMITS.nesting + 1):
        deep = [deep]
    with pytest.raises(LimitExceeded):
        sort_key(deep)
    with pytest.raises(ValueRefused, match=r"at \[1\]"):
        sort_key([1, object()])
    with pytest.raises(ValueRefused):
        compare("\ud800", 1)
