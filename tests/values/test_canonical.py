"""Canonical bytes: one encoding per value, that of RFC 8949 where it has one; no other decodes."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import InputError, LimitExceeded, ValueRefused
from persistence.values import (
    FOREVER,
    LIMITS,
    Char,
    Keyword,
    List,
    Map,
    Set,
    Symbol,
    Tagged,
    decode,
    decode_datom,
    encode,
    encode_datom,
    identity,
)
from tests.values.strategies import keywords, values

K = Keyword

# RFC 8949, appendix A: what every CBOR encoder gives for these.
APPENDIX_A: list[tuple[Any, str]] = [
    (0, "00"),
    (23, "17"),
    (24, "1818"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (18446744073709551616, "c249010000000000000000"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-18446744073709551617, "c349010000000000000000"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (0.0, "f90000"),
    (-0.0, "f98000"),
    (1.0, "f93c00"),
    (1.1, "fb3ff199999999999a"),
    (1.5, "f93e00"),
    (65504.0, "f97bff"),
    (100000.0, "fa47c35000"),
    (3.4028234663852886e38, "fa7f7fffff"),
    (1e300, "fb7e37e43c8800759c"),
    (5.960464477539063e-8, "f90001"),
    (0.00006103515625, "f90400"),
    (-4.0, "f9c400"),
    (-4.1, "fbc010666666666666"),
    (float("inf"), "f97c00"),
    (float("nan"), "f97e00"),
    (float("-inf"), "f9fc00"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (Decimal("273.15"), "c48221196ab3"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("ü", "62c3bc"),
    ("水", "63e6b0b4"),
    ("𐅑", "64f0908591"),
    ((), "80"),
    ((1, (2, 3), (4, 5)), "8301820203820405"),
    (tuple(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    (Map(), "a0"),
    (Map({1: 2, 3: 4}), "a201020304"),
    (Map({"b": (2, 3), "a": 1}), "a26161016162820203"),
]


@pytest.mark.parametrize(("value", "text"), APPENDIX_A)
def test_what_cbor_has_is_encoded_as_its_standard_says(value: Any, text: str) -> None:
    assert encode(value).hex() == text
    assert identity(decode(bytes.fromhex(text))) == identity(value)


def test_map_keys_sort_by_their_bytes_and_not_by_length_first() -> None:
    keys = [10, 100, -1, "z", "aa", (100,), (-1,), False]  # the example of RFC 8949, 4.2.1
    order = ["0a", "1864", "20", "617a", "626161", "811864", "8120", "f4"]
    data = encode(Map((key, None) for key in reversed(keys))).hex()
    assert data == "a8" + "f6".join(order) + "f6"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (K("user/name"), "d82769757365722f6e616d65"),
        (Symbol("?e"), "d9ed02623f65"),
        (Char("a"), "d9ed031861"),
        (List((1,)), "d9ed048101"),
        (Set([2, 1]), "d90102820102"),
        (Tagged("t", 1), "d9ed0582617401"),
        (dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC), "d9ed011a000f4240"),
        (uuid.UUID(int=1), "d8255000000000000000000000000000000001"),
        (Fraction(-1, 3), "d81e822003"),
        (Decimal("1.0"), "c482200a"),
        (Decimal("1.00"), "c482211864"),
        (Decimal("-0.0"), "d9ed0620"),
        (Decimal("0"), "c4820000"),
    ],
)
def test_what_cbor_lacks_has_a_tag(value: Any, text: str) -> None:
    assert encode(value).hex() == text
    assert identity(decode(bytes.fromhex(text))) == identity(value)


@given(values)
def test_decoding_undoes_encoding(value: Any) -> None:
    data = encode(value)
    again = decode(data)
    assert type(again) is type(value)
    assert identity(again) == identity(value)
    assert encode(again) == data


@given(st.floats())
def test_floats_are_the_shortest_that_keep_the_value(value: float) -> None:
    data = encode(value)
    widths = {"e": 3, "f": 5, "d": 9}
    for code, width in widths.items():
        try:
            same = struct.unpack(f">{code}", struct.pack(f">{code}", value))[0]
        except OverflowError:
            continue
        if same == value or value != value:
            assert len(data) == width
            return


@given(st.dictionaries(st.text(max_size=3), st.integers()))
def test_python_collections_encode_as_the_edn_ones(value: dict[str, int]) -> None:
    assert encode(value) == encode(Map(value))
    assert encode(set(value)) == encode(frozenset(value)) == encode(Set(value))
    assert encode(list(value)) == encode(tuple(value))


def test_python_sets_and_dicts_with_equal_identities_are_unified() -> None:
    assert encode({float("nan"): 1, float("nan"): 2}) == encode(Map({float("nan"): 2}))
    assert encode({float("nan"), float("nan")}) == encode(Set([float("nan")]))


NOT_CANONICAL = [
    ("", "too early"),
    ("0000", "ends here"),
    ("1800", "canonical one"),
    ("190001", "canonical one"),
    ("1b0000000000000001", "canonical one"),
    ("3800", "canonical one"),
    ("c240", "canonical one"),
    ("c24101", "canonical one"),
    ("c2490000000000000000ff", "canonical one"),
    ("c34101", "canonical one"),
    ("fa3f800000", "canonical one"),
    ("fb3ff0000000000000", "canonical one"),
    ("f97e01", "canonical one"),
    ("fb7ff8000000000000", "canonical one"),
    ("f9fe00", "canonical one"),
    ("5801ff", "canonical one"),
    ("780161", "canonical one"),
    ("9800", "canonical one"),
    ("a2616202616101", "canonical one"),
    ("a2616101616102", "comes twice"),
    ("d90102820201", "canonical one"),
    ("d90102820101", "not what the tag"),
    ("d8276161ff", "ends here"),
    ("d92761", "not of this format"),
    ("d900276161", "canonical one"),
    ("d827623a61", "canonical one"),
    ("d82701", "not what the tag"),
    ("d9ed02636e696c", "no EDN symbol"),
    ("d9ed0319d800", "not one character"),
    ("d9ed031a00110000", "not what the tag"),
    ("d9ed0320", "not what the tag"),
    ("d9ed0401", "not what the tag"),
    ("d9ed058101", "not what the tag"),
    ("d9ed0582617801", None),
    ("d9ed058264696e737401", "built in"),
    ("d9ed01f93c00", "not what the tag"),
    ("d9ed011b7fffffffffffffff", "years 1 to 9999"),
    ("d9ed0601f6", "ends here"),
    ("d81e820204", "canonical one"),
    ("d81e820201", "not what the tag"),
    ("d81e820100", "not what the tag"),
    ("d81e8101", "not what the tag"),
    ("c48200f93c00", "not what the tag"),
    ("c483000101", "not what the tag"),
    ("c482193a9801", "exponent"),
    ("d8254100", "not what the tag"),
    ("d8276161", None),
    ("5f42010243030405ff", "definite"),
    ("7f6161ff", "definite"),
    ("9fff", "definite"),
    ("bfff", "definite"),
    ("1c", "definite"),
    ("f7", "no value begins so"),
    ("e0", "no value begins so"),
    ("f820", "no value begins so"),
    ("ff", "no value begins so"),
    ("f9", "no value begins so"),
    ("fb00", "no value begins so"),
    ("18", "inside a head"),
    ("1b00", "inside a head"),
    ("41", "too early"),
    ("62c3", "too early"),
    ("62c328", "UTF-8"),
    ("63eda080", "UTF-8"),
    ("82", "too early"),
    ("9b7fffffffffffffff", "too early"),
    ("5b7fffffffffffffff", "too early"),
    ("bbffffffffffffffff", "too early"),
    ("c1c101", "not of this format"),
    ("d827d8276161", "holds no other tag"),
    ("d827", "too early"),
]


@pytest.mark.parametrize(("text", "words"), NOT_CANONICAL)
def test_other_bytes_are_refused(text: str, words: str | None) -> None:
    data = bytes.fromhex(text)
    if words is None:
        assert encode(decode(data)) == data
        return
    with pytest.raises(ValueRefused, match=words):
        decode(data)


@given(st.binary(max_size=40))
def test_any_bytes_decode_to_what_encodes_to_them_or_are_refused(data: bytes) -> None:
    try:
        value = decode(data)
    except InputError:
        return
    assert encode(value) == data


@given(values, st.data())
def test_a_changed_byte_is_refused_or_is_another_value(value: Any, data: st.DataObject) -> None:
    good = bytearray(encode(value))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode(bytes(good))
    except InputError:
        return
    assert encode(other) == good
    assert identity(other) != identity(value)


def test_nesting_is_a_limit_and_never_a_crash() -> None:
    for head in ("81", "d9ed0481", "d9ed05826174", "a100", "d9010281"):
        with pytest.raises(LimitExceeded) as caught:
            decode(bytes.fromhex(head) * 5000 + b"\x00")
        assert caught.value.data["limit"] == "nesting"
    with pytest.raises(ValueRefused):
        decode(b"\xd8\x27" * 100_000)


@pytest.mark.parametrize("inner", [1, Decimal("1.5"), Fraction(1, 3), Symbol("x"), "x"])
def test_numbers_may_stand_at_the_deepest_level(inner: Any) -> None:
    value: Any = inner
    for _ in range(LIMITS.nesting):
        value = (value,)
    assert identity(decode(encode(value))) == identity(value)


def test_a_number_past_the_limit_is_refused_before_it_is_made() -> None:
    for text in ("c25a00100000" + "ff" * 0x100000, "c48200c25907d0" + "ff" * 2000):
        with pytest.raises(InputError, match="digits"):
            decode(bytes.fromhex(text))


_int64 = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(1, 2**62), keywords, values.filter(lambda v: v is not None), _int64, _int64,
       st.booleans())  # fmt: skip
def test_a_datom_is_the_canonical_vector_of_its_six_parts(
    e: int, a: Keyword, v: Any, valid_from: int, valid_to: int, op: bool
) -> None:
    data = encode_datom(e, a, v, valid_from, valid_to, op)
    again = decode_datom(data)
    assert identity(again) == identity((e, a, v, valid_from, valid_to, op))
    span = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
    if valid_from in span and valid_to in span:
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        instants = [epoch + dt.timedelta(microseconds=at) for at in (valid_from, valid_to)]
        assert encode((e, a, v, *instants, op)) == data


def test_a_datom_without_end_ends_in_nil() -> None:
    assert encode_datom(1, K("a"), 2, 0, FOREVER, True) == encode(
        (1, K("a"), 2, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), None, True)
    )


def test_what_is_no_datom_is_refused() -> None:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    for parts in [
        (1, K("a"), 2, epoch, None),
        (1, K("a"), None, epoch, None, True),
        (1, "a", 2, epoch, None, True),
        (K("a"), K("a"), 2, epoch, None, True),
        (1, K("a"), 2, None, None, True),
        (1, K("a"), 2, 0, None, True),
        (1, K("a"), 2, epoch, None, 1),
    ]:
        with pytest.raises(ValueRefused):
            decode_datom(encode(parts))
    good = encode_datom(1, K("a"), 2, 0, FOREVER, True)
    with pytest.raises(ValueRefused):
        decode_datom(good + b"\0")
    for end in range(len(good)):
        with pytest.raises(ValueRefused):
            decode_datom(good[:end])


def test_a_datom_with_a_value_that_cannot_be_kept_is_refused_by_path() -> None:
    with pytest.raises(ValueRefused, match=r"object is no EDN value, at \[1\]"):
        encode_datom(1, K("a"), [1, object()], 0, FOREVER, True)
