"""A run of an agent that awaits: the same names, the same record, the same handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from persistence.db import Db
from persistence.effects.base import RunBase, given, some
from persistence.effects.drive import acarry
from persistence.effects.step import Step
from persistence.effects.words import BASIS, DRAW, NOW, TRANSACT
from persistence.effects.wrapped import Effect
from persistence.values import Keyword, Map

T = TypeVar("T")


class AsyncRun(RunBase):
    """As :class:`Run`, awaited. Functions at the end of the handlers may be coroutine functions;
    what is written to the store is written in a thread.

    >>> import asyncio
    >>> from persistence.effects import Terminal
    >>> async def greet(name):
    ...     return f"Hi {name}"
    >>> async def agent():
    ...     async with AsyncRun("greet", [Terminal("tools", {"tool/greet": greet})]) as run:
    ...         return await run.perform("tool/greet", name="Ada")
    >>> asyncio.run(agent())
    'Hi Ada'
    """

    async def perform(self, op: Keyword | str | Effect[Any], /, **args: Any) -> Any:
        """See :meth:`Run.perform`."""
        if isinstance(op, Effect):
            return op.given((await self._perform(op.op, op.taken(args))).result)
        return (await self._perform(op, args)).result

    async def _perform(self, op: Keyword | str, args: Mapping[str, Any]) -> Step:
        asked = self._begin(op, args)
        step = self._answered(asked)
        if step is not None:
            return given(step)
        try:
            chain = self.handlers.chain(asked.call.op, self._to, self._masked)
            await self._aside(self._write_ahead, asked)
            value = await acarry(chain, asked.call)
        except BaseException as error:
            raised = await self._aside(self._lose, asked, error)
            if raised is error:
                raise
            raise raised  # noqa: B904  its cause is set
        kept: Step = await self._aside(self._keep, asked, value)
        return kept

    async def _aside(self, function: Any, *args: Any) -> Any:
        """*function* in a thread, if it waits for a store. A task that is cancelled meanwhile waits
        until it is done, and is cancelled then: or the run could end before its last step is
        written."""
        if not self._ledger.recorder.waits:
            return function(*args)
        work = asyncio.ensure_future(asyncio.to_thread(function, *args))
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is None:
            return work.result()
        raise cancelled from work.exception()

    async def now(self) -> datetime:
        """See :meth:`Run.now`."""
        moment = await self.perform(NOW)
        assert isinstance(moment, datetime)
        return moment

    async def random(self) -> float:
        """See :meth:`Run.random`."""
        return float(await self.perform(DRAW))

    async def choice(self, options: Sequence[T]) -> T:
        """See :meth:`Run.choice`."""
        return some(options)[int(await self.random() * len(options))]

    async def db(self) -> Db:
        """See :meth:`Run.db`; a plain database value, to be asked in a thread."""
        return self._read(await self._perform(BASIS, {}))

    async def transact(self, forms: Any, **options: Any) -> Mapping[str, int]:
        """See :meth:`Run.transact`."""
        found: Map = await self.perform(TRANSACT, forms=forms, **options)
        return {key.name: e for key, e in found.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._aside(self._end, error)
