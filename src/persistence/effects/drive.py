"""Carries a call through its handlers: once for programs that wait, once for those that await.

The two drivers do the same with the same generators; they differ in how they call the function at
the end, how they wait, and how they bound the time.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final

from persistence.effects.call import Call
from persistence.effects.handler import Asked, Chain, Handle, Invoke, Wait, Within
from persistence.errors import EffectError, EffectTimedOut, UnhandledEffect

Sleep = Callable[[float], object]


def carry(chain: Chain, call: Call, sleep: Sleep = time.sleep, depth: int = 0) -> Any:
    """The answer to *call*, from the handlers of *chain* at *depth* and further inside.

    Raises:
        EffectTimedOut: a handler bounded the time, and it was up.
        UnhandledEffect: the function is a coroutine function, and nobody awaits here.
        Exception: what the function or a handler raised.
    """
    if depth == len(chain.around):
        result = chain.function(call)
        return _at_once(result, f"{call.op} is performed by a coroutine function", call)
    handler = _begun(chain.around[depth], call)
    try:
        asked = next(handler)
        while True:
            try:
                answer = _done(chain, asked, sleep, depth)
            except Exception as error:
                asked = handler.throw(error)
            else:
                asked = handler.send(answer)
    except StopIteration as stop:
        return stop.value
    finally:
        handler.close()


def _done(chain: Chain, asked: Any, sleep: Sleep, depth: int) -> Any:
    if type(asked) is Call:
        return carry(chain, asked, sleep, depth + 1)
    if type(asked) is Wait:
        return sleep(asked.seconds)
    if type(asked) is Within:
        return _within(lambda: carry(chain, asked.call, sleep, depth + 1), asked)
    if type(asked) is Invoke:
        result = asked.function(*asked.args)
        return _at_once(result, f"{asked.function!r} is a coroutine function")
    raise _misused(asked)


def _at_once(result: Any, awaited: str, call: Call | None = None) -> Any:
    if not inspect.isawaitable(result):
        return result
    _dropped(result)
    raise UnhandledEffect(
        f"{awaited}, and this run does not await",
        hint="open the run with AsyncSubstrate.open, or give it a plain function",
        operation=None if call is None else call.op,
    )


def _within(work: Callable[[], Any], asked: Within) -> Any:
    """Carries out *work* in a thread of its own, and waits no longer than was asked.

    A thread cannot be stopped from outside: what is late goes on, and nobody listens to it.
    """
    told: Future[Any] = Future()

    def run() -> None:
        try:
            told.set_result(work())
        except BaseException as error:
            told.set_exception(error)

    Thread(target=run, name=f"persistence {asked.call.op}", daemon=True).start()
    try:
        return told.result(asked.seconds)
    except TimeoutError:
        if told.done():  # the work itself raised it
            raise
        raise _late(asked) from None


async def acarry(chain: Chain, call: Call, depth: int = 0) -> Any:
    """As :func:`carry`; the function may be a coroutine function, and waiting is awaited."""
    if depth == len(chain.around):
        result = chain.function(call)
        return await result if inspect.isawaitable(result) else result
    handler = _begun(chain.around[depth], call)
    try:
        asked = next(handler)
        while True:
            try:
                answer = await _adone(chain, asked, depth)
            except Exception as error:
                asked = handler.throw(error)
            else:
                asked = handler.send(answer)
    except StopIteration as stop:
        return stop.value
    finally:
        handler.close()


async def _adone(chain: Chain, asked: Any, depth: int) -> Any:
    if type(asked) is Call:
        return await acarry(chain, asked, depth + 1)
    if type(asked) is Wait:
        return await asyncio.sleep(asked.seconds)
    if type(asked) is Within:
        limit = asyncio.timeout(asked.seconds)
        try:
            async with limit:
                return await acarry(chain, asked.call, depth + 1)
        except TimeoutError:
            if not limit.expired():
                raise
            raise _late(asked) from None
    if type(asked) is Invoke:
        result = asked.function(*asked.args)
        return await result if inspect.isawaitable(result) else result
    raise _misused(asked)


def _late(asked: Within) -> EffectTimedOut:
    call = asked.call
    return EffectTimedOut(
        f"{call.op} took longer than {asked.seconds:g} s",
        hint="allow it more time, or let it be tried again",
        operation=call.op,
        place=call.place,
        seconds=asked.seconds,
    )


def _begun(handle: Handle, call: Call) -> Generator[Asked, Any, Any]:
    handler = handle(call)
    if not hasattr(handler, "send"):
        raise EffectError(
            f"handler {getattr(handle, '__qualname__', handle)} gave no generator, but "
            f"{type(handler).__name__}",
            hint="a handler yields the call, to let it through, and returns the answer; "
            "a function without a yield is none",
            operation=call.op,
        )
    return handler


def _misused(asked: Any) -> EffectError:
    return EffectError(
        f"a handler yielded {asked!r}, which nobody can do anything with",
        hint="a handler yields a Call, Wait, Within or Invoke, and returns its answer",
    )


def _dropped(result: Any) -> None:
    close: Final = getattr(result, "close", None)
    if close is not None:
        close()  # or Python would warn of a coroutine that was never awaited
