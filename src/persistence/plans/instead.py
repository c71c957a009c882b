"""The intervention on a plan: what would have happened, had one of its steps been another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs

from persistence.effects import Step, Trace
from persistence.errors import InputError
from persistence.plans.node import Node
from persistence.plans.plan import Plan
from persistence.plans.problems import Path
from persistence.replay import Intervention
from persistence.values import Keyword, Map, Value


@attrs.frozen
class Instead(Intervention):
    """See :func:`instead`."""

    path: Path
    step: str | Node

    def point(self, trace: Trace) -> Step | None:
        """The first effect of the step, or of one that comes after it in the plan."""
        return next((step for step in trace if _path(step) >= self.path), None)

    def changes(self, body: Callable[..., Any]) -> Callable[..., Any]:
        given = body if isinstance(body, partial) else partial(body)
        plan = getattr(given.func, "__self__", None)
        if not isinstance(plan, Plan):
            raise InputError(
                f"{body!r} is not the run of a plan",
                hint="replay a run of a plan with plan.play, or functools.partial(plan.play, …)",
            )
        return partial(plan.edit(self.path, self.step).play, *given.args, **given.keywords)

    @property
    def form(self) -> Value:
        return Map({Keyword("path"): self.path, Keyword("instead"): str(self.step)})


def instead(path: Sequence[int], step: str | Node) -> Instead:
    """The plan has *step* at *path*; what comes before stays as recorded.

    >>> from persistence.replay import replay
    >>> plan = Plan("[:seq {} [:tool-call {:tool :tool/a}] [:tool-call {:tool :tool/b}]]")
    >>> ran = plan.run({"tool/a": lambda: 1, "tool/b": lambda: 2})
    >>> other = replay(ran.trace, plan.play, do=[instead((1,), "[:seq {}]")])
    >>> ran.value, other.value, other.prefix
    (2, 1, 1)

    Raises:
        InputError: what is replayed is not the run of a plan.
        PlanError: there is no such step, or *step* is none.
    """
    return Instead(tuple(path), step)


def _path(step: Step) -> Path:
    """The path of the step of the plan that made an effect; that of the root for all others."""
    first = step.scope[0] if step.scope else ()
    return first if type(first) is tuple else ()
