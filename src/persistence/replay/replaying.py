"""Runs a program again on its record."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Self, TypeVar
from uuid import uuid4

import attrs

from persistence.clock import Clock, SystemClock
from persistence.db import Db
from persistence.effects import AsyncRun, Handler, Handlers, Run, Step, Trace, drawing, telling
from persistence.effects.base import RunBase
from persistence.effects.handler import listed
from persistence.effects.step import ABORTED
from persistence.effects.trace import RUNNING
from persistence.effects.words import DONE
from persistence.errors import InputError
from persistence.replay.divergence import Divergence, ended_early, ended_otherwise
from persistence.replay.intervention import Body, Intervention
from persistence.replay.record import Patterns, Record
from persistence.replay.replayed import Replayed, prefix
from persistence.replay.state import State
from persistence.values import Keyword, freeze

R = TypeVar("R", bound="_Replaying")

_KIND: Final = Keyword("kind")
_INTERRUPTS: Final[dict[Any, type[BaseException]]] = {
    each.__name__: each
    for each in (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)
}


class _Replaying(RunBase):
    """What is different in a run that is answered from its record."""

    record: Record
    interrupts: tuple[BaseException, ...] = ()

    def mask(self, name: str) -> Self:
        """As in a run; a handler that was there when it was recorded need not be here."""
        known = any(each.name == name for each in self.handlers)
        return super().mask(name) if known else self._view()

    def check(self, ops: Iterable[Keyword | str]) -> None:
        """Nothing to check: the record answers, and it needs no handlers."""

    def _answered(self, asked: Any) -> Step | None:
        step = super()._answered(asked)
        if step is not None and step.status is ABORTED:
            told = {} if step.error is None else step.error
            interrupt = _INTERRUPTS.get(told.get(_KIND))
            if interrupt is not None:  # as it was then: a program does not catch it as an Exception
                error = interrupt()
                self._main.interrupts = (*self._main.interrupts, error)
                raise error
        return step

    def is_end(self, error: BaseException) -> bool:
        """Whether *error* ends the run that is replayed, and not this process or task."""
        if isinstance(error, Exception | SystemExit):
            return True
        return any(error is each for each in self.interrupts)


class ReplayRun(_Replaying, Run):
    """A `Run` that is answered from its record."""


class AsyncReplayRun(_Replaying, AsyncRun):
    """An `AsyncRun` that is answered from its record."""


@attrs.frozen
class Begun:
    """A replay about to be run."""

    run: Any
    program: Body
    do: tuple[Intervention, ...]


def begin(
    kind: type[R],
    trace: Trace,
    body: Body = lambda run: None,
    *,
    do: Iterable[Intervention] = (),
    live: Iterable[Handler] = (),
    allow: Patterns = (),
    fresh: Patterns = (),
    db: Db | None = None,
    strict: bool = True,
    clock: Clock | None = None,
) -> Begun:
    """A run of *kind* on the record *trace*, and the program for it; see `replay`."""
    if isinstance(do, Intervention):
        raise InputError(f"do= is a list, and this is {do!r}", hint="put it in brackets: [do.…]")
    clock, do, id = clock or SystemClock(), tuple(do), uuid4()
    handlers = Handlers([*listed(live), telling(clock), drawing(trace.id.int)])
    state = State(db, trace)
    record = Record(trace, handlers, state, id=id, do=do, allow=allow, fresh=fresh, strict=strict)
    origin = attrs.evolve(  # it begins when the record does: a state without a basis is of then
        trace, id=id, steps=(), status=RUNNING, result=None, error=None, parent=trace.id, upto=None
    )
    run = kind(
        trace.name,
        handlers,
        id=trace.id,  # as the program saw it; what goes outside bears the id of the replay
        clock=clock,
        answers=record,
        reading=state.reading,
        origin=origin,
    )
    run.record = record
    for each in do:
        body = each.changes(body)
    return Begun(run, body, do)


def replay(
    trace: Trace,
    body: Callable[[Run], Any],
    *,
    do: Iterable[Intervention] = (),
    live: Iterable[Handler] = (),
    allow: Patterns = (),
    fresh: Patterns = (),
    db: Db | None = None,
    strict: bool = True,
    clock: Clock | None = None,
) -> Replayed:
    """Runs *body* again, with a run that the record *trace* answers. Nothing goes outside.

    *body* is called with the run. What it gives is the result of the run, unless it sets
    ``run.result`` itself, or the record holds no result. A call that the record does not answer
    raises `Diverged` inside of *body*, again and again; the first one is the `divergence`.

    ``do``      interventions, see `persistence.replay.do`: all before them must be as recorded
    ``allow``   operations ("model/*") that may be performed where the record has no answer
    ``live``    the handlers that perform them; handlers that redact belong here too
    ``fresh``   operations whose recorded answers do not hold after an intervention, because they
                depend on what it changed; "*" means all but the clock, chance and the state
    ``db``      the store's database value now, for runs that read it
    ``strict``  False finds answers by operation, arguments and occurrence alone, in any order

    After an intervention, a recorded answer is used as long as the same question is asked: the
    same operation, arguments and occurrence in the same scope.

    >>> from persistence.effects import Run, Terminal
    >>> def agent(run):
    ...     return [run.perform("tool/roll"), run.perform("tool/roll")]
    >>> rolls = iter([3, 5])
    >>> with Run("dice", [Terminal("t", {"tool/roll": lambda: next(rolls)})]) as run:
    ...     run.result = agent(run)
    >>> again = replay(run.trace, agent)
    >>> again.value, again.same, again.hits
    ([3, 5], True, 2)

    Raises:
        TraceError: an intervention names a step that the record does not hold.
        InputError: *body* awaits; the run reads a store, and no *db* was given.
    """
    if inspect.iscoroutinefunction(body):
        raise InputError("the body awaits, and this replay does not", hint="use areplay")
    begun = begin(
        ReplayRun,
        trace,
        body,
        do=do,
        live=live,
        allow=allow,
        fresh=fresh,
        db=db,
        strict=strict,
        clock=clock,
    )
    run, value, error = begun.run, None, None
    try:
        with run:
            value = begun.program(run)
            conclude(run, trace, value)
    except BaseException as raised:
        if not run.is_end(raised):
            raise
        error = raised
    return finished(begun, trace, value, error)


async def areplay(
    trace: Trace, body: Callable[[AsyncRun], Awaitable[Any]], **options: Any
) -> Replayed:
    """As `replay`, for a *body* that awaits; the options are the same.

    >>> import asyncio
    >>> from persistence.effects import Run, Terminal
    >>> with Run("dice", [Terminal("t", {"tool/roll": lambda: 3})]) as run:
    ...     run.result = run.perform("tool/roll")
    >>> async def agent(run):
    ...     return await run.perform("tool/roll")
    >>> asyncio.run(areplay(run.trace, agent)).same
    True
    """
    begun = begin(AsyncReplayRun, trace, body, **options)
    run, value, error = begun.run, None, None
    try:
        async with run:
            value = await begun.program(run)
            conclude(run, trace, value)
    except BaseException as raised:
        if not run.is_end(raised):
            raise
        error = raised
    return finished(begun, trace, value, error)


def conclude(run: Any, record: Trace, value: Any) -> None:
    """Takes what the body gave for the result, where the recorded run had one or did not get to it.

    Raises:
        ValueRefused: it is no EDN value, so it cannot be held against the record.
    """
    if run.result is None and (record.status is not DONE or record.result is not None):
        run.result = freeze(value)


def finished(
    begun: Begun, record: Trace, value: Any = None, error: BaseException | None = None
) -> Replayed:
    """What came of the replay *begun*, whose run has ended."""
    trace, answers = begun.run.trace, begun.run.record
    missed, changed = len(answers.missed), len(answers.changed)
    return Replayed(
        trace=trace,
        record=record,
        value=value,
        error=error,
        divergence=answers.divergence or _left_out(record, trace, answers, begun.do),
        hits=len(trace) - missed - changed,
        misses=missed,
        changed=changed,
        prefix=prefix(record, trace),
        idle=tuple(answers.idle),
    )


def _left_out(
    record: Trace, trace: Trace, answers: Record, do: tuple[Intervention, ...]
) -> Divergence | None:
    """The divergence of a program that asked for nothing wrong: for too little, or its end."""
    if len(trace) < len(record) and answers.first >= 0:
        asked = {(step.scope, step.place) for step in trace}
        for step in record:
            if step.n < answers.first and (step.scope, step.place) not in asked:
                return ended_early(step)
    return None if do else ended_otherwise(record, trace)
