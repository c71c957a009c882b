"""The awaited front door: the same answers, and the event loop goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from persistence import AsyncSubstrate, Keyring
from persistence.audit.note import VerifierKey, open_checkpoint
from persistence.errors import BranchError, TransactionError
from persistence.stm.awaited import AsyncTransaction


def test_the_same_names_awaited(store_uri: str) -> None:
    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            heard: list[int] = []
            stop = s.fact.listen(lambda report: heard.append(report.t))
            report = await s.fact.transact([{"db/id": "a", "n": 1}], valid_from="2026-01-01")
            e = report.tempids["a"]
            await s.fact.transact([{"db/id": e, "n": 2}], valid_from="2026-02-01")
            db = await s.fact.db()
            assert await db.get(e, "n") == 2
            assert await db.valid_at("2026-01-15").get(e, "n") == 1
            then = await db.as_of(1)
            assert await then.q("[:find ?n . :where [_ :n ?n]]") == 1
            both = "[:find ?a ?b :in $ $then :where [?e :n ?a] [$then ?e :n ?b]]"
            assert await db.q(both, then) == [(2, 1)]
            assert await db.pull(["n"], e) == await db.pull(["n"], e)
            assert len(await db.log()) == 3
            assert (await s.fact.with_([{"db/id": e, "n": 3}])).db_after.get(e, "n") == 3
            with pytest.raises(TransactionError):
                await s.fact.transact([{"n": None}])
            assert await s.check() == []
            stop()
            assert heard == [1, 2]

    asyncio.run(main())


def test_branches_awaited(store_uri: str) -> None:
    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            await s.fact.transact([{"db/id": 1, "n": 1}])
            before = await s.fact.db()
            await s.fact.transact([{"db/id": 1, "n": 2}])
            branch = await s.branch.create("b", of=before)
            await branch.fact.transact([{"db/id": 1, "m": 3}])
            db = await (await s.branch.open("b")).fact.db()
            assert (await db.get(1, "n"), await db.get(1, "m")) == (1, 3)
            told = {(d.v, d.added) for d in await s.branch.diff("b", await s.fact.db())}
            assert told >= {(3, False), (2, True)}
            assert (await s.branch.merge("b", dry_run=True)).report is None
            assert (await s.branch.merge("b")).report is not None
            assert await (await s.fact.db()).get(1, "m") == 3
            await s.branch.discard("b")
            assert [line.name for line in await s.branch.list()] == ["main"]
            assert [tx.branch for tx in await s.branch.transactions()] == [0, 0, 0, 3, 0, 0]
            with pytest.raises(BranchError):
                await s.branch.open("b")

    asyncio.run(main())


def test_transactions_on_a_branch_awaited(store_uri: str) -> None:
    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            await s.fact.transact([{"db/id": 1, "m": 1}])
            branch = await s.branch.create("b")

            async def grow(tx: AsyncTransaction) -> int:
                return await tx.ref(1, "m").alter(lambda m: m + 1)

            assert await branch.txn.run(grow) == 2
            assert await (await s.fact.db()).get(1, "m") == 1

    asyncio.run(main())


def test_many_transact_at_once(store_uri: str) -> None:
    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            await asyncio.gather(*(s.fact.transact([{"n": n}]) for n in range(40)))
            db = await s.fact.db()
            assert sorted(await db.q("[:find [?n ...] :where [_ :n ?n]]")) == list(range(40))
            assert db.value.basis == 40

    asyncio.run(main())


def test_the_audit_log_awaited(store_uri: str, tmp_path: Path) -> None:
    keys = Keyring.generate("example.com/tea", "ana", directory=tmp_path / "keys")

    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri, keys=keys) as s:
            report = await s.fact.transact([{"item/name": "tea"}])
            assert await s.audit.origin() == "example.com/tea"
            assert [key.name for key in await s.audit.keys()] == ["example.com/tea", "ana"]
            proof = await s.audit.prove(report.tx_data[0])
            said = open_checkpoint(proof.checkpoint, [VerifierKey.parse(await s.audit.vkey())])
            assert said.root == await s.audit.root() and len(await s.audit.consistency(1)) > 0
            assert await s.audit.export(tmp_path / "tiles") == open_checkpoint(
                await s.audit.checkpoint(), [VerifierKey.parse(await s.audit.vkey())]
            )
            assert (await s.audit.revoke_key("ana")).until == report.t
            assert await s.audit.verify() == []

    asyncio.run(main())
