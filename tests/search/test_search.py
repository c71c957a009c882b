"""Searches: deterministic, within their budgets, at an end when nothing is left, and on record."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence import Substrate
from persistence.errors import PersistenceError, SearchError
from persistence.plans import Plan
from persistence.search import (
    Budget,
    Codec,
    Evolve,
    Found,
    Optimiser,
    Proposed,
    Puct,
    Scored,
    Searches,
    plan_moves,
)
from persistence.values import Keyword
from tests.search import killed

ROOT = Path(__file__).resolve().parents[2]

# ------------------------------------------------------------------- small worlds

Graph = dict[int, list[tuple[str, int, float]]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any graph at all: cycles, moves to itself, moves that come twice, dead ends."""
    size = draw(st.integers(1, 12))
    states = st.integers(0, size - 1)
    move = st.tuples(st.sampled_from("abc"), states, st.sampled_from((0.0, 0.5, 1.0, 3.0)))
    return {n: draw(st.lists(move, max_size=4)) for n in range(size)}


scores = st.lists(st.integers(-5, 5), min_size=12, max_size=12)
seeds = st.integers(0, 3)


def middle(a: int, b: int) -> list[tuple[str, int]]:
    return [("middle", (a + b) // 2)]


optimisers = st.sampled_from(
    (Puct(), Puct(exploring=0.2), Evolve(population=3, elite=1), Evolve(population=2, elite=2))
)


def distances(graph: Graph) -> dict[int, int]:
    found, waiting = {0: 0}, deque((0,))
    while waiting:
        at = waiting.popleft()
        for _, end, _ in graph[at]:
            if end not in found:
                found[end] = found[at] + 1
                waiting.append(end)
    return found


def whole(found: Found) -> Any:
    """All that is to be seen of an outcome, but for the time it took."""
    return (
        [(i.n, i.id, i.score, i.parent, i.label, i.depth, i.other) for i in found.iterations],
        found.tree,
        [each.id for each in found.population],
        (found.best, found.score, found.stopped_by, found.path),
    )


def nobody(*_: Any) -> NoReturn:
    raise AssertionError("somebody was called")


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        yield opened


# ----------------------------------------------------------------------------- laws


@given(graphs(), scores, optimisers, seeds)
def test_a_small_space_is_searched_to_its_end_and_gives_the_optimum_at_every_depth(
    graph: Graph, score: list[int], optimiser: Optimiser, seed: int
) -> None:
    found = optimiser.search(
        0, graph.__getitem__, score.__getitem__, budget=Budget(iterations=999), seed=seed
    )
    depth = distances(graph)
    assert found.stopped_by == "exhausted"
    assert sorted(each.state for each in found.iterations) == sorted(depth)
    assert found.score == max(score[state] for state in depth) == score[found.best]
    for d in range(max(depth.values()) + 2):
        there = [score[state] for state in depth if depth[state] == d]
        best = found.best_at(d)
        assert (best.score if best else None) == max(there, default=None)


@given(graphs(), scores, optimisers, seeds, st.integers(1, 15))
def test_equal_arguments_give_equal_outcomes(
    graph: Graph, score: list[int], optimiser: Optimiser, seed: int, iterations: int
) -> None:
    def once() -> Found:
        budget = {"iterations": iterations}
        return optimiser.search(0, graph.__getitem__, score.__getitem__, budget=budget, seed=seed)

    assert whole(once()) == whole(once())


@given(graphs(), scores, seeds, st.integers(1, 15))
def test_visits_are_conserved(graph: Graph, score: list[int], seed: int, iterations: int) -> None:
    found = Puct().search(
        0, graph.__getitem__, score.__getitem__, budget=Budget(iterations=iterations), seed=seed
    )
    visits = {each.id: each for each in found.tree}
    assert set(visits) == {each.id for each in found.iterations}
    assert visits[found.iterations[0].id].visits == len(found.iterations)
    for each in found.tree:
        assert each.visits == 1 + sum(count for _, _, count in each.moves)
    arrived = dict.fromkeys(visits, 0)
    for each in found.tree:
        for _, end, count in each.moves:
            arrived[end] += count
    arrived[found.iterations[0].id] += len(found.iterations)
    assert arrived == {id: each.visits for id, each in visits.items()}


@given(
    optimisers,
    st.fixed_dictionaries(
        {},
        optional={
            "iterations": st.integers(1, 30),
            "evaluations": st.integers(1, 30),
            "seconds": st.integers(1, 60),
            "tokens": st.integers(10, 600),
            "cost": st.integers(1, 60),
        },
    ).filter(bool),
)
def test_no_budget_is_ever_passed(optimiser: Optimiser, bounds: dict[str, int]) -> None:
    time, judged, calls = [0.0], [0], [0]

    def propose(n: int) -> Proposed:
        time[0] += 1
        calls[0] += 1
        return Proposed([("a", 2 * n + 1), ("b", 2 * n + 2)], tokens=10, cost=1)

    def evaluate(n: int) -> Scored:
        time[0] += 1
        judged[0] += 1
        calls[0] += 1
        return Scored(-n, tokens=10, cost=1)

    found = optimiser.search(0, propose, evaluate, budget=bounds, now=lambda: time[0])
    spent = {
        "iterations": len(found.iterations),
        "evaluations": judged[0],
        "seconds": time[0],
        "tokens": 10 * calls[0],
        "cost": calls[0],
    }
    assert all(spent[name] <= bound for name, bound in bounds.items())
    assert found.stopped_by in bounds
    # The budget that ended it had no room for what came next.
    assert (
        spent[found.stopped_by] + (10 if found.stopped_by == "tokens" else 1)
        > bounds[found.stopped_by]
    )
    for name in ("seconds", "tokens", "cost"):
        assert getattr(found.spent, name) == spent[name]


@settings(max_examples=40)
@given(
    graphs(),
    scores,
    st.sampled_from((Puct(), Evolve(population=3, elite=1, crossover=middle, crossing=0.5))),
    seeds,
    st.integers(1, 15),
    st.integers(1, 5),
)
def test_run_again_from_its_log_a_search_is_the_same_and_nobody_is_called(
    graph: Graph,
    score: list[int],
    optimiser: Optimiser,
    seed: int,
    iterations: int,
    every: int,
) -> None:
    with Substrate.open(":memory:") as s:
        searches = s.plan.search
        found = searches(
            0,
            graph.__getitem__,
            score.__getitem__,
            budget=Budget(iterations=iterations),
            optimiser=optimiser,
            seed=seed,
            every=every,
        )
        again = searches.rerun(str(found.id))
        assert whole(again) == whole(found)
        assert again.id == found.id
        kept = searches.resume(
            found.id, nobody, nobody, crossover=middle if isinstance(optimiser, Evolve) else None
        )  # its budget is used up, or there is nothing left
        assert whole(kept) == whole(found)


@settings(max_examples=40)
@given(
    st.sampled_from((Puct(), Evolve(population=3, elite=1, crossover=middle))),
    st.integers(1, 25),
    seeds,
)
def test_after_a_crash_anywhere_a_search_goes_on_as_if_there_had_been_none(
    optimiser: Optimiser, crash: int, seed: int
) -> None:
    calls, asked = [0], []

    def propose(n: int) -> list[tuple[str, int]]:
        count(("propose", n))
        return [("a", 2 * n + 1), ("b", 2 * n + 2), ("c", n // 2)]

    def evaluate(n: int) -> float:
        count(("evaluate", n))
        return -abs(n - 9)

    def cross(a: int, b: int) -> list[tuple[str, int]]:
        count(("cross", a, b))
        return middle(a, b)

    def count(what: Any) -> None:
        calls[0] += 1
        if calls[0] == crash:
            raise RuntimeError("the model is gone")
        asked.append(what)

    if isinstance(optimiser, Evolve):
        optimiser = Evolve(population=3, elite=1, crossover=cross)
    crossover = optimiser.crossover
    budget = Budget(iterations=12)
    with Substrate.open(":memory:") as s:
        searches = s.plan.search
        try:
            found = searches(0, propose, evaluate, budget=budget, optimiser=optimiser, seed=seed)
        except RuntimeError:
            (info,) = searches.list()
            assert str(info.status) == ":running"
            found = searches.resume(info.id, propose, evaluate, crossover=crossover)
        assert len(asked) == len(set(asked))  # nothing was asked for twice
        calls[0] = crash  # nothing more goes wrong
        straight = optimiser.search(0, propose, evaluate, budget=budget, seed=seed)
        assert whole(straight) == whole(found) == whole(searches.rerun(found.id))


# --------------------------------------------------------------- cycles and no-op moves


@pytest.mark.parametrize("optimiser", [Puct(), Evolve()])
@pytest.mark.parametrize(
    "propose",
    [
        lambda n: [("stay", n)],
        lambda n: [("on", (n + 1) % 5), ("back", (n - 1) % 5), ("stay", n)],
        lambda n: [],
        lambda n: [("never", 1, 0.0)] if n == 0 else [],
    ],
    ids=["no-op", "ring", "dead end", "prior of nothing"],
)
def test_a_search_ends_on_cycles_and_moves_that_do_nothing(
    optimiser: Optimiser, propose: Callable[[int], Any]
) -> None:
    found = optimiser.search(0, propose, float, budget=Budget(iterations=10**6))
    assert found.stopped_by == "exhausted"
    assert found.score == max(each.score for each in found.iterations)


def test_each_state_is_asked_about_once_however_it_is_reached() -> None:
    asked: list[tuple[str, int]] = []

    def propose(n: int) -> list[tuple[str, int]]:
        asked.append(("moves", n))
        return [("add", (n + 1) % 20), ("double", 2 * n % 20), ("back", n // 2)]

    def evaluate(n: int) -> float:
        asked.append(("score", n))
        return n

    Puct().search(1, propose, evaluate, budget=Budget(iterations=999))
    assert len(asked) == len(set(asked)) == 40


@pytest.mark.parametrize("kind", [int, float, Fraction])
def test_a_score_is_any_finite_real_number(kind: Any) -> None:
    found = Puct().search(0, lambda n: [("up", n + 1)], kind, budget={"iterations": 5})
    assert (found.score, type(found.score)) == (4.0, float)


def test_good_moves_are_looked_into_more_often() -> None:
    """Of three subtrees of equal size, the one where the scores are is judged most."""

    def propose(path: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
        return [(i, (*path, i)) for i in range(3)] if len(path) < 8 else []

    found = Puct().search(
        (), propose, lambda path: path.count(2) / 8, budget=Budget(iterations=600)
    )
    (root,) = [each for each in found.tree if each.id == found.iterations[0].id]
    counts = {label: count for label, _, count in root.moves}
    assert counts[2] > counts[0] + counts[1]
    assert found.score >= 0.75


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e101, 10**400, None, "9", True])
@pytest.mark.parametrize("optimiser", [Puct(), Evolve()])
def test_a_score_that_is_none_names_state_and_iteration_and_nothing_is_lost(
    bad: Any, optimiser: Optimiser
) -> None:
    with Substrate.open(":memory:") as s:
        searches = s.plan.search

        def steps(n: int) -> list[tuple[str, int]]:
            return [("up", n + 1)]

        with pytest.raises(SearchError, match=r"iteration 3: evaluate of [0-9a-f]+ gives") as told:
            searches(
                0,
                steps,
                lambda n: bad if n == 2 else float(n),
                budget=Budget(iterations=9),
                optimiser=optimiser,
            )
        assert told.value.hint
        (info,) = searches.list()
        assert [each.state for each in searches.rerun(info.id).iterations] == [0, 1]
        assert searches.resume(info.id, steps, float).score == 8


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({}, "without a budget"),
        ({"steps": 5}, "no budget of steps"),
        ({"iterations": 0}, "budget of 0 iterations"),
        ({"iterations": 1.5}, "budget of 1.5 iterations"),
        ({"iterations": True}, "budget of True iterations"),
        ({"seconds": math.nan}, "budget of nan seconds"),
        ({"seconds": math.inf}, "budget of inf seconds"),
        ({"cost": -1}, "budget of -1 cost"),
        (7, "7 is no budget"),
    ],
)
def test_a_budget_that_is_none_is_refused(bounds: Any, says: str) -> None:
    with pytest.raises(SearchError, match=says) as refused:
        Puct().search(0, nobody, nobody, budget=bounds)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("moves", "says"),
    [
        (7, "gives 7"),
        ([7], "is no move"),
        ([("a",)], "is no move"),
        ([("a", 1, -1.0)], "prior -1.0"),
        ([("a", 1, math.nan)], "prior nan"),
        ([("a", object())], "no value that can be kept"),
        ([(object(), 1)], "labels a move"),
        (Proposed([], tokens=-1), "cost -1 tokens"),
    ],
)
def test_moves_that_are_none_are_refused_with_the_iteration(moves: Any, says: str) -> None:
    with pytest.raises(SearchError, match=f"iteration 2: propose of .*{says}") as refused:
        Puct().search(0, lambda n: moves, float, budget={"iterations": 9})
    assert refused.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda: Puct(exploring=0),
        lambda: Puct(exploring=math.nan),
        lambda: Evolve(population=0),
        lambda: Evolve(tournament=0.5),  # type: ignore[arg-type]
        lambda: Evolve(population=2, elite=3),
        lambda: Evolve(crossing=1.5, crossover=middle),
        lambda: Evolve(crossing=0.5).search(0, nobody, nobody, budget={"iterations": 1}),
        lambda: Puct().search(0, nobody, nobody, budget={"iterations": 1}, seed=0.5),  # type: ignore[arg-type]
    ],
)
def test_options_that_cannot_be_honoured_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(SearchError) as refused:
        make()
    assert refused.value.hint


# -------------------------------------------------------------------------- on record


def climb(n: int) -> list[tuple[str, int, float]]:
    return [("up", n + 1, 1.0), ("down", n - 1, 1.0), ("twice", 2 * n, 0.5)]


def test_every_iteration_is_a_fact(s: Substrate) -> None:
    found = s.plan.search(
        3, climb, lambda n: -abs(n - 40), budget=Budget(iterations=30), name="to forty"
    )
    rows = s.fact.db().q(
        "[:find ?n ?id ?score :in $ ?search :where [?e :search/id ?search]"
        " [?i :iteration/search ?e] [?i :iteration/n ?n] [?i :iteration/score ?score]"
        " [?i :iteration/state ?s] [?s :search-state/id ?id]]",
        found.id,
    )
    assert sorted(rows) == [(each.n, each.id, each.score) for each in found.iterations]
    moved = "[:find [?m ...] :where [?i :iteration/n 2] [?i :iteration/move ?m]]"
    assert list(s.fact.db().q(moved)) == [found.iterations[1].label]
    assert s.check() == s.audit.verify() == []


def test_a_search_is_run_again_and_goes_on_after_a_restart(store_uri: str) -> None:
    def far(n: int) -> float:
        return -abs(n - 40)

    with Substrate.open(store_uri) as s:
        first = s.plan.search(3, climb, far, budget=Budget(iterations=10))
    with Substrate.open(store_uri) as s:
        searches = s.plan.search
        assert whole(searches.rerun(first.id)) == whole(first)
        longer = searches.resume(first.id, climb, far, budget={"iterations": 60})
        straight = Puct().search(3, climb, far, budget={"iterations": 60})
        assert whole(longer) == whole(straight) == whole(searches.rerun(first.id))
        (info,) = searches.list()
        assert (info.id, info.score, info.stopped_by) == (first.id, longer.score, "iterations")


def test_what_a_slow_call_gave_is_durable_before_the_next_is_made(s: Substrate) -> None:
    time, seen = [0.0], []

    def evaluate(n: int) -> float:
        held = s.fact.db().q("[:find (count ?i) . :where [?i :iteration/n]]")
        seen.append(held or 0)
        time[0] += 2.0
        return n

    searches = Searches(s._connection, now=lambda: time[0])
    searches(0, lambda n: [("up", n + 1)], evaluate, budget=Budget(iterations=4))
    assert seen == [0, 1, 2, 3]


def test_what_was_durable_is_there_after_a_kill(tmp_path: Path) -> None:
    store, told = tmp_path / "store.db", "0"
    command = [sys.executable, "-m", "tests.search.killed", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for line in child.stdout:
            told = line
            if int(told) == 17:
                child.kill()
                break
    with Substrate.open(store) as s:
        (info,) = s.plan.search.list()
        durable = s.plan.search.rerun(info.id)
        assert 17 <= len(durable.iterations) < 100
        whole_again = s.plan.search.resume(info.id, killed.steps, killed.score)
        straight = Puct().search(1, killed.steps, killed.score, budget={"iterations": 100})
        assert whole(whole_again) == whole(straight)
        assert s.check() == s.audit.verify() == []


def test_time_counts_on_where_a_search_was_left() -> None:
    time = [0.0]

    def evaluate(n: int) -> float:
        time[0] += 1.0
        return n

    def steps(n: int) -> list[tuple[str, int]]:
        return [("up", n + 1)]

    with Substrate.open(":memory:") as s:
        searches = Searches(s._connection, now=lambda: time[0])
        first = searches(0, steps, evaluate, budget=Budget(seconds=5))
        assert (len(first.iterations), first.stopped_by) == (5, "seconds")
        assert whole(searches.rerun(first.id)) == whole(first)
        time[0] = 1_000.0
        assert len(searches.resume(first.id, steps, evaluate).iterations) == 5
        longer = searches.resume(first.id, steps, evaluate, budget={"seconds": 8})
        assert (len(longer.iterations), longer.spent.seconds) == (8, 8.0)


def test_a_log_that_was_changed_is_not_believed(s: Substrate) -> None:
    searches = s.plan.search
    found = searches(3, climb, lambda n: -abs(n - 9), budget=Budget(iterations=20))
    iteration = "[:find ?i . :in $ ?n :where [?i :iteration/n ?n]]"
    db = s.fact.db()
    s.fact.transact([["db/add", db.q(iteration, 1), "iteration/score", 99.0]])
    with pytest.raises(SearchError, match=r"iteration|run again"):
        searches.rerun(found.id)
    with pytest.raises(SearchError, match="iterations on record"):
        searches.resume(found.id, climb, float, budget={"iterations": 3})


def test_a_log_with_a_gap_is_an_error_and_never_a_call(s: Substrate) -> None:
    searches = s.plan.search
    found = searches(3, climb, float, budget=Budget(iterations=20))
    (first,) = s.fact.db().q("[:find [?x ...] :where [?x :expansion/n 1]]")
    s.fact.transact([["db/retractEntity", first]])
    with pytest.raises(SearchError, match="the log does not hold the moves of"):
        searches.rerun(found.id)


def test_of_two_who_go_on_with_a_search_one_is_told(s: Substrate) -> None:
    searches = s.plan.search
    first = searches(0, climb, float, budget=Budget(iterations=3))
    both = [False]

    def meanwhile(n: int) -> float:
        if not both[0]:
            both[0] = True
            searches.resume(first.id, climb, float, budget={"iterations": 9})
        return n

    with pytest.raises(SearchError, match="somebody else"):
        searches.resume(first.id, climb, meanwhile, budget={"iterations": 9})
    assert len(searches.rerun(first.id).iterations) == 9


def test_a_search_that_is_not_there_is_told_so(s: Substrate) -> None:
    searches = s.plan.search
    assert searches.list() == []
    with pytest.raises(SearchError, match="there is no search"):
        searches.rerun("00000000-0000-0000-0000-000000000001")
    with pytest.raises(PersistenceError, match="no id of a search"):
        searches.rerun("nine")


def test_other_states_are_kept_by_a_codec_of_your_own() -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x, self.id = x, x.to_bytes(32, "big")

    def steps(point: Point) -> list[tuple[str, Point]]:
        return [("on", Point(point.x + 1))]

    def far(point: Point) -> float:
        return point.x

    codec = Codec(Keyword("point"), lambda point: point.x, Point)
    with Substrate.open(":memory:") as s:
        searches = s.plan.search
        with pytest.raises(SearchError, match="cannot be kept"):
            searches(Point(0), steps, far, budget={"iterations": 4})
        found = searches(Point(0), steps, far, budget={"iterations": 4}, codec=codec)
        assert searches.rerun(found.id, codec=codec).best.x == 3
        with pytest.raises(SearchError, match="kept as :point"):
            searches.rerun(found.id)


# ----------------------------------------------------------------------------- plans

START = Plan('[:seq {} [:checkpoint {:name "a"}] [:checkpoint {:name "b"}]]')


def shorter_or_longer(plan: Plan) -> list[tuple[Any, Plan, float]]:
    edits: list[tuple[Any, ...]] = [
        ("longer", lambda p: p.insert_after((0,), '[:checkpoint {:name "c"}]'))
    ]
    if len(plan.root.children) > 1:
        edits.append(("shorter", lambda p: p.delete((0,)), 2.0))
    return plan_moves(plan, edits)


@pytest.mark.parametrize("optimiser", [Puct(), Evolve(population=4, elite=2)])
def test_plans_are_searched_by_edits_and_found_again_after_a_restart(
    store_uri: str, optimiser: Optimiser
) -> None:
    def fitting(plan: Plan) -> float:
        return -abs(len(plan.root.children) - 5) + str(plan).count('"c"') / 10

    with Substrate.open(store_uri) as s:
        found = s.plan.search(
            START, shorter_or_longer, fitting, budget=Budget(iterations=60), optimiser=optimiser
        )
        assert isinstance(found.best, Plan)
        assert len(found.best.root.children) == 5
    with Substrate.open(store_uri) as s:
        again = s.plan.search.rerun(found.id)
        assert again.best == found.best
        near, there = again.best_at(1), found.best_at(1)
        assert near is not None and there is not None
        assert near.state == there.state


def test_a_move_that_gives_no_plan_is_named_with_its_fix() -> None:
    with pytest.raises(SearchError, match="the move 'empty' gives no plan") as refused:
        plan_moves(START, [("empty", "[:par {}]")])
    assert refused.value.hint
    told: list[Any] = []
    moves = plan_moves(
        START,
        [("empty", "[:par {}]"), ("less", lambda p: p.delete((0,)))],
        refused=lambda label, error: told.append(label),
    )
    assert ([label for label, *_ in moves], told) == (["less"], ["empty"])
    with pytest.raises(SearchError, match="which is no Plan"):
        Puct().search(START, lambda p: [("odd", "text")], lambda p: 0, budget={"iterations": 3})
