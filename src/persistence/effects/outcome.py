"""What a call that gave no result is recorded as, and the error that a record is raised as.

The agent meets the same error when a step is performed and when it is replayed: of the same class,
with the same words. An exception of a tool's own class would be known to the first run only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from persistence import errors
from persistence.effects.call import Call, as_it_is
from persistence.effects.step import ABORTED, DENIED, DONE, FAILED, TIMED_OUT, Step, error_form
from persistence.errors import (
    BudgetSpent,
    EffectAborted,
    EffectDenied,
    EffectError,
    EffectFailed,
    EffectTimedOut,
    PersistenceError,
    PlanStopped,
    UnhandledEffect,
)
from persistence.values import Keyword, Map, Value

_KIND: Final = Keyword("kind")
_MESSAGE: Final = Keyword("message")
_HINT: Final = Keyword("hint")

_STATUS: Final = {
    EffectDenied: DENIED,
    BudgetSpent: DENIED,
    EffectTimedOut: TIMED_OUT,
    EffectAborted: ABORTED,
}
_RAISED: Final = (*_STATUS, PlanStopped, UnhandledEffect)  # as they are, whoever raised them


def failure(call: Call, error: BaseException) -> tuple[Keyword, Map, BaseException]:
    """What *error* is recorded as, and what is raised for it: the same, or an EffectFailed.

    An error whose words hold what must not be recorded is raised without them, and not as the
    cause of another.
    """
    told = ended(error, call.hide)
    if not isinstance(error, Exception) or isinstance(error, PlanStopped):
        return ABORTED, told, error  # an interrupt, a task that was cancelled, a run that waits
    open_ = call.hide is as_it_is or told == ended(error)
    if isinstance(error, _RAISED):
        status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), FAILED)
        if open_:
            error.data.setdefault("operation", call.op)
            error.data.setdefault("place", call.place)
            return status, told, error
        raised: PersistenceError = type(error)(
            told[_MESSAGE], hint=told.get(_HINT), operation=call.op, place=call.place
        )
    else:
        status, raised = FAILED, _failed(call.op, call.place, told)
    raised.__cause__ = error if open_ else None
    return status, told, raised


def ended(error: BaseException, hide: Callable[[Value], Value] = as_it_is) -> Map:
    """*error* as it is recorded: its class, its words, its remedy, with nothing that *hide* hides.

    It hides before the words are cut to their length: half a secret would not be found.
    """
    if isinstance(error, EffectFailed):
        return error_form(error.kind or "EffectFailed", hide(error.message))
    if isinstance(error, PersistenceError):
        hint = {} if error.hint is None else {"hint": hide(error.hint)}
        return error_form(type(error).__name__, hide(error.message), **hint)
    if isinstance(error, asyncio.CancelledError):
        return error_form("CancelledError", "the task was cancelled")
    return error_form(type(error).__name__, hide(str(error)))


def error_of(step: Step) -> PersistenceError | None:
    """The error that *step* stands for; None if it is done."""
    if step.status is DONE:
        return None
    assert step.error is not None
    kind, message = step.error[_KIND], step.error[_MESSAGE]
    found = getattr(errors, kind, None)
    if found in _RAISED:
        made: PersistenceError = found(
            message, hint=step.error.get(_HINT), operation=step.op, place=step.place
        )
        if step.verdict is not None:
            made.data["verdict"] = step.verdict
        return made
    if step.status is ABORTED:
        return EffectAborted(
            f"{step.op} was interrupted: {kind}", operation=step.op, place=step.place, kind=kind
        )
    return _failed(step.op, step.place, step.error)


def _failed(op: Keyword, place: int, told: Map) -> EffectError:
    kind, message = told[_KIND], told[_MESSAGE]
    return EffectFailed(
        f"{op} failed: {kind}: {message}" if message else f"{op} failed: {kind}",
        hint=told.get(_HINT),
        operation=op,
        place=place,
        kind=kind,
    )
