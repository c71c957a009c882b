"""The runs in tests/vectors/trace.json, as a store writes them.

    python -m tests.effects.trace_vectors  writes the file anew, which only a new format asks for

Ids and clock are fixed, so every store writes the same facts. An agent is let in, is denied, fails,
works in scopes of its own, draws and writes; then it is rewound, and interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from persistence import FrozenClock, Keyword, Substrate, write
from persistence.effects import (
    Around,
    Budget,
    Call,
    Run,
    Step,
    Terminal,
    Trace,
    drawing,
    facts,
    policy,
)
from persistence.errors import EffectDenied, EffectFailed
from persistence.values import encode

FILE: Final = Path(__file__).parents[1] / "vectors" / "trace.json"
START: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
RUN: Final = UUID("00000000-0000-4000-8000-000000000001")
SEED: Final = 7
RULES: Final = '[{:effect :deny :op "bank/*" :id "no-payments"} {:effect :allow :op "*"}]'

ABOUT: Final = (
    "A run, and the beginning of another that goes on from it; docs/formats.md tells how each part "
    "is made. Bytes are hex, other values are EDN. Of a step, said is the vector whose canonical "
    "bytes are bytes, id their content id; asked are the bytes of operation and arguments, key is "
    "the idempotency key. Of a run, ends is the vector of how it ended, digest the content id of "
    "the bytes of that and the ids of its steps, in their order. facts are what a store holds; a "
    "reference is told by the id of what it refers to. draws are by seed, scope and occurrence."
)


def agent(run: Run) -> Any:
    """Whatever can become of a step."""
    found = [run.perform("tool/search", query="tea"), run.perform("tool/search", query="tea")]
    for op, kind in (("bank/pay", EffectDenied), ("tool/fail", EffectFailed)):
        try:
            run.perform(op, amount=500)
        except kind:
            pass
    for label in ("arm", "arm", 1):
        run.scope(label).perform("model/chat", messages=[{"role": "user", "content": "Hi"}])
    run.transact([{"db/id": "tea", "item/name": "tea"}])
    return {"found": found, "late": run.now(), "drawn": run.random() < 1}


def handlers(clock: FrozenClock) -> list[Around | Terminal]:
    def search(query: str) -> Any:
        clock.advance(1_500)
        return [query, 1, 1.0, {"hits": 2, Keyword("by"): None}]

    def fail(amount: int) -> None:
        raise KeyError("seat")

    def chat(messages: Any) -> Any:
        return {"content": "Hi!", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}

    tools = {"tool/search": search, "tool/fail": fail, "model/chat": chat, "bank/pay": fail}
    return [policy(RULES), Terminal("tools", tools)]


def runs(uri: str) -> tuple[list[Trace], list[dict[str, Any]]]:
    """The two runs, and the facts of the store about them."""
    clock = FrozenClock(START)
    with Substrate.open(uri, clock=clock) as s:
        options = {"seed": SEED, "budget": Budget(tokens=1_000)}
        given = {"id": RUN, "meta": {"team": "tea"}, "code": "agent 1"}
        with s.effect.run("shop", handlers(clock), **options, **given) as run:
            run.result = agent(run)
        clock.advance(1_000_000)
        again = s.effect.resume(RUN, handlers(clock), upto=2, seed=SEED)
        try:
            with again:
                again.perform("tool/search", query="tea")
                again.perform("tool/search", query="tea")
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
        ids = [RUN, again.id]
        return [s.effect.trace(id) for id in ids], [_facts(s, id) for id in ids]


def _facts(s: Substrate, id: UUID) -> dict[str, Any]:
    db = s.fact.db()
    steps = db.q(
        "[:find ?n ?s :in $ ?id :where [?r :run/id ?id] [?s :step/run ?r] [?s :step/n ?n]]", id
    )
    return {
        "run": _entity(db.pull("[* {:run/parent [:run/id]}]", [facts.RUN_ID, id])),
        "steps": [_entity(db.pull("[* {:step/run [:run/id]}]", e)) for _, e in sorted(steps)],
    }


def _entity(pulled: Mapping[Keyword, Any]) -> dict[str, str]:
    told = {str(name): write(_plain(value)) for name, value in pulled.items()}
    new = {name: "a new UUID" for name in (":run/holder",) if name in told}
    return dict(sorted((told | new).items() - {(":db/id", told[":db/id"])}))


def _plain(value: Any) -> Any:
    """A value, or the facts that were pulled of what a reference refers to."""
    return dict(value) if isinstance(value, Mapping) else value


def vectors(uri: str) -> dict[str, Any]:
    """What the file holds, made by a new store at *uri*."""
    traces, held = runs(uri)
    new = str(traces[1].id)
    made = {
        "about": ABOUT,
        "steps": [_step(step, traces[0].id) for step in traces[0]],
        "runs": [_run(trace, each) for trace, each in zip(traces, held, strict=True)],
        "draws": [_draw(*each) for each in ((7, (), 0), (7, (), 1), (7, ("arm",), 0), (-1, (), 0))],
        "attributes": sorted(
            str(each) for name, each in vars(facts).items()
            if name.startswith(("RUN_", "STEP_")) and isinstance(each, Keyword)
        ),
        "declarations": [_declaration(each) for each in facts.DECLARATIONS],
    }  # fmt: skip
    found: dict[str, Any] = json.loads(json.dumps(made).replace(new, "a new UUID"))
    return found


def _step(step: Step, run: UUID) -> dict[str, Any]:
    args = {key.name: value for key, value in step.args.items()}
    call = Call(step.op, args, step.scope, step.place, step.occurrence, run)
    return {
        "said": write(step.said),
        "bytes": encode(step.said).hex(),
        "id": step.id.hex(),
        "asked": step.asked.hex(),
        "key": str(call.key),
    }


def _run(trace: Trace, held: Mapping[str, Any]) -> dict[str, Any]:
    ends = (1, trace.name, trace.status, trace.result, trace.error)
    return {
        "id": str(trace.id),
        "ends": write(ends),
        "order": [step.n for step in trace.ordered],
        "encoded": trace.encoded.hex(),
        "digest": trace.digest.hex(),
        "facts": held,
    }


def _draw(seed: int, scope: Any, occurrence: int) -> dict[str, Any]:
    run = Run("dice", [drawing(seed)])
    at = run
    for label in scope:
        at = at.scope(label)
    drawn = [at.random() for _ in range(occurrence + 1)][-1]
    return {"seed": seed, "scope": write(scope), "occurrence": occurrence, "drawn": repr(drawn)}


def _declaration(form: Mapping[str, Any]) -> dict[str, str]:
    return {name: write(value) for name, value in form.items()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(":memory:"), indent=1, ensure_ascii=False) + "\n", "utf-8")
