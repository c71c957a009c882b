"""Redaction: what is secret is nowhere in the record, whatever becomes of the call."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword, Substrate
from persistence.effects import AsyncRun, Run, Terminal, audit, policy, redact, retry
from persistence.errors import Diverged, EffectDenied, EffectError, EffectFailed, PolicyError
from persistence.values import List, Map, Set, Tagged, write
from tests.effects.ways import both_ways, outcomes

SECRET = "hunter2-very-secret"


def login(password: str = "", **rest: Any) -> Any:
    return {"user": "ada", "token": password, "say": f"in with {password}"}


def fail(**args: Any) -> Any:
    raise ConnectionError(f"401 for {args}", list(args.values()))


def deny(**args: Any) -> Any:
    raise EffectDenied(f"no {args}", hint=f"not with {args}")


TOOLS = Terminal("t", {"tool/login": login, "tool/fail": fail, "tool/deny": deny})


@both_ways
def test_what_stands_under_a_secret_name_is_not_recorded_and_the_tool_gets_it(way: str) -> None:
    got = []

    def keep(**args: Any) -> Any:
        got.append(args)
        return args

    args = {"password": SECRET, "header": {"X-Api-Key": "k", "Accept": "*"}, "n": [{"apiKey": 1}]}
    handlers = [redact(), Terminal("t", {"tool/x": keep})]
    (found,), trace = outcomes(way, handlers, [("tool/x", args)])
    hidden = {
        "password": "[redacted]",
        "header": {"X-Api-Key": "[redacted]", "Accept": "*"},
        "n": [{"apiKey": "[redacted]"}],
    }
    assert found == hidden and got[0]["password"] == SECRET
    assert trace[0].args == Map({Keyword(name): value for name, value in hidden.items()})


@both_ways
@pytest.mark.parametrize("op", ["tool/login", "tool/fail", "tool/deny"])
def test_a_secret_of_the_arguments_is_taken_out_of_the_rest_of_the_step(way: str, op: str) -> None:
    (found,), trace = outcomes(way, [redact(), TOOLS], [(op, {"password": SECRET})])
    assert SECRET not in repr(trace[0]) and "[redacted]" in repr(trace[0])
    if isinstance(found, Exception):
        told = [repr(found), str(found), getattr(found, "hint", None), *found.args]
        assert SECRET not in repr(told)
        assert SECRET not in "".join(traceback.format_exception(found))


def test_an_error_that_tells_no_secret_keeps_its_cause() -> None:
    run = Run("r", [redact(), TOOLS])
    with pytest.raises(EffectFailed) as failed:
        run.perform("tool/fail", user="ada")
    assert isinstance(failed.value.__cause__, ConnectionError)


def test_patterns_texts_and_paths() -> None:
    guard = redact(
        keys=("Pin Code",),
        patterns=[r"sk-[a-z0-9]{6,}", r"\b\d{4} \d{4}\b"],
        texts=["ada@example.org"],
        paths=[("card", "number"), ("rows", "*", 0), "all"],
    )
    run = Run("r", [guard, Terminal("t", {"x": lambda **args: args})])
    found = run.perform(
        "x",
        pin_code=1234,
        text="key sk-abcdef12, card 1234 5678, mail ada@example.org.",
        card={"number": 7, "name": "A"},
        rows=[[1, 2], [3, 4]],
        all={"of": "it"},
        number=7,
    )
    assert found == {
        "pin_code": "[redacted]",
        "text": "key [redacted], card [redacted], mail [redacted].",
        "card": {"number": "[redacted]", "name": "A"},
        "rows": [["[redacted]", 2], ["[redacted]", 4]],
        "all": "[redacted]",
        "number": 7,
    }
    assert run.trace[0].args.get(Keyword("card")) == found["card"]


def test_with_a_key_equal_secrets_stay_equal_and_cannot_be_tried_out() -> None:
    def shown(key: bytes, password: str) -> Any:
        run = Run("r", [redact(secret=key), TOOLS])
        run.perform("tool/login", password=password)
        return run.trace[0].args[Keyword("password")]

    one, other = b"k" * 16, b"o" * 16
    assert shown(one, SECRET) == shown(one, SECRET) != shown(one, "else")
    assert shown(one, SECRET) != shown(other, SECRET)
    assert shown(one, SECRET).startswith("[redacted ")


def test_what_is_recorded_of_a_call_depends_on_that_call_alone() -> None:
    def record(before: bool) -> Any:
        run = Run("r", [redact(), Terminal("t", {"x": lambda **args: None})])
        if before:
            run.perform("x", password=SECRET)
        run.perform("x", text=f"is {SECRET} known?")
        return run.trace.steps[-1].args

    assert record(True) == record(False)


def test_only_the_operations_that_are_named_are_redacted() -> None:
    run = Run("r", [redact(ops="vault/*"), TOOLS])
    run.perform("tool/login", password="open-sesame")
    assert run.trace[0].args[Keyword("password")] == "open-sesame"


def test_a_program_that_has_changed_is_told_without_the_secret(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "s.db") as s:
        with pytest.raises(SystemError), s.effect.run("r", [redact(), TOOLS]) as run:
            run.perform("tool/login", user="ada", password=SECRET)
            raise SystemError
        with pytest.raises(Diverged) as told, s.effect.resume(run.id, [redact(), TOOLS]) as again:
            again.perform("tool/login", user="eve", password=SECRET)
    assert SECRET not in str(told.value) and SECRET not in repr(told.value.data)


@pytest.mark.parametrize(
    "options",
    [{"patterns": ["(a+)+"]}, {"patterns": ["("]}, {"paths": [()]}, {"secret": b"short"}],
)
def test_what_cannot_be_redacted_by_is_refused(options: Any) -> None:
    with pytest.raises(PolicyError):
        redact(**options)


# -------------------------------------------------------------------------- the law

around = st.text("ab c", max_size=3)


def structures(leaf: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
            | st.builds(lambda x: Set([x]), inner)
            | st.builds(lambda x: List([x]), inner)
            | st.builds(lambda x: Tagged("x", x), inner)
            | st.builds(lambda x: Map({(Keyword("k"), 1): x}), inner)
        ),
        max_leaves=4,
    )


planted = st.builds(lambda a, b: f"{a}{SECRET}{b}", around, around) | st.just(SECRET.encode())
plain = st.integers() | st.text("xyz", max_size=3) | st.none()


@given(structures(plain | planted))
def test_no_planted_text_is_left_in_any_value(value: Any) -> None:
    run = Run("r", [redact(texts=[SECRET]), Terminal("t", {"x": lambda value: [value]})])
    run.perform("x", value=value)
    for part in (run.trace[0].args, run.trace[0].result):
        assert SECRET not in write(part) and SECRET.encode().hex() not in write(part)


@given(structures(plain))
def test_a_value_without_secrets_is_recorded_as_it_is(value: Any) -> None:
    run = Run("r", [redact(texts=[SECRET]), Terminal("t", {"x": lambda value: value})])
    bare = Run("r", [Terminal("t", {"x": lambda value: value})])
    assert run.perform("x", value=value) == bare.perform("x", value=value)
    assert run.trace[0].said == bare.trace[0].said


def everything(run: Run) -> None:
    """A run that meets the secret wherever a run can."""
    for op in ("tool/login", "tool/fail", "tool/deny"):
        try:
            run.perform(op, password=SECRET)
        except EffectError:
            pass
    with pytest.raises(EffectDenied):
        run.perform("bank/pay", token=SECRET)
    try:
        run.perform("tool/fail", text=f"Bearer {SECRET}")
    except EffectError:
        pass
    with pytest.raises(KeyboardInterrupt):
        run.perform("tool/stop", password=SECRET)
    run.result = {"password": SECRET, "said": f"it was {SECRET}"}
    raise ValueError(f"ended with Bearer {SECRET}")


def interrupt(password: str) -> None:
    raise KeyboardInterrupt(password)


def test_no_secret_is_anywhere_in_the_bytes_of_the_store(tmp_path: Path) -> None:
    told: list[Any] = []
    handlers = [
        audit(told.append),
        policy('[{:effect :deny :op "bank/*"} {:effect :allow :op "*"}]'),
        redact(patterns=[r"Bearer \S+"]),
        retry("tool/*", backoff=0),
        TOOLS,
        Terminal("more", {"bank/pay": login, "tool/stop": interrupt}),
    ]
    with Substrate.open(tmp_path / "s.db") as s:
        with (
            pytest.raises(ValueError, match="ended"),
            s.effect.run("r", handlers, write_ahead=["*"]) as run,
        ):
            everything(run)
        trace = s.effect.trace(run.id)
        assert {step.status.name for step in trace} == {"done", "failed", "denied", "aborted"}
        assert trace == run.trace and len(told) == len(trace)
        stored = b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    stored += b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert b"Bearer" not in stored and b"[redacted]" in stored
    assert SECRET.encode() not in stored and SECRET not in repr(told)


def test_what_was_redacted_is_taken_up_again_and_not_performed(store_uri: str) -> None:
    def work(run: Run) -> Any:
        return run.perform("tool/login", password=SECRET)

    with (
        Substrate.open(store_uri) as s,
        pytest.raises(SystemError),
        s.effect.run("r", [redact(), TOOLS]) as run,
    ):
        first = work(run)
        raise SystemError
    with Substrate.open(store_uri) as s, s.effect.resume(run.id, [redact(), TOOLS]) as again:
        assert work(again) == first
        again.result = {"token": SECRET}
        assert again.result["token"] == SECRET, "the program keeps what it has"
    assert again.trace.result == {"token": "[redacted]"}


def test_an_awaited_error_is_redacted_too() -> None:
    async def main() -> str:
        async with AsyncRun("r", [redact(), TOOLS]) as run:
            with pytest.raises(EffectFailed) as failed:
                await run.perform("tool/fail", password=SECRET)
            return "".join(traceback.format_exception(failed.value))

    assert SECRET not in asyncio.run(main())


def test_entries_whose_keys_are_hidden_alike_all_stay() -> None:
    numbers = {f"s{n}00000": n for n in range(3)}
    hiding = redact(patterns=["s[0-9]{6}"])
    (found,), trace = outcomes(
        "sync", [hiding, Terminal("t", {"tool/x": lambda m: m})], [("tool/x", {"m": numbers})]
    )
    assert found == {"[redacted]": 0, "[redacted] 2": 1, "[redacted] 3": 2}
    assert trace[0].args[Keyword("m")] == found


def test_entries_whose_keys_hold_a_secret_of_the_arguments_all_stay() -> None:
    def echo(password: str) -> Any:
        return {password: 1, "[redacted]": 2, (password,): 3, ("[redacted]",): 4}

    tools = Terminal("t", {"tool/x": echo})
    (found,), _ = outcomes("sync", [redact(), tools], [("tool/x", {"password": SECRET})])
    assert sorted(found.values()) == [1, 2, 3, 4] and SECRET not in write(found)
