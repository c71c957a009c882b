"""Lessons 30 to 32: what earlier systems got wrong about plans."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Keyword, Substrate, write
from persistence.errors import EdnError, PlanError
from persistence.plans import Plan

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from([":x", "\n", '"', "\\", "[:seq {}]", "#inst", ";", "nil"])
    | st.sampled_from([Keyword("x"), Keyword("a/b")])
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_a_plan_round_trips_through_text_for_every_value(value: Any) -> None:
    """Lesson 30: leading colons, newlines and dates too."""
    plan = Plan(f"[:tool-call {{:tool :tool/x :args {{:given (quote {write(value)})}}}}]")
    again = Plan(str(plan))
    assert again == plan and again.id == plan.id and str(again) == str(plan)
    assert Plan(plan.text(width=20)) == plan


def test_a_string_and_a_keyword_that_look_alike_are_two_plans() -> None:
    """Lesson 30."""
    text, word = (f"[:tool-call {{:tool :tool/x :args {{:v {v}}}}}]" for v in ('":x"', ":x"))
    assert Plan(text).id != Plan(word).id


@pytest.mark.parametrize("more", ["[:seq {}]", "1", ")"])
def test_what_follows_a_plan_is_refused(more: str) -> None:
    """Lesson 30."""
    with pytest.raises((PlanError, EdnError), match="column"):
        Plan(f"[:seq {{}}] {more}")


def performed(s: Substrate, plan: str, **tools: Any) -> list[str]:
    """The tools that a run of *plan* called, in order."""
    ran = s.plan.run(Plan(plan), {f"tool/{name}": tool for name, tool in tools.items()})
    return [step.op.local for step in ran.trace if step.op.namespace == "tool"]


def test_every_kind_does_what_its_name_says(tmp_path: Path) -> None:
    """Lesson 31: choice runs one arm, loop loops, race races."""

    def call(name: str) -> str:
        return f"[:tool-call {{:tool :tool/{name}}}]"

    with Substrate.open(tmp_path / "s.db") as s:
        tools = {name: lambda: 1 for name in "ab"}
        choice = f"[:choice {{:when [false true]}} {call('a')} {call('b')}]"
        assert performed(s, choice, **tools) == ["b"]
        assert performed(s, f"[:loop {{:times 3}} {call('a')}]", **tools) == ["a", "a", "a"]
        over, late = threading.Event(), threading.Event()

        def slow() -> str:
            over.wait(30)
            late.set()
            return "slow"

        race = Plan(f"[:race {{}} {call('slow')} {call('fast')}]")
        won = s.plan.run(race, {"tool/slow": slow, "tool/fast": lambda: "fast"})
        assert won.value == "fast" and not late.is_set()
        over.set()
        assert late.wait(30)
        with pytest.raises(PlanError, match="nothing performs :tool/c"):
            performed(s, call("c"), **tools)


def test_of_two_equal_steps_the_one_addressed_is_edited() -> None:
    """Lesson 32."""
    step = '[:checkpoint {:name "here"}]'
    plan = Plan(f"[:seq {{}} {step} {step}]")
    for place in (0, 1):
        edited = plan.edit((place,), '[:checkpoint {:name "there"}]')
        names = [child.get("name") for child in edited.root.children]
        assert names == ["there" if n == place else "here" for n in (0, 1)]


def test_a_date_in_a_plan_is_a_date() -> None:
    """Lesson 30: not the text of one."""
    plan = Plan('[:tool-call {:tool :tool/x :args {:on #inst "2026-03-01T00:00:00Z"}}]')
    assert plan.root.get("args")[Keyword("on")] == datetime(2026, 3, 1, tzinfo=UTC)


def test_what_lost_a_race_is_given_up_on_record_and_replays(tmp_path: Path) -> None:
    """Lesson 31: nobody waits for it, and nothing that it brings later is taken in."""
    began, over, done = threading.Semaphore(0), threading.Event(), threading.Event()

    def slow() -> str:
        began.release()
        over.wait(30)
        done.set()
        return "late"

    def fast() -> str:
        for _ in range(2):
            began.acquire(timeout=30)
        return "fast"

    inner = "[:race {} [:tool-call {:tool :tool/slow}] [:tool-call {:tool :tool/slow}]]"
    plan = Plan(f"[:race {{}} {inner} [:tool-call {{:tool :tool/fast}}]]")
    with Substrate.open(tmp_path / "s.db") as s:
        won = s.plan.run(plan, {"tool/slow": slow, "tool/fast": fast})
        recorded = s.effect.trace(won.id)
        over.set()
        assert done.wait(30) and s.effect.trace(won.id) == recorded
        statuses = {(step.op.local, step.status.name) for step in recorded}
        assert statuses == {
            ("slow", "aborted"),
            ("fast", "done"),
            ("race", "aborted"),
            ("race", "done"),
        }
        assert s.replay.run(won.id, plan.play).same
