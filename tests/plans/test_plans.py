"""Plans as values: text, ids, checks, edits, differences."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import InputError, LimitExceeded, PlanError
from persistence.plans import KINDS, Change, Node, Plan
from persistence.values import Keyword, Map, Symbol, read, write
from tests.plans.strategies import nodes
from tests.values import strategies as values

TWO = Plan("[:seq {} [:tool-call {:tool :t/a}] [:tool-call {:tool :t/a}]]")


def problems(source: object) -> list[tuple[tuple[int, ...], str, str]]:
    with pytest.raises(PlanError) as caught:
        Plan(source)  # type: ignore[arg-type]
    return [(found.path, found.reason, found.fix) for found in caught.value.data["problems"]]


def chain(levels: int, leaf: str = "[:seq {}]") -> str:
    return "[:seq {} " * levels + leaf + "]" * levels


# Text and ids


@given(nodes())
def test_a_plan_round_trips_through_both_of_its_texts(root: Node) -> None:
    plan = Plan(root)
    for text in (plan.text(), plan.text(width=40)):
        assert Plan(text) == plan
        assert Plan(text).text() == plan.text()


@given(values.values)
def test_text_round_trips_for_every_value_an_attribute_can_have(value: object) -> None:
    held = Map({"k": value, Keyword("a"): value, Keyword("b"): (value, Map({Keyword("c"): value}))})
    node = Node("seq", {"doc": held})
    form = read(str(node), default=lambda tag, inner: __import__("persistence").Tagged(tag, inner))
    assert Map(form[1]) == node.attrs
    assert str(node) == f"[:seq {write(node.attrs)}]"


@given(nodes(), nodes())
def test_ids_are_equal_exactly_when_texts_are(one: Node, other: Node) -> None:
    assert (one.id == other.id) == (str(one) == str(other))
    assert (one == other) == (str(one) == str(other))
    assert (hash(one) == hash(other)) or one != other


@given(nodes())
def test_a_plan_survives_pickle_and_copies_are_the_plan(root: Node) -> None:
    plan = Plan(root)
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert copy.deepcopy(plan) is plan and copy.copy(root) is root


def test_a_text_and_a_keyword_have_different_ids() -> None:
    one = Plan('[:tool-call {:tool :t :args {:x ":x"}}]')
    other = Plan("[:tool-call {:tool :t :args {:x :x}}]")
    assert one.id != other.id and one != other


@pytest.mark.parametrize("value", ["1", "1.0", "1M", "true", '"1"', '#inst "2026-01-01T00:00:00Z"'])
def test_values_that_python_finds_equal_give_plans_that_differ(value: str) -> None:
    every = ["1", "1.0", "1M", "true", '"1"', '#inst "2026-01-01T00:00:00Z"']
    ids = [Plan(f"[:let {{:name x :value {each}}} [:ref {{:name x}}]]").id for each in every]
    assert len(set(ids)) == len(ids)
    assert value in Plan(f"[:let {{:name x :value {value}}} [:ref {{:name x}}]]").text()


@pytest.mark.parametrize(
    "source", ["[:seq {}] 1", "[:seq {}]]", "[:seq {}] [:seq {}]", "", "[:seq {:a 1 :a 2}]", "nil"]
)
def test_what_is_not_exactly_one_plan_is_refused(source: str) -> None:
    assert problems(source)


def test_nothing_of_a_plan_can_be_changed() -> None:
    plan = Plan('[:seq {:doc "a"} [:seq {}]]')
    for thing, name in [(plan, "root"), (plan.root, "tag"), (plan.root, "attrs")]:
        with pytest.raises(AttributeError):
            setattr(thing, name, None)
        with pytest.raises(AttributeError):
            delattr(thing, name)
    held = {"doc": "a"}
    node = Node("seq", held)
    held["doc"] = "b"
    assert node.get("doc") == "a"


# Checks


def test_the_sixteen_kinds_are_there() -> None:
    assert " ".join(tag.name for tag in KINDS) == (
        "seq par choice case loop race let branch ref tool-call llm-call code checkpoint reflect "
        "verify call-skill"
    )


REFUSED = {
    "[:sqe {}]": ("no kind of step :sqe", ":seq"),
    '["seq" {}]': ("a keyword", ":seq"),
    "[:seq]": ("lacks its map", "[:seq {} …]"),
    "(:seq {})": ("a list is no step", "[ ]"),
    "[]": ("empty vector", "[tag"),
    "[:seq {:x 1}]": ("no attribute :x", ":id :doc :params"),
    "[:seq {} 3]": ("int is no step", "[tag"),
    "[:seq {} nil]": ("nil is no step", "[tag"),
    "[:par {}]": ("no children", "[:par {} child …]"),
    "[:par {:max 0} [:seq {}]]": ("from 1 to", ":max 4"),
    "[:par {:max true} [:seq {}]]": ("whole number", ":max 4"),
    "[:choice {:when [true]} [:seq {}] [:seq {}]]": ("1 conditions for 2", "condition"),
    "[:choice {:when [:else true]} [:seq {}] [:seq {}]]": ("could never run", ":when"),
    "[:case {:on 1 :of [1 1]} [:seq {}] [:seq {}]]": ("twice", ":of"),
    "[:case {:on 1 :of [1]}]": ("no children", ":case"),
    "[:case {:on 1 :of [1]} [:seq {}] [:seq {}] [:seq {}]]": ("1 values for 3", "one child more"),
    "[:loop {} [:seq {}]]": ("goes on by nothing", "{:times 3}"),
    "[:loop {:while true} [:seq {}]]": (":while", ":max 10"),
    "[:loop {:times 1 :for x :in []} [:seq {}]]": (":times", ":for x :in"),
    "[:loop {:times 1} [:seq {}] [:seq {}]]": ("2 children", "child"),
    "[:let {:name $ :value 1} [:seq {}]]": ("$", ":name x"),
    "[:let {:name a/b :value 1} [:seq {}]]": ("without a slash", ":name x"),
    "[:let {:name x} [:seq {}]]": ("neither", "value body"),
    "[:let {:name x :value 1} [:seq {}] [:seq {}]]": (":value and a child", "one of them"),
    "[:branch {} [:seq {}]]": ("needs :name", ":name"),
    "[:ref {:name x}]": ("nothing binds", ":let"),
    "[:tool-call {}]": ("needs :tool", ":tool/search"),
    '[:tool-call {:tool "t"}]': ("is a keyword", ":tool/search"),
    "[:tool-call {:tol :t}]": ("no attribute :tol", ":tool"),
    '[:tool-call {:tool :t :args {"a" 1}}]': ("keyword", ":query"),
    "[:tool-call {:tool :t} [:seq {}]]": ("1 child", ":tool-call"),
    '[:llm-call {:model "m"}]': ("neither of :prompt or :messages", "one of them"),
    '[:llm-call {:model "m" :prompt "a" :messages []}]': ("both", "one of them"),
    '[:code {:source "1" :language "ruby"}]': ("'python'", '"python"'),
    '[:code {:source "1" :seconds 0}]': ("above 0", ":seconds 5"),
    '[:code {:source "1" :seconds ##NaN}]': ("above 0", ":seconds 5"),
    '[:code {:source "1" :memory-mb 1}]': ("from 32", "256"),
    '[:checkpoint {:name " "}]': ("not blank", "before booking"),
    "[:verify {} [:seq {}]]": ("neither", "one of them"),
    "[:call-skill {}]": ("needs :skill", ":skill/x"),
    "[:seq {} [:seq {:params [x]}]]": (":params", "root"),
    "[:seq {:params [x x]}]": ("twice", "[x]"),
    "[:let {:name x :value (cuont 1)} [:seq {}]]": ("no function cuont", "count"),
    "[:let {:name x :value (count)} [:seq {}]]": ("0 arguments", "(count v)"),
    "[:let {:name x :value ()} [:seq {}]]": ("calls nothing", "quote"),
    "[:let {:name x :value (1 2)} [:seq {}]]": ("no function 1", "use one of"),
    "[:let {:name x :value a/b} [:seq {}]]": ("no name", "write b"),
    "[:let {:name x :value x} [:seq {}]]": ("nothing binds", ":let"),
    "[:loop {:for x :in x} [:seq {}]]": ("nothing binds", ":let"),
    "[:let {:name count} [:ref {:name coutn}] [:seq {}]]": ("coutn", "bind it"),
    "[:let {:name total :value 1} [:ref {:name totl}]]": ("totl", "did you mean total?"),
}


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_wrong_is_told_with_its_remedy(source: str) -> None:
    reason, fix = REFUSED[source]
    found = problems(source)
    assert any(reason in said and fix in remedy for _, said, remedy in found), found


def test_all_problems_are_told_at_once_each_with_its_path() -> None:
    source = """[:seq {:x 1}
      [:par {} [:tool-call {:tol :t}] [:ref {:name nobody}]]
      [:sqe {} [:code {}]]]"""
    assert [path for path, _, _ in problems(source)] == [
        (), (0, 0), (0, 0), (1,), (1, 0), (0, 1),
    ]  # fmt: skip


def test_shapes_that_are_wrong_are_told_all_at_once_too() -> None:
    assert [path for path, _, _ in problems("[:seq {} 1 [:par {} (a)] [:seq {} [:par]]]")] == [
        (0,), (1, 0), (2, 0),
    ]  # fmt: skip


def test_names_reach_as_far_as_their_binding_and_no_further() -> None:
    Plan("[:let {:name x :value 1} [:let {:name x :value (+ x 1)} [:ref {:name x}]]]")
    Plan("[:loop {:for x :in [1]} [:tool-call {:tool :t :args {:x x}}]]")
    Plan("[:seq {:params [x]} [:ref {:name x}]]")
    [(path, _, _)] = problems("[:seq {} [:let {:name x :value 1} [:seq {}]] [:ref {:name x}]]")
    assert path == (1,)
    [(path, _, _)] = problems("[:let {:name x} [:ref {:name x}] [:seq {}]]")
    assert path == (0,)


def test_an_unknown_tool_is_told_with_its_path_and_the_nearest_name() -> None:
    [found] = Plan("[:par {} [:tool-call {:tool :tool/serach}]]").unknown(["tool/search"])
    assert found.path == (0,) and found.fix == "did you mean :tool/search?"


def test_a_value_that_cannot_be_kept_is_no_attribute() -> None:
    deep: object = ()
    for _ in range(255):
        deep = (deep,)
    assert (
        "nest" in problems(Node("let", {"name": Symbol("x"), "value": deep}, [Node("seq")]))[0][1]
    )
    with pytest.raises(InputError):
        Node("seq", {"doc": object()})
    with pytest.raises(InputError):
        Node("seq", {}, ["seq"])  # type: ignore[list-item]


# Depth and size


def test_a_plan_may_nest_deeper_than_a_value_and_than_python_calls() -> None:
    text = chain(900, '[:checkpoint {:name "end"}]')
    plan = Plan(text)
    assert plan.text() == text
    assert Plan(plan.text(width=20)) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    path = (0,) * 900
    other = plan.edit(path, "[:seq {}]")
    assert other.at(path).tag is Keyword("seq") and other != plan
    assert plan.apply(plan.diff(other)) == other
    assert plan.find("nobody") == [] and repr(plan)


def test_depth_and_size_have_limits_with_names() -> None:
    with pytest.raises(LimitExceeded) as caught:
        Plan(chain(1_000))
    assert caught.value.data["limit"] == "plan_depth"
    step = Node("seq")
    with pytest.raises(LimitExceeded) as caught:
        for _ in range(40):
            step = Node("seq", {}, [step, step])
    assert caught.value.data["limit"] == "plan_nodes"


def test_a_step_that_stands_in_many_places_is_hashed_once() -> None:
    step = Node("seq")
    for _ in range(15):
        step = Node("seq", {}, [step, step])
    assert Plan(step).size == 2**16 - 1 and len(step.id) == 32


# Edits


def test_of_two_equal_steps_the_one_addressed_is_edited() -> None:
    assert TWO.at((0,)) == TWO.at((1,))
    edited = TWO.edit((1,), lambda step: step.having(tool=Keyword("t/b")))
    assert edited.at((0,)) == TWO.at((0,)) and edited.at((1,)).get("tool") == Keyword("t/b")
    assert len(TWO.delete((0,)).root.children) == 1
    assert TWO.insert_after((0,), "[:seq {}]").at((1,)).tag is Keyword("seq")
    assert TWO.insert_before((0,), "[:seq {}]").at((0,)).tag is Keyword("seq")
    assert Plan(str(TWO)) == TWO


@pytest.mark.parametrize("path", [(2,), (0, 0), (-1,), ("0",), (True,)])
def test_a_path_that_leads_nowhere_is_refused(path: tuple[object, ...]) -> None:
    for call in (TWO.at, TWO.delete):
        with pytest.raises(PlanError) as caught:
            call(path)  # type: ignore[arg-type]
        assert caught.value.hint


def test_the_root_has_no_neighbours_and_stays() -> None:
    for edit in (lambda: TWO.insert_before((), "[:seq {}]"), lambda: TWO.delete(())):
        with pytest.raises(PlanError):
            edit()
    assert TWO.edit((), "[:seq {}]") == Plan("[:seq {}]")


def test_an_edit_that_leaves_no_plan_is_refused_with_the_path() -> None:
    plan = Plan("[:let {:name x :value 1} [:seq {} [:ref {:name x}]]]")
    with pytest.raises(PlanError) as caught:
        plan.edit((), lambda step: step.having(name=Symbol("y")))
    assert caught.value.data["path"] == (0, 0)
    with pytest.raises(PlanError) as caught:
        Plan("[:choice {:when [true :else]} [:seq {}] [:seq {}]]").delete((0,))
    assert ":when" in str(caught.value)


FOUR = Plan("[:seq {} [:seq {}] [:par {} [:seq {}] [:seq {}]] [:seq {}] [:seq {}]]")
DONE = [(0,), (1, 0)]


def test_work_that_is_done_is_not_touched_when_asked() -> None:
    for refused in (
        lambda: FOUR.edit((0,), "[:par {} [:seq {}]]", done=DONE),
        lambda: FOUR.edit((1,), "[:seq {}]", done=DONE),
        lambda: FOUR.edit((1, 0), "[:seq {}]", done=DONE),
        lambda: FOUR.edit((), "[:seq {}]", done=DONE),
        lambda: FOUR.insert_before((0,), "[:seq {}]", done=DONE),
        lambda: FOUR.insert_after((0,), "[:seq {}]", done=DONE),
        lambda: FOUR.insert_before((1, 0), "[:seq {}]", done=DONE),
        lambda: FOUR.delete((0,), done=DONE),
        lambda: FOUR.edit((3,), "[:par {} [:seq {}]]", done=[()]),
        lambda: FOUR.apply([Change("delete", (0,))], done=DONE),
    ):
        with pytest.raises(PlanError) as caught:
            refused()
        assert "has run" in str(caught.value)


def test_work_that_is_to_come_may_be_edited() -> None:
    for edited in (
        FOUR.edit((1, 1), '[:seq {:id "a"}]', done=DONE),
        FOUR.insert_after((1, 0), "[:seq {}]", done=DONE),
        FOUR.insert_after((1,), "[:seq {}]", done=DONE),
        FOUR.delete((2,), done=DONE),
        FOUR.insert_before((2,), "[:seq {}]", done=DONE),
    ):
        assert edited != FOUR and edited.at((0,)) == FOUR.at((0,))


@given(nodes(), st.data())
def test_an_edit_changes_the_step_at_its_path_and_no_other(root: Node, data: st.DataObject) -> None:
    plan = Plan(Node("seq", {}, [root, root]))
    path = data.draw(st.sampled_from([path for path, _ in plan.walk() if path]))
    edited = plan.edit(path, lambda step: step.having(doc="edited"))
    for where, step in plan.walk():
        around = path[: len(where)] == where
        if not around:
            assert edited.at(where) == step
    assert edited.at(path).get("doc") == "edited"


# Differences


@given(nodes(), nodes())
def test_the_difference_of_two_plans_turns_one_into_the_other(one: Node, other: Node) -> None:
    before, after = Plan(one), Plan(other)
    assert before.apply(before.diff(after)) == after
    assert before.diff(before) == []


@given(st.lists(st.integers(0, 4), max_size=8), st.lists(st.integers(0, 4), max_size=8))
def test_children_that_come_go_and_move_are_differences_too(one: list[int], two: list[int]) -> None:
    def plan(labels: list[int]) -> Plan:
        made = [Node("seq", {"id": str(label)}, [Node("seq")] * (label % 2)) for label in labels]
        return Plan(Node("seq", {}, made))

    changes = plan(one).diff(plan(two))
    assert plan(one).apply(changes) == plan(two)
    assert all(later.path >= sooner.path for sooner, later in pairwise(reversed(changes)))


def test_a_small_change_of_a_large_plan_is_a_small_difference() -> None:
    steps = " ".join(f'[:checkpoint {{:name "{n}"}}]' for n in range(2_000))
    plan = Plan(f"[:seq {{}} {steps}]")
    other = plan.delete((1_000,)).insert_before((3,), "[:seq {}]")
    assert [(change.action, change.path) for change in plan.diff(other)] == [
        ("delete", (1_000,)),
        ("insert", (3,)),
    ]


def test_changes_that_fit_nowhere_are_refused() -> None:
    for change in (
        Change("delete", (7,)),
        Change("delete", ()),
        Change("insert", (9,), Node("seq")),
        Change("replace", (0,)),
    ):
        with pytest.raises(PlanError):
            TWO.apply([change])


def test_a_name_that_is_no_keyword_is_told_of_as_it_is() -> None:
    for name, shown in ((1, "1"), (1.0, "1.0"), (True, "True")):
        with pytest.raises(PlanError) as caught:
            Plan(Node("seq", Map({name: 0})))
        assert f":seq has no attribute {shown}" in str(caught.value)
