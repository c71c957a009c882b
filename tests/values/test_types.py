"""Keywords, symbols, characters, maps and sets: identity is what makes a value."""

from __future__ import annotations

import copy
import datetime as dt
import gc
import pickle
import threading
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
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
    decode,
    encode,
    freeze,
    from_micros,
    identity,
    in_order,
    keyword,
    micros,
    read,
    write,
)
from tests.values.strategies import atoms, instants, values

NAIVE = dt.datetime(2020, 1, 1)  # noqa: DTZ001  it is to be refused


def test_a_keyword_is_one_object_however_it_is_spelled() -> None:
    assert Keyword("user/name") is Keyword(":user/name") is keyword("user/name")
    assert keyword(Keyword("a")) is Keyword("a")
    assert Symbol("a") is not Keyword("a")
    assert Symbol("a") != Keyword("a")


@pytest.mark.parametrize("value", [Keyword("a/b"), Symbol("?e"), Char("λ")])
def test_names_survive_pickle_and_copy_as_themselves(value: Any) -> None:
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy([value])[0]):
        assert again == value
        assert type(value) is Char or again is value


def test_threads_that_intern_a_keyword_at_once_get_one_object() -> None:
    for round_ in range(20):
        found: list[Keyword] = []
        barrier = threading.Barrier(8)

        def intern(name: str, found: list[Keyword], barrier: threading.Barrier) -> None:
            barrier.wait()
            found.append(Keyword(name))

        threads = [
            threading.Thread(target=intern, args=(f"fresh/k{round_}", found, barrier))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1


def test_names_read_once_do_not_stay_in_memory_for_ever() -> None:
    for i in range(60_000):
        Keyword(f"once/k{i}")
    gc.collect()
    assert len(Keyword._table) < 50_000


def test_names_cannot_be_changed_or_ordered() -> None:
    with pytest.raises(AttributeError):
        Keyword("a").name = "b"
    with pytest.raises(AttributeError):
        del Symbol("a").name
    with pytest.raises(TypeError):
        sorted([Keyword("a"), Keyword("b")])  # type: ignore[type-var]


@pytest.mark.parametrize(
    "name", ["", ":", "::a", "1a", "a/", "/a", "/", "a/b/c", "a b", "a,b", "-1", "+1", ".5", "a/1",
             'a"', "a;", "a(", "a\\b", "a@", "'a", "a\x00", "a\n", "\ud800", "a/:b", "#a"]
)  # fmt: skip
def test_text_that_is_no_keyword_is_refused(name: str) -> None:
    with pytest.raises(ValueRefused):
        Keyword(name)


@pytest.mark.parametrize("name", [None, 1, b"a", Keyword("a"), ["a"]])
def test_only_text_makes_a_keyword_or_a_symbol(name: Any) -> None:
    for kind in (Keyword, Symbol):
        with pytest.raises(ValueRefused):
            kind(name)


@pytest.mark.parametrize("name", ["nil", "true", "false", "1", "a/", ":a", ""])
def test_text_that_is_no_symbol_is_refused(name: str) -> None:
    with pytest.raises(ValueRefused):
        Symbol(name)


def test_namespace_and_local_name() -> None:
    assert (Keyword("a.b/c").namespace, Keyword("a.b/c").local) == ("a.b", "c")
    assert (Keyword("c").namespace, Keyword("c").local) == (None, "c")
    assert (Symbol("/").namespace, Symbol("/").local) == (None, "/")


def test_one_true_and_one_point_zero_are_three_keys_and_three_elements() -> None:
    keys = [1, True, 1.0, Decimal("1"), Decimal("1.0"), "1", Keyword("x"), ":x", Symbol("x")]
    assert len(Map((key, None) for key in keys)) == len(keys)
    assert len(Set(keys + keys)) == len(keys)
    assert 1 not in Map({True: 1})
    assert True not in Map({1: 1})
    assert [Map((k, i) for i, k in enumerate(keys))[k] for k in keys] == list(range(len(keys)))


def test_zeros_and_nan_follow_identity() -> None:
    assert len(Set([0.0, -0.0, 0, Decimal("0"), Decimal("-0"), Decimal("0.0")])) == 6
    assert len(Set([float("nan"), -float("nan")])) == 1
    assert float("nan") in Set([float("nan")])


def test_a_map_is_immutable_and_freezes_what_it_is_given() -> None:
    inner = [1, {"b": {2}}]
    made = Map({"a": inner})
    inner.append(3)
    assert made == {"a": [1, {"b": {2}}]}
    assert made["a"][1] == Map({"b": Set([2])})
    with pytest.raises(TypeError):
        made["a"] = 1  # type: ignore[index]
    with pytest.raises(AttributeError):
        made.x = 1  # type: ignore[attr-defined]
    assert hash(made) == hash(Map({"a": (1, Map({"b": Set([2])}))}))


def test_maps_and_sets_equal_their_python_likeness_by_identity() -> None:
    assert Map({"a": 1}) == {"a": 1}
    assert {"a": 1} == Map({"a": 1})  # noqa: SIM300  both sides are asked
    assert Map({"a": 1}) != {"a": True}
    assert Map({"a": 1}) != {"a": object()}
    assert Set([1, 2]) == {1, 2} == frozenset((1, 2))
    assert Set([1]) != {True}
    assert Set([1]) != (1,)
    assert Map() != Set()


def test_map_lookup_of_what_cannot_be_a_key_is_a_missing_key() -> None:
    made = Map({"a": 1})
    assert object() not in made
    assert made.get(object(), 5) == 5
    with pytest.raises(KeyError):
        made[object()]
    assert NAIVE not in Set([1])


def test_set_operations_give_sets() -> None:
    assert type(Set([1, 2]) & Set([2, 3])) is Set
    assert Set([1, 2]) - {2} == Set([1])
    assert Set([1]) <= Set([1, 2])


def test_a_list_is_not_a_vector() -> None:
    assert List((1, 2)) != (1, 2)
    assert (1, 2) != List((1, 2))  # noqa: SIM300  both sides are asked
    assert List((1, 2)) == List([1, 2])
    assert len({List((1,)), (1,)}) == 2
    assert identity(List((1,))) != identity((1,))


@pytest.mark.parametrize(
    "value", [Map([(1, 2), (True, 3)]), Set([1, 1.0]), Tagged("a", 1), List([1])]
)
def test_collections_survive_pickle_and_copy(value: Any) -> None:
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert again == value
        assert identity(again) == identity(value)


@pytest.mark.parametrize("tag", ["inst", "uuid", "bytes", "_a", "-a", "a/b/c"])
def test_tags_with_a_meaning_or_without_a_letter_are_refused(tag: str) -> None:
    with pytest.raises(ValueRefused):
        Tagged(tag, 1)


class _Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "object is no EDN value"),
        ([1, {"a": object()}], "at [1]['a']"),
        ({"a": {object()}}, "object is no EDN value, at ['a']"),
        (int, "type is no EDN value"),
        (_Colour.RED, "_Colour is no EDN value"),
        (OrderedDict(a=1), "OrderedDict is no EDN value"),
        (bytearray(b"x"), "bytearray is no EDN value"),
        (dt.date(2020, 1, 1), "date is no EDN value"),
        (NAIVE, "has no time zone"),
        ([NAIVE], "has no time zone, at [0]"),
        ("a\ud800", "lone surrogate U+D800"),
        ({"k": ["x", "\udfff"]}, "lone surrogate U+DFFF, at ['k'][1]"),
        (Decimal("NaN"), "is no number"),
        ([Decimal("Infinity")], "is no number, at [0]"),
        (Tagged("t", "\ud800"), "lone surrogate U+D800, at .t"),
        (1j, "complex is no EDN value"),
    ],
)
def test_what_is_no_value_is_refused_by_type_and_path(value: Any, words: str) -> None:
    with pytest.raises(ValueRefused) as caught:
        encode(value)
    assert words in caught.value.message


def test_a_refusal_says_what_to_do() -> None:
    for value, words in [
        (bytearray(), "bytes(...)"),
        (OrderedDict(), "pass dict(...)"),
        (dt.date(2020, 1, 1), "aware datetime"),
        (NAIVE, "timezone.utc"),
        (_Colour.RED, "pass int(...)"),
    ]:
        with pytest.raises(ValueRefused) as caught:
            encode(value)
        assert words in str(caught.value.hint)


def test_limits_are_named_when_they_are_met() -> None:
    deep: Any = 1
    for _ in range(LIMITS.nesting + 1):
        deep = [deep]
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for value, limit in [
        (deep, "nesting"),
        (cyclic, "nesting"),
        (10**LIMITS.number_digits, "number_digits"),
        (-(10**LIMITS.number_digits), "number_digits"),
        (Fraction(1, 10**LIMITS.number_digits), "number_digits"),
        (Decimal((0, (1,), LIMITS.exponent + 1)), "exponent"),
        (Decimal((0, (1,) * (LIMITS.number_digits + 1), 0)), "number_digits"),
    ]:
        for act in (encode, write):
            with pytest.raises(LimitExceeded) as caught:
                act(value)
            assert caught.value.data["limit"] == limit
    for act in (identity, freeze):
        with pytest.raises(LimitExceeded):
            act(deep)
        with pytest.raises(LimitExceeded):
            act(cyclic)


def test_values_at_the_limits_are_kept() -> None:
    deep: Any = 1
    for _ in range(LIMITS.nesting):
        deep = (deep,)
    for value in (
        deep,
        10**LIMITS.number_digits - 1,
        Decimal((0, (9,) * LIMITS.number_digits, -LIMITS.exponent)),
    ):
        assert identity(read(write(value))) == identity(value)


@given(instants)
def test_instants_are_exact_integers(value: dt.datetime) -> None:
    assert from_micros(micros(value)) == value


@given(instants, st.integers(-1439, 1439))
def test_the_offset_of_an_instant_is_not_part_of_it(value: dt.datetime, minutes: int) -> None:
    zone = dt.timezone(dt.timedelta(minutes=minutes))
    try:
        shifted = value.astimezone(zone)
    except OverflowError:
        return
    assert identity(shifted) == identity(value)
    assert encode(shifted) == encode(value)
    assert write(shifted) == write(value)


def test_instants_outside_the_calendar_are_refused() -> None:
    with pytest.raises(ValueRefused):
        from_micros(2**63 - 1)


@given(values, values)
def test_identity_is_equal_exactly_when_the_canonical_bytes_are(a: Any, b: Any) -> None:
    assert (identity(a) == identity(b)) == (encode(a) == encode(b))
    assert hash(identity(a)) == hash(identity(freeze(a)))


@given(st.lists(st.tuples(atoms, atoms), max_size=8))
def test_a_map_behaves_as_a_dict_of_identities(pairs: list[tuple[Any, Any]]) -> None:
    model = {identity(key): identity(value) for key, value in pairs}
    made = Map(pairs)
    assert {identity(key): identity(value) for key, value in made.items()} == model
    assert all(key in made and identity(made[key]) == model[identity(key)] for key, _ in pairs)
    assert Map(reversed(list(made.items()))) == made
    assert hash(Map(reversed(list(made.items())))) == hash(made)


@given(st.lists(st.tuples(values, values), max_size=8))
def test_views_of_a_map_go_by_the_identity_of_values(pairs: list[tuple[Any, Any]]) -> None:
    made = Map(pairs)
    keys, items = [*made], [*made.items()]
    assert [identity(key) for key, _ in items] == [identity(key) for key in keys]
    assert [*map(identity, made.values())] == [identity(made[key]) for key in keys]
    assert len(made.items()) == len(made.values()) == len(made)
    views = made.keys(), made.items()
    assert all(item[0] in views[0] and item in views[1] for item in items)
    one = Map({1: "a"})
    assert (True, "a") not in one.items() and (1, "a") in one.items()
    assert not one.keys() & {True} and one.keys() & {1}


@given(values)
@example(dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))))
@example({dt.datetime(2026, 3, 1, fold=1, tzinfo=dt.UTC): 1})
def test_a_value_in_order_is_as_its_canonical_bytes_give_it_back(value: Any) -> None:
    frozen = freeze(value)
    made = in_order(frozen)
    assert encode(made) == encode(frozen)
    assert repr(made) == repr(decode(encode(frozen)))
    assert in_order(made) is made
