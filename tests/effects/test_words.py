"""What somebody who is new to runs gets wrong: the error names the place, the cause, the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from persistence import Substrate
from persistence.effects import Around, Budget, Call, Handlers, Run, Terminal, effect, policy
from persistence.errors import BudgetSpent, EffectFailed, InputError, PersistenceError
from persistence.replay import do, replay

TOOLS = Terminal("tools", {"tool/search": lambda query: [query], "tool/book": lambda at: at})


@effect("tool/rate")
def rated(stars: int) -> int:
    return stars


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        (
            lambda run: run.perform("tool/serch", query="tea"),
            "no handler performs :tool/serch; what can be performed: :tool/book, :tool/search",
            "did you mean :tool/search?",
        ),
        (
            lambda run: run.perform("mail/send", to="ada"),
            "no handler performs :mail/send; what can be performed: :tool/book, :tool/search",
            "add a terminal handler for it",
        ),
        (
            lambda run: run.named("tolls").perform("tool/search", query="tea"),
            "no terminal handler named 'tolls' performs :tool/search",
            "those that perform it: tools",
        ),
        (
            lambda run: run.perform("tool/search", query=object()),
            ":tool/search, argument 'query': object is no EDN value",
            "give it as EDN data",
        ),
        (
            lambda run: Run("one", TOOLS),  # type: ignore[arg-type]
            "handlers are a list, outermost first, and this is "
            "<terminal tools: :tool/search, :tool/book>",
            "put it in brackets",
        ),
        (
            lambda run: replay(run.trace, print, do=do.observation(0, 1)),  # type: ignore[arg-type]
            "do= is a list, and this is Observation(at=0, value=1, output=False)",
            "put it in brackets",
        ),
        (lambda run: run.choice([]), "there is nothing to choose from", "at least one option"),
        (
            lambda run: rated(3),  # type: ignore[arg-type]
            ":tool/rate was called with int in place of a run",
            "it is called as rate(run, …) with (stars: ",
        ),
        (
            lambda run: policy('[{:effect :alow :op "tool/*"}]'),
            "rule 1: its effect is :alow",
            "an effect is :allow, :deny or :ask",
        ),
    ],
)
def test_a_mistake_is_told(wrong: Callable[[Run], Any], message: str, hint: str) -> None:
    with Run("new", [TOOLS]) as run, pytest.raises(PersistenceError) as told:
        wrong(run)
    assert told.value.message == message
    assert told.value.hint is not None and hint in told.value.hint


def test_one_operation_is_checked_as_one() -> None:
    assert Handlers([TOOLS]).check("tool/search") == []
    assert Handlers([TOOLS]).check("tool/serch") == Handlers([TOOLS]).check(["tool/serch"])


def test_a_run_that_has_ended_takes_no_further_step() -> None:
    with Substrate.open(":memory:") as s:
        with s.effect.run("short", [TOOLS]) as run:
            scope = run.scope("late")
            run.perform("tool/search", query="tea")
        before = s.effect.trace(run.id)
        for late in (run, scope, run.named("tools")):
            with pytest.raises(InputError, match="run 'short' is over, done"):
                late.perform("tool/search", query="more tea")
        assert s.effect.trace(run.id).encoded == before.encoded


def test_a_handler_that_never_yields_is_named() -> None:
    def hasty(call: Call) -> Any:
        return "no"

    with Run("new", [Around("hasty", hasty), TOOLS]) as run, pytest.raises(EffectFailed) as told:
        run.perform("tool/search", query="tea")
    assert "hasty gave no generator, but str" in told.value.message
    assert told.value.hint is not None and "yields the call" in told.value.hint


def test_a_spent_budget_tells_how_to_go_on_and_so_one_does() -> None:
    def agent(run: Run) -> Any:
        return [run.perform("tool/search", query=str(n)) for n in range(3)]

    with Substrate.open(":memory:") as s:
        with (
            pytest.raises(BudgetSpent) as spent,
            s.effect.run("three", [TOOLS], budget=Budget(calls=2)) as run,
        ):
            agent(run)
        assert spent.value.hint is not None and "upto= the number of this step" in spent.value.hint
        larger = Budget(calls=3)
        with s.effect.resume(run.id, [TOOLS], upto=run.trace[-1].n, budget=larger) as again:
            again.result = agent(again)
        assert again.result == (("0",), ("1",), ("2",)) and larger.spent.calls == 3


def test_one_intervention_alone_is_told_to_be_put_in_a_list() -> None:
    with Substrate.open(":memory:") as s:
        with s.effect.run("one", [TOOLS]) as run:
            run.perform("tool/book", at="noon")
        with pytest.raises(InputError, match="do= is a list"):
            s.replay.run(run.id, print, do=do.observation(0, "no"))
