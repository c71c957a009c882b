"""What a transaction read is still so when it commits, at the grain of the pattern."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import Conflict, UniqueConflict
from persistence.stm import Transaction
from tests.stm.conftest import balance

Read = Callable[[Transaction], Any]
SUM = "[:find (sum ?b) . :with ?e :where [?e :account/balance ?b]]"
RICH = "[:find [?id ...] :where [?e :account/balance ?b] [(> ?b 500)] [?e :account/id ?id]]"
BY_ID = """[:find ?b . :in $ ?id :where [?e :account/id ?id] [?e :account/balance ?b]]"""
RULES = "[[(linked ?a ?b) [?a :link ?b]] [(linked ?a ?b) [?a :link ?c] (linked ?c ?b)]]"


def meets(s: Substrate, read: Read, forms: Any, *, isolation: str = "serializable") -> bool:
    """Whether a transaction that did *read* conflicts with *forms*, committed meanwhile."""
    try:
        with s.txn.once(isolation=isolation) as tx:
            read(tx)
            tx.transact([["db/add", 3, "account/owner", "written"]])
            s.fact.transact(forms)
    except Conflict as conflict:
        assert conflict.data["t"] == s.fact.db().basis
        return True
    return False


CHANGED = [["db/add", 1, "account/balance", 7]]

READS: dict[str, Read] = {
    "deref": lambda tx: tx.ref(1, "account/balance").deref(),
    "ref by lookup": lambda tx: tx.ref(["account/id", "a"], "account/balance").deref(),
    "get": lambda tx: tx.get(1, "account/balance"),
    "entity": lambda tx: dict(tx.entity(1)),
    "pull": lambda tx: tx.pull(["account/balance"], 1),
    "pull all": lambda tx: tx.pull("[*]", 1),
    "pull by lookup": lambda tx: tx.pull(["account/balance"], ["account/id", "a"]),
    "what a write displaced": lambda tx: tx.transact([["db/add", 1, "account/balance", 1]]).tx_data,
    "query": lambda tx: tx.q("[:find ?b . :where [1 :account/balance ?b]]"),
    "query with an input": lambda tx: tx.q(
        "[:find ?b . :in $ ?e :where [?e :account/balance ?b]]", 1
    ),
    "query with inputs": lambda tx: tx.q(
        "[:find [?b ...] :in $ [?e ...] :where [?e :account/balance ?b]]", [1, 2]
    ),
    "query by lookup ref": lambda tx: tx.q(
        '[:find ?b . :where [[:account/id "a"] :account/balance ?b]]'
    ),
    "query by attribute": lambda tx: tx.q(SUM),
    "query by value": lambda tx: tx.q("[:find ?e . :where [?e :account/balance 7]]"),
    "query of any attribute": lambda tx: tx.q("[:find ?a :where [1 ?a]]"),
    "query of any value": lambda tx: tx.q("[:find ?e ?a :where [?e ?a 7]]"),
    "negation": lambda tx: tx.q("[:find ?e :where [?e :account/id] (not [?e :account/balance 7])]"),
    "get-else": lambda tx: tx.q(
        '[:find ?b . :where [?e :account/id "a"] [(get-else $ ?e :account/balance 0) ?b]]'
    ),
    "datoms": lambda tx: list(tx.db.datoms("eavt", 1)),
    "datoms of an attribute": lambda tx: list(tx.db.datoms("aevt", "account/balance")),
    "a later view": lambda tx: tx.db.valid_at("2100-01-01").get(1, "account/balance"),
    "history": lambda tx: tx.db.history().q("[:find ?b :where [1 :account/balance ?b]]"),
    "the log": lambda tx: list(tx.db.log()),
    "speculation": lambda tx: tx.db.with_([]).db_after.get(1, "account/balance"),
}


@pytest.mark.parametrize("name", READS)
def test_a_change_of_what_was_read_is_a_conflict(s: Substrate, name: str) -> None:
    assert meets(s, READS[name], CHANGED)


NARROW = sorted(
    set(READS)
    - {"entity", "pull all", "query of any attribute", "datoms", "the log", "query of any value"}
)


@pytest.mark.parametrize("name", NARROW)
def test_another_attribute_of_the_same_entity_is_none(s: Substrate, name: str) -> None:
    assert not meets(s, READS[name], [["db/add", 1, "account/owner", "somebody"]])


@pytest.mark.parametrize("name", ["deref", "get", "pull", "query", "query by lookup ref"])
def test_another_entity_is_none(s: Substrate, name: str) -> None:
    assert not meets(s, READS[name], [["db/add", 2, "account/balance", 7]])


@pytest.mark.parametrize(
    "read",
    [
        lambda tx: tx.q(SUM),
        lambda tx: tx.q(RICH),
        lambda tx: tx.q(BY_ID, "new"),
        lambda tx: tx.db.entid(["account/id", "new"]),
        lambda tx: tx.pull(["account/balance"], ["account/id", "new"]),
        lambda tx: tx.transact([{"account/id": "new", "account/owner": "x"}]),
        lambda tx: list(tx.db.index_range("account/id", "m", "o")),
        lambda tx: list(tx.db.datoms("avet", "account/id", "new")),
    ],
)
def test_a_phantom_is_a_conflict(s: Substrate, read: Read) -> None:
    assert meets(s, read, [{"account/id": "new", "account/balance": 900}])


@pytest.mark.parametrize(
    "read",
    [
        lambda tx: tx.q("[:find ?e . :where [?e :brand/new]]"),
        lambda tx: tx.get(1, "brand/new"),
        lambda tx: tx.pull(["brand/new"], 1),
        lambda tx: tx.ref(1, "brand/new", default=0).deref(),
        lambda tx: [*tx.entity(1)],
    ],
)
def test_the_first_use_of_an_attribute_is_a_phantom_too(s: Substrate, read: Read) -> None:
    assert meets(s, read, [["db/add", 1, "brand/new", 1]])


def test_a_rule_leaves_the_footprints_of_its_bodies(s: Substrate) -> None:
    s.fact.transact("[{:db/ident :link :db/valueType :db.type/ref}]")
    s.fact.transact([["db/add", 1, "link", 2]])

    def read(tx: Transaction) -> None:
        tx.q("[:find ?b :in $ % ?a :where (linked ?a ?b)]", RULES, 1)

    assert meets(s, read, [["db/add", 2, "link", 3]])
    assert not meets(s, read, [["db/add", 2, "account/balance", 3]])


def test_what_has_passed_cannot_change(s: Substrate) -> None:
    def read(tx: Transaction) -> None:
        assert tx.db.as_of(1).get(1, "account/balance") is None

    assert not meets(s, read, CHANGED)


def test_write_skew_is_caught(s: Substrate) -> None:
    """Two doctors: each may leave while the other stays."""

    def leave(tx: Transaction, mine: int) -> None:
        if tx.q(SUM) > 200:
            tx.ref(mine, "account/balance").set(0)

    with pytest.raises(Conflict), s.txn.once() as one:
        leave(one, 1)
        s.txn.run(leave, 2)
    s.txn.run(leave, 1)
    assert [balance(s, e) for e in (1, 2, 3)] == [100, 0, 100]


def test_snapshot_isolation_lets_write_skew_pass_and_says_so(s: Substrate) -> None:
    def read(tx: Transaction) -> None:
        tx.q(SUM)

    assert not meets(s, read, CHANGED, isolation="snapshot")


def test_snapshot_isolation_guards_what_is_written_and_what_is_ensured(s: Substrate) -> None:
    other = [["db/add", 3, "account/owner", "other"]]
    assert meets(s, lambda tx: None, other, isolation="snapshot")
    assert meets(s, lambda tx: tx.ref(1, "account/balance").ensure(), CHANGED, isolation="snapshot")


def test_a_stale_writer_is_told_so(s: Substrate) -> None:
    with pytest.raises(Conflict) as told, s.txn.once() as tx:
        ref = tx.ref(1, "account/balance")
        ref.set(ref.deref() + 1)
        s.fact.transact(CHANGED)
    assert told.value.data["entity"] == 1
    assert str(told.value.data["attribute"]) == ":account/balance"
    assert balance(s, 1) == 7


def test_a_blind_write_never_conflicts(s: Substrate) -> None:
    with s.txn.once() as tx:
        tx.ref(1, "account/balance").set(5)
        tx.transact([["db/add", 2, "account/balance", 6], ["db/retractEntity", 3]])
        s.fact.transact([*CHANGED, ["db/add", 2, "account/balance", 1]])
        s.fact.transact([["db/add", 3, "account/owner", "late"]])
    assert [balance(s, 1), balance(s, 2)] == [5, 6]
    assert dict(s.fact.db().entity(3) or {}) == {}


def test_a_change_of_the_schema_is_a_conflict(s: Substrate) -> None:
    with pytest.raises(Conflict), s.txn.once() as tx:
        tx.transact([["db/add", 1, "account/tags", "x"]])
        s.fact.transact("[{:db/ident :account/note :db/valueType :db.type/string}]")


def test_two_that_create_one_identity_end_as_one_entity(s: Substrate) -> None:
    def create(tx: Transaction) -> int:
        report = tx.transact([{"db/id": "new", "account/id": "z", "account/balance": 1}])
        return report.tempids["new"]

    with pytest.raises(Conflict), s.txn.once() as tx:
        create(tx)
        other = s.txn.run(create)
    assert s.txn.run(create) == other
    with pytest.raises(UniqueConflict):
        s.txn.run(lambda tx: tx.transact([{"db/id": 2, "account/id": "z"}]))


def test_a_reader_commits_nothing_and_never_conflicts(s: Substrate) -> None:
    basis = s.fact.db().basis
    with s.txn.once() as tx:
        assert tx.q(SUM) == 300
        s.fact.transact(CHANGED)
        assert tx.q(SUM) == 300
    assert tx.report is None
    assert s.fact.db().basis == basis + 1
