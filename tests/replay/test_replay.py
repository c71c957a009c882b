"""A recorded run, run again: the same to the byte, or it is told where not."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence import Keyword, Map, Substrate
from persistence.effects import Around, AsyncRun, Run, Terminal, Trace, drawing
from persistence.errors import Diverged, EffectFailed, InputError, TraceError, ValueRefused
from persistence.replay import areplay, do, replay
from persistence.values import from_micros
from tests.replay.agents import OUTSIDE, World, agent, programs

# ------------------------------------------------------------------------ laws


def recorded(program: list[Any]) -> Trace:
    """A run of *program* in a world that answers, in memory."""
    with Run("random", [World().tools, drawing(7), clock_of()]) as run:
        run.result = agent(program)(run)
    return run.trace


def clock_of() -> Terminal:
    """A clock that never tells the same time twice."""
    ticks = itertools.count()
    return Terminal("clock", {"clock/now": lambda: from_micros(next(ticks))})


@given(programs(state=False))
def test_a_replay_with_no_change_is_the_same_to_the_byte(program: list[Any]) -> None:
    trace = recorded(program)
    again = replay(trace, agent(program), live=[OUTSIDE])
    assert again.trace.encoded == trace.encoded and again.trace.digest == trace.digest
    assert again.same and again.divergence is None and again.error is None
    assert (again.hits, again.misses, again.prefix) == (len(trace), 0, len(trace))


CHANGES = (
    lambda n: do.observation(n, "changed"),
    lambda n: do.failure(n, "Oops", "no"),
    lambda n: do.action(n, extra=1),
)


@given(programs(state=False), st.integers(0, 99), st.sampled_from(CHANGES))
def test_an_intervention_leaves_what_is_before_it_equal(
    program: list[Any], at: int, changing: Any
) -> None:
    trace = recorded(program)
    if not len(trace):
        return
    n = at % len(trace)
    change = changing(n)
    world = World()
    again = replay(
        trace,
        agent(program),
        do=[change],
        live=[Terminal("t", {**world.tools.functions, "random/draw": lambda **_: 0.5})],
        allow=["tool/*", "model/*", "random/draw"],
    )
    assert again.prefix >= n, "before the change all is as recorded"
    there = {(s.scope, s.place): s for s in again.trace}
    for step in trace.steps[:n]:
        assert there[step.scope, step.place].id == step.id
    assert not again.idle
    assert again.divergence is None or again.divergence.n >= n


@given(programs(state=False, parallel=False), programs(state=False, parallel=False))
def test_another_program_is_told_at_the_first_call_that_differs(
    program: list[Any], other: list[Any]
) -> None:
    """And the outside is not reached, whatever it asks for."""
    trace = recorded(program)
    again = replay(trace, agent(other), live=[OUTSIDE])
    assert again.same == (again.divergence is None)
    if again.divergence is not None and again.divergence.kind != "end":
        n = again.divergence.place
        assert again.prefix == n == len(again.trace)
        expected = trace[n] if n < len(trace) else None
        assert again.divergence.expected == expected


@pytest.fixture
def stored(store_uri: str) -> Any:
    """A store that is opened as often as a test likes."""
    return lambda: Substrate.open(store_uri)


PROGRAM = [
    *([("again", 3), ("draw", 0.9), ("now", None), ("write", 1), ("read", None), ("draw", 0.9)]),
    *([("refused", None), ("arms", [[("again", 2)], [("draw", 0.9), ("ask", 1)]]), ("read", None)]),
    *([("fail", "seat"), ("model", None), ("write", 1)]),
]


def test_a_run_replays_from_the_store_after_it_was_opened_again(stored: Any) -> None:
    with stored() as s, s.effect.run("shop", [World().tools]) as run:
        run.result = agent(PROGRAM)(run)
    with stored() as s:
        trace, before = s.effect.trace(run.id), s.fact.db().basis
        again = replay(trace, agent(PROGRAM), live=[OUTSIDE], db=s.fact.db())
        assert again.same and again.trace.encoded == run.trace.encoded
        assert again.trace.result == run.result
        assert s.fact.db().basis == before, "a replay writes nothing"


def same_after_reopening(uri: Any, program: list[Any]) -> None:
    with Substrate.open(uri) as s, s.effect.run("random", [World().tools], commit="end") as run:
        run.result = agent(program)(run)
    with Substrate.open(uri) as s:
        trace, before = s.effect.trace(run.id), s.fact.db().basis
        again = replay(trace, agent(program), live=[OUTSIDE], db=s.fact.db())
        assert again.trace.encoded == trace.encoded == run.trace.encoded
        assert again.same and s.fact.db().basis == before


@given(program=programs(state=True))
def test_agents_that_read_and_write_replay_the_same_from_sqlite(
    tmp_path_factory: pytest.TempPathFactory, program: list[Any]
) -> None:
    place = tmp_path_factory.mktemp("replay")
    same_after_reopening(place / "s.db", program)
    shutil.rmtree(place)


_numbers = itertools.count()


@settings(max_examples=20)
@given(program=programs(state=True))
def test_agents_that_read_and_write_replay_the_same_from_postgres(
    postgres_uri: str, program: list[Any]
) -> None:
    joint = "&" if "?" in postgres_uri else "?"
    same_after_reopening(f"{postgres_uri}{joint}schema=replay_{next(_numbers)}", program)


@given(program=programs(state=True), at=st.none() | st.integers(0, 99))
def test_a_changed_state_leaves_what_is_before_it_equal_and_the_store_alone(
    tmp_path_factory: pytest.TempPathFactory, program: list[Any], at: int | None
) -> None:
    place = tmp_path_factory.mktemp("replay")
    with Substrate.open(place / "s.db") as s:
        with s.effect.run("random", [World().tools], commit="end") as run:
            run.result = agent(program)(run)
        trace, basis = run.trace, s.fact.db().basis
        n = None if at is None or not len(trace) else at % len(trace)
        change = do.fact([{"item/name": "changed"}], at=n)
        live, allow = [World().tools], ["tool/*", "model/*", "random/*"]
        first, again = (
            replay(trace, agent(program), do=[change], live=live, allow=allow, db=s.fact.db())
            for _ in range(2)
        )
        assert s.fact.db().basis == basis
        point = change.point(trace)
        assert first.prefix >= (len(trace) if point is None else point.n)
        assert first.divergence is None and first.idle == (() if point else (change,))
        twice = replay(first.trace, agent(program), do=[change], live=[OUTSIDE], db=s.fact.db())
        assert twice.trace.encoded == first.trace.encoded, "a replay is a record like any other"
        assert len(again.trace) == len(first.trace) or again.misses
    shutil.rmtree(place)


# ------------------------------------------------------------------ divergence


def find(query: str) -> list[str]:
    return [query]


def shop(*queries: str) -> Trace:
    with Run("shop", [Terminal("t", {"tool/find": find})]) as run:
        run.result = [run.perform("tool/find", query=each) for each in queries]
    return run.trace


def asking(*queries: str) -> Any:
    return lambda run: [run.perform("tool/find", query=each) for each in queries]


def test_calls_that_are_there_in_another_order_are_a_divergence() -> None:
    again = replay(shop("a", "b", "c"), asking("a", "c", "b"))
    found = again.divergence
    assert found is not None and (found.kind, found.place) == ("other", 1)
    assert found.elsewhere is not None and found.elsewhere.place == 2
    assert "the record asks for that at step 2" in str(found)
    assert isinstance(again.error, Diverged) and again.error.data["divergence"] == found
    loose = replay(shop("a", "b", "c"), asking("a", "c", "b"), strict=False)
    assert loose.value == [("a",), ("c",), ("b",)]
    assert loose.divergence is not None and loose.divergence.kind == "end"


def test_a_program_that_ends_early_or_goes_on_is_a_divergence() -> None:
    early = replay(shop("a", "b"), asking("a"))
    assert early.divergence is not None and early.divergence.kind == "less"
    assert early.divergence.expected == early.record[1] and not early.same
    late = replay(shop("a"), asking("a", "b"))
    assert late.divergence is not None and late.divergence.kind == "more"
    with pytest.raises(Diverged, match="step 1: the record holds nothing more"):
        late.check()
    other = replay(shop("a"), lambda run: [*asking("a")(run), "more"])
    assert other.divergence is not None and other.divergence.kind == "end"
    assert ":result 1: nothing became" in str(other.divergence)
    crash = replay(shop("a"), lambda run: asking("a")(run) and 1 / 0)
    assert crash.divergence is not None and isinstance(crash.error, ZeroDivisionError)


def test_a_program_that_swallows_the_divergence_gets_no_further() -> None:
    def stubborn(run: Run) -> Any:
        for query in "xabx":
            try:
                run.perform("tool/find", query=query)
            except Exception:
                continue
            raise AssertionError("answered")

    again = replay(shop("a", "a", "b"), stubborn, live=[OUTSIDE])
    assert again.divergence is not None and again.divergence.place == 0
    assert len(again.trace) == 0


def test_the_arguments_that_differ_are_named() -> None:
    def chat(system: str) -> Any:
        def body(run: Run) -> Any:
            long = "You are a careful assistant who sells " + system
            return run.perform("model/chat", messages=[{"role": "system", "content": long}], t=1)

        return body

    with Run("chat", [Terminal("m", {"model/chat": lambda **_: "ok"})]) as run:
        run.result = chat("tea.")(run)
    found = replay(run.trace, chat("coffee, and nothing else.")).divergence
    assert found is not None
    (difference,) = found.differing
    assert difference.path == (Keyword("messages"), 0, "content")
    assert '…ful assistant who sells tea." became "…ful assistant who sells coffee' in str(found)


def test_a_miss_goes_outside_where_it_is_allowed_and_is_told_all_the_same() -> None:
    asked = []

    def live(query: str) -> str:
        asked.append(query)
        return "new"

    again = replay(
        shop("a", "b", "c"),
        asking("a", "x", "c"),
        live=[Terminal("t", {"tool/find": live})],
        allow=["tool/find"],
    )
    assert asked == ["x"] and again.value == [("a",), "new", ("c",)]
    assert again.divergence is not None and again.divergence.place == 1
    assert (again.hits, again.misses) == (2, 1)
    lonely = replay(shop("a"), asking("x"), allow=["tool/*"])
    assert isinstance(lonely.error, Diverged)
    assert "no handler of live= performs" in str(lonely.error.hint)


# ---------------------------------------------------------------------- fidelity


def test_errors_come_again_as_they_were() -> None:
    def fail(kind: str) -> None:
        raise LookupError("gone")

    def body(run: Run) -> Any:
        try:
            run.perform("tool/fail", kind="x")
        except EffectFailed as error:
            return [error.kind, error.message, error.hint]

    with Run("fails", [Terminal("t", {"tool/fail": fail})]) as run:
        run.result = body(run)
    assert replay(run.trace, body).value == list(run.result)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_a_run_that_was_broken_off_is_broken_off_again(interrupt: type[BaseException]) -> None:
    def stop() -> None:
        raise interrupt

    def body(run: Run) -> Any:
        try:
            run.perform("tool/stop")
        except Exception as error:
            raise RuntimeError("gave up") from error

    tools = [Terminal("t", {"tool/stop": stop})]
    with pytest.raises((interrupt, RuntimeError)), Run("stops", tools) as run:
        body(run)
    again = replay(run.trace, body)
    assert again.same and again.trace.encoded == run.trace.encoded
    assert again.error is not None


def test_an_interrupt_from_outside_is_no_part_of_the_replay() -> None:
    def body(run: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(shop("a"), body)


def test_the_program_sees_the_id_it_had_and_what_goes_outside_has_another_key() -> None:
    keys = []
    with Run("pay", [Terminal("t", {"tool/pay": lambda call: keys.append(call.key)}, True)]) as run:
        run.result = str(run.id)
        run.perform("tool/pay")

    def body(again: Run) -> str:
        again.perform("tool/pay")
        return str(again.id)

    live = [Terminal("t", {"tool/pay": lambda call: keys.append(call.key)}, True)]
    assert replay(run.trace, body).same
    changed = replay(
        run.trace, body, do=[do.action(0, "tool/pay", twice=1)], live=live, allow="tool/*"
    )
    assert changed.misses == 1 and keys[0] != keys[1]
    assert changed.trace.parent == run.id != changed.trace.id


def test_masks_and_checks_need_no_handlers_in_a_replay() -> None:
    def loud(call: Any) -> Any:
        return (yield call) + "!"

    def body(run: Run) -> Any:
        run.check(["tool/find"])
        return [run.perform("tool/find", q=1), run.mask("loud").perform("tool/find", q=1)]

    tools = Terminal("t", {"tool/find": lambda q: "x"})
    with Run("loud", [Around("loud", loud), tools]) as run:
        run.result = body(run)
    assert run.result == ("x!", "x") and replay(run.trace, body).same


def test_what_was_redacted_is_redacted_in_the_replay() -> None:
    def hide(op: Keyword, value: Any) -> Any:
        if not isinstance(value, Map):
            return value
        return Map({k: "***" if k == Keyword("key") else v for k, v in value.items()})

    hiding = Around("redaction", redact=hide)

    def body(run: Run) -> Any:
        return run.perform("tool/open", key="secret", door=1)

    with Run("open", [hiding, Terminal("t", {"tool/open": lambda **_: "open"})]) as run:
        run.result = body(run)
    assert "secret" not in str(run.trace.steps)
    assert replay(run.trace, body).divergence is not None
    assert replay(run.trace, body, live=[hiding]).same
    other = replay(run.trace, lambda run: run.perform("tool/open", key="k", door=2), live=[hiding])
    assert other.divergence is not None
    assert [str(each) for each in other.divergence.differing] == [":door: 1 became 2"]


def test_a_program_that_awaits_replays_the_same() -> None:
    async def body(run: AsyncRun) -> Any:
        arms = [run.scope(label) for label in "ab"]

        async def arm(view: AsyncRun) -> Any:
            return [await view.perform("tool/find", query="q"), await view.random()]

        return [*await asyncio.gather(*map(arm, arms)), await run.random()]

    async def main() -> Trace:
        async with AsyncRun("a", [Terminal("t", {"tool/find": find}), drawing(1)]) as run:
            run.result = await body(run)
        return run.trace

    trace = asyncio.run(main())
    again = asyncio.run(areplay(trace, body))
    assert again.same and again.trace.encoded == trace.encoded
    with pytest.raises(InputError, match="awaits"):
        replay(trace, body)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- bad input


def test_a_step_that_is_not_there_is_told(tmp_path: Path) -> None:
    trace = shop("a")
    for at in (1, -1, ("tool/find", 1), ("tool/find", -1), shop("b")[0]):
        with pytest.raises(TraceError, match="has no step"):
            replay(trace, asking("a"), do=[do.observation(at, 1)])
    with pytest.raises(InputError, match="no output of a model"):
        replay(trace, asking("a"), do=[do.output(0, 1)])


def test_a_result_that_cannot_be_held_against_the_record_is_told() -> None:
    again = replay(shop("a"), lambda run: asking("a")(run) and object())
    assert isinstance(again.error, ValueRefused) and again.divergence is not None


def test_a_trace_of_another_version_is_refused(stored: Any) -> None:
    with stored() as s:
        with s.effect.run("shop", [World().tools]) as run:
            run.now()
        s.fact.transact([{"db/id": ["run/id", run.id], "run/format": 2}])
        with pytest.raises(TraceError, match="recorded in format 2"):
            s.replay.run(run.id, lambda run: run.now())


def test_a_run_that_was_resumed_or_cut_off_replays_as_far_as_it_went(stored: Any) -> None:
    def work(run: Run, cut: bool = False) -> Any:
        run.perform("tool/ask", about=1)
        run.transact([{"item/name": "once"}])
        if cut:
            raise SystemError("cut")
        return [run.perform("tool/ask", about=2), run.random()]

    with stored() as s:
        with pytest.raises(SystemError), s.effect.run("work", [World().tools]) as run:
            work(run, cut=True)
        cut = s.replay.run(run.id, lambda run: work(run, cut=True))
        assert cut.same and isinstance(cut.error, SystemError)
        whole = s.replay.run(run.id, work)
        assert whole.divergence is not None and whole.divergence.kind == "more"
        with s.effect.resume(run.id, [World().tools]) as again:
            again.result = work(again)
        assert s.replay.run(run.id, work).same


def test_a_run_that_reads_a_store_says_that_it_needs_one(tmp_path: Path) -> None:
    with Substrate.open(tmp_path / "s.db") as s, s.effect.run("reads") as run:
        run.db()
    again = replay(run.trace, lambda run: run.db())
    assert isinstance(again.error, InputError) and "db=s.fact.db()" in str(again.error.hint)
