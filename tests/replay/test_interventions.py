"""One thing is changed: what comes before stays as it was, what comes after is derived again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from persistence import Keyword, Substrate, read
from persistence.effects import Run, Step, Terminal, Trace
from persistence.errors import Diverged, EffectFailed, InputError, TraceError
from persistence.replay import Intervention, do, replay, step_at
from tests.replay.agents import OUTSIDE, never

PRICE = "[:find ?p . :where [?i :item/name ?n] [?i :item/price ?p]]"


def buyer(run: Run) -> Any:
    """Looks for an offer, asks a model about it, and does what the model says."""
    offer = run.perform("tool/find", query="tea")
    luck = run.random()
    advice = run.perform("model/chat", prompt=f"{offer} at {luck:.3f}")
    done = run.perform("tool/do", what=advice)
    return [offer, advice, done]


TOOLS = Terminal(
    "tools",
    {
        "tool/find": lambda query: 12,
        "random/draw": lambda: 0.25,
        "model/chat": lambda prompt: "buy" if prompt.startswith("9 ") else "wait",
        "tool/do": lambda what: f"{what} done",
    },
)


@pytest.fixture
def bought() -> Trace:
    with Run("buyer", [TOOLS]) as run:
        run.result = buyer(run)
    return run.trace


def test_a_changed_observation_derives_everything_after_it_again(bought: Trace) -> None:
    again = replay(
        bought, buyer, do=[do.observation(0, 9)], live=[TOOLS], allow=["model/*", "tool/do"]
    )
    assert again.value == [9, "buy", "buy done"]
    assert (again.changed, again.hits, again.misses) == (1, 1, 2), "the draw stays the same"
    assert again.divergence is None and again.prefix == 0 and not again.same
    assert again.trace[0].key == bought[0].key and again.trace[0].id != bought[0].id


def test_a_changed_output_leaves_the_prefix_and_changes_the_action(bought: Trace) -> None:
    again = replay(
        bought, buyer, do=[do.output(("model/chat", 0), "buy")], live=[TOOLS], allow=["tool/do"]
    )
    assert again.value == [12, "buy", "buy done"]
    assert again.prefix == 2 and again.trace.steps[:2] == bought.steps[:2]


def test_what_would_have_to_be_done_again_diverges_where_it_is_not_allowed(bought: Trace) -> None:
    again = replay(bought, buyer, do=[do.output(2, "buy")], live=[OUTSIDE])
    assert again.divergence is not None and again.divergence.place == 3
    assert isinstance(again.error, Diverged) and "allow=" in str(again.error.hint)
    assert again.prefix == 2 and len(again.trace) == 3


def test_a_changed_action_is_answered_by_the_record_the_handlers_or_an_observation(
    bought: Trace,
) -> None:
    def twice(run: Run) -> Any:
        return [run.perform("tool/find", query=q) for q in ("tea", "milk", "tea")]

    with Run("twice", [Terminal("t", {"tool/find": lambda query: query.upper()})]) as run:
        run.result = twice(run)
    known = replay(run.trace, twice, do=[do.action(2, query="milk")], live=[OUTSIDE])
    assert isinstance(known.error, Diverged), "milk was asked for once, and that is used up"
    early = replay(run.trace, twice, do=[do.action(0, query="milk")], live=[OUTSIDE])
    assert early.value == ["MILK", "MILK", "TEA"]
    live = [Terminal("t", {"tool/get": lambda item: f"new {item}"})]
    other = do.action(1, "tool/get", item="cup")
    assert replay(run.trace, twice, do=[other], live=live, allow="tool/get").value[1] == "new cup"
    said = replay(run.trace, twice, do=[other, do.observation(1, "said")], live=[OUTSIDE])
    assert said.value == ["TEA", "said", "TEA"] and said.trace[1].op == Keyword("tool/get")
    again = replay(said.trace, twice, do=[other, do.observation(1, "said")], live=[OUTSIDE])
    assert again.same and again.prefix == 3, "a replay can be replayed like any run"


def test_a_failure_is_met_by_the_program(bought: Trace) -> None:
    def careful(run: Run) -> Any:
        try:
            return run.perform("tool/find", query="tea")
        except EffectFailed as error:
            return error.kind

    again = replay(bought, careful, do=[do.failure(0, "TimeoutError", "late")])
    assert again.value == "TimeoutError" and again.trace[0].status.name == "failed"


def test_answers_that_depend_on_the_change_can_be_asked_for_anew(bought: Trace) -> None:
    def stock(run: Run) -> Any:
        run.perform("tool/order", n=1)
        return [run.perform("tool/stock"), run.random()]

    outside: dict[str, Any] = {
        "tool/order": lambda n: None,
        "tool/stock": lambda: 5,
        "random/draw": lambda: 0.5,
    }
    with Run("stock", [Terminal("t", outside)]) as run:
        run.result = stock(run)
    change = do.action(0, n=3)
    later: Any = {**outside, "tool/stock": lambda: 2, "random/draw": never}
    live = [Terminal("t", later)]
    kept = replay(run.trace, stock, do=[change], live=live, allow="tool/*")
    assert kept.value == [5, 0.5], "the same question, and so the recorded answer"
    for fresh in ("*", ["tool/stock"]):
        anew = replay(run.trace, stock, do=[change], live=live, allow="*", fresh=fresh)
        assert anew.value == [2, 0.5], "chance is the same in both worlds"
    forbidden = replay(run.trace, stock, do=[change], live=live, allow="tool/order", fresh="*")
    assert forbidden.divergence is not None and forbidden.divergence.place == 1


def test_parallel_scopes_that_are_asked_anew_are_no_divergence() -> None:
    def both(run: Run) -> Any:
        arms = {label: run.scope(label) for label in "ab"}
        return [arms[label].perform("tool/ask", about=label) for label in order]

    order = "ab"
    tools = Terminal("t", {"tool/ask": lambda about: f"{about} then"})
    with Run("both", [tools]) as run:
        run.result = both(run)
    order = "ba"  # the other arm is faster this time
    live = [Terminal("t", {"tool/ask": lambda about: f"{about} now"})]
    change = do.observation(0, "changed")
    again = replay(run.trace, both, do=[change], live=live, allow="tool/*", fresh="tool/*")
    assert again.value == ["b now", "changed"] and again.divergence is None
    assert replay(run.trace, both, do=[change], live=live).value == ["b then", "changed"]


def test_a_prefix_that_is_not_as_recorded_is_a_divergence(bought: Trace) -> None:
    def drifted(run: Run) -> Any:
        run.perform("tool/find", query="coffee")
        return buyer(run)

    again = replay(bought, drifted, do=[do.output(2, "buy")], live=[OUTSIDE])
    assert again.divergence is not None and again.divergence.place == 0
    assert again.idle == (do.output(2, "buy"),)
    short = replay(bought, lambda run: None, do=[do.output(2, "buy")])
    assert short.divergence is not None and short.divergence.kind == "less"


def test_an_intervention_of_ones_own_needs_a_point_and_one_hook(bought: Trace) -> None:
    @attrs.frozen
    class Cheaper(Intervention):
        by: int

        def point(self, trace: Trace) -> Step:
            return step_at(trace, ("tool/find", 0))

        def changes(self, body: Any) -> Any:
            def cheaper(run: Run) -> Any:
                return [run.perform("tool/find", query="tea") - self.by]

            return cheaper

    assert replay(bought, buyer, do=[Cheaper(2)]).value == [10]


# --------------------------------------------------------------------------- state


@pytest.fixture
def store(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as s:
        s.fact.transact("[{:db/ident :item/name :db/unique :db.unique/identity}]")
        s.fact.transact([{"item/name": "tea", "item/price": 10}])
        yield s


def seller(run: Run) -> Any:
    """Asks the price, raises it, and asks again."""
    before = run.db().q(PRICE)
    run.perform("tool/say", text=f"it costs {before}")
    run.transact([{"item/name": "tea", "item/price": before + 1}])
    return [before, run.db().q(PRICE)]


SAY = Terminal("say", {"tool/say": lambda text: None})


def sold(s: Substrate) -> Trace:
    with s.effect.run("seller", [SAY]) as run:
        run.result = seller(run)
    s.fact.transact([{"item/name": "tea", "item/price": 99}])
    return s.effect.trace(run.id)


def test_a_changed_fact_reaches_later_steps_and_the_store_stays_as_it_is(store: Substrate) -> None:
    trace, basis = sold(store), store.fact.db().basis
    change = do.fact([{"item/name": "tea", "item/price": 50}])
    again = replay(trace, seller, do=[change], live=[SAY], allow=["tool/say"], db=store.fact.db())
    assert trace.result == (10, 11) and again.value == [50, 51]
    assert again.trace[1].args[Keyword("text")] == "it costs 50"
    assert store.fact.db().basis == basis and not again.idle
    assert replay(trace, seller, live=[OUTSIDE], db=store.fact.db()).same


def test_what_the_store_told_is_changed_by_facts(store: Substrate) -> None:
    trace = sold(store)
    with pytest.raises(InputError, match=r"do.fact|no observation"):
        replay(trace, seller, do=[do.observation(("db/basis", 0), 1)], db=store.fact.db())
    dearer = do.action(("db/transact", 0), forms=[{"item/name": "tea", "item/price": 70}])
    again = replay(trace, seller, do=[dearer], live=[OUTSIDE], db=store.fact.db())
    assert again.value == [10, 70] and again.divergence is None and again.prefix == 2


def test_a_fact_holds_from_its_step_on(store: Substrate) -> None:
    trace = sold(store)
    change = do.fact([{"item/name": "tea", "item/price": 50}], at=("db/basis", 1))
    again = replay(trace, seller, do=[change], live=[OUTSIDE], db=store.fact.db())
    assert again.value == [10, 50] and again.prefix == 3 and again.divergence is None


def test_writes_that_the_record_does_not_hold_are_seen_and_not_written(store: Substrate) -> None:
    def reader(run: Run) -> Any:
        raised = run.perform("tool/ask")
        run.db()
        run.transact([{"item/name": "tea", "item/price": raised}])
        with pytest.raises(EffectFailed, match="CasFailed"):
            run.transact([["db/cas", ["item/name", "tea"], "item/price", 0, 1]])
        return run.db().q(PRICE)

    with store.effect.run("reader", [Terminal("t", {"tool/ask": lambda: 20})]) as run:
        run.result = reader(run)
    trace, basis = store.effect.trace(run.id), store.fact.db().basis
    changed = do.observation(0, 30)
    again = replay(trace, reader, do=[changed], live=[OUTSIDE], db=store.fact.db())
    assert again.value == 30 and again.divergence is None and trace.result == 20
    assert store.fact.db().basis == basis
    twice = replay(again.trace, reader, do=[changed], live=[OUTSIDE], db=store.fact.db())
    assert twice.trace.encoded == again.trace.encoded
    plain = replay(again.trace, lambda run: run.db(), db=store.fact.db())
    assert plain.divergence is not None


def test_a_speculation_that_is_gone_is_told(store: Substrate) -> None:
    trace = sold(store)
    change = do.fact([{"item/name": "tea", "item/price": 50}], at=3)
    again = replay(trace, seller, do=[change], db=store.fact.db())
    late = replay(again.trace, seller, db=store.fact.db())
    assert isinstance(late.error, TraceError) and "speculation" in str(late.error)


# ---------------------------------------------------------------------------- data


@pytest.mark.parametrize(
    "text",
    [
        '{:step 3 :observation {"price" 9}}',
        '{:step [:model/chat 0] :output "buy"}',
        '{:step 3 :failure ["TimeoutError" "late"]}',
        '{:step 3 :action [:tool/find {:query "milk"}]}',
        '{:step 3 :action [nil {:query "milk"}]}',
        "{:fact [{:item/price 9}]}",
        '{:step 2 :fact [{:item/price 9}] :valid-from "2026-03-01"}',
    ],
)
def test_an_intervention_is_data_and_back(text: str) -> None:
    change = do.read(read(text))
    assert change.form == read(text) and do.read(change.form) == change


@pytest.mark.parametrize(
    "text",
    [
        *("nil", "{}", "{:step 3}", "{:observation 3}", '{:step "3" :observation 3}'),
        *("{:step 3 :action [:tool/find]}", "{:step 3 :observation 1 :output 2}"),
        *("{:step 3 :fact [] :until 3}", "{:step true :observation 1}"),
    ],
)
def test_what_is_no_intervention_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no intervention"):
        do.read(read(text))
