"""How a skill stands in the store: what it stands for, on what evidence, by whose approval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from persistence.datoms import Schema
from persistence.plans import Plan
from persistence.skills.approval import Approval
from persistence.skills.evidence import Case, Evidence, Gain
from persistence.values import Keyword, Map, Value

NAME: Final = Keyword("skill/name")
PLAN: Final = Keyword("skill/plan")
PLAN_ID: Final = Keyword("skill/plan-id")
VERSION: Final = Keyword("skill/version")
STATUS: Final = Keyword("skill/status")
EVIDENCE: Final = Keyword("skill/evidence")
BY: Final = Keyword("skill/approved-by")
AT: Final = Keyword("skill/approved-at")
REASON: Final = Keyword("skill/reason")
WHY: Final = Keyword("skill/retired-because")
PROMOTED: Final = Keyword("promoted")
RETIRED: Final = Keyword("retired")

CASES: Final = Keyword("evidence/cases")
RUNS: Final = Keyword("evidence/runs")
BASELINE_RUNS: Final = Keyword("evidence/baseline-runs")
TRAINING: Final = Keyword("evidence/training")
GAIN: Final = Keyword("evidence/gain")
BOUND: Final = Keyword("evidence/bound")
CONFIDENCE: Final = Keyword("evidence/confidence")
MARGIN: Final = Keyword("evidence/margin")

_RUN_ID: Final = Keyword("run/id")
_REF: Final = Keyword("db.type/ref")
_MANY: Final = Keyword("db.cardinality/many")
DECLARATIONS: Final[tuple[dict[str, Any], ...]] = (
    {":db/ident": NAME, ":db/unique": Keyword("db.unique/identity")},
    {":db/ident": EVIDENCE, ":db/valueType": _REF},
    {":db/ident": RUNS, ":db/valueType": _REF, ":db/cardinality": _MANY},
    {":db/ident": BASELINE_RUNS, ":db/valueType": _REF, ":db/cardinality": _MANY},
)
_CASE: Final = ("task", "run", "score", "baseline-run", "baseline-score")


def undeclared(schema: Schema) -> list[dict[str, Any]]:
    """Those of the declarations whose attribute nobody has declared yet."""
    return [each for each in DECLARATIONS if schema[each[":db/ident"]].entity is None]


def promotion(
    name: str,
    version: int,
    plan: Plan,
    evidence: Evidence,
    found: Gain,
    margin: float,
    approval: Approval,
) -> list[Any]:
    """The facts of a promotion."""
    shown = {
        "db/id": "evidence",
        CASES: tuple(map(_case_value, evidence.cases)),
        RUNS: [(_RUN_ID, case.run) for case in evidence.cases],
        BASELINE_RUNS: [(_RUN_ID, case.baseline_run) for case in evidence.cases],
        TRAINING: tuple(evidence.training),
        GAIN: found.mean,
        BOUND: found.bound,
        CONFIDENCE: found.confidence,
        MARGIN: margin,
    }
    skill = {
        "db/id": "skill",
        NAME: name,
        VERSION: version,
        PLAN: str(plan),
        PLAN_ID: plan.id,
        STATUS: PROMOTED,
        EVIDENCE: "evidence",
        BY: approval.by,
        AT: approval.at,
        REASON: approval.reason,
    }
    again = [["db/retract", (NAME, name), WHY]] if version > 1 else []
    return [shown, skill, *again]


def _case_value(case: Case) -> Map:
    held = (case.task, case.run, float(case.score), case.baseline_run, float(case.baseline_score))
    return Map({Keyword(key): value for key, value in zip(_CASE, held, strict=True)})


def case_of(value: Mapping[Value, Any]) -> Case:
    """The case that a stored value is."""
    return Case(*(value[Keyword(key)] for key in _CASE))
