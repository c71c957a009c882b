"""Runs are pinned by tests/vectors/trace.json: what a store writes, and what ids are made of.

The second half makes every part again as docs/formats.md tells, out of BLAKE3 and canonical bytes,
and of nothing of `persistence.effects`.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid5

import blake3
import pytest

from persistence.values import CONTEXTS, Keyword, compare, encode, read
from tests.effects.trace_vectors import FILE, vectors

VECTORS = json.loads(FILE.read_text("utf-8"))
STEPS: list[dict[str, Any]] = VECTORS["steps"]
FIRST, SECOND = VECTORS["runs"]
FACTS: list[dict[str, str]] = FIRST["facts"]["steps"]


def test_every_store_writes_these_runs(store_uri: str) -> None:
    assert vectors(store_uri) == VECTORS


def test_each_status_and_each_kind_of_scope_is_there() -> None:
    said = [read(step["said"]) for step in STEPS]
    assert {str(each[5]) for each in said} == {":done", ":denied", ":failed"}
    assert [*dict.fromkeys(json.dumps(fact.get(":step/scope")) for fact in FACTS)] == [
        "null", '"[\\"arm\\"]"', '"[\\"arm\\" (1)]"', '"[1]"',
    ]  # fmt: skip
    assert {name for fact in FACTS for name in fact} < {*VECTORS["attributes"]}


# ------------------------------------------------------ as docs/formats.md tells


def digest(data: bytes) -> str:
    return blake3.blake3(data, derive_key_context=CONTEXTS["trace"]).hexdigest()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_a_vector_of_what_it_says(step: dict[str, str]) -> None:
    said = read(step["said"])
    assert len(said) == 8
    assert encode(said).hex() == step["bytes"]
    assert digest(bytes.fromhex(step["bytes"])) == step["id"]
    assert encode((said[3], said[4])).hex() == step["asked"]


@pytest.mark.parametrize("step", STEPS)
def test_a_call_has_the_key_of_its_place_among_equal_calls(step: dict[str, str]) -> None:
    scope, _, occurrence, op, args, *_ = read(step["said"])
    name = encode((scope, op, args, occurrence)).hex()
    assert str(uuid5(UUID(FIRST["id"]), name)) == step["key"]


@pytest.mark.parametrize(("step", "fact"), [*zip(STEPS, FACTS, strict=True)])
def test_facts_leave_out_what_follows_from_the_rest(
    step: dict[str, str], fact: dict[str, str]
) -> None:
    def value(name: str, otherwise: Any) -> Any:
        return read(fact[f":step/{name}"]) if f":step/{name}" in fact else otherwise

    said = (
        value("scope", ()),
        value("place", value("n", None)),
        value("occurrence", 0),
        value("op", None),
        value("args", None),
        value("status", None),
        value("result", None),
        value("error", None),
    )
    assert encode(said).hex() == step["bytes"]
    assert value("id", None).hex() == step["id"]


def test_steps_are_in_the_order_of_scope_and_place() -> None:
    said = [read(step["said"]) for step in STEPS]
    for one, other in zip(FIRST["order"], FIRST["order"][1:], strict=False):
        sign = compare(said[one][0], said[other][0])
        assert sign < 0 or (sign == 0 and said[one][1] < said[other][1])


@pytest.mark.parametrize("run", [FIRST, SECOND])
def test_a_run_is_its_end_and_its_steps(run: dict[str, Any]) -> None:
    ends = encode(read(run["ends"]))
    steps = [STEPS[n] for n in run["order"]]  # the second begins with the first two of the first
    encoded = ends + b"".join(bytes.fromhex(step["bytes"]) for step in steps)
    assert encoded.hex() == run["encoded"]
    assert digest(ends + b"".join(bytes.fromhex(step["id"]) for step in steps)) == run["digest"]
    assert read(run["facts"]["run"][":run/digest"]).hex() == run["digest"]


def test_a_run_that_goes_on_from_another_holds_its_own_steps_only() -> None:
    assert SECOND["facts"]["run"][":run/upto"] == "2" and SECOND["facts"]["steps"] == []
    parent = read(SECOND["facts"]["run"][":run/parent"])[Keyword("run/id")]
    assert str(parent) == FIRST["id"] and SECOND["order"] == [0, 1]


@pytest.mark.parametrize("draw", VECTORS["draws"])
def test_a_draw_is_made_of_the_seed_and_its_place(draw: dict[str, Any]) -> None:
    found = digest(encode((draw["seed"], read(draw["scope"]), draw["occurrence"])))
    assert int(found[:16], 16) // 2**11 / 2**53 == float(draw["drawn"])
