"""`s.txn` for asyncio: the same names, awaited, and bodies that may await.

A body that is a coroutine function runs on the event loop, with a transaction whose questions are
awaited; every other body runs in a thread. Nothing is locked while either runs, however long the
calls to a model in it take.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

import attrs

from persistence.db import Report
from persistence.stm.bound import BoundRef
from persistence.stm.fold import Folded
from persistence.stm.fork import Forked
from persistence.stm.outbox import ATTEMPTS, Delivery
from persistence.stm.reference import Ref
from persistence.stm.transaction import Transaction
from persistence.stm.txn import Txn
from persistence.stm.waits import actor
from persistence.stm.watching import Change, Predicate

T = TypeVar("T")


@attrs.frozen(repr=False)
class AsyncRef:
    """A ref of an awaited transaction; see :class:`BoundRef`."""

    value: BoundRef

    async def deref(self) -> Any:
        """See :meth:`BoundRef.deref`."""
        return await asyncio.to_thread(self.value.deref)

    async def set(self, value: Any) -> None:
        """See :meth:`BoundRef.set`."""
        await asyncio.to_thread(self.value.set, value)

    async def alter(self, function: Callable[..., Any], *args: Any) -> Any:
        """See :meth:`BoundRef.alter`."""
        return await asyncio.to_thread(self.value.alter, function, *args)

    async def commute(self, function: Callable[..., Any], *args: Any) -> Any:
        """See :meth:`BoundRef.commute`."""
        return await asyncio.to_thread(self.value.commute, function, *args)

    async def ensure(self) -> Any:
        """See :meth:`BoundRef.ensure`."""
        return await asyncio.to_thread(self.value.ensure)

    def __repr__(self) -> str:
        return f"<Async{repr(self.value)[1:]}"


@attrs.frozen(repr=False)
class AsyncTransaction:
    """A transaction whose questions are awaited; `value` is the plain one."""

    value: Transaction

    @property
    def report(self) -> Report | None:
        """What was committed, once it is; None if nothing was written."""
        return self.value.report

    async def q(self, text: Any, *inputs: Any, **options: Any) -> Any:
        """See :meth:`Transaction.q`."""
        return await asyncio.to_thread(self.value.q, text, *inputs, **options)

    async def pull(self, pattern: Any, e: Any) -> Any:
        """See :meth:`Transaction.pull`."""
        return await asyncio.to_thread(self.value.pull, pattern, e)

    async def get(self, e: Any, attribute: Any, default: Any = None) -> Any:
        """See :meth:`Transaction.get`."""
        return await asyncio.to_thread(self.value.get, e, attribute, default)

    async def transact(self, forms: Any, **options: Any) -> Report:
        """See :meth:`Transaction.transact`."""
        return await asyncio.to_thread(lambda: self.value.transact(forms, **options))

    def ref(self, entity: Any, attribute: Any = None, **default: Any) -> AsyncRef:
        """See :meth:`Transaction.ref`; nothing is read."""
        return AsyncRef(self.value.ref(entity, attribute, **default))

    def retry(self) -> None:
        """See :meth:`Transaction.retry`."""
        self.value.retry()

    @asynccontextmanager
    async def nested(self) -> AsyncIterator[AsyncTransaction]:
        """See :meth:`Transaction.nested`."""
        with self.value.nested() as child:
            yield AsyncTransaction(child)

    async def run(self, body: Callable[..., Any], *args: Any) -> Any:
        """See :meth:`Transaction.run`; *body* may be a coroutine function."""
        async with self.nested() as child:
            return await _carried_out(body, child, args)

    async def effect(self, operation: Any, /, **args: Any) -> UUID:
        """See :meth:`Transaction.effect`."""
        return await asyncio.to_thread(lambda: self.value.effect(operation, **args))

    async def fork(self, candidates: Any, **options: Any) -> Forked:
        """See :meth:`Transaction.fork`; candidates that are coroutine functions are awaited, all
        at once, and get awaited transactions."""
        threaded = _threaded_all(candidates)
        return await asyncio.to_thread(lambda: self.value.fork(threaded, **options))

    async def fold(self, items: Iterable[Any], step: Callable[..., Any], **options: Any) -> Folded:
        """See :meth:`Transaction.fold`; *step* may be a coroutine function."""
        threaded = _threaded(step)
        return await asyncio.to_thread(lambda: self.value.fold(items, threaded, **options))

    def __repr__(self) -> str:
        return f"<Async {self.value!r}>"


class AsyncTxn:
    """`s.txn`, awaited.

    >>> import asyncio
    >>> from persistence import AsyncSubstrate
    >>> async def grow(tx, who):
    ...     await asyncio.sleep(0)  # a model is asked
    ...     return await tx.ref(who, "user/age").alter(lambda age: age + 1)
    >>> async def main():
    ...     async with await AsyncSubstrate.open(":memory:") as s:
    ...         await s.fact.transact([{"db/id": 1, "user/age": 36}])
    ...         return await s.txn.run(grow, 1)
    >>> asyncio.run(main())
    37
    """

    def __init__(self, txn: Txn) -> None:
        self._txn = txn

    async def run(self, body: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        """See :meth:`Txn.run`. A coroutine function is awaited, and gets the awaited transaction.

        An awaited body never runs with the write lock held, since others on the loop might wait
        for it: `serial_after` is for bodies that run in a thread.
        """
        if not inspect.iscoroutinefunction(body):
            return await _in_thread(lambda: self._txn.run(body, *args, **settings))
        value = None
        async for attempt in self.attempts(**settings):
            async with attempt as transaction:
                value = await body(transaction, *args)
        return value

    async def attempts(
        self, **settings: Any
    ) -> AsyncIterator[AbstractAsyncContextManager[AsyncTransaction]]:
        """See :meth:`Txn.attempts`: `async for attempt in …: async with attempt as tx:`."""
        settings = {"serial_after": None, **settings}
        plain: Iterator[AbstractContextManager[Transaction]] = self._txn.attempts(**settings)
        while (attempt := await _in_thread(next, plain, None)) is not None:
            yield _attempt(attempt)

    def once(self, **settings: Any) -> AbstractAsyncContextManager[AsyncTransaction]:
        """See :meth:`Txn.once`."""
        return _attempt(self._txn.once(serial_after=None, **settings))

    def ref(self, entity: Any, attribute: Any, **default: Any) -> Ref:
        """See :meth:`Txn.ref`; nothing is read."""
        return self._txn.ref(entity, attribute, **default)

    async def deref(self, ref: Ref) -> Any:
        """See :meth:`Txn.deref`."""
        return await asyncio.to_thread(self._txn.deref, ref)

    async def validator(self, target: Any, predicate: Predicate) -> Callable[[], None]:
        """See :meth:`Txn.validator`; *predicate* runs in the thread that commits."""
        return await asyncio.to_thread(self._txn.validator, target, predicate)

    async def watch(self, target: Any, callback: Callable[[Change], Any]) -> Callable[[], None]:
        """See :meth:`Txn.watch`; *callback* runs on this event loop."""
        loop = asyncio.get_running_loop()

        def relay(change: Change) -> None:
            loop.call_soon_threadsafe(callback, change)

        return await asyncio.to_thread(self._txn.watch, target, relay)

    async def fork(self, candidates: Any, **options: Any) -> Forked:
        """See :meth:`Txn.fork`; candidates that are coroutine functions are awaited, all at once,
        and get awaited transactions."""
        threaded = _threaded_all(candidates)
        return await asyncio.to_thread(lambda: self._txn.fork(threaded, **options))

    async def fold(self, items: Iterable[Any], step: Callable[..., Any], **options: Any) -> Folded:
        """See :meth:`Txn.fold`; *step* may be a coroutine function."""
        threaded = _threaded(step)
        return await asyncio.to_thread(lambda: self._txn.fold(items, threaded, **options))

    def handler(
        self, operation: Any, function: Callable[..., Any], *, attempts: int = ATTEMPTS
    ) -> Callable[[], None]:
        """See :meth:`Txn.handler`; *function* may be a coroutine function, and runs on this loop
        then."""
        return self._txn.handler(operation, _threaded(function), attempts=attempts)

    async def deliver(self) -> list[Delivery]:
        """See :meth:`Txn.deliver`."""
        return await asyncio.to_thread(self._txn.deliver)

    async def effects(self, state: Any = None) -> list[Delivery]:
        """See :meth:`Txn.effects`."""
        return await asyncio.to_thread(self._txn.effects, state)


@asynccontextmanager
async def _attempt(
    attempt: AbstractContextManager[Transaction],
) -> AsyncIterator[AsyncTransaction]:
    """A plain attempt whose beginning and end, where it waits, are in a thread."""
    transaction = await _in_thread(attempt.__enter__)
    try:
        yield AsyncTransaction(transaction)
    except BaseException as error:
        kind, told, trace = type(error), error, error.__traceback__
        if not await _in_thread(lambda: attempt.__exit__(kind, told, trace)):
            raise
    else:
        await _in_thread(attempt.__exit__, None, None, None)


async def _in_thread(function: Callable[..., T], *args: Any) -> T:
    """What *function* gives in a thread, where bodies and waits are those of this task."""
    token = actor.set(asyncio.current_task())
    try:
        return await asyncio.to_thread(function, *args)
    finally:
        actor.reset(token)


async def _carried_out(body: Callable[..., Any], child: AsyncTransaction, args: Any) -> Any:
    if inspect.iscoroutinefunction(body):
        return await body(child, *args)
    return await asyncio.to_thread(body, child.value, *args)


def _threaded(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* for a thread: a coroutine function is awaited on this event loop, and gets the
    awaited form of the transaction it is given."""
    if not inspect.iscoroutinefunction(function):
        return function
    loop = asyncio.get_running_loop()

    def carried_out(*args: Any) -> Any:
        given = [AsyncTransaction(arg) if isinstance(arg, Transaction) else arg for arg in args]
        return asyncio.run_coroutine_threadsafe(function(*given), loop).result()

    return carried_out


def _threaded_all(candidates: Any) -> Any:
    if isinstance(candidates, Mapping):
        return {label: _threaded(candidate) for label, candidate in candidates.items()}
    return [_threaded(candidate) for candidate in candidates]
