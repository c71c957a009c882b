"""`s.replay`: the runs of a store, replayed, compared, and kept as runs of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from persistence import AsyncSubstrate, Keyword, Substrate, read
from persistence.effects import AsyncRun, Run, Terminal
from persistence.errors import TraceError
from persistence.replay import do

TOOLS = Terminal("t", {"tool/price": lambda of: 12, "tool/buy": lambda n: f"{n} bought"})


def agent(run: Run) -> Any:
    price = run.perform("tool/price", of="tea")
    ids = run.transact([{"db/id": "seen", "seen/price": price}])
    seen = run.db().q("[:find ?p . :where [_ :seen/price ?p]]")
    return [sorted(ids), seen, run.perform("tool/buy", n=2 if price < 10 else 1)]


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


@pytest.fixture
def bought(s: Substrate) -> UUID:
    with s.effect.run("buyer", [TOOLS]) as run:
        run.result = agent(run)
    return run.id


CHEAP = do.observation(0, 9)


def cheap(s: Substrate, run: Any, **options: Any) -> Any:
    return s.replay.run(run, agent, do=[CHEAP], live=[TOOLS], allow="tool/buy", **options)


def test_a_run_is_replayed_by_its_id_or_its_trace(s: Substrate, bought: UUID) -> None:
    before = s.fact.db().basis
    for run in (bought, str(bought), s.effect.trace(bought)):
        assert s.replay.run(run, agent).same
    assert s.fact.db().basis == before
    for unknown in (uuid4(), "no id"):
        with pytest.raises(TraceError):
            s.replay.run(unknown, agent)


def test_a_replay_is_kept_as_a_run_that_shares_its_prefix(s: Substrate, bought: UUID) -> None:
    change = do.failure(("tool/buy", 0), "SoldOut")
    kept = s.replay.run(bought, agent, do=[change], record=True)
    loaded = s.effect.trace(kept.trace.id)
    assert loaded == kept.trace and loaded.encoded == kept.trace.encoded
    assert (loaded.parent, loaded.upto) == (bought, 3)
    assert loaded.meta == {Keyword("replay/do"): (change.form,)}
    own = "[:find (count ?s) . :in $ ?id :where [?r :run/id ?id] [?s :step/run ?r]]"
    assert s.fact.db().q(own, loaded.id) == 1
    assert [each.id for each in s.effect.runs()] == [bought, loaded.id]
    assert do.read(loaded.meta[Keyword("replay/do")][0]).form == change.form
    again = s.replay.run(loaded, agent, do=[change])
    assert again.trace.encoded == loaded.encoded


def test_a_replay_that_speculates_is_kept_and_replayed(s: Substrate, bought: UUID) -> None:
    kept = cheap(s, bought, record=True)
    assert kept.value == [["seen"], 9, "2 bought"] and kept.divergence is None
    loaded = s.effect.trace(kept.trace.id)
    assert (loaded.parent, loaded.upto) == (bought, 0) and loaded == kept.trace
    again = s.replay.run(loaded, agent, do=[CHEAP])
    assert again.value == kept.value and again.trace.encoded == loaded.encoded
    assert s.fact.db().q("[:find [?p ...] :where [_ :seen/price ?p]]") == [12]


def test_a_run_of_another_store_is_kept_whole(s: Substrate) -> None:
    with Run("far", [TOOLS]) as run:
        run.result = run.perform("tool/price", of="tea")
    kept = s.replay.run(
        run.trace, lambda run: run.perform("tool/price", of="tea"), do=[CHEAP], record=True
    )
    assert s.effect.trace(kept.trace.id) == kept.trace and kept.trace.parent is None


def test_replays_are_compared_attributed_and_paired(s: Substrate, bought: UUID) -> None:
    kept = cheap(s, bought, record=True)

    def score(trace: Any) -> float:
        return -float(trace.steps[0].result)

    assert s.replay.diff(bought, kept.trace.id, score).gain == 3
    found = s.replay.attribute(bought, agent, [CHEAP], score, live=[TOOLS], allow="tool/buy")
    assert found.exact and found[0].value == 3
    assert s.replay.preferences([bought, kept.trace.id], score=score) == []
    with_outputs = s.replay.preferences([bought, kept.trace], score=score, outputs="tool/price")
    assert [pair.better.result for pair in with_outputs] == [9]


def test_a_branch_replays_its_own_runs(s: Substrate, bought: UUID) -> None:
    side = s.branch.create("side")
    assert side.replay.run(bought, agent).same
    kept = side.replay.run(bought, agent, record=True)
    assert kept.same and side.effect.trace(kept.trace.id).upto == 4
    with pytest.raises(TraceError):
        s.effect.trace(kept.trace.id)


def test_awaited_runs_are_replayed_in_a_store_that_awaits(store_uri: str) -> None:
    async def body(run: AsyncRun) -> Any:
        return [await run.perform("tool/price", of="tea"), await run.random()]

    async def main() -> None:
        async with await AsyncSubstrate.open(store_uri) as s:
            async with s.effect.run("awaits", [TOOLS]) as run:
                run.result = await body(run)
            assert (await s.replay.run(run.id, body)).same
            kept = await s.replay.run(run.id, body, do=[CHEAP], record=True)
            assert (await s.effect.trace(kept.trace.id)) == kept.trace
            assert (await s.replay.diff(run.id, kept.trace.id)).prefix == 0

    asyncio.run(main())


def test_the_interventions_of_a_run_are_found_by_a_query(s: Substrate, bought: UUID) -> None:
    cheap(s, bought, record=True)
    found = s.fact.db().q("[:find ?m . :where [?r :run/parent] [?r :run/meta ?m]]")
    assert found[Keyword("replay/do")] == (read("{:step 0 :observation 9}"),)
