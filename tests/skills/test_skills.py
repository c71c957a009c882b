"""Skills: promoted on held-out evidence and by somebody's approval, or not at all."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import apsw
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import Substrate
from persistence.audit.finding import Finding
from persistence.errors import EntityNotFound, InputError, PromotionRefused
from persistence.plans import Plan
from persistence.skills import Approval, Case, Evidence, Request, Skills, measured
from persistence.skills.evidence import gain

CAREFUL = Plan(
    "[:seq {:params [n]} [:tool-call {:tool :look :args {:n n}}]"
    " [:tool-call {:tool :guess :args {:n $}}]]"
)
HASTY = Plan("[:tool-call {:params [n] :tool :guess :args {:n n}}]")
TOOLS = {"look": lambda n: n + 1, "guess": lambda n: n * 2}
TODAY = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
YES = Approval("ana@example.org", TODAY, "better on every kind of task")


def yes(request: Request) -> Approval:
    return YES


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


def skills_of(s: Substrate, **options: Any) -> Skills:
    return Skills(s._connection, trace=s.effect.trace, load=s.plan.load, **options)


@pytest.fixture
def skills(s: Substrate) -> Skills:
    return skills_of(s)


def pairs(
    s: Substrate, count: int, plan: Plan = CAREFUL, baseline: Plan = HASTY
) -> list[tuple[str, UUID, UUID]]:
    """Tasks with a run of the plan and one of the baseline on each."""
    return [
        (
            f"task {n}",
            s.plan.run(plan, TOOLS, params={"n": n}, commit="end").trace.id,
            s.plan.run(baseline, TOOLS, params={"n": n}, commit="end").trace.id,
        )
        for n in range(count)
    ]


def evidence_of(s: Substrate, count: int = 8, **options: Any) -> Evidence:
    given = {"training": ("task 100", "task 101"), **options}
    return measured(s.effect.trace, pairs(s, count), lambda trace: float(trace.result), **given)


def missing(call: Any) -> str:
    with pytest.raises(PromotionRefused) as refused:
        call()
    assert refused.value.hint
    found: list[str] = refused.value.data["missing"]
    assert all(each in str(refused.value) for each in found)
    return "\n".join(found)


# -------------------------------------------------------------------------- promoting


def test_a_plan_with_evidence_and_approval_is_promoted_and_loads_after_a_restart(
    store_uri: str,
) -> None:
    with Substrate.open(store_uri) as s:
        made = skills_of(s).promote("look-first", CAREFUL, evidence=evidence_of(s), approver=yes)
        assert (made.version, made.gain.mean, made.approval) == (1, 2.0, YES)
    with Substrate.open(store_uri) as s:
        skills = skills_of(s)
        assert skills.load("look-first") == made
        assert skills.find(":look-first") == CAREFUL
        assert skills.list() == [made]
        assert s.check() == []


def test_a_promoted_skill_is_called_by_plans(s: Substrate, skills: Skills) -> None:
    skills.promote("skill/look-first", CAREFUL, evidence=evidence_of(s), approver=yes)
    caller = Plan("[:call-skill {:skill :skill/look-first :args {:n 4}}]")
    assert s.plan.run(caller, TOOLS, skills=skills.find).value == 10


def test_the_approver_sees_what_it_is_about(s: Substrate, skills: Skills) -> None:
    asked: list[Request] = []

    def approver(request: Request) -> Approval:
        asked.append(request)
        return YES

    evidence = evidence_of(s)
    skills.promote("look-first", CAREFUL, evidence=evidence, approver=approver)
    skills.promote("look-first", CAREFUL, evidence=evidence, approver=approver)
    first, second = asked
    assert (first.name, first.plan, first.evidence) == ("look-first", CAREFUL, evidence)
    assert (first.replaces, second.replaces) == (None, CAREFUL)
    assert first.gain.bound == 2.0


def test_evidence_and_approval_are_facts(s: Substrate, skills: Skills) -> None:
    evidence = evidence_of(s)
    skills.promote("look-first", CAREFUL, evidence=evidence, approver=yes)
    who, why = s.fact.db().q(
        '[:find [?by ?why] :where [?s :skill/name "look-first"] [?s :skill/approved-by ?by]'
        " [?s :skill/reason ?why]]"
    )
    assert (who, why) == (YES.by, YES.reason)
    runs = s.fact.db().q(
        "[:find [?id ...] :where [_ :skill/evidence ?e] [?e :evidence/runs ?r] [?r :run/id ?id]]"
    )
    assert set(runs) == {case.run for case in evidence.cases}


def test_a_promotion_of_a_taken_name_is_a_new_version_and_the_old_stays_in_history(
    s: Substrate, skills: Skills
) -> None:
    skills.promote("look-first", CAREFUL, evidence=evidence_of(s), approver=yes)
    before = s.fact.db()
    again = Plan(str(CAREFUL).replace(":params", ':doc "now with a text" :params'))
    runs = pairs(s, 8, plan=again, baseline=HASTY)
    shown = measured(s.effect.trace, runs, lambda t: float(t.result), training=())
    second = skills.promote("look-first", again, evidence=shown, approver=yes)
    assert (second.version, second.plan) == (2, again)
    assert skills.load("look-first", db=before).plan == CAREFUL
    assert [(each.version, each.plan) for each in skills.history("look-first")] == [
        (1, CAREFUL),
        (2, again),
    ]


def test_a_retired_skill_is_not_used_and_stays_in_history(s: Substrate, skills: Skills) -> None:
    evidence = evidence_of(s)
    skills.promote("look-first", CAREFUL, evidence=evidence, approver=yes)
    before = s.fact.db()
    skills.retire("look-first", "the tool is gone")
    with pytest.raises(EntityNotFound, match="retired: the tool is gone"):
        skills.load("look-first")
    with pytest.raises(EntityNotFound, match="retired"):
        skills.retire("look-first", "again")
    assert skills.list() == []
    assert [each.retired for each in skills.list(retired=True)] == ["the tool is gone"]
    assert skills.load("look-first", db=before).plan == CAREFUL
    assert skills.promote("look-first", CAREFUL, evidence=evidence, approver=yes).version == 2
    assert skills.load("look-first").retired is None


def test_a_skill_that_is_not_there_is_told_so(skills: Skills) -> None:
    for call in (skills.load, skills.history, lambda name: skills.retire(name, "why")):
        with pytest.raises(EntityNotFound, match="no skill 'look-first'"):
            call("look-first")
    assert skills.list() == []


# -------------------------------------------------------------------------- refusals


def test_there_is_no_default_that_says_yes(s: Substrate, skills: Skills) -> None:
    evidence = evidence_of(s)
    with pytest.raises(TypeError):
        skills.promote("look-first", CAREFUL, evidence=evidence)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        skills.promote("look-first", CAREFUL, approver=yes)  # type: ignore[call-arg]
    nobody: Any = None
    says = missing(
        lambda: skills.promote("look-first", CAREFUL, evidence=evidence, approver=nobody)
    )
    assert "nobody to approve" in says
    assert skills.list() == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "did not approve"),
        (True, "which is no Approval"),
        ("yes", "which is no Approval"),
        (attrs.evolve(YES, by=" "), "by whom"),
        (attrs.evolve(YES, reason=""), "why"),
        (attrs.evolve(YES, at=dt.datetime(2026, 5, 4)), "when"),  # noqa: DTZ001  that is the point
        (attrs.evolve(YES, at="today"), "when"),
    ],
)
def test_only_an_approval_with_name_time_and_reason_is_one(answer: Any, says: str) -> None:
    with Substrate.open(":memory:") as s:
        skills, evidence = skills_of(s), evidence_of(s)
        assert says in missing(
            lambda: skills.promote("x", CAREFUL, evidence=evidence, approver=lambda _: answer)
        )
        assert skills.list() == []


def test_everything_that_is_missing_is_listed_at_once_and_nobody_is_asked() -> None:
    with Substrate.open(":memory:") as s:
        evidence = evidence_of(s, 4)
        first, second, third, fourth = evidence.cases
        shown = Evidence(
            (
                first,
                attrs.evolve(second, task=first.task),
                attrs.evolve(third, run=UUID(int=7)),
                attrs.evolve(fourth, score=math.nan),
            ),
            training=["task 0", third.baseline_run],
        )
        skills = skills_of(s, verify=lambda: [Finding("entry 3", "a", "b")])
        says = missing(
            lambda: skills.promote("x", CAREFUL, evidence=shown, approver="me")  # type: ignore[arg-type]
        )
        for each in (
            "8 held-out cases are needed, and there are 4",
            "'task 0' is in the training set",
            f"{third.baseline_run!r} is in the training set",
            "the task 'task 0' comes more than once",
            f"run {UUID(int=7)}",
            "not both finite",
            "no gain can be measured",
            "the audit has 1 findings: entry 3",
            "nobody to approve",
        ):
            assert each in says


def test_runs_of_another_plan_speak_for_nothing() -> None:
    with Substrate.open(":memory:") as s:
        runs = [(task, b, a) for task, a, b in pairs(s, 8)]  # the wrong way round
        shown = measured(s.effect.trace, runs, lambda t: -float(t.result), training=())
        says = missing(lambda: skills_of(s).promote("x", CAREFUL, evidence=shown, approver=yes))
        assert says.count("replayed, is not what its record says") == 8
        assert says.count("is given for the baseline, and is one of the plan itself") == 8


def test_a_run_that_has_not_ended_is_no_evidence() -> None:
    with Substrate.open(":memory:") as s:
        evidence = evidence_of(s)
        with s.effect.run("under way") as run:
            case = attrs.evolve(evidence.cases[0], baseline_run=run.id)
            shown = attrs.evolve(evidence, cases=(case, *evidence.cases[1:]))
            assert "has not ended" in missing(
                lambda: skills_of(s).promote("x", CAREFUL, evidence=shown, approver=yes)
            )


def test_a_baseline_whose_plan_the_store_does_not_hold_is_not_replayed() -> None:
    with Substrate.open(":memory:") as s:
        meta = {"plan/id": b"\0" * 32}
        runs = []
        for task, run, other in pairs(s, 8):
            with s.effect.run("elsewhere", meta=meta) as baseline:
                baseline.result = s.effect.trace(other).result
            runs.append((task, run, baseline.id))
        shown = measured(s.effect.trace, runs, lambda trace: float(trace.result), training=())
        assert skills_of(s).promote("x", CAREFUL, evidence=shown, approver=yes).version == 1


def test_a_gain_that_may_be_chance_is_none() -> None:
    with Substrate.open(":memory:") as s:
        evidence = evidence_of(s)
        noisy = attrs.evolve(
            evidence,
            cases=[
                attrs.evolve(case, baseline_score=case.score + (-1) ** n - 0.1)
                for n, case in enumerate(evidence.cases)
            ],
        )
        skills = skills_of(s)
        assert "the gain is 0.1 on 8 cases" in missing(
            lambda: skills.promote("x", CAREFUL, evidence=noisy, approver=yes)
        )
        assert "more than 2" in missing(
            lambda: skills.promote("x", CAREFUL, evidence=evidence, approver=yes, margin=2)
        )


def test_a_changed_log_keeps_anything_from_being_promoted(tmp_path: Any) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path) as s:
        evidence = evidence_of(s)
    with apsw.Connection(str(path)) as db:
        for (trigger,) in list(db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
            db.execute(f'DROP TRIGGER "{trigger}"')
        db.execute("UPDATE tx SET time = time + 1 WHERE t = 3")
    with Substrate.open(path) as s:
        assert "the audit has" in missing(
            lambda: skills_of(s).promote("x", CAREFUL, evidence=evidence, approver=yes)
        )


def test_of_two_promotions_at_once_the_second_is_told() -> None:
    with Substrate.open(":memory:") as s:
        skills, evidence = skills_of(s), evidence_of(s)

        def slow(request: Request) -> Approval:
            skills.promote("x", CAREFUL, evidence=evidence, approver=yes)
            return YES

        assert "meanwhile version 1 was promoted" in missing(
            lambda: skills.promote("x", CAREFUL, evidence=evidence, approver=slow)
        )
        assert skills.load("x").version == 1


@pytest.mark.parametrize(
    ("bar", "says"),
    [
        ({"minimum": 4}, "minimum of 4"),
        ({"minimum": 8.0}, "minimum of 8.0"),
        ({"margin": -0.1}, "margin of -0.1"),
        ({"margin": math.nan}, "margin of nan"),
        ({"confidence": 0.5}, "confidence of 0.5"),
        ({"confidence": 1}, "confidence of 1"),
    ],
)
def test_a_bar_that_lets_everything_through_is_refused(bar: dict[str, Any], says: str) -> None:
    with Substrate.open(":memory:") as s:
        evidence = Evidence((), ())
        with pytest.raises(InputError, match=says):
            skills_of(s).promote("x", CAREFUL, evidence=evidence, approver=yes, **bar)


@pytest.mark.parametrize("training", [None, "task 1", 7])
def test_a_training_set_has_to_be_said(training: Any) -> None:
    with pytest.raises(InputError, match="no training set"):
        Evidence((), training)


# ----------------------------------------------------------------------- the statistic


@pytest.mark.parametrize(  # from tables of Student's t, one-sided
    ("confidence", "freedom", "t"),
    [(0.95, 4, 2.132), (0.95, 7, 1.895), (0.95, 30, 1.697), (0.99, 4, 3.747), (0.975, 9, 2.262)],
)
def test_the_bound_is_that_of_students_t(confidence: float, freedom: int, t: float) -> None:
    n = freedom + 1
    differences = [float((-1) ** k) for k in range(n)]
    found = gain(differences, confidence)
    mean = sum(differences) / n
    spread = math.sqrt(sum((d - mean) ** 2 for d in differences) / freedom / n)
    assert (found.mean - found.bound) / spread == pytest.approx(t, abs=0.006)


@given(
    st.lists(st.floats(-100, 100), min_size=5, max_size=30),
    st.floats(-10, 10),
    st.sampled_from((0.9, 0.95, 0.99)),
)
def test_the_bound_moves_with_the_differences_and_lies_below_their_mean(
    differences: list[float], shift: float, confidence: float
) -> None:
    found = gain(differences, confidence)
    moved = gain([each + shift for each in differences], confidence)
    assert found.bound <= found.mean + 1e-9
    assert moved.bound == pytest.approx(found.bound + shift, abs=1e-6)
    assert gain(differences, 0.995).bound <= found.bound + 1e-9


def test_a_case_takes_ids_as_text_too() -> None:
    case = Case("task", str(UUID(int=1)), 1.0, str(UUID(int=2)), 0.5)  # type: ignore[arg-type]
    assert (case.run, case.baseline_run, case.difference) == (UUID(int=1), UUID(int=2), 0.5)
