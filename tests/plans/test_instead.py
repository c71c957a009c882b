"""What would have happened, had one step of a plan been another."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from persistence import Substrate
from persistence.effects import Run, Terminal
from persistence.errors import InputError, PlanError
from persistence.plans import Plan, instead
from persistence.replay import replay

PLAN = Plan("""
    [:seq {:params [city]}
     [:let {:name price} [:tool-call {:tool :tool/price :args {:city city}}]
      [:choice {:when [(< price 10) :else]}
       [:tool-call {:tool :tool/buy :args {:price price}}]
       [:tool-call {:tool :tool/wait}]]]
     [:tool-call {:tool :tool/tell :args {:what $}}]]
""")
CALLS = ("price", "buy", "wait", "tell")


def tools(seen: list[str]) -> Terminal:
    """Tools that write down that they were called."""

    def tool(name: str, **args: object) -> object:
        seen.append(name)
        return 7 if name == "price" else [name, *args.values()]

    return Terminal("tools", {f"tool/{name}": partial(tool, name) for name in CALLS})


@pytest.mark.parametrize("stored", [True, False])
def test_another_step_derives_all_after_it_anew_and_leaves_what_comes_before(
    tmp_path: Path, stored: bool
) -> None:
    seen: list[str] = []
    with Substrate.open(tmp_path / "s.db") as s:
        ran = s.plan.run(PLAN, tools(seen), params={"city": "Oslo"})
        body = partial(PLAN.play, params={"city": "Oslo"})
        trace = s.effect.trace(ran.id) if stored else ran.trace
        assert seen == ["price", "buy", "tell"] and s.replay.run(trace, body).same
        other = s.replay.run(
            trace,
            body,
            do=[instead((0, 1, 0), "[:tool-call {:tool :tool/wait}]")],
            live=[tools(seen)],
            allow=["tool/*"],
        )
    assert seen[3:] == ["wait", "tell"], "the price was not asked again"
    assert other.prefix == 1 and other.value == ("tell", ("wait",))


def test_a_step_that_is_none_or_a_run_of_no_plan_is_refused() -> None:
    ran = PLAN.run(tools([]), params={"city": "Oslo"})
    body = partial(PLAN.play, params={"city": "Oslo"})
    with pytest.raises(PlanError, match="no step"):
        replay(ran.trace, body, do=[instead((9,), "[:seq {}]")])

    def agent(run: Run) -> object:
        return run.perform("tool/price", city="Oslo")

    with pytest.raises(InputError, match="not the run of a plan"):
        replay(ran.trace, agent, do=[instead((0,), "[:seq {}]")])
