"""`s.effect`: runs of agents, recorded as facts of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import attrs

from persistence.connection import Connection
from persistence.db import Db
from persistence.effects import facts
from persistence.effects.answers import Prefix
from persistence.effects.awaited import AsyncRun
from persistence.effects.base import RunBase
from persistence.effects.budget import Budget
from persistence.effects.budget import budget as budget_of
from persistence.effects.handler import Handler, listed
from persistence.effects.run import Run
from persistence.effects.step import ABORTED, BEGUN, Step
from persistence.effects.stored import Stored
from persistence.effects.trace import RUNNING, Trace
from persistence.effects.words import BASIS, DONE
from persistence.effects.world import drawing, telling
from persistence.errors import EffectAborted, InputError, TraceError
from persistence.stm import Txn
from persistence.values import Keyword, Map, Value, freeze, keyword

R = TypeVar("R", bound=RunBase)

_COMMITS: Final = ("step", "end")
_KIND: Final = Keyword("kind")


@attrs.frozen
class RunInfo:
    """A run as the store lists it."""

    id: UUID
    name: str
    status: Keyword
    started: datetime


class Effects:
    """Runs on one branch of a store.

    >>> from persistence.effects import Terminal
    >>> with s.effect.run("greet", [Terminal("t", {"tool/greet": lambda name: "Hi"})]) as run:
    ...     _ = run.perform("tool/greet", name="Ada")
    >>> s.fact.db().q("[:find ?op ?result :where [?s :step/op ?op] [?s :step/result ?result]]")
    [(Keyword('tool/greet'), 'Hi')]
    """

    def __init__(self, connection: Connection, txn: Txn, *, branch: int = 0) -> None:
        self._connection, self._txn, self._branch = connection, txn, branch

    def run(self, name: str, handlers: Iterable[Handler] = (), **options: Any) -> Run:
        """Begins a run, a context manager whose end is recorded too.

        *handlers*, outermost first, are followed by those of the store: the clock, chance,
        `run.db()` and `run.transact()`. Options, by name:

        ``commit``       "step": every step is durable before its result is given; "end": all are
                         written when the run ends, which is faster, and a crash loses them
        ``write_ahead``  operations ("tool/*") that are written down before they are performed
                         too, so that a crash in the middle of one is on record
        ``seed``         of chance; by default made of the run's id
        ``id``           a UUID; by default a new one
        ``meta``, ``code``  kept with the run: what you like, and what the agent was made of
        ``budget``       a `Budget`, as `budget(…)` in front of all handlers

        Raises:
            InputError: there is a run with this id already, or an option is none.
        """
        return self.begin(Run, name, handlers, **options)

    def resume(self, id: UUID | str, handlers: Iterable[Handler] = (), **options: Any) -> Run:
        """Goes on with a run that has not ended: what is on record answers, the rest is performed.

        The agent is started again from its beginning; its first calls get the recorded results
        without anything being done, here or in another process. With ``upto`` the run is left as
        it is, and a new one begins after that many of its steps: the rewind. Other options are
        ``commit``, ``seed``, ``write_ahead`` and ``budget``, as for :meth:`run`; what is on record
        is taken out of the budget.

        A step that was cut off, by an interrupt or because its process died, is performed again
        with the same `Call.key`, since nobody knows whether it reached the outside.

        Raises:
            TraceError: there is no such run, or it is done and ``upto`` was not given.
            Diverged: while it runs, when the agent asks for something else than it did.
        """
        return self.go_on(Run, id, handlers, **options)

    def trace(self, id: UUID | str) -> Trace:
        """What is on record of the run *id*.

        Raises:
            TraceError: there is no such run, or it cannot be read.
        """
        return facts.load(self._connection.db(self._branch), run_id(id))

    def database(self, step: Step) -> Db:
        """The database as the agent saw it by `run.db()`, of which *step* is the record.

        >>> with s.effect.run("look") as run:
        ...     seen = run.db()
        >>> s.effect.database(s.effect.trace(run.id)[0]) == seen
        True

        Raises:
            TraceError: it is the record of something else.
        """
        if step.op is not BASIS or not isinstance(step.result, Map):
            raise TraceError(
                f"step {step.n} is {step.op}, and saw no database",
                hint="give the step of a run.db(), whose operation is :db/basis",
            )
        return facts.database_at(self._connection.db(self._branch), step.result)

    def runs(self) -> list[RunInfo]:
        """The runs of this branch, the earliest first."""
        found = facts.runs(self._connection.db(self._branch))
        return [
            RunInfo(
                each[facts.RUN_ID],
                each[facts.RUN_NAME],
                each[facts.RUN_STATUS],
                each[facts.RUN_STARTED],
            )
            for each in found
        ]

    def begin(
        self,
        kind: type[R],
        name: str,
        handlers: Iterable[Handler] = (),
        *,
        id: UUID | None = None,
        commit: str = "step",
        seed: int | None = None,
        write_ahead: Iterable[Keyword | str] = (),
        meta: Mapping[str | Keyword, Any] | None = None,
        code: str | None = None,
        budget: Budget | None = None,
    ) -> R:
        """A run of *kind*; see :meth:`run`."""
        kept: dict[Keyword, Value] = {
            keyword(key): freeze(value) for key, value in (meta or {}).items()
        }
        trace = Trace(
            id or uuid4(), name, (), meta=kept, code=code, started=self._connection.clock.now()
        )
        handlers = _limited(handlers, budget)
        recorder = self._recorder(trace, commit)
        recorder.begin()
        return self._opened(kind, trace, recorder, handlers, seed, write_ahead)

    def go_on(
        self,
        kind: type[R],
        id: UUID | str,
        handlers: Iterable[Handler] = (),
        *,
        upto: int | None = None,
        commit: str = "step",
        seed: int | None = None,
        write_ahead: Iterable[Keyword | str] = (),
        budget: Budget | None = None,
    ) -> R:
        """A run of *kind* that goes on; see :meth:`resume`."""
        handlers = _limited(handlers, budget)
        found = self.trace(id)
        trace = _unended(found) if upto is None else self._rewound(found, upto)
        recorder = self._recorder(trace, commit)
        if upto is None:
            recorder.go_on()
        else:
            recorder.begin()
        return self._opened(kind, trace, recorder, handlers, seed, write_ahead)

    def _rewound(self, trace: Trace, upto: int) -> Trace:
        if not 0 <= upto <= len(trace.steps):
            raise TraceError(
                f"run {trace.id} has {len(trace.steps)} steps, so none can begin after {upto}",
                hint=f"upto is from 0 to {len(trace.steps)}",
                run=trace.id,
            )
        return attrs.evolve(
            _running(trace),
            id=uuid4(),
            steps=facts.shared(trace.steps, upto),
            parent=trace.id,
            upto=upto,
            started=self._connection.clock.now(),
        )

    def _recorder(self, trace: Trace, commit: str) -> Stored:
        if commit not in _COMMITS:
            raise InputError(
                f"steps cannot be committed {commit!r}", hint='commit each "step", or at the "end"'
            )
        each = commit == "step"
        return Stored(self._connection, self._txn, self._branch, trace, each=each)

    def _opened(
        self,
        kind: type[R],
        trace: Trace,
        recorder: Stored,
        handlers: Iterable[Handler],
        seed: int | None,
        write_ahead: Iterable[Keyword | str],
    ) -> R:
        clock = self._connection.clock
        chance = drawing(trace.id.int if seed is None else seed)
        return kind(
            trace.name,
            [*listed(handlers), telling(clock), chance, recorder.terminal],
            id=trace.id,
            clock=clock,
            recorder=recorder,
            answers=Prefix(trace.steps) if trace.steps else None,
            write_ahead=write_ahead,
            reading=recorder.reading,
            origin=trace,
        )


def _limited(handlers: Iterable[Handler], limits: Budget | None) -> Iterable[Handler]:
    if limits is None:
        return handlers
    if not isinstance(limits, Budget):
        raise InputError(f"{limits!r} is no budget", hint="give Budget(tokens=…, calls=…)")
    return [budget_of(limits), *listed(handlers)]


def _running(trace: Trace) -> Trace:
    return attrs.evolve(trace, status=RUNNING, result=None, error=None)


def _unended(trace: Trace) -> Trace:
    if trace.status is DONE:
        raise TraceError(
            f"run {trace.id} is done",
            hint="replay it, or begin a new run after some of its steps with upto=",
            run=trace.id,
        )
    return attrs.evolve(_running(trace), steps=uncut(trace.steps))


def uncut(steps: Sequence[Step]) -> tuple[Step, ...]:
    """*steps* without those that were cut off: begun and not ended, or interrupted as the last of
    their scope. What came of them is not known, so they are performed again, by the same key.
    What was given up stays given up."""
    last = {step.scope: step.place for step in sorted(steps, key=lambda step: step.place)}
    return tuple(
        step
        for step in steps
        if step.status is not BEGUN and not (_interrupted(step) and step.place == last[step.scope])
    )


def _interrupted(step: Step) -> bool:
    return (
        step.status is ABORTED
        and step.error is not None
        and step.error[_KIND] != EffectAborted.__name__
    )


class AsyncEffects:
    """`s.effect`, awaited: the runs it gives await, and so does their end."""

    def __init__(self, effect: Effects) -> None:
        self._effect = effect

    @asynccontextmanager
    async def run(
        self, name: str, handlers: Iterable[Handler] = (), **options: Any
    ) -> AsyncIterator[AsyncRun]:
        """See :meth:`Effects.run`."""
        begin = partial(self._effect.begin, AsyncRun, name, handlers, **options)
        async with await asyncio.to_thread(begin) as run:
            yield run

    @asynccontextmanager
    async def resume(
        self, id: UUID | str, handlers: Iterable[Handler] = (), **options: Any
    ) -> AsyncIterator[AsyncRun]:
        """See :meth:`Effects.resume`."""
        go_on = partial(self._effect.go_on, AsyncRun, id, handlers, **options)
        async with await asyncio.to_thread(go_on) as run:
            yield run

    async def trace(self, id: UUID | str) -> Trace:
        """See :meth:`Effects.trace`."""
        return await asyncio.to_thread(self._effect.trace, id)

    async def database(self, step: Step) -> Db:
        """See :meth:`Effects.database`."""
        return await asyncio.to_thread(self._effect.database, step)

    async def runs(self) -> list[RunInfo]:
        """See :meth:`Effects.runs`."""
        return await asyncio.to_thread(self._effect.runs)


def run_id(id: UUID | str) -> UUID:
    """The id that *id* is, or is the text of.

    Raises:
        TraceError: it is neither.
    """
    if isinstance(id, UUID):
        return id
    try:
        return UUID(id)
    except (ValueError, AttributeError, TypeError) as error:
        raise TraceError(f"{id!r:.80} is no id of a run", hint="an id is a UUID") from error
