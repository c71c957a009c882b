"""What holds for every spec: the parser, the schema and the strategy speak of the same values."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import SpecError
from persistence.specs import as_json, conform, explain, is_valid, json_schema, strategy
from persistence.values import Keyword, Map
from tests.specs.specs import KINDS, REGISTRY, Item, Node, Order, json_values, names, odd_values

DRAWN = {name: strategy(spec, registry=REGISTRY) for name, spec in KINDS.items()}
JUDGES = {
    name: jsonschema.Draft202012Validator(json_schema(spec, registry=REGISTRY))
    for name, spec in KINDS.items()
}

# Text may stand for several things here, so the JSON form is read back as the first of them.
AMBIGUOUS = {"json", "open keys"}
drawn = names.flatmap(lambda name: st.tuples(st.just(name), DRAWN[name]))


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(JUDGES[name].schema)
    json.dumps(JUDGES[name].schema)


@pytest.mark.parametrize("name", sorted(KINDS))
@given(data=st.data())
def test_what_the_strategy_draws_conforms_to_itself(name: str, data: st.DataObject) -> None:
    value = data.draw(DRAWN[name])
    assert same(conform(KINDS[name], value, registry=REGISTRY), value)


@given(drawn)
def test_the_json_form_is_accepted_by_the_schema_and_read_back(drawn: tuple[str, Any]) -> None:
    name, value = drawn
    form = json.loads(json.dumps(as_json(value)))
    JUDGES[name].validate(form)
    found = conform(KINDS[name], form, registry=REGISTRY)
    assert name in AMBIGUOUS or same(found, value)


@given(names, json_values)
def test_what_the_schema_refuses_the_spec_refuses(name: str, value: Any) -> None:
    if not JUDGES[name].is_valid(value):
        assert not is_valid(KINDS[name], value, registry=REGISTRY)


@given(names, names.flatmap(DRAWN.get), json_values | odd_values)
def test_to_conform_is_idempotent_and_explained_or_refused(
    name: str, drawn: Any, other: Any
) -> None:
    for value in (drawn, other):
        spec = KINDS[name]
        problems = explain(spec, value, registry=REGISTRY)
        try:
            found = conform(spec, value, registry=REGISTRY)
        except SpecError as refused:
            assert refused.data["problems"] == problems != []
            assert all(problem.reason and problem.fix and str(problem) for problem in problems)
        else:
            assert problems == []
            assert same(conform(spec, found, registry=REGISTRY), found)


@pytest.mark.parametrize("cls", [Order, Item, Node])
@given(data=st.data())
def test_a_problem_leads_to_the_place_that_was_changed(cls: type, data: st.DataObject) -> None:
    form = as_json(data.draw(strategy(cls)))
    places = [path for path in leaves(form) if path]
    path = data.draw(st.sampled_from(places))
    damaged = copy.deepcopy(form)
    inside = damaged
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = {"never": "this"} if not isinstance(inside[path[-1]], dict) else 7
    (problem,) = explain(cls, damaged)[:1]
    assert problem.path[: len(path)] == path


def leaves(form: Any) -> list[tuple[Any, ...]]:
    """The paths of all parts of a JSON value."""
    if isinstance(form, dict):
        parts = list(form.items())
    elif isinstance(form, list):
        parts = list(enumerate(form))
    else:
        parts = []
    return [(), *((key, *path) for key, item in parts for path in leaves(item))]


@given(strategy(Order), st.data())
def test_a_misspelled_key_is_told_with_the_one_that_was_meant(
    order: Order, data: st.DataObject
) -> None:
    form = as_json(order)
    key = data.draw(st.sampled_from(["items", "notes"]))
    form[key + "s"] = form.pop(key)
    (problem,) = explain(Order, form)
    assert problem.path == (key + "s",)
    assert f'did you mean "{key}"' in problem.fix


@given(strategy(Item))
def test_data_from_edn_conforms_like_data_from_json(item: Item) -> None:
    form = Map({Keyword(key): value for key, value in as_json(item).items()})
    assert conform(Item, form) == item
