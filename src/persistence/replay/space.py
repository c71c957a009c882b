"""`s.replay`: replays of the runs that a store holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.connection import Connection
from persistence.effects import AsyncRun, Effects, Run, Trace, facts
from persistence.effects.stored import Stored
from persistence.replay.attribution import Attribution, attribute
from persistence.replay.difference import Diff, diff
from persistence.replay.intervention import Body, Intervention
from persistence.replay.preferring import Preference, preferences
from persistence.replay.replayed import Replayed
from persistence.replay.replaying import areplay, replay
from persistence.replay.scoring import Score
from persistence.stm import Txn
from persistence.values import Keyword

Named = Trace | UUID | str

DO: Final = Keyword("replay/do")  # in the metadata of a run: the interventions, as data


class Replay:
    """Replays of runs on one branch of a store.

    >>> from persistence.effects import Terminal
    >>> from persistence.replay import do
    >>> def agent(run):
    ...     return "buy" if run.perform("tool/price", of="tea") < 10 else "wait"
    >>> with s.effect.run("shop", [Terminal("t", {"tool/price": lambda of: 12})]) as run:
    ...     run.result = agent(run)
    >>> s.replay.run(run.id, agent).same
    True
    >>> s.replay.run(run.id, agent, do=[do.observation(0, 9)]).value
    'buy'
    """

    def __init__(
        self, connection: Connection, txn: Txn, effect: Effects, *, branch: int = 0
    ) -> None:
        self._connection, self._txn, self._effect = connection, txn, effect
        self._branch = branch

    def run(
        self, run: Named, body: Callable[[Run], Any], *, record: bool = False, **options: Any
    ) -> Replayed:
        """Runs *body* again on the record of *run*; options are those of `replay`.

        With *record* the replay is kept as a run of its own, written when it has ended. Its parent
        is *run*, with which it shares the steps up to the first that differs; its metadata tell the
        interventions.

        Raises:
            TraceError: the store holds no such run, or it cannot be read.
            InputError: *body* awaits.
        """
        trace, options = self._given(run, options)
        found = replay(trace, body, **options)
        return self._kept(found, options) if record else found

    async def arun(
        self,
        run: Named,
        body: Callable[[AsyncRun], Awaitable[Any]],
        *,
        record: bool = False,
        **options: Any,
    ) -> Replayed:
        """As :meth:`run`, for a *body* that awaits."""
        trace, options = await asyncio.to_thread(self._given, run, options)
        found = await areplay(trace, body, **options)
        return await asyncio.to_thread(self._kept, found, options) if record else found

    def diff(self, a: Named, b: Named, score: Score | None = None) -> Diff:
        """What the run *b* did differently from *a*; see `persistence.replay.diff`."""
        return diff(self.trace(a), self.trace(b), score)

    def attribute(
        self,
        run: Named,
        body: Body,
        players: Sequence[Intervention],
        score: Score,
        **options: Any,
    ) -> Attribution:
        """What each of *players* contributes to a score; see `persistence.replay.attribute`."""
        trace, options = self._given(run, options)
        return attribute(trace, body, players, score, **options)

    def preferences(
        self, runs: Iterable[Named], *, score: Score, margin: float = 0.0, **options: Any
    ) -> list[Preference]:
        """Pairs of a better and a worse decision; see `persistence.replay.preferences`."""
        traces = [self.trace(run) for run in runs]
        return preferences(traces, score=score, margin=margin, **options)

    def trace(self, run: Named) -> Trace:
        """The record of *run*.

        Raises:
            TraceError: the store holds no such run, or it cannot be read.
        """
        return run if isinstance(run, Trace) else self._effect.trace(run)

    def _given(self, run: Named, options: Mapping[str, Any]) -> tuple[Trace, dict[str, Any]]:
        """The record of *run*, and options with what the store adds to them."""
        db = self._connection.db(self._branch)
        given = {"db": db, "clock": self._connection.clock, **options}
        if isinstance(given.get("do"), Iterable):
            given["do"] = [*given["do"]]  # it is read twice
        return self.trace(run), given

    # ----------------------------------------------------------------- as a run

    def _kept(self, found: Replayed, options: Mapping[str, Any]) -> Replayed:
        """*found*, once it is a run of the store."""
        forms = tuple(change.form for change in options.get("do", ()))
        meta = {**found.trace.meta, DO: forms} if forms else found.trace.meta
        trace = attrs.evolve(found.trace, meta=meta, **self._parent(found))
        recorder = Stored(self._connection, self._txn, self._branch, trace, each=False)
        recorder.begin()
        for step in trace.steps:
            if trace.upto is None or step.n >= trace.upto:
                recorder.add(step)
        recorder.end(trace.status, trace.result, trace.error)
        return attrs.evolve(found, trace=trace)

    def _parent(self, found: Replayed) -> dict[str, Any]:
        """The run that it replays, and how many of its steps it shares; none if it is not here."""
        db = self._connection.db(self._branch)
        if facts.RUN_ID not in db.schema or not db.entid([facts.RUN_ID, found.record.id]):
            return {"parent": None, "upto": None}
        shared = 0
        for one, other in zip(found.record, found.trace, strict=False):
            if one.n != other.n or one.id != other.id:
                break
            shared = one.n + 1
        return {"parent": found.record.id, "upto": shared}


class AsyncReplay:
    """`s.replay`, awaited: bodies await, and the store is read and written in threads."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    async def run(
        self, run: Named, body: Callable[[AsyncRun], Awaitable[Any]], **options: Any
    ) -> Replayed:
        """See :meth:`Replay.run`; *body* awaits."""
        return await self._replay.arun(run, body, **options)

    async def diff(self, a: Named, b: Named, score: Score | None = None) -> Diff:
        """See :meth:`Replay.diff`."""
        return await asyncio.to_thread(self._replay.diff, a, b, score)

    async def attribute(self, run: Named, body: Body, *given: Any, **options: Any) -> Attribution:
        """See :meth:`Replay.attribute`; *body* is a plain function, and runs in a thread."""
        return await asyncio.to_thread(self._replay.attribute, run, body, *given, **options)

    async def preferences(self, runs: Iterable[Named], **options: Any) -> list[Preference]:
        """See :meth:`Replay.preferences`."""
        return await asyncio.to_thread(self._replay.preferences, [*runs], **options)

    async def trace(self, run: Named) -> Trace:
        """See :meth:`Replay.trace`."""
        return await asyncio.to_thread(self._replay.trace, run)
