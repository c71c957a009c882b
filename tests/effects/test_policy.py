"""Policies: the first rule that matches decides, and where none does the answer is no."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword, Substrate
from persistence.effects import Approval, Around, Handlers, Run, Terminal, policy
from persistence.errors import EffectDenied, EffectFailed, PlanStopped, PolicyError, UnhandledEffect
from persistence.values import Map, Set
from tests.effects.ways import awaited, both_ways, outcomes

RULES = """
[{:effect :deny  :op "bank/*"   :when [[:amount > 100]] :reason "too much" :id "no-large-payments"}
 {:effect :ask   :op :bank/pay  :when [[:amount > 10]]  :id "ask-first"}
 {:effect :allow :op ["bank/*" "tool/search"]}]
"""


def pay(amount: Any = None, **rest: Any) -> str:
    return "paid"


BANK = Terminal("bank", dict.fromkeys(("bank/pay", "bank/look", "tool/search", "tool/x"), pay))


def yes(call: Any, rule: Any) -> Approval:
    return Approval("ada", reason=f"{rule.id}: fine")


def verdict(step: Any) -> dict[str, Any]:
    return {key.name: value for key, value in step.verdict.items()}


@both_ways
def test_every_verdict_is_recorded_with_its_rule_and_its_policy(way: str) -> None:
    ask = awaited(yes) if way == "async" else yes
    calls = [("bank/pay", {"amount": amount}) for amount in (1, 50, 500)]
    found, trace = outcomes(way, [policy(RULES, ask=ask), BANK], [*calls, ("tool/x", {})])
    assert found[:2] == ["paid", "paid"]
    assert [type(each) for each in found[2:]] == [EffectDenied, EffectDenied]
    assert "no-large-payments" in str(found[2]) and "too much" in str(found[2])
    allow, ask_, deny, none = (verdict(step) for step in trace)
    assert allow == {"policy": "policy", "effect": Keyword("allow"), "rule": "rule-3"}
    assert (ask_["approver"], ask_["approved"]) == ("ada", True)
    assert ask_["reason"] == "ask-first: fine" and ask_["rule"] == "ask-first"
    assert deny["rule"] == "no-large-payments" and deny["reason"] == "too much"
    assert none["rule"] == Keyword("default")
    assert [step.status.name for step in trace] == ["done", "done", "denied", "denied"]
    assert found[2].data["verdict"] == trace[2].verdict


@both_ways
@pytest.mark.parametrize("answer", [Approval("bob", False, "no"), True, None, "yes"])
def test_only_an_approval_that_says_yes_lets_a_call_through(way: str, answer: Any) -> None:
    guard = policy(RULES, ask=lambda call, rule: answer)
    (found,), trace = outcomes(way, [guard, BANK], [("bank/pay", {"amount": 50})])
    assert isinstance(found, EffectDenied)
    named = verdict(trace[0]).get("approver")
    assert named == ("bob" if isinstance(answer, Approval) else None)


def test_an_approval_names_who_gave_it() -> None:
    with pytest.raises(PolicyError, match="names who"):
        Approval("")


def test_a_run_stops_where_nobody_is_there_yet_and_asks_again_when_it_goes_on(
    store_uri: str,
) -> None:
    done = []

    def nobody(call: Any, rule: Any) -> Approval:
        raise PlanStopped("waiting for an approval")

    bank = Terminal("bank", {"bank/pay": lambda amount: done.append(amount) or "paid"})
    with (
        Substrate.open(store_uri) as s,
        pytest.raises(PlanStopped),
        s.effect.run("pay", [policy(RULES, ask=nobody), bank]) as run,
    ):
        run.perform("bank/pay", amount=50)
    with Substrate.open(store_uri) as s:
        stopped = s.effect.trace(run.id)
        assert (stopped.status.name, stopped[0].status.name) == ("stopped", "aborted")
        assert verdict(stopped[0])["rule"] == "ask-first" and not done
        with s.effect.resume(run.id, [policy(RULES, ask=yes), bank]) as again:
            assert again.perform("bank/pay", amount=50) == "paid"
        (step,) = s.effect.trace(run.id)
        assert verdict(step)["approver"] == "ada" and done == [50]


def test_what_was_approved_once_is_not_asked_again_by_a_resumed_run(tmp_path: Path) -> None:
    asked = []

    def ask(call: Any, rule: Any) -> Approval:
        asked.append(call.args["amount"])
        return Approval("ada")

    with Substrate.open(tmp_path / "s.db") as s:
        with pytest.raises(SystemError), s.effect.run("p", [policy(RULES, ask=ask), BANK]) as run:
            run.perform("bank/pay", amount=50)
            raise SystemError
        with s.effect.resume(run.id, [policy(RULES, ask=ask), BANK]) as again:
            again.perform("bank/pay", amount=50)
            with pytest.raises(EffectDenied):
                again.perform("bank/pay", amount=500)
    assert asked == [50]


def test_an_error_of_the_one_who_is_asked_lets_nothing_through() -> None:
    run = Run("p", [policy(RULES, ask=lambda call, rule: 1 / 0), BANK])
    with pytest.raises(EffectFailed, match="ZeroDivisionError"):
        run.perform("bank/pay", amount=50)
    assert verdict(run.trace[0])["rule"] == "ask-first"


def test_of_two_policies_both_judgements_are_kept() -> None:
    outer = policy('[{:effect :allow :op "*"}]', name="house")
    inner = policy('[{:effect :deny :op "tool/x" :id "not-x"}]', name="room")
    run = Run("p", [outer, inner, BANK])
    with pytest.raises(EffectDenied, match="'not-x' of room"):
        run.perform("tool/x")
    said = verdict(run.trace[0])
    assert said["policy"] == "room" and said["outer"][Keyword("policy")] == "house"


# ------------------------------------------------------------------------- conditions

HOLDS: list[tuple[Any, Any]] = [
    ([":a", "=", 1], 1),
    ([":a", "!=", 1], 1.0),
    ([":a", ">", 1], Decimal("1.5")),
    ([":a", "<=", 1], 1.0),
    ([":a", ">", 1], float("inf")),
    ([":a", "<", float("inf")], 10**400),
    ([":a", ">", float("-inf")], Decimal("-1E+400")),
    ([":a", "<", "b"], "abc"),
    ([":a", "in", ["x", "y"]], "x"),
    ([":a", "in", {1, 2}], 2),
    ([":a", "not-in", [1]], True),
    ([":a", "contains", "sec"], "a secret"),
    ([":a", "contains", "x"], ["x", "y"]),
    ([":a", "contains", "x"], {"x": 1}),
    ([":a", "starts-with", "https://"], "https://x"),
    ([":a", "present"], 0),
    ([[":a", "b", 1], "=", 5], {"b": [4, 5]}),
    ([[":a", "b"], "=", 5], {Keyword("b"): 5}),
    ([[":a", "b"], "absent"], {"c": 5}),
    ([[":a", 3], "absent"], [1]),
    ([[":a", "b", "c"], "!=", 1], {"b": 7}),
]
FAILS: list[tuple[Any, Any]] = [
    ([":a", "=", 1], 1.0),
    ([":a", ">", 1], 1.0),
    ([":a", "in", ["1"]], 1),
    ([":a", "absent"], 0),
    ([":b", ">", 0], 1),
    ([":b", "starts-with", "x"], "x"),
    ([[":a", "b"], "contains", 1], {"c": 1}),
]
UNDECIDED: list[tuple[Any, Any]] = [
    ([":a", ">", 100], "999"),
    ([":a", "<", 100], float("nan")),
    ([":a", ">", 100], True),
    ([":a", "starts-with", "x"], 5),
    ([":a", "contains", "x"], 5),
    ([[":a", "n"], "=", 1], {"n": 1, Keyword("n"): 2}),
]


def decides(effect: str, when: Any, value: Any) -> bool:
    """Whether the rule takes a call with this argument."""
    other = "deny" if effect == "allow" else "allow"
    rules = [{"effect": effect, "op": "tool/x", "when": [when]}, {"effect": other, "op": "*"}]
    run = Run("c", [policy(rules, ask=yes), BANK])
    try:
        run.perform("tool/x", a=value)
    except EffectDenied:
        pass
    return verdict(run.trace[0])["rule"] == "rule-1"


@pytest.mark.parametrize("effect", ["allow", "deny", "ask"])
def test_conditions(effect: str) -> None:
    assert [case for case in HOLDS if not decides(effect, *case)] == []
    assert [case for case in FAILS if decides(effect, *case)] == []


def test_what_cannot_be_decided_is_taken_for_the_side_on_which_nothing_happens() -> None:
    for effect, taken in (("allow", False), ("deny", True), ("ask", True)):
        assert [decides(effect, *case) for case in UNDECIDED] == [taken] * len(UNDECIDED)


# ------------------------------------------------------------------------- bad rules

BAD = [
    ("{:effect :allow}", "a vector of maps", None),
    ("[", "cannot be read", None),
    ("[1]", "rule 1: it is no map", "write"),
    ('[{:effect :allow :ops "*"}]', "rule 1: it has a key :ops", "did you mean :op"),
    ("[{:effect :allow}]", "rule 1: it has no :op", None),
    ('[{:effect :permit :op "*"}]', "its effect is", ":allow, :deny or :ask"),
    ('[{:effect :allow :op "tool*"}]', "a star stands for all", None),
    ("[{:effect :allow :op 1}]", "its :op is 1", None),
    ("[{:effect :allow :op []}]", "its :op is empty", None),
    ('[{:effect :allow :op "a b"}]', "no EDN keyword", None),
    ('[{:effect :allow :op "*" :when [:a > 1]}]', "no vector of conditions", None),
    ('[{:effect :allow :op "*" :when [[:a gt 1]]}]', "no operator 'gt'", "there are ="),
    ('[{:effect :allow :op "*" :when [[:a start-with "x"]]}]', "no operator", "starts-with?"),
    ('[{:effect :allow :op "*" :when [[:a > [1]]]}]', "cannot be read", "to compare with"),
    ('[{:effect :allow :op "*" :when [[:a in 1]]}]', "cannot be read", "vector or a set"),
    ('[{:effect :allow :op "*" :when [[:a present 1]]}]', "cannot be read", "nothing after"),
    ('[{:effect :allow :op "*" :when [[:a = nil]]}]', "cannot be read", "not nil"),
    ('[{:effect :allow :op "*" :when [[1 = 2]]}]', "cannot be read", "name of an argument"),
    ('[{:effect :allow :op "*" :reason 1}]', "its reason", None),
    ('[{:effect :allow :op "*" :id 1}]', "its id", None),
    ('[{:effect :allow :op "a" :id "x"} {:effect :deny :op "b" :id "x"}]', "rule 2: another", None),
    ('[{:effect :allow :op "*"} {:effect :deny :op "bank/pay"}]', "rule 2: it can never", "first"),
    ('[{:effect :deny :op "a/*"} {:effect :allow :op ["a/b" "a/*"]}]', "it can never apply", None),
]


@pytest.mark.parametrize(("text", "says", "fix"), BAD)
def test_bad_rules_are_refused_with_their_place_and_a_fix(
    text: str, says: str, fix: str | None
) -> None:
    with pytest.raises(PolicyError) as refused:
        policy(text)
    assert says in str(refused.value)
    assert fix is None or fix in (refused.value.hint or "")
    assert refused.value.data["place"]


def test_every_bad_rule_is_told_at_once() -> None:
    with pytest.raises(PolicyError, match="and 1 more") as refused:
        policy('[{:effect :x :op "*"} {:effect :allow :op "y"} {:op "z"}]')
    assert [place for place, *_ in refused.value.data["problems"]] == ["rule 1", "rule 3"]


def test_rules_that_ask_need_somebody_to_be_asked() -> None:
    with pytest.raises(PolicyError, match="nobody to be asked"):
        policy(RULES)


# ------------------------------------------------------------------------------ laws

ops = st.sampled_from(["a/x", "a/y", "b/x", "c"])
amounts = st.integers(0, 3) | st.sampled_from(["2", None, 1.5])
conditions = st.tuples(st.just("n"), st.sampled_from(["<", ">", "=", "!="]), st.integers(0, 3))
written = st.fixed_dictionaries(
    {
        "effect": st.sampled_from(["allow", "deny"]),
        "op": st.sampled_from(["a/*", "b/*", "a/x", "c", "*"]),
    },
    optional={"when": st.lists(conditions, max_size=2)},
)


def naive(rules: list[dict[str, Any]], op: str, n: Any) -> bool:
    """Whether a call is allowed, read off the rules one by one."""
    for rule in rules:
        pattern = rule["op"]
        if pattern not in ("*", op) and pattern != f"{op.split('/')[0]}/*":
            continue
        undecided = rule["effect"] == "deny"
        if all(truth(n, sign, limit, undecided) for _, sign, limit in rule.get("when", ())):
            return rule["effect"] == "allow"
    return False


def truth(n: Any, sign: str, limit: int, undecided: bool) -> bool:
    same = type(n) is int and n == limit
    if sign in "!=":
        return same if sign == "=" else not same
    if n is None:
        return False
    if isinstance(n, str):
        return undecided
    return n < limit if sign == "<" else n > limit


@given(st.lists(written, max_size=4), st.lists(st.tuples(ops, amounts), max_size=6))
def test_a_policy_decides_as_its_rules_read(rules: Any, calls: Any) -> None:
    try:
        guard = policy(rules)
    except PolicyError as error:
        assert "never apply" in str(error)
        return
    run = Run("law", [guard, Terminal("t", dict.fromkeys(("a/x", "a/y", "b/x", "c"), pay))])
    for op, n in calls:
        allowed = True
        try:
            run.perform(op, n=n)
        except EffectDenied:
            allowed = False
        assert allowed == naive(rules, op, n)


names = st.sampled_from(["one", "two", "three"])
operations = st.sampled_from(["a", "b", "c"])


@st.composite
def handlers(draw: st.DrawFn) -> list[Any]:
    def passing(call: Any) -> Any:
        return (yield call)

    def answering(call: Any) -> Any:
        return "answered"
        yield call

    made: list[Any] = []
    for name in draw(st.lists(names, max_size=5)):
        if draw(st.booleans()):
            known = frozenset(draw(st.sets(operations)))
            handle = draw(st.sampled_from([passing, answering]))
            made.append(Around(name, handle, ops=lambda op, known=known: op.name in known))
        else:
            made.append(Terminal(name, dict.fromkeys(draw(st.sets(operations)), pay)))
    return made


@given(handlers(), st.lists(names, max_size=2), st.none() | names, operations)
def test_the_check_is_never_wrong_about_what_perform_does(
    made: list[Any], masks: list[str], to: str | None, op: str
) -> None:
    run = Run("law", made)
    hole = Handlers(made).check([op]) != []
    assert hole == _hole(run, op)
    for name in masks:
        if not any(each.name == name for each in made):
            with pytest.raises(PolicyError):
                run.mask(name)
            return
        run = run.mask(name)
    view = run if to is None else run.named(to)
    left = list(made)
    for name in masks:
        gone = next((each for each in left if each.name == name and _meets(each, op, to)), None)
        if gone is not None:
            left.remove(gone)
    reached = any(
        isinstance(each, Terminal) and _meets(each, op, to) and to in (None, each.name)
        for each in left
    )
    assert _hole(view, op) == (not reached)


def _meets(handler: Any, op: str, to: str | None) -> bool:
    if isinstance(handler, Terminal):
        return Keyword(op) in handler.functions and to in (None, handler.name)
    return bool(handler.ops(Keyword(op)))


def _hole(run: Run, op: str) -> bool:
    try:
        run.perform(op)
    except UnhandledEffect:
        return True
    return False


def test_a_set_of_operations_is_a_pattern_too() -> None:
    guard = policy((Map({"effect": "allow", "op": Set(["tool/x"])}),))
    assert Run("s", [guard, BANK]).perform("tool/x") == "paid"
