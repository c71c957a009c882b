"""Branches: used like the main line, sharing nothing that changes, merged by what changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from persistence import Substrate
from persistence.clock import FrozenClock
from persistence.errors import BranchError, MergeConflict
from persistence.merging import Conflict

NAMES = "[:find ?e ?v :where [?e :name ?v]]"


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        opened.fact.transact([{"db/id": 1, "name": "Ada"}, {"db/id": 2, "name": "Bob"}])
        yield opened


def names(db) -> dict[int, str]:
    return dict(db.q(NAMES))


def test_a_branch_shows_what_its_line_had_and_keeps_its_changes_to_itself(s: Substrate) -> None:
    branch = s.branch.create("what-if")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}, {"db/id": 3, "name": "Eve"}])
    s.fact.transact([{"db/id": 2, "name": "Robert"}])
    assert names(branch.fact.db()) == {1: "Augusta", 2: "Bob", 3: "Eve"}
    assert names(s.fact.db()) == {1: "Ada", 2: "Robert"}
    db = branch.fact.db()
    assert (db.get(1, "name"), db.get(2, "name"), db.get(3, "name")) == ("Augusta", "Bob", "Eve")
    assert [each["name"] for each in db.pull_many("[:name]", [1, 2, 3])] == [
        "Augusta",
        "Bob",
        "Eve",
    ]
    assert sorted((d.e, d.v) for d in db.datoms("aevt", "name")) == sorted(names(db).items())


def test_a_branch_of_a_branch_of_a_branch_is_as_of_each_of_their_starts(s: Substrate) -> None:
    lines = [s.branch.create("0")]
    for depth in range(1, 4):
        lines[-1].fact.transact([{"db/id": 10 + depth, "name": f"made on {depth - 1}"}])
        lines.append(s.branch.create(str(depth), of=str(depth - 1)))
        lines[-2].fact.transact([{"db/id": 1, "name": f"changed on {depth - 1}"}])
    lines[-1].fact.transact([[":db/retract", 1, "name"]])
    expected = {2: "Bob", 11: "made on 0", 12: "made on 1", 13: "made on 2"}
    assert names(lines[3].fact.db()) == expected
    assert names(lines[1].fact.db()) == {
        1: "changed on 1",
        2: "Bob",
        11: "made on 0",
        12: "made on 1",
    }
    assert s.check() == []


def test_as_of_reaches_through_the_start_of_a_branch(s: Substrate) -> None:
    before = s.fact.db().basis
    branch = s.branch.create("b")
    t = branch.fact.transact([{"db/id": 1, "name": "Augusta"}]).t
    branch.fact.transact([{"db/id": 1, "name": "A. A. L."}])
    db = branch.fact.db()
    assert names(db.as_of(t))[1] == "Augusta"
    assert names(db.as_of(before)) == {1: "Ada", 2: "Bob"}
    assert names(db.as_of(before - 1)) == {}
    told = db.history().q("[:find ?v ?op :where [1 :name ?v _ ?op]]")
    assert set(told) == {
        ("Ada", True),
        ("Ada", False),
        ("Augusta", True),
        ("Augusta", False),
        ("A. A. L.", True),
    }
    assert s.fact.db().history().q("[:find ?v ?op :where [1 :name ?v _ ?op]]") == [("Ada", True)]


def test_a_branch_may_begin_at_a_past_state(s: Substrate) -> None:
    past = s.fact.db()
    s.fact.transact([{"db/id": 1, "name": "Augusta"}])
    branch = s.branch.create("earlier", of=past)
    assert names(branch.fact.db()) == {1: "Ada", 2: "Bob"}


def test_speculation_works_on_a_branch(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}])
    after = branch.fact.with_([{"db/id": 2, "name": "Robert"}, {"db/id": 1, "name": "A."}]).db_after
    assert names(after) == {1: "A.", 2: "Robert"}
    assert names(branch.fact.db()) == {1: "Augusta", 2: "Bob"}


def test_schema_belongs_to_its_branch(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact(
        "[{:db/ident :name :db/index true :db/cardinality :db.cardinality/one}"
        " {:db/ident :tag :db/cardinality :db.cardinality/many}]"
    )
    branch.fact.transact([{"db/id": 1, "tag": ["x", "y"]}])
    s.fact.transact([{"db/id": 1, "tag": "x"}])
    s.fact.transact([{"db/id": 1, "tag": "y"}])
    assert sorted(branch.fact.db().get(1, "tag")) == ["x", "y"]
    assert s.fact.db().get(1, "tag") == "y"
    find = '[:find ?e . :where [?e :name "Bob"]]'
    assert branch.fact.db().q(find) == s.fact.db().q(find) == 2
    assert s.check() == []


def test_identities_are_those_of_the_branch(s: Substrate) -> None:
    s.fact.transact("[{:db/ident :user/email :db/unique :db.unique/identity}]")
    s.fact.transact([{"db/id": 1, "user/email": "ada@x"}])
    branch = s.branch.create("b")
    branch.fact.transact([{"user/email": "ada@x", "name": "Augusta"}])
    new = branch.fact.transact([{"db/id": "n", "user/email": "new@x"}]).tempids["n"]
    other = s.fact.transact([{"db/id": "n", "user/email": "new@x"}]).tempids["n"]
    assert names(branch.fact.db())[1] == "Augusta"
    assert new != other, "ids never collide between branches"
    assert branch.fact.db().entid([":user/email", "new@x"]) == new


def test_valid_time_works_across_the_start_of_a_branch(s: Substrate) -> None:
    s.fact.transact([{"db/id": 7, "price": 10}], valid_from="2026-03-01")
    branch = s.branch.create("corrected")
    branch.fact.transact([{"db/id": 7, "price": 12}], valid_from="2026-03-15")
    price = "[:find ?p . :where [7 :price ?p]]"
    for day, ours, theirs in (("2026-03-10", 10, 10), ("2026-03-20", 10, 12)):
        assert s.fact.db().valid_at(day).q(price) == ours
        assert branch.fact.db().valid_at(day).q(price) == theirs
    assert s.check() == []


def test_another_process_sees_a_branch_and_what_is_on_it(s: Substrate, store_uri: str) -> None:
    with Substrate.open(store_uri) as other:
        assert names(other.fact.db()) == {1: "Ada", 2: "Bob"}
        s.branch.create("b").fact.transact([{"db/id": 1, "name": "Augusta"}])
        assert names(other.branch.open("b").fact.db())[1] == "Augusta"
        other.branch.open("b").fact.transact([{"db/id": 2, "name": "Robert"}])
    assert names(s.branch.open("b").fact.db()) == {1: "Augusta", 2: "Robert"}


def test_the_index_of_branches_can_be_built_again(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}])
    deeper = s.branch.create("deeper", of="b")
    deeper.fact.transact([[":db/retract", 1, "name"], {"db/id": 2, "name": "Robert"}])
    before = names(branch.fact.db()), names(deeper.fact.db()), names(s.fact.db())
    with s._connection.store.snapshot() as snapshot:
        rows = sorted(snapshot.facts(), key=repr)
    s.reindex()
    assert (names(branch.fact.db()), names(deeper.fact.db()), names(s.fact.db())) == before
    with s._connection.store.snapshot() as snapshot:
        assert sorted(snapshot.facts(), key=repr) == rows
    assert s.check() == []


def test_transactions_are_those_of_the_line(s: Substrate) -> None:
    branch = s.branch.create("b")
    on_branch = branch.fact.transact([{"db/id": 1, "name": "Augusta"}], meta={"why": "a test"}).t
    on_main = s.fact.transact([{"db/id": 1, "name": "Lovelace"}]).t
    assert [tx.t for tx in branch.fact.transactions()] == [1, on_branch]
    assert [tx.t for tx in s.fact.transactions()] == [1, branch.number, on_main]
    assert {d.t for d in branch.fact.db().log()} == {1, on_branch}
    (last,) = list(branch.fact.transactions())[1:]
    assert (last.parent, [*last.meta.values()]) == (1, ["a test"])


def test_a_pattern_of_any_attribute_sees_what_is_new_on_a_branch(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta", "born": 1815}])
    found = branch.fact.db().q("[:find ?a ?v :where [1 ?a ?v]]")
    assert {(a.name, v) for a, v in found} == {("name", "Augusta"), ("born", 1815)}


# ------------------------------------------------------------------------------- difference


def test_a_difference_is_what_turns_one_value_into_the_other(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}, [":db/retract", 2, "name"]])
    s.fact.transact([{"db/id": 3, "name": "Eve"}])
    told = {(d.e, d.v, d.added) for d in s.branch.diff("main", "b")}
    assert told == {(1, "Ada", False), (1, "Augusta", True), (2, "Bob", False), (3, "Eve", False)}
    after = s.fact.with_(list(s.branch.diff("main", "b"))).db_after
    assert names(after) == names(branch.fact.db())
    assert list(s.branch.diff(after, "b")) == []


# ------------------------------------------------------------------------------------ merge


def test_a_merge_takes_over_what_changed_and_leaves_the_past_alone(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}, {"db/id": 3, "name": "Eve"}])
    s.fact.transact([{"db/id": 2, "name": "Robert"}])
    before = s.fact.db()
    planned = s.branch.merge("b", dry_run=True)
    assert names(s.fact.db()) == names(before), "a dry run writes nothing"
    done = s.branch.merge("b", meta={"why": "it went well"})
    assert [d.id for d in done.datoms] == [d.id for d in planned.datoms]
    assert names(s.fact.db()) == {1: "Augusta", 2: "Robert", 3: "Eve"}
    assert names(s.fact.db().as_of(before.basis)) == {1: "Ada", 2: "Robert"}
    assert s.branch.merge("b").datoms == (), "what is merged is merged"
    assert s.check() == []


def test_what_both_changed_differently_is_a_conflict(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}, {"db/id": 2, "name": "Robert"}])
    s.fact.transact([{"db/id": 1, "name": "Lovelace"}])
    with pytest.raises(MergeConflict) as raised:
        s.branch.merge("b")
    (conflict,) = raised.value.data["conflicts"]
    assert (conflict.base, conflict.ours, conflict.theirs) == ("Ada", "Lovelace", "Augusta")
    assert names(s.fact.db()) == {1: "Lovelace", 2: "Bob"}, "nothing was written"
    done = s.branch.merge("b", resolve={"name": lambda one: f"{one.theirs} {one.ours}"})
    assert names(s.fact.db()) == {1: "Augusta Lovelace", 2: "Robert"}
    assert len(done.resolved) == 1


@pytest.mark.parametrize(("resolve", "name"), [("ours", "Lovelace"), ("theirs", "Augusta")])
def test_a_resolver_may_choose_a_side(s: Substrate, resolve: str, name: str) -> None:
    s.branch.create("b").fact.transact([{"db/id": 1, "name": "Augusta"}])
    s.fact.transact([{"db/id": 1, "name": "Lovelace"}])
    s.branch.merge("b", resolve=resolve)
    assert names(s.fact.db())[1] == name


def test_changes_of_different_times_of_one_cell_do_not_conflict(s: Substrate) -> None:
    s.fact.transact([{"db/id": 7, "price": 10}], valid_from="2026-01-01")
    branch = s.branch.create("b")
    branch.fact.transact(
        [{"db/id": 7, "price": 11}], valid_from="2026-02-01", valid_to="2026-03-01"
    )
    s.fact.transact([{"db/id": 7, "price": 12}], valid_from="2026-04-01")
    s.branch.merge("b")
    price = "[:find ?p . :where [7 :price ?p]]"
    found = [
        s.fact.db().valid_at(day).q(price)
        for day in ("2026-01-15", "2026-02-15", "2026-03-15", "2026-04-15")
    ]
    assert found == [10, 11, 10, 12]


def test_values_of_cardinality_many_are_united(s: Substrate) -> None:
    s.fact.transact("[{:db/ident :tag :db/cardinality :db.cardinality/many}]")
    s.fact.transact([{"db/id": 1, "tag": ["a", "b", "c"]}])
    branch = s.branch.create("b")
    branch.fact.transact([[":db/retract", 1, "tag", "a"], [":db/add", 1, "tag", "d"]])
    s.fact.transact([[":db/retract", 1, "tag", "b"], [":db/add", 1, "tag", "e"]])
    s.branch.merge("b")
    assert sorted(s.fact.db().get(1, "tag")) == ["c", "d", "e"]


def test_a_branch_can_be_kept_up_to_date_and_merged_in_the_end(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}])
    s.fact.transact([{"db/id": 2, "name": "Robert"}])
    s.branch.merge("main", into="b")
    assert names(branch.fact.db()) == {1: "Augusta", 2: "Robert"}
    s.fact.transact([{"db/id": 2, "name": "Rob"}])
    s.branch.merge("b")
    assert names(s.fact.db()) == {1: "Augusta", 2: "Rob"}


def test_what_came_by_a_merge_is_known_to_branches_of_the_source(s: Substrate) -> None:
    """What the target took from a branch and gave up again stays given up."""
    s.branch.create("b").fact.transact([{"db/id": 1, "name": "Augusta"}])
    deeper = s.branch.create("deeper", of="b")
    s.branch.merge("b")
    s.fact.transact([{"db/id": 1, "name": "Ada"}])
    deeper.fact.transact([{"db/id": 2, "name": "Robert"}])
    s.branch.merge("deeper")
    assert names(s.fact.db()) == {1: "Ada", 2: "Robert"}


def test_branches_that_took_in_a_third_have_it_in_common(s: Substrate) -> None:
    s.branch.create("third").fact.transact([{"db/id": 1, "name": "Augusta"}])
    branch = s.branch.create("b", of=s.fact.db())
    s.branch.merge("third")
    s.branch.merge("third", into="b")
    branch.fact.transact([{"db/id": 1, "name": "A. A. L."}])
    assert s.branch.merge("b").conflicts == ()
    assert names(s.fact.db())[1] == "A. A. L."


def test_a_source_that_goes_on_while_it_is_merged_loses_nothing(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}])
    s.fact.transact([{"db/id": 1, "name": "Lovelace"}])
    late = iter([[{"db/id": 2, "name": "Robert"}]])

    def resolve(conflict: Conflict) -> object:
        for forms in late:  # once, between planning and writing
            branch.fact.transact(forms)
        return conflict.theirs

    s.branch.merge("b", resolve=resolve)
    s.branch.merge("b")
    assert names(s.fact.db()) == {1: "Augusta", 2: "Robert"}


def test_schema_is_merged_with_the_facts(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact("[{:db/ident :tag :db/cardinality :db.cardinality/many}]")
    branch.fact.transact([{"db/id": 1, "tag": ["a", "b"]}])
    s.branch.merge("b")
    assert sorted(s.fact.db().get(1, "tag")) == ["a", "b"]


# ----------------------------------------------------------------------------------- refusals


def test_a_discarded_branch_is_hidden_and_keeps_its_history(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.fact.transact([{"db/id": 1, "name": "Augusta"}])
    s.branch.discard("b")
    assert [line.name for line in s.branch.list()] == ["main"]
    assert [line.name for line in s.branch.list(discarded=True)] == ["main", "b"]
    with pytest.raises(BranchError, match="was discarded"):
        s.branch.open("b")
    with pytest.raises(BranchError, match="was discarded"):
        branch.fact.transact([{"db/id": 1, "name": "again"}])
    with pytest.raises(BranchError, match="was discarded"):
        s.branch.merge("main", into="b")
    assert names(s.branch.open("b", discarded=True).fact.db())[1] == "Augusta"
    s.branch.create("b")


def test_names_and_starts_that_mean_nothing_are_refused(s: Substrate) -> None:
    s.branch.create("b")
    for name in ("b", "main", "", "x" * 201):
        with pytest.raises(BranchError):
            s.branch.create(name)
    with pytest.raises(BranchError, match="no branch 'nowhere'"):
        s.branch.create("c", of="nowhere")
    with pytest.raises(BranchError, match="speculation"):
        s.branch.create("c", of=s.fact.with_([{"db/id": 1, "name": "x"}]).db_after)
    with pytest.raises(BranchError, match="resolver"):
        s.branch.merge("b", resolve="mine")
    with pytest.raises(BranchError, match="itself"):
        s.branch.merge("b", into="b")


def test_a_frozen_clock_loses_nothing(tmp_path) -> None:
    with Substrate.open(tmp_path / "s.db", clock=FrozenClock(0)) as s:
        s.fact.transact([{"db/id": 1, "name": "Ada"}])
        branch = s.branch.create("b")
        for number in range(3):
            branch.fact.transact([{"db/id": 1, "name": f"{number}"}])
        s.branch.merge("b")
        assert names(s.fact.db()) == {1: "2"}
        assert s.check() == []


def test_software_transactions_run_on_a_branch(s: Substrate) -> None:
    branch = s.branch.create("b")
    branch.txn.run(lambda tx: tx.ref(1, "name").alter(str.upper))
    with branch.txn.once() as tx:
        old = tx.get(2, "name")
        s.fact.transact([{"db/id": 2, "name": "on the main line, so no conflict"}])
        tx.transact([{"db/id": 2, "name": old.upper()}])
    assert names(branch.fact.db()) == {1: "ADA", 2: "BOB"}
    assert names(s.fact.db())[1] == "Ada"
