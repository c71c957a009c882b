"""Tells somebody else of what a run does while it does it: a log, a metric, a trace."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.clock import Clock, SystemClock
from persistence.effects.call import Call, Scope
from persistence.effects.handler import Around, Asked, Invoke, matching
from persistence.effects.outcome import failure
from persistence.effects.step import ABORTED, DONE, error_form
from persistence.errors import ValueRefused
from persistence.values import Keyword, Map, Value, freeze

_LOG: Final = logging.getLogger("persistence")


@attrs.frozen
class Attempt:
    """A call that has ended, as a sink is told of it: as a `Step`, without what is secret.

    An audit inside of a retry is told of every attempt, one outside of it of the last.
    """

    run: UUID
    op: Keyword
    args: Map
    scope: Scope
    place: int
    status: Keyword
    result: Value
    error: Map | None
    verdict: Value
    cost: Value
    took: int

    def __str__(self) -> str:
        return f"{self.place} {self.op} {self.status.name}"


Sink = Callable[[Attempt], Any]


def audit(
    sink: Sink,
    *,
    ops: Iterable[Keyword | str] | Keyword | str = "*",
    clock: Clock | None = None,
    name: str = "audit",
) -> Around:
    """A guard that hands every call of *ops* that has ended further inside to *sink*, whatever
    came of it: done, denied, failed, timed out or aborted.

    In a run that awaits, *sink* may be a coroutine function. What it raises is logged, and changes
    nothing. `Attempt.took` is in microseconds, by *clock*.

    >>> from persistence.effects import Run, Terminal
    >>> told = []
    >>> run = Run("ask", [audit(told.append), Terminal("t", {"tool/search": lambda: "tea"})])
    >>> run.perform("tool/search"), [str(each) for each in told]
    ('tea', ['0 :tool/search done'])
    """
    clock = clock or SystemClock()
    tell = _Teller(sink, name)

    def handle(call: Call) -> Generator[Asked, Any, Any]:
        began = clock.now()
        result, failed = None, None
        try:
            result = yield call
        except Exception as error:
            failed = error
        except GeneratorExit:  # an interrupt or a cancelled task: nothing can be awaited any more
            told = error_form("interrupted", "the call was interrupted")
            tell.now(_attempt(call, ABORTED, clock.now() - began, error=told))
            raise
        took = clock.now() - began
        # Not while the error is handled: it would be logged with what goes wrong at the sink.
        if failed is None:
            yield from tell(_attempt(call, DONE, took, result=_data(call, result)))
            return result
        status, told, _ = failure(call, failed)
        yield from tell(_attempt(call, status, took, error=told))
        raise failed

    return Around(name, handle, ops=matching(ops), guard=True)


class _Teller:
    """Tells the sink, and lets nothing that goes wrong there reach the run."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink, self._name = sink, name

    def __call__(self, attempt: Attempt) -> Generator[Asked, Any, None]:
        try:
            yield Invoke(self._sink, (attempt,))
        except Exception:
            _LOG.exception("%s could not be told of %s", self._name, attempt)

    def now(self, attempt: Attempt) -> None:
        """Tells where nothing can be awaited any more."""
        try:
            answer = self._sink(attempt)
        except Exception:
            _LOG.exception("%s could not be told of %s", self._name, attempt)
            return
        if inspect.isawaitable(answer):
            close = getattr(answer, "close", lambda: None)
            close()
            _LOG.error("%s was not told of %s: its sink has to wait", self._name, attempt)


def _attempt(call: Call, status: Keyword, took: int, **outcome: Any) -> Attempt:
    args = call.hide(call.form)
    assert isinstance(args, Map)
    return Attempt(
        run=call.run,
        op=call.op,
        args=args,
        scope=call.scope,
        place=call.place,
        status=status,
        result=outcome.get("result"),
        error=outcome.get("error"),
        verdict=call.hide(freeze(call.notes.get("verdict"))),
        cost=freeze(call.notes.get("cost")),
        took=max(0, took),
    )


def _data(call: Call, result: Any) -> Value:
    try:
        return call.hide(freeze(result))
    except ValueRefused:
        return f"<{type(result).__name__}>"  # the run will refuse it, and say why
