"""Plans are pinned by tests/vectors/plans.json, and so are the facts of plans, searches and skills.

Ids are made again as docs/formats.md tells, out of BLAKE3 and canonical bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import blake3
import pytest

from persistence.plans import Plan
from persistence.values import CONTEXTS, Keyword, Map, encode, read, value_id
from tests.plans.plan_vectors import FILE, vectors

VECTORS = json.loads(FILE.read_text("utf-8"))
PLANS: list[dict[str, Any]] = VECTORS["plans"]
FACTS: dict[str, list[dict[str, str]]] = VECTORS["facts"]


def test_every_store_writes_these_facts(store_uri: str) -> None:
    assert json.loads(json.dumps(vectors(store_uri))) == VECTORS


def test_each_attribute_is_told_of_some_entity() -> None:
    told = {name for each in FACTS.values() for entity in each for name in entity}
    assert {*VECTORS["attributes"]} - told == {":evidence/bound"}


# ------------------------------------------------------ as docs/formats.md tells


def made(form: Any, path: Sequence[int] = ()) -> list[tuple[list[int], bytes, bytes]]:
    """Path, bytes and id of every step of a plan as it was read, in the order of the text."""
    tag, attributes, *children = form
    below = [made(child, (*path, n)) for n, child in enumerate(children)]
    content = encode((tag, attributes, tuple(each[0][2] for each in below)))
    id = blake3.blake3(content, derive_key_context=CONTEXTS["plan"]).digest()
    return [([*path], content, id), *(step for each in below for step in each)]


@pytest.mark.parametrize("plan", PLANS)
def test_an_id_is_of_tag_attributes_and_the_ids_of_the_children(plan: dict[str, Any]) -> None:
    steps = made(read(plan["text"]))
    assert [(path, content.hex(), id.hex()) for path, content, id in steps] == [
        (step["path"], step["bytes"], step["id"]) for step in plan["steps"]
    ]
    assert steps[0][2].hex() == plan["id"] == Plan(plan["text"]).id.hex()
    assert str(Plan(plan["text"])) == plan["text"]


def test_facts_name_plans_and_states_by_their_ids() -> None:
    (skill,), (state,), (node,) = FACTS["skill"], FACTS["state"], FACTS["node"]
    plan = made(read(read(skill[":skill/plan"])))
    assert read(skill[":skill/plan-id"]) == plan[0][2]
    assert read(state[":search-state/id"]) == value_id(read(state[":search-state/value"]))
    content = encode((read(node[":node/tag"]), read(node[":node/attrs"]), ()))
    id = blake3.blake3(content, derive_key_context=CONTEXTS["plan"]).digest()
    assert read(node[":node/id"]) == id == plan[1][2]


def test_a_run_of_a_plan_tells_the_plan_and_its_parameters() -> None:
    (run,), (plan,) = FACTS["run"], FACTS["plan"]
    meta = read(run[":run/meta"])
    assert meta[Keyword("plan/id")] == read(plan[":plan/root"])
    assert meta[Keyword("plan/params")] == Map({Keyword("n"): 1})
    assert read(run[":run/plan"]) != meta[Keyword("plan/id")]  # that which it went on with
