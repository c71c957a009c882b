"""Runs and steps as facts, and back: what a store holds of a trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from persistence.datoms import Schema
from persistence.db import Db
from persistence.effects.step import BEGUN, DONE, Step
from persistence.effects.trace import FORMAT, RUNNING, Trace
from persistence.errors import TraceError
from persistence.values import Keyword, Map, from_micros, micros

_UNIQUE: Final = Keyword("db.unique/identity")
_REF: Final = Keyword("db.type/ref")

RUN_ID: Final = Keyword("run/id")
RUN_NAME: Final = Keyword("run/name")
RUN_STATUS: Final = Keyword("run/status")
RUN_FORMAT: Final = Keyword("run/format")
RUN_STARTED: Final = Keyword("run/started")
RUN_RESULT: Final = Keyword("run/result")
RUN_ERROR: Final = Keyword("run/error")
RUN_META: Final = Keyword("run/meta")
RUN_CODE: Final = Keyword("run/code")
RUN_PARENT: Final = Keyword("run/parent")
RUN_UPTO: Final = Keyword("run/upto")
RUN_DIGEST: Final = Keyword("run/digest")
RUN_HOLDER: Final = Keyword("run/holder")  # who may add steps: whoever took it up last

STEP_RUN: Final = Keyword("step/run")
STEP_N: Final = Keyword("step/n")
STEP_OP: Final = Keyword("step/op")
STEP_ARGS: Final = Keyword("step/args")
STEP_STATUS: Final = Keyword("step/status")
STEP_RESULT: Final = Keyword("step/result")
STEP_ERROR: Final = Keyword("step/error")
STEP_VERDICT: Final = Keyword("step/verdict")
STEP_COST: Final = Keyword("step/cost")
STEP_SCOPE: Final = Keyword("step/scope")
STEP_PLACE: Final = Keyword("step/place")
STEP_OCCURRENCE: Final = Keyword("step/occurrence")
STEP_AT: Final = Keyword("step/at")
STEP_TOOK: Final = Keyword("step/took")
STEP_ID: Final = Keyword("step/id")

DECLARATIONS: Final = (
    {":db/ident": RUN_ID, ":db/unique": _UNIQUE},
    {":db/ident": RUN_NAME, ":db/index": True},
    {":db/ident": RUN_PARENT, ":db/valueType": _REF},
    {":db/ident": STEP_RUN, ":db/valueType": _REF},
    {":db/ident": STEP_OP, ":db/index": True},
)

_ENTITY: Final = Keyword("db/id")
_T: Final = Keyword("t")
_INSTANT: Final = Keyword("instant")
# Named one by one: that takes half as long as "[*]", which looks for more.
_STEPS: Final = (
    "[:step/n :step/op :step/args :step/status :step/result :step/error :step/verdict :step/cost "
    ":step/scope :step/place :step/occurrence :step/at :step/took :step/id]"
)
_WITHOUT_ERROR: Final = (RUNNING, DONE)  # one on record is of the time before it was resumed
_OF_RUN: Final = "[:find [?s ...] :in $ ?run :where [?s :step/run ?run]]"
_BEGUN: Final = """
    [:find ?s ?n
     :in $ ?run
     :where [?s :step/run ?run] [?s :step/status ?status] [?s :step/n ?n]
            [(contains? #{:begun :aborted} ?status)]]
"""
_LISTED: Final = "[:db/id :run/id :run/name :run/status :run/started]"
_RUNS: Final = "[:find [?id ...] :where [_ :run/id ?id]]"


def missing(schema: Schema) -> list[Mapping[str, Any]]:
    """The declarations that *schema* lacks."""
    return [] if RUN_ID in schema and STEP_OP in schema else [*DECLARATIONS]


def run_form(trace: Trace, parent: Any = None) -> dict[Keyword, Any]:
    """The facts of a run that begins."""
    given = {
        RUN_ID: trace.id,
        RUN_NAME: trace.name,
        RUN_STATUS: trace.status,
        RUN_FORMAT: FORMAT,
        RUN_STARTED: from_micros(trace.started),
        RUN_META: Map(trace.meta) if trace.meta else None,
        RUN_CODE: trace.code,
        RUN_PARENT: parent,
        RUN_UPTO: trace.upto,
    }
    return {name: value for name, value in given.items() if value is not None}


def end_form(entity: Any, trace: Trace) -> dict[Any, Any]:
    """The facts of a run that has ended."""
    form: dict[Any, Any] = {
        ":db/id": entity,
        RUN_STATUS: trace.status,
        RUN_DIGEST: trace.digest,
    }
    if trace.result is not None:
        form[RUN_RESULT] = trace.result
    if trace.error is not None:
        form[RUN_ERROR] = trace.error
    return form


def step_form(step: Step, run: Any) -> dict[Any, Any]:
    """The facts of one step of *run*. What follows from the rest is left out: no result, the root
    scope, a place that is the number, the first occurrence."""
    form: dict[Any, Any] = {
        STEP_RUN: run,
        STEP_N: step.n,
        STEP_OP: step.op,
        STEP_ARGS: step.args,
        STEP_STATUS: step.status,
        STEP_AT: from_micros(step.at),
    }
    if step.status is not BEGUN:
        form[STEP_ID] = step.id
        form[STEP_TOOK] = step.took
    if step.result is not None:
        form[STEP_RESULT] = step.result
    if step.error is not None:
        form[STEP_ERROR] = step.error
    if step.verdict is not None:
        form[STEP_VERDICT] = step.verdict
    if step.cost is not None:
        form[STEP_COST] = step.cost
    if step.scope:
        form[STEP_SCOPE] = step.scope
    if step.place != step.n or step.scope:
        form[STEP_PLACE] = step.place
    if step.occurrence:
        form[STEP_OCCURRENCE] = step.occurrence
    return form


def step_of(facts: Mapping[Keyword, Any]) -> Step:
    """The step that *facts*, pulled, stand for."""
    n = facts[STEP_N]
    return Step(
        op=facts[STEP_OP],
        args=facts[STEP_ARGS],
        n=n,
        status=facts[STEP_STATUS],
        result=facts.get(STEP_RESULT),
        error=facts.get(STEP_ERROR),
        verdict=facts.get(STEP_VERDICT),
        cost=facts.get(STEP_COST),
        scope=facts.get(STEP_SCOPE, ()),
        place=facts.get(STEP_PLACE, n),
        occurrence=facts.get(STEP_OCCURRENCE, 0),
        at=micros(facts[STEP_AT]),
        took=facts.get(STEP_TOOK, 0),
    )


def load(db: Db, id: UUID) -> Trace:
    """The trace of the run *id*, with the steps that it took over from its parent.

    Raises:
        TraceError: there is no such run, it is of another version, or a step is not what its
            content id says.
    """
    entity = db.entid([RUN_ID, id]) if RUN_ID in db.schema else None
    if entity is None:
        raise TraceError(f"the store holds no run {id}", hint="s.effect.runs() lists them", run=id)
    trace: Trace | None = None
    for facts in reversed(_line(db, entity)):
        trace = _loaded(db, facts, trace)
    assert trace is not None
    return trace


def _line(db: Db, entity: int) -> list[Mapping[Keyword, Any]]:
    """The facts of a run and of those that it goes on from: its parent is the second."""
    line: list[Mapping[Keyword, Any]] = [db.pull("[*]", entity)]
    while (parent := line[-1].get(RUN_PARENT)) is not None:
        line.append(db.pull("[*]", parent[_ENTITY]))
    return line


def shared(steps: Iterable[Step], upto: int) -> tuple[Step, ...]:
    """Those of *steps* that a run which goes on after *upto* of them has in common with theirs.
    What was cut off is no part of it: nobody knows what came of that."""
    return tuple(step for step in steps if step.n < upto and step.status is not BEGUN)


def _loaded(db: Db, facts: Mapping[Keyword, Any], parent: Trace | None) -> Trace:
    found = facts.get(RUN_FORMAT)
    if found != FORMAT:
        raise TraceError(
            f"run {facts[RUN_ID]} was recorded in format {found}; this version reads {FORMAT}",
            hint="read it with the version that recorded it",
            run=facts[RUN_ID],
            format=found,
        )
    status = facts[RUN_STATUS]
    taken = () if parent is None else shared(parent.steps, facts.get(RUN_UPTO, 0))
    return Trace(
        id=facts[RUN_ID],
        name=facts[RUN_NAME],
        steps=(*taken, *_steps(db, facts[_ENTITY])),
        status=status,
        result=facts.get(RUN_RESULT),
        error=None if status in _WITHOUT_ERROR else facts.get(RUN_ERROR),
        meta=facts.get(RUN_META, {}),
        parent=None if parent is None else parent.id,
        upto=facts.get(RUN_UPTO),
        code=facts.get(RUN_CODE),
        started=micros(facts[RUN_STARTED]),
    )


def _steps(db: Db, entity: int) -> list[Step]:
    pulled = db.pull_many(_STEPS, db.q(_OF_RUN, entity))
    return sorted((_checked(facts, entity) for facts in pulled), key=lambda step: step.n)


def _checked(facts: Mapping[Keyword, Any], run: int) -> Step:
    step = step_of(facts)
    kept = facts.get(STEP_ID)
    if kept is not None and kept != step.id:
        raise TraceError(
            f"step {step.n} of run {run} is not what its content id says",
            hint="persistence check and persistence verify tell what was changed",
            step=step.n,
            expected=kept.hex(),
            found=step.id.hex(),
        )
    return step


def unfinished(db: Db, entity: int) -> dict[tuple[Any, int], int]:
    """The entities of steps that were cut off, by scope and place."""
    found = {}
    for e, n in db.q(_BEGUN, entity):
        facts = db.pull("[:step/scope :step/place]", e) or {}
        found[facts.get(STEP_SCOPE, ()), facts.get(STEP_PLACE, n)] = e
    return found


def basis_form(db: Db) -> Map:
    """What names *db*, a plain database value, in the result of a step."""
    return Map({_T: db.basis, _INSTANT: from_micros(db.instant)})


def database_at(db: Db, basis: Map) -> Db:
    """The database value that *basis*, the result of a step, names in the store of *db*."""
    moment = basis[_INSTANT]
    assert isinstance(moment, datetime)
    return db.as_of(basis[_T]).valid_at(moment)


def runs(db: Db) -> list[Mapping[Keyword, Any]]:
    """Id, name, status and start of every run, the latest last."""
    if RUN_ID not in db.schema:
        return []
    pulled = db.pull_many(_LISTED, [[RUN_ID, id] for id in db.q(_RUNS)])
    return sorted(pulled, key=lambda facts: (facts[RUN_STARTED], facts[_ENTITY]))
