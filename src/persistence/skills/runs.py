"""Whether the runs that speak for a plan are what they are said to be: each is replayed.

A candidate run is one of the plan if, and only if, the plan does on its record what the record
says. A baseline run is replayed too, when the store knows the plan that it was a run of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.effects import Trace
from persistence.errors import PersistenceError, PlanError, TraceError
from persistence.plans import Plan
from persistence.replay import replay
from persistence.skills.evidence import Evidence
from persistence.values import Keyword

_PLAN: Final = Keyword("plan/id")
_PARAMS: Final = Keyword("plan/params")
_ENDED: Final = (Keyword("done"), Keyword("failed"))


@attrs.frozen
class Verifier:
    """Replays runs. *trace* gives the trace of a run, *load* the plan of an id."""

    trace: Callable[[UUID], Trace]
    load: Callable[[bytes], Plan]

    def flaws(self, plan: Plan, evidence: Evidence) -> list[str]:
        """What is wrong with the runs of *evidence*, as sentences."""
        found = []
        for case in evidence.cases:
            found += self._flaws(case.run, plan)
            found += self._flaws(case.baseline_run, None, plan)
        return found

    def _flaws(self, run: UUID, plan: Plan | None, other: Plan | None = None) -> list[str]:
        try:
            trace = self.trace(run)
        except TraceError as error:
            return [f"run {run}: {error.message}"]
        if trace.status not in _ENDED:
            return [f"run {run} has not ended: it is {trace.status}"]
        if plan is None:
            id = trace.meta.get(_PLAN)
            if other is not None and id == other.id:
                return [f"run {run} is given for the baseline, and is one of the plan itself"]
            try:
                return [] if id is None else self._replayed(trace, self.load(id))
            except PlanError:  # the store does not know it
                return []
        return self._replayed(trace, plan)

    def _replayed(self, trace: Trace, plan: Plan) -> list[str]:
        try:
            found = replay(trace, lambda run: plan.play(run, params=_params(trace.meta)))
        except PersistenceError as error:
            return [f"run {trace.id} cannot be replayed by its plan: {error}"]
        if found.same:
            return []
        return [
            f"run {trace.id}, replayed, is not what its record says: "
            f"{found.divergence or found.error or 'it ends otherwise'}"
        ]


def _params(meta: Mapping[Keyword, Any]) -> dict[str, Any]:
    return {key.name: value for key, value in meta.get(_PARAMS, {}).items()}
