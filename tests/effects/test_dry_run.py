"""Dry runs: stand-ins answer, nothing is performed, and the record says so."""

from __future__ import annotations

from typing import Any

import pytest

from persistence import Keyword, Substrate
from persistence.effects import Handlers, Run, Terminal, dry_run, policy
from persistence.errors import EffectDenied, EffectFailed, UnhandledEffect
from persistence.values import Map
from tests.effects.ways import both_ways, outcomes


def refuse(**args: Any) -> Any:
    raise AssertionError("performed")


WORLD = Terminal("world", {"bank/pay": refuse, "mail/send": refuse, "tool/add": lambda x: x + 1})


@both_ways
def test_a_stand_in_answers_and_the_rest_is_performed(way: str) -> None:
    trial = dry_run({"bank/pay": lambda amount: {"paid": amount}, "mail/*": None})
    calls = [("bank/pay", {"amount": 3}), ("mail/send", {"to": "ada"}), ("tool/add", {"x": 1})]
    found, trace = outcomes(way, [trial, WORLD], calls)
    assert found == [{"paid": 3}, None, 2]
    said = Map({Keyword("dry-run"): True})
    assert [step.verdict for step in trace] == [said, said, None]


def test_the_first_answer_that_matches_is_given() -> None:
    trial = dry_run({"mail/send": "one", "mail/*": "all", "*": "other"})
    run = Run("t", [trial, WORLD])
    assert (run.perform("mail/send"), run.perform("tool/add", x=1)) == ("one", "other")


def test_a_dry_run_hides_no_hole() -> None:
    handlers = Handlers([dry_run({"*": "stood in"}), WORLD])
    assert handlers.check(["bank/pay", "bank/close"]) == [Keyword("bank/close")]
    with pytest.raises(UnhandledEffect):
        Run("t", handlers).perform("bank/close")


def test_a_policy_denies_in_a_dry_run_what_it_would_deny() -> None:
    guard = policy('[{:effect :deny :op "bank/*"} {:effect :allow :op "*"}]')
    run = Run("t", [guard, dry_run({"*": 1}), WORLD])
    with pytest.raises(EffectDenied):
        run.perform("bank/pay", amount=1)
    assert run.perform("mail/send") == 1
    assert {key.name for key in run.trace[1].verdict} == {"policy", "effect", "rule", "dry-run"}


def test_a_stand_in_that_fails_is_a_failure_on_record() -> None:
    run = Run("t", [dry_run({"bank/pay": lambda amount: 1 / 0}), WORLD])
    with pytest.raises(EffectFailed, match="ZeroDivisionError"):
        run.perform("bank/pay", amount=1)


def test_what_stood_in_can_be_found_later(store_uri: str) -> None:
    with (
        Substrate.open(store_uri) as s,
        s.effect.run("t", [dry_run({"bank/*": "ok"}), WORLD]) as run,
    ):
        run.perform("bank/pay", amount=1)
        run.perform("tool/add", x=1)
    with Substrate.open(store_uri) as s:
        found = s.fact.db().q(
            "[:find [?op ...] :where [?s :step/op ?op] [?s :step/verdict ?v] "
            "[(get ?v :dry-run) ?dry] [(= ?dry true)]]"
        )
    assert list(found) == [Keyword("bank/pay")]
