"""The awaited twin: bodies that await, and bodies in threads, lose nothing either."""

from __future__ import annotations

import asyncio

import pytest

from persistence import AsyncSubstrate
from persistence.errors import Conflict, DeadlineExceeded
from persistence.stm import Change, Transaction
from persistence.stm.awaited import AsyncTransaction
from tests.stm.test_refs import add


async def grow(tx: AsyncTransaction) -> int:
    ref = tx.ref(1, "n")
    held = await ref.deref()
    await asyncio.sleep(0)
    await ref.set(held + 1)
    return held


def grow_in_a_thread(tx: Transaction) -> int:
    held: int = tx.ref(1, "n").alter(add, 1)
    return held


def test_bodies_that_await_lose_no_increment(store_uri: str) -> None:
    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            await s.fact.transact([["db/add", 1, "n", 0]])
            await asyncio.gather(*(s.txn.run(grow) for _ in range(12)))
            await asyncio.gather(*(s.txn.run(grow_in_a_thread) for _ in range(12)))
            assert await s.txn.deref(s.txn.ref(1, "n")) == 24

    asyncio.run(main())


def test_the_same_names_awaited(store_uri: str) -> None:
    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            await s.fact.transact([["db/add", 1, "n", 1]])
            heard: list[Change] = []
            stop = await s.txn.watch("n", heard.append)
            async for attempt in s.txn.attempts():
                async with attempt as tx:
                    await tx.transact([["db/add", 2, "n", 5]])
                    assert await tx.q("[:find (sum ?n) . :where [?e :n ?n]]") == 6
                    assert await tx.get(2, "n") == 5
                    assert await tx.run(grow) == 1
                    assert await tx.run(grow_in_a_thread) == 3
                    assert await tx.ref(2, "n").commute(add, 1) == 6
            assert tx.report is not None
            with pytest.raises(Conflict):
                async with s.txn.once() as tx:
                    await tx.ref(1, "n").alter(add, 1)
                    await s.fact.transact([["db/add", 1, "n", 9]])
            stop()
            assert sorted((c.entity, c.new) for c in heard) == [(1, 3), (1, 9), (2, 6)]

    asyncio.run(main())


def test_a_body_that_awaits_can_wait_for_a_change(store_uri: str) -> None:
    async def reach(tx: AsyncTransaction) -> int:
        held: int = await tx.ref(1, "n").deref()
        if held < 3:
            tx.retry()
        return held

    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            await s.fact.transact([["db/add", 1, "n", 0]])
            with pytest.raises(DeadlineExceeded):
                await s.txn.run(reach, deadline=0.05)
            waiting = asyncio.create_task(s.txn.run(reach))
            for _ in range(3):
                await s.txn.run(grow)
            assert await waiting == 3

    asyncio.run(main())
