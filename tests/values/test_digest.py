"""Content ids keep the kinds of object apart, and cover exactly what a datom states."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from persistence.values import (
    CONTEXTS,
    FOREVER,
    Keyword,
    ObjectKind,
    datom_id,
    digest,
    encode,
    encode_datom,
    same_digest,
    value_id,
)
from tests.values.strategies import values

A = Keyword("a")


@given(st.binary())
def test_a_digest_is_blake3_in_derive_key_mode(data: bytes) -> None:
    for kind, context in CONTEXTS.items():
        assert digest(kind, data) == blake3(data, derive_key_context=context).digest()


def test_every_kind_has_its_own_context() -> None:
    assert set(CONTEXTS) == set(get_args(ObjectKind))
    assert len({digest(kind, b"") for kind in CONTEXTS}) == len(CONTEXTS)


def test_a_digest_twice_is_the_same() -> None:
    assert digest("blob", b"x") == digest("blob", b"x") != digest("blob", b"y")


@given(values, values)
def test_value_ids_are_equal_exactly_when_the_values_are(a: Any, b: Any) -> None:
    assert (value_id(a) == value_id(b)) == (encode(a) == encode(b))


@pytest.mark.parametrize(
    "other",
    [
        (2, A, 1, 0, FOREVER, True),
        (1, Keyword("b"), 1, 0, FOREVER, True),
        (1, A, 2, 0, FOREVER, True),
        (1, A, 1.0, 0, FOREVER, True),
        (1, A, True, 0, FOREVER, True),
        (1, A, 1, 1, FOREVER, True),
        (1, A, 1, 0, FOREVER - 1, True),
        (1, A, 1, 0, FOREVER, False),
    ],
)
def test_a_datom_id_covers_each_of_its_parts(other: Any) -> None:
    one = (1, A, 1, 0, FOREVER, True)
    assert datom_id(*one) == digest("datom", encode_datom(*one))
    assert datom_id(*one) != datom_id(*other)


def test_digests_are_compared_in_constant_time() -> None:
    assert same_digest(b"a" * 32, b"a" * 32)
    assert not same_digest(b"a" * 32, b"b" * 32)
