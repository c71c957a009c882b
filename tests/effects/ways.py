"""The same calls through the same handlers, in a run that waits and in one that awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
import pytest

from persistence.effects import AsyncRun, Handler, Run, Terminal, Trace

Calls = Iterable[tuple[str, Mapping[str, Any]]]

both_ways = pytest.mark.parametrize("way", ["sync", "async"])


def outcomes(way: str, handlers: Sequence[Handler], calls: Calls) -> tuple[list[Any], Trace]:
    """What each of *calls* gave, or the error that it raised, and the record."""
    if way == "async":
        return asyncio.run(_awaited(handlers, calls))
    found = []
    with Run("both", handlers) as run:
        for op, args in calls:
            try:
                found.append(run.perform(op, **args))
            except Exception as error:
                found.append(error)
    return found, run.trace


async def _awaited(handlers: Sequence[Handler], calls: Calls) -> tuple[list[Any], Trace]:
    found = []
    async with AsyncRun("both", [_awaiting(each) for each in handlers]) as run:
        for op, args in calls:
            try:
                found.append(await run.perform(op, **args))
            except Exception as error:
                found.append(error)
    return found, run.trace


def _awaiting(handler: Handler) -> Handler:
    if not isinstance(handler, Terminal):
        return handler
    functions = {op: awaited(function) for op, function in handler.functions.items()}
    return attrs.evolve(handler, functions=functions)


def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* as a coroutine function."""

    async def perform(*given: Any, **args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*given, **args)

    return perform
