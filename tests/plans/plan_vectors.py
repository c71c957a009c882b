"""The plans in tests/vectors/plans.json, and the facts of plans, searches and skills.

python -m tests.plans.plan_vectors    writes the file anew, which only a new format asks for
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from persistence import FrozenClock, Keyword, Substrate, write
from persistence.plans import KINDS, Node, Plan
from persistence.plans.node import walk
from persistence.search import Evolve, Proposed, Scored, Searches
from persistence.skills import Approval, measured
from persistence.values import encode

FILE: Final = Path(__file__).parents[1] / "vectors" / "plans.json"
START: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
SEARCH: Final = UUID("00000000-0000-4000-8000-000000000002")

ABOUT: Final = (
    "Plans, one of each kind of step and one of several, and what a store holds of plans, a search "
    "and a skill; docs/formats.md tells how each part is made. Bytes are hex, other values are "
    "EDN. Of a step, bytes are those of the vector of its tag, its attributes and the ids of its "
    "children, id their content id. facts are those of one entity of each sort, where a reference "
    "is told by what it is unique by; attributes are all there may be."
)

TEXTS: Final = (
    "[:seq {}]",
    "[:par {:max 2} [:seq {}] [:seq {}]]",
    "[:choice {:when [(< $ 3) :else]} [:seq {}] [:seq {}]]",
    '[:case {:on $ :of ["a" 1 1.0]} [:seq {}] [:seq {}] [:seq {}] [:seq {}]]',
    "[:loop {:for x :in [1 2]} [:ref {:name x}]]",
    "[:race {} [:seq {}]]",
    "[:let {:name n :value 1M} [:ref {:name n}]]",
    '[:branch {:name "try" :merge true} [:seq {}]]',
    '[:ref {:name city :params [city] :doc "Zürich"}]',
    '[:tool-call {:tool :tool/search :args {:query "tea" :k 3} :retries 2}]',
    '[:llm-call {:model "m" :prompt "How much?" :options {:temperature 0.0}}]',
    '[:code {:source "result = 1" :input {:n 1/3} :seconds 0.5}]',
    '[:checkpoint {:name "paid" :id "c"}]',
    '[:reflect {:prompt "So?"} [:seq {}]]',
    "[:verify {:that (not (empty? $))} [:seq {}]]",
    '[:call-skill {:skill :skill/x :args {:day #inst "2026-01-01T00:00:00Z"}}]',
    "[:seq {:params [n]} [:tool-call {:tool :double :args {:n n}}]"
    ' [:par {} [:seq {}] [:checkpoint {:name "ü"}] [:seq {}]]]',
)

TWICE: Final = Plan("[:seq {:params [n]} [:tool-call {:tool :double :args {:n n}}]]")
ONCE: Final = Plan("[:seq {:params [n]} [:tool-call {:tool :same :args {:n n}}]]")
TOOLS: Final = {"double": lambda n: 2 * n, "same": lambda n: n}


def vectors(uri: str) -> dict[str, Any]:
    """What the file holds, made by a new store at *uri*."""
    with Substrate.open(uri, clock=FrozenClock(START)) as s:
        _planned(s)
        _searched(s)
        _skilled(s)
        return {
            "about": ABOUT,
            "plans": [_plan(Plan(text)) for text in TEXTS],
            "facts": dict(_facts(s)),
            "attributes": _attributes(s),
        }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "text": str(plan),
        "id": plan.id.hex(),
        "steps": [_step(path, node) for path, node in walk(plan.root)],
    }


def _step(path: tuple[int, ...], node: Node) -> dict[str, Any]:
    content = (node.tag, node.attrs, tuple(child.id for child in node.children))
    return {"path": path, "bytes": encode(content).hex(), "id": node.id.hex()}


def _planned(s: Substrate) -> None:
    s.plan.save("twice", TWICE)
    try:
        s.plan.run("twice", TOOLS, params={"n": 1}, id=SEARCH, stop=lambda path: path == (0,))
    except BaseException as stopped:
        assert type(stopped).__name__ == "PlanStopped"
    s.plan.resume(SEARCH, TOOLS, plan=ONCE)


def _searched(s: Substrate) -> None:
    """A search that judges a root, a child of one parent and one of two, and tells what it cost."""
    searches = Searches(s._connection, now=lambda: 0.0)

    def propose(n: int) -> Any:
        return Proposed([("up", n + 1, 0.5), (None, n + 2)], tokens=3, cost=0.25)

    def cross(a: int, b: int) -> Any:
        return [("between", (a + b) * 10)]

    optimiser = Evolve(population=2, tournament=1, elite=2, crossover=cross, crossing=1.0)
    budget = {"iterations": 6, "tokens": 1_000}
    searches(0, propose, lambda n: Scored(n, 2, 0.5), budget=budget, optimiser=optimiser, id=SEARCH)


def _skilled(s: Substrate) -> None:
    runs = [
        (
            f"task {n}",
            s.plan.run(TWICE, TOOLS, params={"n": n}, id=UUID(int=2 * n + 100)).id,
            s.plan.run(ONCE, TOOLS, params={"n": n}, id=UUID(int=2 * n + 101)).id,
        )
        for n in range(1, 9)
    ]
    shown = measured(s.effect.trace, runs, lambda trace: float(trace.result), training=("task 0",))
    today = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    s.plan.skills.promote(
        "twice", TWICE, evidence=shown, approver=lambda asked: Approval("ana", today, "it doubles")
    )
    s.plan.skills.retire("twice", "it doubles no more")


_SORTS: Final = {
    "plan": "[:find [?e ...] :where [?e :plan/name]]",
    "node": "[:find [?e ...] :where [?e :node/tag :tool-call] [?e :node/attrs ?a]"
    " [(get ?a :tool) ?tool] [(= ?tool :double)]]",
    "run": "[:find [?e ...] :where [?e :run/plan]]",
    "search": "[:find [?e ...] :where [?e :search/id]]",
    "state": '[:find [?e ...] :where [?e :search-state/value 0]]',
    "iterations": "[:find [?e ...] :where [?e :iteration/n]]",
    "expansions": "[:find [?e ...] :where [?e :expansion/n]]",
    "skill": "[:find [?e ...] :where [?e :skill/name]]",
    "evidence": "[:find [?e ...] :where [?e :evidence/gain]]",
}  # fmt: skip
_SPACES: Final = (
    "plan",
    "node",
    "search",
    "search-state",
    "iteration",
    "expansion",
    "skill",
    "evidence",
)
_UNIQUE: Final = ("run/id", "search/id", "search-state/id", "skill/name")


def _facts(s: Substrate) -> Iterator[tuple[str, Any]]:
    db = s.fact.db()
    for sort, query in _SORTS.items():
        yield sort, [_entity(s, e) for e in sorted(db.q(query))]


def _entity(s: Substrate, e: int) -> dict[str, str]:
    held = {str(name): _told(s, value) for name, value in s.fact.db().pull("[*]", e).items()}
    changing = {":run/digest", ":run/holder", ":evidence/bound", ":db/id"}  # by build, or by run
    return {name: told for name, told in sorted(held.items()) if name not in changing}


def _told(s: Substrate, value: Any) -> str:
    """A value; of a reference what it refers to, by what that is unique by."""
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        inner = [_told(s, each) for each in value]
        return inner[0] if len(inner) == 1 else f"[{' '.join(inner)}]"
    if not isinstance(value, Mapping) or Keyword("db/id") not in value:
        return write(dict(value) if isinstance(value, Mapping) else value)
    held = s.fact.db().pull("[*]", value[Keyword("db/id")])
    named = [Keyword(name) for name in _UNIQUE if Keyword(name) in held]
    return f"[{named[0]} {write(held[named[0]])}]" if named else "another entity"


def _attributes(s: Substrate) -> list[str]:
    """All attributes of plans, searches and skills that a fact of the store has."""
    found = {datom.a for datom in s.fact.db().history().datoms("eavt")}
    return sorted(str(a) for a in found if a.namespace in _SPACES or a is Keyword("run/plan"))


assert {Plan(text).root.tag for text in TEXTS} == {*KINDS}

if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(":memory:"), indent=1, ensure_ascii=False) + "\n", "utf-8")
