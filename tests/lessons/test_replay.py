"""Lessons 26 to 29: replays of agents.

Random agents are replayed in tests/replay; the cases here are the failures that were reproduced in
earlier systems.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from persistence import Keyword, Substrate
from persistence.effects import Run, Terminal, Trace
from persistence.errors import Diverged, SearchError
from persistence.replay import do, preferences, replay

PRICE = '[:find ?p . :where [?i :item/name "tea"] [?i :item/price ?p]]'


class Shop:
    """The outside: it gives another answer to the same question every time, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    def search(self, query: str) -> list[Any]:
        self.asked += 1
        return [query, self.asked]

    def chat(self, system: str, prompt: str) -> str:
        self.asked += 1
        return "buy" if "cheap" in prompt else "wait"

    def act(self, what: str) -> str:
        self.asked += 1
        return f"{what} done"

    @property
    def tools(self) -> Terminal:
        functions: dict[str, Any] = {
            "tool/search": self.search,
            "tool/act": self.act,
            "model/chat": self.chat,
        }
        return Terminal("shop", functions)


def agent(run: Run, system: str = "You buy tea.") -> Any:
    """Repeats a call, draws as often as chance wills, reads, asks a model, acts, writes."""
    found = [run.perform("tool/search", query="tea") for _ in range(3)]
    draws = 1
    while run.random() < 0.7:
        draws += 1
    price = run.db().q(PRICE)
    advice = run.perform(
        "model/chat", system=system, prompt=f"{'cheap' if price < 10 else 'dear'}, {found[-1][1]}"
    )
    done = run.perform("tool/act", what=advice)
    run.transact([{"item/name": "tea", "item/price": price + 1}])
    return [found, draws, price, done, run.db().q(PRICE)]


@pytest.fixture
def filled(s: Substrate) -> Iterator[Substrate]:
    s.fact.transact("[{:db/ident :item/name :db/unique :db.unique/identity}]")
    s.fact.transact([{"item/name": "tea", "item/price": 12}])
    yield s


def recorded(s: Substrate, seed: int = 1) -> Trace:
    with s.effect.run("buyer", [Shop().tools], seed=seed) as run:
        run.result = agent(run)
    s.fact.transact([{"item/name": "tea", "item/price": 1_000}])
    return s.effect.trace(run.id)


# ------------------------------------------------------------------------- lesson 26


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_with_no_change_is_byte_identical(filled: Substrate, seed: int) -> None:
    """Lesson 26: repeated identical calls, and another number of draws in every run."""
    trace = recorded(filled, seed)
    repeated = [step for step in trace if step.op == Keyword("tool/search")]
    assert [step.occurrence for step in repeated] == [0, 1, 2]
    assert [step.result for step in repeated] == [("tea", 1), ("tea", 2), ("tea", 3)]
    again = replay(trace, agent, db=filled.fact.db())
    assert again.trace.encoded == trace.encoded and again.same
    assert again.hits == len(trace) and again.misses == again.changed == 0


# ------------------------------------------------------------------------- lesson 27


def test_a_miss_never_reaches_the_outside(filled: Substrate) -> None:
    """Lesson 27: whatever the program asks for, and however often it tries again."""
    trace, shop = recorded(filled), Shop()

    def other(run: Run) -> Any:
        for _ in range(3):
            for query in ("coffee", "tea"):
                try:
                    run.perform("tool/search", query=query)
                except Diverged:
                    pass
        return agent(run)

    again = replay(trace, other, live=[shop.tools], db=filled.fact.db())
    assert shop.asked == 0 and len(again.trace) == 0
    assert again.divergence is not None and again.divergence.place == 0


def test_prompt_drift_is_told_at_the_first_call_that_differs(filled: Substrate) -> None:
    """Lesson 27: not where the consequences show, and with the words that changed."""
    trace = recorded(filled)
    again = replay(
        trace, lambda run: agent(run, "You buy tea!"), live=[Shop().tools], db=filled.fact.db()
    )
    found = again.divergence
    assert found is not None and found.expected is not None
    assert found.expected.op == Keyword("model/chat") and found.expected.n == again.prefix
    assert [str(each) for each in found.differing] == [
        ':system: "You buy tea." became "You buy tea!"'
    ]


# ------------------------------------------------------------------------- lesson 28


def changed(s: Substrate, trace: Trace, *changes: Any) -> Any:
    allow = ["model/*", "tool/act"]
    return replay(trace, agent, do=changes, live=[Shop().tools], allow=allow, db=s.fact.db())


def said(trace: Trace, op: str) -> Any:
    return next(step for step in trace if step.op == Keyword(op))


def test_a_changed_observation_or_output_derives_the_action_again(filled: Substrate) -> None:
    """Lesson 28: the action that was recorded is not taken over."""
    trace = recorded(filled)
    output = changed(filled, trace, do.output(("model/chat", 0), "buy"))
    assert said(output.trace, "tool/act").args == {Keyword("what"): "buy"}
    assert said(trace, "tool/act").args == {Keyword("what"): "wait"}
    seen = changed(filled, trace, do.observation(2, ["tea", 77]))
    assert "77" in said(seen.trace, "model/chat").args[Keyword("prompt")]
    for again, change in ((output, ("model/chat", 0)), (seen, None)):
        n = 2 if change is None else said(trace, change[0]).n
        assert again.prefix == n and again.divergence is None
        assert [s.id for s in again.trace.steps[:n]] == [s.id for s in trace.steps[:n]]


def test_a_changed_fact_reaches_every_later_step(filled: Substrate) -> None:
    """Lesson 28: the prompt, the action, what is written, and what is read of that."""
    trace, basis = recorded(filled), filled.fact.db().basis
    again = changed(filled, trace, do.fact([{"item/name": "tea", "item/price": 5}]))
    assert again.divergence is None and not again.idle
    assert again.prefix == said(trace, "db/basis").n
    assert said(again.trace, "model/chat").args[Keyword("prompt")].startswith("cheap")
    assert again.value[2:] == [5, "buy done", 6] and trace.result[2:] == (12, "wait done", 13)
    assert filled.fact.db().basis == basis, "and nothing of it is written"


# ------------------------------------------------------------------------- lesson 29


def profit(trace: Trace) -> float:
    return 10.0 if "buy done" in str(trace.result) else 0.0


def test_pairs_come_from_equal_prefixes_and_a_margin(filled: Substrate) -> None:
    """Lesson 29: a run with other luck, or hardly better, is no preference."""
    trace = recorded(filled)
    better = changed(filled, trace, do.output(("model/chat", 0), "buy")).trace
    lucky = changed(filled, trace, do.observation(0, ["tea", "cheap"])).trace
    (pair,) = preferences([trace, better], score=profit, margin=5)
    assert (pair.better.result, pair.worse.result) == ("buy", "wait")
    assert pair.better.key == pair.worse.key and pair.margin == 10
    assert [step.id for step in pair.prefix] == [step.id for step in pair.rejected.steps[: pair.at]]
    assert preferences([trace, better], score=profit, margin=10.5) == []
    assert preferences([trace, lucky], score=lambda each: len(str(each.result))) == []
    with pytest.raises(SearchError, match="no finite number"):
        preferences([trace], score=lambda each: float("nan"))
