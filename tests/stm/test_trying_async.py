"""Fork, fold and outbox for asyncio: candidates, steps and handlers that await."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from persistence import AsyncSubstrate
from persistence.errors import ForkError
from persistence.stm.awaited import AsyncTransaction


def run(store_uri: str, body: Any) -> Any:
    async def main() -> Any:
        async with await AsyncSubstrate.open(store_uri) as s:
            await s.fact.transact([["db/add", 1, "n", 0]])
            return await body(s)

    return asyncio.run(main())


def test_candidates_are_awaited_at_once(store_uri: str) -> None:
    async def body(s: AsyncSubstrate) -> Any:
        together = asyncio.Barrier(3)

        def candidate(n: int) -> Any:
            async def one(tx: AsyncTransaction) -> int:
                await together.wait()
                await tx.ref(1, "n").set(n)
                await tx.effect("note", n=n)
                return n

            return one

        every = {n: candidate(n) for n in (1, 3, 2)}
        forked = await s.txn.fork(every, score=lambda outcome: outcome.value)
        db = await s.fact.db()
        effects = await s.txn.effects("pending")
        return forked.value, await db.get(1, "n"), [each.args["n"] for each in effects]

    assert run(store_uri, body) == (3, 3, [3])


def test_steps_and_handlers_are_awaited(store_uri: str) -> None:
    async def body(s: AsyncSubstrate) -> Any:
        seen = []

        async def step(tx: AsyncTransaction, total: int, item: int) -> int:
            await asyncio.sleep(0)
            await tx.effect("note", n=item)
            return await tx.ref(1, "n").alter(lambda n: n + item)

        async def handler(args: Any, key: Any) -> None:
            await asyncio.sleep(0)
            seen.append(args["n"])

        folded = await s.txn.fold([1, 2, 3], step, checkpoint="sum", every=2)
        s.txn.handler("note", handler)
        delivered = await s.txn.deliver()
        return folded.value, seen, len(delivered)

    assert run(store_uri, body) == (6, [1, 2, 3], 3)


def test_inside_of_an_awaited_body(store_uri: str) -> None:
    async def inner(s: AsyncSubstrate) -> Any:
        async def more(tx: AsyncTransaction) -> int:
            return await tx.ref(1, "n").alter(lambda n: n + 5)

        async def step(tx: AsyncTransaction, value: Any, item: int) -> int:
            return await tx.ref(1, "n").alter(lambda n: n + item)

        async def body(tx: AsyncTransaction) -> Any:
            forked = await tx.fork([more, lambda one: 0], score=lambda outcome: outcome.value)
            folded = await tx.fold([1, -7, 2], step, score=lambda marker: marker.value)
            return forked.winner.label, folded.position

        async def broken(tx: AsyncTransaction) -> None:
            raise ValueError("no")

        with pytest.raises(ForkError, match="ValueError: no"):
            await s.txn.fork([broken], score=lambda outcome: 0)
        found = await s.txn.run(body)
        return found, await (await s.fact.db()).get(1, "n")

    assert run(store_uri, inner) == ((0, 1), 6)
