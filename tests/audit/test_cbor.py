"""The reader of canonical bytes that the verifier has: it reads what the store writes, no more."""

from __future__ import annotations

import datetime as dt
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from persistence import values as edn
from persistence.audit import cbor
from persistence.audit.shown import show, show_datom
from persistence.audit.terms import Char, Instant, Keyword, List, Map, Set, Symbol, Tagged
from persistence.errors import InputError
from persistence.values import FOREVER, encode, encode_datom, from_micros
from tests.values.strategies import keywords, values

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "canonical.json").read_text())


def theirs(value: Any) -> Any:
    """What the store calls a *value* of the verifier."""
    match value:
        case Keyword(name):
            return edn.Keyword(name)
        case Symbol(name):
            return edn.Symbol(name)
        case Char(text):
            return edn.Char(text)
        case Instant(micros):
            return from_micros(micros)
        case List(items):
            return edn.List(map(theirs, items))
        case Set(items):
            return edn.Set(map(theirs, items))
        case Map(pairs):
            return edn.Map([(theirs(key), theirs(item)) for key, item in pairs])
        case Tagged(tag, inner):
            return edn.Tagged(tag, theirs(inner))
        case tuple():
            return tuple(map(theirs, value))
    return value


def accepted(decode: Any, data: bytes) -> bool:
    try:
        decode(data)
    except (InputError, cbor.CborError):
        return False
    return True


@given(values)
def test_what_the_store_encodes_is_read_as_the_same_value(value: Any) -> None:
    data = encode(value)
    assert encode(theirs(cbor.decode(data))) == data


@given(values)
def test_a_value_is_shown_as_the_store_writes_it(value: Any) -> None:
    assert show(cbor.decode(encode(value))) == edn.write(value)


@given(values, st.data())
def test_changed_bytes_are_refused_where_the_store_refuses_them(value: Any, data: Any) -> None:
    good = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(good)))
        match data.draw(st.sampled_from(["change", "insert", "delete"])):
            case "insert":
                good.insert(at, data.draw(st.integers(0, 255)))
            case "change" if at < len(good):
                good[at] = data.draw(st.integers(0, 255))
            case "delete" if at < len(good):
                del good[at]
    assert accepted(cbor.decode, bytes(good)) == accepted(edn.decode, bytes(good))


@given(st.binary(max_size=40))
@example(b"")
@example(bytes.fromhex("9f01ff"))  # an indefinite length
@example(bytes.fromhex("1817"))  # a head that would be shorter
@example(bytes.fromhex("a2616201616102"))  # keys in another order
@example(bytes.fromhex("a2616101616102"))  # a key twice
@example(bytes.fromhex("d90102820201"))  # a set in another order
@example(bytes.fromhex("fa3f800000"))  # 1.0 in too many bits
@example(bytes.fromhex("f97e01"))  # another NaN
@example(bytes.fromhex("c2480fffffffffffffff"))  # a bignum of 64 bits
@example(bytes.fromhex("c249000fffffffffffffff"))  # one with a leading zero
@example(bytes.fromhex("d81e820204"))  # a ratio not in lowest terms
@example(bytes.fromhex("d81e820201"))  # one that is an integer
@example(bytes.fromhex("c4821a0001000001"))  # an exponent past the limit
@example(bytes.fromhex("d8276131"))  # a keyword that is no name
@example(bytes.fromhex("d9ed026474727565"))  # the symbol true
@example(bytes.fromhex("d9ed0319d800"))  # a surrogate
@example(bytes.fromhex("d9ed058264696e737400"))  # #inst by hand
@example(bytes.fromhex("d9ed058261310001"))  # a tag that begins with a digit
@example(bytes.fromhex("d9ed06d9ed0600"))  # a tag in a tag
@example(bytes.fromhex("62c328"))  # no UTF-8
@example(bytes.fromhex("0000"))  # two values
def test_any_bytes_are_refused_where_the_store_refuses_them(data: bytes) -> None:
    assert accepted(cbor.decode, data) == accepted(edn.decode, data)


@pytest.mark.parametrize("nested", [b"\x81", b"\xd9\xed\x04\x81", b"\xd9\x01\x02\x81", b"\xa1\x00"])
def test_values_nest_as_deep_as_the_store_lets_them(nested: bytes) -> None:
    assert accepted(cbor.decode, nested * 256 + b"\x00")
    assert accepted(edn.decode, nested * 256 + b"\x00")
    with pytest.raises(cbor.CborError, match="nest at most 256 deep"):
        cbor.decode(nested * 257 + b"\x00")
    assert show(cbor.decode(nested * 256 + b"\x00"))


@pytest.mark.parametrize("head", ["5b", "7b", "9b", "bb", "d901029b", "c25b"])
def test_a_length_is_looked_at_before_anything_is_allocated(head: str) -> None:
    data = bytes.fromhex(head + "00ffffffffffffff") + bytes(64)
    tracemalloc.start()
    try:
        with pytest.raises(cbor.CborError):
            cbor.decode(data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tag", [0xC2, 0xC3])
def test_numbers_are_as_long_as_the_store_lets_them(tag: int) -> None:
    largest = 10**4096 - 1 - (tag == 0xC3)
    for n, fits in ((largest, True), (largest + 1, False)):
        content = n.to_bytes((n.bit_length() + 7) // 8, "big")
        data = bytes((tag, 0x59)) + len(content).to_bytes(2, "big") + content
        assert accepted(edn.decode, data) is fits
        assert accepted(cbor.decode, data) is fits


micros = st.integers(-(2**63), 2**63 - 1)


@given(
    st.integers(0, 2**40),
    keywords,
    values.filter(lambda v: v is not None),
    micros,
    micros | st.just(FOREVER),
    st.booleans(),
)
def test_datoms_are_read_as_the_store_encodes_them(
    e: int, a: Any, v: Any, start: int, end: int, op: bool
) -> None:
    entity, attribute, value, since, until, added = cbor.decode_datom(
        encode_datom(e, a, v, start, end, op)
    )
    assert (entity, attribute, since, added) == (e, Keyword(a.name), Instant(start), op)
    assert until == (None if end == FOREVER else Instant(end))
    assert show(value) == edn.write(v)


def test_a_datom_is_shown_on_one_line() -> None:
    spring = int(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000
    data = encode_datom(7, edn.Keyword("item/price"), 10, spring, 2**63 - 2, False)
    assert show_datom(cbor.decode_datom(data)) == (
        '[7 :item/price 10 #inst "2026-03-01T00:00:00Z" #µs 9223372036854775806 false]'
    )


@given(st.binary(max_size=60) | st.binary(max_size=60).map(b"\x86".__add__))
@example(bytes.fromhex("8601d827616100f6f6f5"))
def test_what_is_no_datom_is_refused(data: bytes) -> None:
    if accepted(cbor.decode_datom, data):
        edn.decode_datom(data)


def test_the_vectors_of_the_format() -> None:
    for vector in VECTORS["values"]:
        assert show(cbor.decode(bytes.fromhex(vector["cbor"]))) == vector["written"]
    for vector in VECTORS["refused"]:
        with pytest.raises(cbor.CborError):
            cbor.decode(bytes.fromhex(vector["cbor"]))
