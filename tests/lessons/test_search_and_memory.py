"""Lessons 33 to 35: what earlier systems got wrong about searching, promoting and forgetting."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from persistence import Substrate
from persistence.errors import PromotionRefused
from persistence.plans import Plan
from persistence.search import Evolve, Optimiser, Puct
from persistence.skills import Approval, Evidence, measured


def ring(n: int) -> list[tuple[str, int]]:
    """Moves in a circle of twelve, and one that does nothing."""
    return [("on", (n + 1) % 12), ("back", (n - 1) % 12), ("stay", n)]


@pytest.mark.parametrize("optimiser", [Puct(), Evolve()])
def test_a_search_ends_on_cycles_honours_its_budget_and_knows_every_depth(
    tmp_path: Path, optimiser: Optimiser
) -> None:
    """Lesson 33."""
    with Substrate.open(tmp_path / "s.db") as s:
        everything = s.plan.search(
            0, ring, lambda n: -abs(n - 5), budget={"iterations": 10**6}, optimiser=optimiser
        )
        assert everything.best == 5 and len(everything.iterations) == 12
        assert everything.stopped_by == "exhausted"
        few = s.plan.search(
            0, ring, lambda n: -abs(n - 5), budget={"evaluations": 4}, optimiser=optimiser
        )
        assert len(few.iterations) == 4 and few.stopped_by == "evaluations"
        for depth in range(3):
            nearest = everything.best_at(depth)
            assert nearest is not None and nearest.state == depth
        assert s.plan.search.rerun(everything.id).best == 5


def test_visits_are_conserved() -> None:
    """Lesson 33: every visit of a state but the one that judged it went on to one of its moves."""
    found = Puct().search(0, ring, lambda n: -abs(n - 5), budget={"iterations": 40})
    for node in found.tree:
        assert node.visits == 1 + sum(times for *_, times in node.moves)


PLAN = Plan("[:tool-call {:params [n] :tool :guess :args {:n n}}]")
OTHER = Plan("[:tool-call {:params [n] :tool :wait :args {:n n}}]")
TOOLS = {"guess": lambda n: n * 2, "wait": lambda n: n}


def test_nothing_is_promoted_without_held_out_evidence_and_somebody_who_approves(
    tmp_path: Path,
) -> None:
    """Lesson 34."""
    place = tmp_path / "s.db"
    with Substrate.open(place) as s:
        runs = [
            (f"task {n}", *(s.plan.run(plan, TOOLS, params={"n": n}).id for plan in (PLAN, OTHER)))
            for n in range(1, 10)
        ]

        def score(trace: object) -> float:
            return float(trace.result)  # type: ignore[attr-defined]

        held_out = measured(s.effect.trace, runs, score, training=["task 100"])
        seen = measured(s.effect.trace, runs, score, training=["task 1"])
        yes = Approval("ana@example.org", datetime(2026, 5, 4, tzinfo=UTC), "it guesses better")
        for evidence, approver in (
            (Evidence((), training=()), lambda asked: yes),
            (seen, lambda asked: yes),
            (held_out, lambda asked: None),
            (held_out, lambda asked: True),
        ):
            with pytest.raises(PromotionRefused):
                s.plan.skills.promote("guess", PLAN, evidence=evidence, approver=approver)
        with pytest.raises(TypeError, match="approver"):
            s.plan.skills.promote("guess", PLAN, evidence=held_out)
        s.plan.skills.promote("guess", PLAN, evidence=held_out, approver=lambda asked: yes)
    with Substrate.open(place) as s:
        assert s.plan.skills.find("guess") == PLAN


def test_what_is_forgotten_is_recalled_no_more_and_stays_in_history(store_uri: str) -> None:
    """Lesson 35."""
    with Substrate.open(store_uri) as s:
        tea = s.memory.remember("Ada drinks green tea")
        before = s.fact.db()
        s.memory.forget(tea, "she asked us to")
        assert s.memory.recall("tea") == []
        assert [str(each) for each in s.memory.recall("tea", db=before)] == ["Ada drinks green tea"]
        assert len(s.memory.history(tea)) == 2
