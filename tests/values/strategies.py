"""Hypothesis strategies for every EDN value, for this room's tests and for others'."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from persistence.values import Char, Keyword, List, Map, Set, Symbol, Tagged

_first = "abcXYZ*!?_$%&=<>éλ"
_rest = _first + "019.+-:#"
_part = st.one_of(
    st.builds(str.__add__, st.sampled_from(_first), st.text(_rest, max_size=6)),
    st.sampled_from(["+", "-", ".", "->", "...", "-x1"]),
)
_names = st.one_of(_part, st.builds("{}/{}".format, _part, _part))

keywords = st.builds(Keyword, _names)
symbols = st.builds(
    Symbol, _names.filter(lambda name: name not in ("nil", "true", "false")) | st.just("/")
)
chars = st.builds(Char, st.characters(exclude_categories=["Cs"]))
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
long_strings = st.builds(str.__mul__, strings.filter(bool), st.integers(1, 60))
integers = st.one_of(st.integers(-30, 30), st.integers(-(2**70), 2**70), st.integers())
floats = st.one_of(st.floats(), st.floats(width=16), st.sampled_from([0.0, -0.0, 1.0, 0.5]))
decimals = st.builds(
    lambda sign, mantissa, exponent: Decimal((sign, tuple(map(int, str(mantissa))), exponent)),
    st.integers(0, 1),
    st.integers(0, 20) | st.integers(0, 10**25),
    st.integers(-4, 4) | st.integers(-40, 40),
)
ratios = st.builds(Fraction, st.integers(), st.integers(2, 10**12)).filter(
    lambda ratio: ratio.denominator != 1
)
instants = st.datetimes(timezones=st.just(dt.UTC))
atoms = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats,
    decimals,
    ratios,
    strings,
    chars,
    keywords,
    symbols,
    instants,
    st.uuids(),
    st.binary(max_size=20),
)
tags = st.sampled_from(["money", "my/tag", "a.b"])


def _collections(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(List),
        st.lists(st.tuples(inner, inner), max_size=4).map(Map),
        st.lists(inner, max_size=4).map(Set),
        st.builds(Tagged, tags, inner),
    )


values = st.recursive(atoms, _collections, max_leaves=12)
numbers = st.one_of(integers, floats, decimals, ratios)
