"""Aggregates depend on which values there are, and are exact where the values are."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import QueryError
from persistence.query.aggregates import AGGREGATES, aggregate
from persistence.query.functions import FunctionRegistry
from persistence.values import Keyword, Set, identity


def test_the_answers_of_datascript() -> None:
    values = [10, 15, 20, 35, 75]
    assert identity(AGGREGATES["avg"](values)) == identity(31)
    assert identity(AGGREGATES["median"](values)) == identity(20)
    assert identity(AGGREGATES["variance"](values)) == identity(554)
    assert AGGREGATES["stddev"](values) == 23.53720459187964
    assert AGGREGATES["max"](3, values) == (20, 35, 75)
    assert AGGREGATES["min"](2, values) == (10, 15)


def test_what_is_not_whole_is_a_float_and_decimals_stay_decimals() -> None:
    assert identity(AGGREGATES["avg"]([1, 2])) == identity(1.5)
    assert identity(AGGREGATES["avg"]([Decimal("1.0"), Decimal("2.0")])) == identity(Decimal("1.5"))
    assert identity(AGGREGATES["sum"]([Fraction(1, 2), Fraction(1, 2)])) == identity(1)
    assert identity(AGGREGATES["sum"]([1, 0.5])) == identity(1.5)
    assert identity(AGGREGATES["sum"]([2**70, 1])) == identity(2**70 + 1)


def test_values_are_told_apart_by_identity() -> None:
    assert AGGREGATES["count"]([1, 1, 1.0]) == 3
    assert AGGREGATES["count-distinct"]([1, 1, 1.0, True]) == 3
    assert AGGREGATES["distinct"]([1, 1]) == Set([1])
    assert AGGREGATES["min"]([Keyword("b"), Keyword("a")]) is Keyword("a")
    assert AGGREGATES["max"]([1, "a", (1,)]) == (1,)


numbers = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False, width=32)
)


@given(st.lists(numbers, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_the_values_never_matters(values: list[Any], dice: random.Random) -> None:
    shuffled = list(values)
    dice.shuffle(shuffled)
    for each in AGGREGATES.values():
        assert identity(each(values)) == identity(each(shuffled))


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_what_sql_gives_is_finished_to_the_same_answer(values: list[int]) -> None:
    parts = {"sum": sum(values), "count": len(values), "min": min(values), "max": max(values)}
    for name in ("sum", "avg", "min", "max", "count"):
        known = AGGREGATES[name]
        assert identity(known.finish(*(parts[part] for part in known.sql))) == identity(
            known(values)
        )


def test_refusals_name_the_aggregate() -> None:
    with pytest.raises(QueryError, match="sum"):
        AGGREGATES["sum"](["a"])
    with pytest.raises(QueryError, match="constant arguments"):
        AGGREGATES["count"](1, [1])
    with pytest.raises(QueryError, match="no number of values"):
        AGGREGATES["max"]("a", [1])


def test_nothing_random_is_offered() -> None:
    assert not {"rand", "sample"} & set(AGGREGATES)


def test_registered_aggregates_come_before_built_ins() -> None:
    registry = FunctionRegistry().with_aggregate("product", lambda n, values: n * len(values))
    found = aggregate("product", registry)
    assert found is not None and found(3, [1, 1]) == 6
    assert aggregate("product") is None
    assert aggregate("sum", registry) is AGGREGATES["sum"]
