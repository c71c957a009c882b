"""A value becomes a kind and a payload, sorts as its payload does, and comes back unchanged."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import CorruptStore, LimitExceeded, ValueRefused
from persistence.values import (
    INTERNED,
    LIMITS,
    NUMERIC,
    Char,
    Keyword,
    Kind,
    List,
    Map,
    Set,
    Symbol,
    Tagged,
    columns,
    compare,
    digest,
    encode,
    float_from_order,
    float_order,
    from_columns,
    identity,
    interned_id,
    to_columns,
)
from tests.values.strategies import floats, long_strings, values

NAIVE = dt.datetime(2020, 1, 1)  # noqa: DTZ001  it is to be refused

facts = (values | long_strings).filter(lambda value: value is not None)


@pytest.mark.parametrize(
    ("value", "k", "payload"),
    [
        (True, 1, 1),
        (False, 1, 0),
        (42, 2, 42),
        (-(2**63), 2, -(2**63)),
        (2**63 - 1, 2, 2**63 - 1),
        (2**63, 3, "G8000000000000000!"),
        (1.5, 4, 1.5),
        (float("nan"), 4, "NaN"),
        (-0.0, 4, "-0.0"),
        (Decimal("1.50"), 5, "11YX~12"),
        (Fraction(1, 3), 6, "10YW~"),
        (dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC), 7, 1_000_000),
        (Char("a"), 8, 97),
        ("Ada", 9, "Ada"),
        ("a\x00\x01", 9, "a\x01\x02\x01\x03"),
        (Keyword("user/name"), 10, "user/name"),
        (Symbol("?e"), 11, "?e"),
        (b"\x00\xff", 13, "00ff"),
        ((1, "a"), 14, "c11!2fa\x01\x01"),
        ([1], 14, "c11!2"),
        (List([1]), 15, "c11!2"),
        ({"a": 1}, 16, "a1616101"),
        ({1}, 17, "d901028101"),
        (Tagged("t", 1), 18, "d9ed0582617401"),
    ],
)
def test_the_stored_form_of_each_kind(value: Any, k: int, payload: Any) -> None:
    found = to_columns(value)
    assert found == (k, payload)
    assert type(found[1]) is type(payload)
    assert type(found[0]) is int


@given(facts)
def test_every_value_comes_back_unchanged(value: Any) -> None:
    k, payload, interned = columns(value)
    assert (k, payload) == to_columns(value)
    again = from_columns(k, payload, interned)
    assert type(again) is type(value)
    assert identity(again) == identity(value)


@given(facts)
def test_a_payload_is_short_and_holds_no_nul(value: Any) -> None:
    k, payload, interned = columns(value)
    assert (k >= INTERNED) == (interned is not None)
    if type(payload) is str:
        assert len(payload) <= LIMITS.inline_chars
        assert "\x00" not in payload
    if interned is not None:
        assert interned == encode(value)
        assert interned_id(str(payload)) == digest("blob", interned)


@given(facts, facts)
def test_rows_are_equal_exactly_when_the_values_are(a: Any, b: Any) -> None:
    one, other = to_columns(a), to_columns(b)
    assert (one == other) == (identity(a) == identity(b))


@given(facts, facts)
def test_within_a_kind_the_payload_sorts_as_the_values_do(a: Any, b: Any) -> None:
    (k, one), (k2, other) = to_columns(a), to_columns(b)
    if k != k2 or k >= INTERNED:
        return
    if k == Kind.FLOAT:
        one, other = float_order(float(one)), float_order(float(other))
    assert compare(a, b) == (one > other) - (one < other)  # type: ignore[operator]


@given(st.lists(st.integers(2**63, 2**90) | st.fractions() | st.decimals(-100, 100), max_size=6))
def test_exotic_numbers_sort_among_each_other_whatever_their_kind(numbers: list[Any]) -> None:
    exotic = [x for x in numbers if to_columns(x)[0] in (3, 5, 6)]
    by_payload = sorted(exotic, key=lambda x: to_columns(x)[1])
    exact = [Fraction(*x.as_integer_ratio()) for x in by_payload]
    assert exact == sorted(exact)


@given(st.lists(facts.filter(lambda v: type(v) is not float), max_size=8))
def test_sqlite_gives_back_and_sorts_what_python_does(items: list[Any]) -> None:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE t (i INTEGER, k INTEGER, v ANY) STRICT")
    rows = [(i, *to_columns(item)) for i, item in enumerate(items)]
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    found = db.execute("SELECT i, k, v FROM t ORDER BY k, v, i").fetchall()
    db.close()
    assert sorted(found) == rows
    assert found == sorted(rows, key=lambda row: (row[1], row[2], row[0]))


@given(floats, floats)
def test_float_order_is_exact_and_total(a: float, b: float) -> None:
    assert -(2**63) <= float_order(a) < 2**63
    assert identity(float_from_order(float_order(a))) == identity(a)
    assert compare(a, b) == (float_order(a) > float_order(b)) - (float_order(a) < float_order(b))


def test_nil_is_no_value_of_a_fact() -> None:
    with pytest.raises(ValueRefused, match="nil is no value"):
        columns(None)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "object is no EDN value"),
        ([1, object()], r"object is no EDN value, at \[1\]"),
        ("\ud800", "lone surrogate"),
        ("x" * 300 + "\ud800", "lone surrogate"),
        (NAIVE, "no time zone"),
        (Decimal("NaN"), "is no number"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_never_made_a_string(value: Any, words: str) -> None:
    with pytest.raises(ValueRefused, match=words):
        columns(value)


def test_a_value_past_the_limit_of_bytes_is_refused_by_name() -> None:
    for value in (
        "x" * LIMITS.value_bytes,
        b"x" * (LIMITS.value_bytes + 1),
        ["x" * (LIMITS.value_bytes // 2)] * 2,
        {"x": "x" * LIMITS.value_bytes},
    ):
        with pytest.raises(LimitExceeded) as caught:
            columns(value)
        assert caught.value.data["limit"] == "value_bytes"
    assert columns("x" * (LIMITS.value_bytes - 5))[0] == Kind.STRING + INTERNED


@pytest.mark.parametrize("value", [10**4000, Fraction(1, 10**4000), Decimal("1E-4000")])
def test_long_numbers_are_interned(value: Any) -> None:
    k, payload, interned = columns(value)
    assert k - INTERNED in NUMERIC
    assert identity(from_columns(k, payload, interned)) == identity(value)


@pytest.mark.parametrize(
    ("k", "payload", "interned"),
    [
        (0, 1, None),
        (19, "a", None),
        (10, "no keyword", None),
        (12, "xx", None),
        (13, "x", None),
        (14, "c", None),
        (16, "a2616101616102", None),
        (7, 2**62, None),
        (8, -1, None),
        (3, "oops", None),
        (41, "a\x1f" + "0" * 64, None),
        (41, "a\x1f" + "0" * 64, encode("a")),
    ],
)
def test_rows_that_hold_no_value_are_reported_as_corrupt(
    k: int, payload: Any, interned: bytes | None
) -> None:
    with pytest.raises(CorruptStore):
        from_columns(k, payload, interned)


def test_every_limit_is_positive() -> None:
    assert all(value > 0 for value in attrs.asdict(LIMITS).values())


def test_sets_and_maps_of_python_are_stored_as_the_edn_ones() -> None:
    assert to_columns({1, 2}) == to_columns(frozenset((2, 1))) == to_columns(Set([1, 2]))
    assert to_columns({"a": [1]}) == to_columns(Map({"a": (1,)}))
