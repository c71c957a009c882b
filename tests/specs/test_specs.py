"""What specs promise beyond the laws: the words of a refusal, limits, names, tools and repair."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from decimal import Decimal
from typing import Annotated, Any, Literal

import attrs
import pytest

from persistence import specs
from persistence.errors import InputError, SpecError
from persistence.specs import (
    Attempt,
    Registry,
    Specs,
    as_json,
    bounded,
    conform,
    explain,
    is_valid,
    json_schema,
    keys,
    number,
    pred,
    ref,
    regex,
    repair,
    seq,
    sized,
    strategy,
    tagged,
    tool,
)
from persistence.values import Keyword, List, Map, Set, read
from tests.specs.specs import Circle, Item, Node, Order, Point, Size


def said(spec: Any, value: Any, **options: Any) -> list[str]:
    return [str(problem) for problem in explain(spec, value, **options)]


# Types


def test_types_are_told_apart_as_edn_does() -> None:
    assert not is_valid(int, True)
    assert not is_valid(int, 1.0)
    assert not is_valid(bool, 1)
    assert not is_valid(str, Keyword("a"))
    assert not is_valid(Literal[1], True)
    assert not is_valid(Decimal, 0.5)


def test_an_int_is_taken_for_a_float_where_it_is_exactly_one() -> None:
    assert type(conform(float, 3)) is float
    assert not is_valid(float, 2**53 + 1)
    assert not is_valid(float, 10**400)


def test_a_number_keeps_its_kind_in_a_union() -> None:
    assert [type(conform(float | int, value)) for value in (1, 1.0)] == [int, float]


def test_floats_are_finite_unless_asked_for() -> None:
    infinity = float("inf")
    assert said(float, infinity) == [
        "$: expected a finite number, found inf - give a number such as 10.5, without quotes"
    ]
    assert conform(number(finite=False), infinity) == infinity
    assert not is_valid(bounded(0, 1.5), float("nan"))


def test_what_json_lacks_comes_as_text() -> None:
    when = dt.datetime(2026, 4, 14, 9, 30, tzinfo=dt.UTC)
    assert conform(dt.datetime, "2026-04-14T09:30:00Z") == when
    assert conform(dt.datetime, "2026-04-14T11:30:00.000+02:00") == when
    assert conform(Decimal, "10.50") == Decimal("10.50")
    assert conform(bytes, "aGVsbG8=") == b"hello"
    assert conform(Keyword, ":user/name") is Keyword("user/name")


@pytest.mark.parametrize(
    "text", ["2026-04-14", "2026-04-14T09:30:00", "2026-02-30T00:00:00Z", "today", "20260414T0930Z"]
)
def test_an_instant_needs_date_time_and_offset(text: str) -> None:
    assert not is_valid(dt.datetime, text)


def test_instants_without_a_zone_are_refused() -> None:
    assert "has no time zone" in said(dt.datetime, dt.datetime(2026, 1, 1))[0]  # noqa: DTZ001


def test_edn_values_conform() -> None:
    item = conform(Item, read('{:sku "tea" :price 2 :size "large"}'))
    assert item == Item("tea", 2.0, size=Size.LARGE)
    assert conform(list[int], List([1])) == [1]
    assert conform(set[int], Set([1])) == {1}
    assert conform(dict[Keyword, int], Map({Keyword("a"): 1})) == {Keyword("a"): 1}


def test_a_namespaced_keyword_names_a_field_by_its_local_part() -> None:
    assert conform(Point, Map({Keyword("place/x"): 1})) == Point(1.0)


def test_a_key_that_comes_twice_is_refused() -> None:
    (problem,) = explain(Point, Map({Keyword("a/x"): 1, "x": 2}))
    assert problem.path == ("x",) and problem.reason == "comes twice"
    assert not is_valid(dict[int, int], {1: 1, "1": 2})


def test_the_fields_of_an_instance_are_held_against_the_spec_too() -> None:
    assert conform(Point, Point(1)) == Point(1.0)
    assert said(Point, Point("x")) == [  # type: ignore[arg-type]
        '$.x: expected a number, found "x" - give a number such as 10.5, without quotes'
    ]


def test_what_a_class_refuses_is_a_problem() -> None:
    @attrs.frozen
    class Even:
        n: int = attrs.field(validator=lambda _, __, n: n % 2 and 1 / 0)

    assert conform(Even, {"n": 2}) == Even(2)
    assert "refuses it: ZeroDivisionError" in said(Even, {"n": 3})[0]


def test_aliases_are_the_keys() -> None:
    order = {"id": "7b0c6e5a-5d5f-4d6e-9a51-0d1f0c3e2b4a", "items": [], "kind": "old"}
    found = conform(Order, {**order, "at": "2026-04-14T09:30:00Z"})
    assert found._kind == "old"
    assert as_json(found)["kind"] == "old"


# The words


def test_a_problem_names_place_reason_found_and_fix() -> None:
    order = {
        "id": "7b0c6e5a-5d5f-4d6e-9a51-0d1f0c3e2b4a",
        "items": [{"sku": "tea", "price": 1}, {"sku": "cup", "price": "ten"}],
        "at": "2026-04-14T09:30:00Z",
    }
    (problem,) = explain(Order, order)
    assert problem.path == ("items", 1, "price")
    assert str(problem).startswith('$.items[1].price: expected a number, found "ten" - give ')


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SpecError, match="3 problems") as refused:
        conform(Item, {"sku": 1, "price": "ten", "size": "huge"})
    assert [p.path for p in refused.value.data["problems"]] == [("sku",), ("price",), ("size",)]
    assert '"small" or "large"' in str(refused.value)


def test_a_misspelled_key_is_told_with_the_one_that_was_meant() -> None:
    assert said(Item, {"sku": "tea", "prise": 1}) == [
        '$.prise: unknown key - did you mean "price"?'
    ]
    assert "the keys are sku, price" in said(Item, {"sku": "tea", "price": 1, "zzz": 1})[0]


def test_a_missing_key_is_told_with_what_to_give() -> None:
    assert said(Item, {"sku": "tea"})[0].startswith("$.price: is missing - give a number from 0")


def test_a_union_tells_the_problems_of_the_closest_arm() -> None:
    (problem,) = explain(Circle | Point | int, {"x": 1, "y": "up"})
    assert problem.path == ("y",)
    assert "expected a whole number or null" in said(int | None, "x")[0]


def test_a_tagged_union_tells_the_problems_of_the_arm_that_was_named() -> None:
    shape = tagged("kind", {"circle": Circle, "dot": keys({"at": tuple[int, int]})})
    assert conform(shape, {"kind": "circle", "r": 2}) == Circle(2.0)
    assert conform(shape, Circle(2.0)) == Circle(2.0)
    assert explain(shape, {"kind": "dot", "at": [1, "x"]})[0].path == ("at", 1)
    assert said(shape, {"kind": "square"}) == [
        '$.kind: names none of the kinds, found "square" - give "circle" or "dot"'
    ]
    assert said(shape, {"at": [1, 2]}) == ['$.kind: is missing - give "circle" or "dot"']


def test_what_was_found_is_shortened_and_containers_are_not_shown() -> None:
    assert len(explain(int, "x" * 10_000)[0].found or "") <= 64
    assert explain(int, {"password": "hunter2"})[0].found == "a map with the keys password"


def test_what_a_field_without_repr_holds_is_not_shown() -> None:
    @attrs.frozen
    class Login:
        user: str
        password: int = attrs.field(repr=False)

    assert "hunter2" not in str(said(Login, {"user": "ada", "password": "hunter2"}))


def test_a_predicate_says_its_reason_and_its_fix() -> None:
    even = pred(int, lambda n: n % 2 == 0, "an even number", "add one")
    assert said(even, 3) == ["$: expected an even number, found 3 - add one"]
    assert "the check raised ZeroDivisionError" in said(pred(int, lambda n: 1 / n, "no zero"), 0)[0]


def test_sizes_and_bounds_are_told() -> None:
    assert (
        "expected 1 to 3 characters, found 4 characters"
        in said(Annotated[str, sized(1, 3)], "four")[0]
    )
    assert "expected a whole number from 0 to 9, found 10" in said(bounded(0, 9), 10)[0]
    assert "at most 2 items" in said(seq(int, max=2), [1, 2, 3])[0]


def test_a_pattern_matches_the_whole_text() -> None:
    assert is_valid(regex("a|b"), "a")
    assert not is_valid(regex("a|b"), "ab")
    assert not is_valid(regex("a"), "a\n")


# Limits


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


LISTS = Registry({"lists": specs.union(int, seq(ref("lists")))})


@pytest.mark.parametrize("depth", [101, 5_000, 200_000])
def test_what_nests_too_deeply_is_refused(depth: int) -> None:
    (problem,) = explain("lists", nested(depth), registry=LISTS)
    assert "nests more than 100 levels deep" in problem.reason
    assert len(str(problem)) < 300


def test_what_nests_less_conforms() -> None:
    assert conform("lists", nested(99), registry=LISTS) == nested(99)


def test_what_holds_itself_is_refused_and_ends() -> None:
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    loop: dict[str, Any] = {"label": "a"}
    loop["children"] = [loop, loop]
    both = Registry({"both": specs.union(seq(ref("both"), 3), seq(ref("both"), 2), list)})
    assert "holds itself" in said("lists", cycle, registry=LISTS)[0]
    assert "holds itself" in said("both", cycle, registry=both)[0]
    assert "holds itself" in said(Node, loop)[0]


def test_unions_in_unions_take_no_time_that_doubles_with_each_level() -> None:
    one, two = keys({"a": ref("t"), "x": int}), keys({"a": ref("t"), "y": int})
    value: Any = 0
    for _ in range(60):
        value = {"a": value, "y": 1}
    assert is_valid("t", value, registry=Registry({"t": specs.union(one, two, int)}))


def test_a_name_of_nothing_but_itself_is_refused() -> None:
    assert not is_valid("a", 1, registry=Registry({"a": ref("a")}))


def test_with_little_of_the_call_stack_left_it_is_still_a_spec_error() -> None:
    def deeper(left: int) -> list[str]:
        return deeper(left - 1) if left else said("lists", nested(99), registry=LISTS)

    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    (problem,) = deeper(sys.getrecursionlimit() - depth - 200)
    assert "nests more than" in problem


def test_the_number_of_problems_is_bounded() -> None:
    assert len(explain(list[int], ["x"] * 100_000)) == 32
    with pytest.raises(SpecError, match="does not conform, the first 32 problems:"):
        conform(list[int], ["x"] * 100_000)
    assert len(explain(list[list[int]], [["x"] * 50] * 50)) == 32
    assert len(explain(Item, {f"key{n}": n for n in range(1_000)})) <= 34


def test_huge_numbers_are_refused_and_not_written_out() -> None:
    (problem,) = explain(int, 10**5_000)
    assert "at most 4096 digits" in problem.reason and len(str(problem)) < 150
    for text in ("1" * 5_000, "1e999999999", "1e99999", "NaN"):
        assert not is_valid(Decimal, text)
    assert not is_valid(dict[int, int], {"1" * 5_000: 1})


# Specs that are none


@pytest.mark.parametrize(
    "make",
    [
        lambda: conform(print, 1),
        lambda: conform(asyncio.Queue, 1),
        lambda: conform({"a": int}, 1),
        lambda: specs.union(),
        lambda: specs.enum(),
        lambda: specs.enum([1]),
        lambda: bounded(),
        lambda: bounded(2, 1),
        lambda: bounded("a", "b"),
        lambda: sized(3, 1),
        lambda: regex("("),
        lambda: regex("(?i)a"),
        lambda: keys({1: int}),
        lambda: keys({"a": int}, {"a": int}),
        lambda: keys({"a": int}, {Keyword("a"): str, ":a": int}),
        lambda: tagged("kind", {}),
        lambda: tagged("kind", {"a": Point}),
        lambda: tagged("kind", {"a": int}),
        lambda: conform(Annotated[int, sized(1)], 1),
        lambda: conform("nobody", 1),
        lambda: Registry({"a": int}).define("a", str),
        lambda: as_json(object()),
        lambda: as_json({1.5: 1}),
        lambda: repair(int, lambda text, value: 1, "x", attempts=0),
        lambda: tool(lambda *args: 1),
        lambda: tool(len),
        lambda: tool(conform, skip=("nobody",)),
    ],
)
def test_a_spec_that_is_none_is_refused(make: Any) -> None:
    with pytest.raises(InputError) as refused:
        make()
    assert not isinstance(refused.value, SpecError)


def test_a_name_that_nobody_defined_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(InputError) as refused:
        conform("tre", 1, registry=Registry({"tree": int}))
    assert refused.value.hint == "did you mean 'tree'?"


# Schemas


def test_classes_and_names_are_written_once() -> None:
    schema = json_schema(Node)
    assert schema["$ref"] == "#/$defs/Node"
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


def test_descriptions_defaults_and_bounds_are_in_the_schema() -> None:
    schema = json_schema(Item)
    assert schema["description"] == "A line of an order."
    assert schema["properties"]["sku"] == {
        "type": "string",
        "description": "the article",
        "minLength": 1,
        "maxLength": 20,
    }
    assert schema["properties"]["price"] == {"type": "number", "minimum": 0, "maximum": 1000}
    assert schema["properties"]["count"]["default"] == 1
    assert schema["additionalProperties"] is False


def test_two_classes_of_one_name_have_two_schemas() -> None:
    def made(kind: Any) -> type:
        return attrs.make_class("Same", {"a": attrs.field(type=kind)})

    assert set(json_schema(tuple[made(int), made(str)])["$defs"]) == {"Same", "Same2"}


def test_the_order_of_equal_unions_is_kept_apart() -> None:
    text, instant = "2026-04-14T09:30:00Z", dt.datetime(2026, 4, 14, 9, 30, tzinfo=dt.UTC)
    assert conform(str | dt.datetime, text) == text
    assert conform(dt.datetime | str, text) == instant


def test_without_hypothesis_a_strategy_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(InputError, match="not installed") as refused:
        strategy(int)
    assert refused.value.hint == "pip install hypothesis"


# Tools


def forecast(city: Annotated[str, "where"], days: Annotated[int, bounded(1, 7)] = 1) -> str:
    """The weather to come.

    More than a model has to know.
    """
    return f"{city} {days}"


def test_a_function_is_described_for_a_model() -> None:
    assert specs.parameters_schema(forecast) == {
        "name": "forecast",
        "description": "The weather to come.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "where"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7, "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_a_function_is_called_with_parsed_arguments_or_not_at_all() -> None:
    found = tool(forecast)
    assert found.call({"city": "Bergen", "days": 2}) == "Bergen 2"
    with pytest.raises(SpecError, match=r"\$\.days"):
        found.call({"city": "Bergen", "days": 8})


def test_parameters_that_no_model_gives_are_left_out() -> None:
    found = tool(forecast, skip=("days",))
    assert found.call({"city": "Bergen"}, days=3) == "Bergen 3"
    with pytest.raises(SpecError, match="unknown key"):
        found.call({"city": "Bergen", "days": 3})


# Repair


def test_repair_asks_with_the_problems_until_the_value_conforms() -> None:
    asked = []

    def ask(problems: str, value: Any) -> Any:
        asked.append((problems, value))
        return {"sku": "tea", "price": 3}

    assert repair(Item, ask, {"sku": "tea", "prise": 3}) == Item("tea", 3.0)
    assert asked == [('$.prise: unknown key - did you mean "price"?', {"sku": "tea", "prise": 3})]


def test_repair_is_bounded_and_its_error_holds_every_attempt() -> None:
    with pytest.raises(SpecError) as refused:
        repair(int, lambda text, value: value + "!", "x", attempts=3)
    tried = refused.value.data["attempts"]
    assert [type(one) for one in tried] == [Attempt] * 3
    assert [one.value for one in tried] == ["x", "x!", "x!!"]
    assert tried[0].text in str(explain(int, "x")[0])


def test_repair_that_is_awaited_does_the_same() -> None:
    async def ask(problems: str, value: Any) -> Any:
        return int(value)

    assert asyncio.run(Specs().arepair(int, ask, "3")) == 3
    with pytest.raises(SpecError) as refused:
        asyncio.run(specs.arepair(str, ask, 3, attempts=2))
    assert len(refused.value.data["attempts"]) == 2


# Names


def test_a_space_takes_names_wherever_it_takes_specs() -> None:
    space = Specs()
    space.define("item", Item)
    space.define("basket", list[ref("item")])  # type: ignore[misc]
    basket = [{"sku": "tea", "price": 1}]
    assert space.conform("basket", basket) == [Item("tea", 1.0)]
    assert space.is_valid("basket", []) and space.explain("basket", [1])
    assert space.json_schema("basket")["$defs"].keys() == {"item", "Item"}
    assert space.predicate("basket")(basket)
    assert space.repair("basket", lambda text, value: basket, 1) == [Item("tea", 1.0)]
    assert space.tool(forecast).name == "forecast"
    assert list(space.registry) == ["item", "basket"]


def test_a_name_is_taken_until_it_is_replaced() -> None:
    space = Specs()
    space.define("a", int)
    before = space.registry
    with pytest.raises(InputError, match="taken"):
        space.define("a", str)
    space.define("a", str, replace=True)
    assert space.is_valid("a", "x")
    assert not is_valid("a", "x", registry=before)
