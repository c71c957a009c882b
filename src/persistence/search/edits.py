"""Moves between plans, made of edits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from persistence.errors import PlanError, SearchError
from persistence.plans import Plan

Edit: TypeAlias = "Plan | str | Callable[[Plan], Plan]"
"""What becomes of a plan: another, its text, or what a function makes of it."""


def plan_moves(
    plan: Plan,
    edits: Iterable[tuple[Any, ...]],
    *,
    refused: Callable[[Any, PlanError], object] | None = None,
) -> list[tuple[Any, Plan, float]]:
    """The moves from *plan* by *edits*, each (label, edit) or (label, edit, prior), for *propose*.

    An edit that gives no plan is told to *refused*, if it is given, and left out.

    >>> plan = Plan('[:seq {} [:checkpoint {:name "a"}] [:checkpoint {:name "b"}]]')
    >>> moves = plan_moves(plan, [
    ...     ("drop the first", lambda plan: plan.delete((0,)), 2.0),
    ...     ("only one", '[:checkpoint {:name "b"}]'),
    ... ])
    >>> [(label, str(made), prior) for label, made, prior in moves]
    [('drop the first', '[:seq {} [:checkpoint {:name "b"}]]', 2.0),
     ('only one', '[:checkpoint {:name "b"}]', 1.0)]

    Raises:
        SearchError: an edit gives no plan; it names the move, what is wrong and the fix.
    """
    moves = []
    for label, edit, *prior in edits:
        try:
            made = _made(plan, edit)
        except PlanError as error:
            if refused is None:
                raise SearchError(
                    f"the move {label!r:.80} gives no plan: {error.message}",
                    hint=f"{error.hint or 'change the edit'}; or pass refused= to leave it out",
                    move=label,
                    plan=str(plan),
                ) from error
            refused(label, error)
        else:
            moves.append((label, made, *(prior or (1.0,))))
    return moves


def _made(plan: Plan, edit: Any) -> Plan:
    made = edit(plan) if callable(edit) else edit
    return made if isinstance(made, Plan) else Plan(made)
