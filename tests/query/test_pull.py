"""Pulls: the pattern language, and what views and speculations show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from persistence import Substrate
from persistence.errors import LimitExceeded, QueryError
from persistence.query import FunctionRegistry, pull, pull_many
from persistence.query.pull_pattern import DEFAULT_LIMIT, parse
from persistence.query.pulled import Pulled
from persistence.values import Keyword

K = Keyword
SCHEMA = """[{:db/ident :name :db/unique :db.unique/identity :db/valueType :db.type/string}
             {:db/ident :aka :db/cardinality :db.cardinality/many}
             {:db/ident :friend :db/valueType :db.type/ref
              :db/cardinality :db.cardinality/many}
             {:db/ident :boss :db/valueType :db.type/ref}
             {:db/ident :part :db/valueType :db.type/ref :db/isComponent true
              :db/cardinality :db.cardinality/many}
             {:db/ident :age :db/valueType :db.type/long}
             {:db/ident :mood :db/valueType :db.type/keyword}]"""
PEOPLE = """[{:db/id "ada" :name "Ada" :age 36 :mood :calm :aka ["a" "countess"]
              :friend ["bob" "cyd"] :part [{:name "left arm" :part [{:name "hand"}]}]}
             {:db/id "bob" :name "Bob" :age 20 :mood :calm :boss "ada" :friend "cyd"}
             {:db/id "cyd" :name "Cyd" :friend "ada"}]"""


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    with Substrate.open(store_uri) as opened:
        opened.fact.transact(SCHEMA)
        opened.fact.transact(PEOPLE)
        yield opened


def ada(s: Substrate) -> Any:
    return s.fact.db().entid([":name", "Ada"])


def show(found: Any) -> Any:
    """A pulled tree with text for keys."""
    if isinstance(found, Pulled):
        return {str(key).removeprefix(":"): show(value) for key, value in found.items()}
    return [show(item) for item in found] if isinstance(found, list) else found


def test_patterns_are_text_data_or_python(s: Substrate) -> None:
    db = s.fact.db()
    expected = {"name": "Ada", "friend": [{"name": "Bob"}, {"name": "Cyd"}]}
    for pattern in (
        "[:name {:friend [:name]}]",
        [K("name"), {K("friend"): [K("name")]}],
        ["name", {":friend": ["name"]}],
        ("name", {"friend": "[:name]"}),
    ):
        assert show(db.pull(pattern, [":name", "Ada"])) == expected


def test_results_answer_to_keywords_and_to_text(s: Substrate) -> None:
    found = s.fact.db().pull("[:name {:boss [:age]}]", [":name", "Bob"])
    assert found[K("name")] == found["name"] == found[":name"] == "Bob"
    assert found["boss"]["age"] == 36
    assert "name" in found and "nope" not in found and found.get("nope", 1) == 1
    assert repr(found) == '{:boss {:age 36} :name "Bob"}'
    with pytest.raises(KeyError):
        found["nope"]


def test_options(s: Substrate) -> None:
    db, e = s.fact.db(), ada(s)
    found = db.pull(
        '[[:name :as "Name"] (limit :aka 1) (default :email "none") [:nick :default nil]'
        " {[:friend :limit 1 :as :friends] [:name]} [:age :xform inc]]",
        e,
    )
    assert found == {
        "Name": "Ada",
        K("aka"): ["a"],
        K("email"): "none",
        K("nick"): None,
        K("friends"): [{K("name"): "Bob"}],
        K("age"): 37,
    }


def test_the_wildcard_components_and_reverse_attributes(s: Substrate) -> None:
    db, e = s.fact.db(), ada(s)
    found = show(db.pull("[*]", e))
    assert found["aka"] == ["a", "countess"] and found["db/id"] == e
    arm = found["part"][0]
    assert arm["name"] == "left arm" and arm["part"][0]["name"] == "hand"
    assert [set(friend) for friend in found["friend"]] == [{"db/id"}, {"db/id"}]
    hand = db.pull("[:name {:_part [:name {:_part [:name]}]}]", [":name", "hand"])
    assert show(hand) == {
        "name": "hand",
        "_part": {"name": "left arm", "_part": {"name": "Ada"}},
    }
    assert show(db.pull("[{:_friend [:name]}]", [":name", "Cyd"])) == {
        "_friend": [{"name": "Ada"}, {"name": "Bob"}]
    }


def test_recursion_ends_at_its_depth_and_in_cycles(s: Substrate) -> None:
    db, e = s.fact.db(), ada(s)
    once = show(db.pull("[:name {:friend 1}]", e))
    assert once == {"name": "Ada", "friend": [{"name": "Bob"}, {"name": "Cyd"}]}
    ever = show(db.pull("[:name {:friend ...}]", e))
    again = ever["friend"][0]["friend"][0]["friend"][0]
    assert again["name"] == "Ada"
    assert set(again["friend"][0]) == {"db/id"}


def test_what_is_not_there_is_none(s: Substrate) -> None:
    db = s.fact.db()
    assert db.pull("[:nope]", ada(s)) is None
    assert db.pull("[:name]", [":name", "Nobody"]) is None
    assert show(db.pull_many("[:age]", [[":name", "Cyd"], ada(s)])) == [None, {"age": 36}]
    assert show(db.pull("[:name {:friend [:nope]}]", ada(s))) == {"name": "Ada"}


def test_values_of_every_storage_come_back(s: Substrate) -> None:
    long, odd = "long " * 200, "a\x00b\x01c\x1f"
    values = [1, 1.0, True, "x", odd, long, K("k"), (1, "a"), {"m": [1]}]
    s.fact.transact([{"db/id": "e", "name": long, "aka": values, "age": 2**40}])
    s.fact.transact([{"name": odd, "age": 1}])
    db = s.fact.db()
    found = db.pull("[:name :age :aka]", [":name", long])
    assert found["name"] == long and found["age"] == 2**40
    assert sorted(map(repr, found["aka"])) == sorted(
        map(repr, db.q("[:find [?v ...] :in $ ?n :where [?e :name ?n] [?e :aka ?v]]", long))
    )
    assert len(found["aka"]) == len(values)
    assert db.pull("[:name :age]", [":name", odd]) == {K("name"): odd, K("age"): 1}


def test_views_are_honoured(s: Substrate) -> None:
    before = s.fact.db()
    e = ada(s)
    s.fact.transact([[":db/add", e, "age", 37], [":db/retract", e, "aka", "a"]])
    s.fact.transact([[":db/add", e, "age", 40]], valid_from="2999-01-01")
    now = s.fact.db()
    pattern = "[:age :mood :aka]"
    assert show(before.pull(pattern, e)) == {"age": 36, "mood": K("calm"), "aka": ["a", "countess"]}
    assert show(now.pull(pattern, e)) == {"age": 37, "mood": K("calm"), "aka": ["countess"]}
    assert show(now.as_of(before.basis).pull(pattern, e))["age"] == 36
    assert show(now.valid_at("2999-06-01").pull(pattern, e))["age"] == 40
    assert show(now.since(before.basis).pull(pattern, e)) == {"age": 37}
    for ranged in (now.history(), now.valid_between("2000-01-01", "2001-01-01")):
        with pytest.raises(QueryError, match="one instant"):
            ranged.pull(pattern, e)


def test_a_speculation_is_pulled_like_the_real_thing(s: Substrate) -> None:
    db, e = s.fact.db(), ada(s)
    report = db.with_([{"db/id": e, "age": 99, "friend": [{"name": "Dee"}]}])
    found = show(report.db_after.pull("[:age :mood {:friend [:name]}]", e))
    assert found["age"] == 99 and found["mood"] is K("calm")
    assert {"name": "Dee"} in found["friend"]
    assert show(report.db_after.pull("[{:_friend [:name]}]", [":name", "Dee"])) == {
        "_friend": [{"name": "Ada"}]
    }
    assert show(db.pull("[:age]", e)) == {"age": 36}


def test_one_statement_a_level(s: Substrate) -> None:
    db, e, counted = s.fact.db(), ada(s), []
    snapshot = type(db.source.store.snapshot())
    rows = snapshot.rows

    def counting(self: Any, sql: str, params: Any = ()) -> Any:
        counted.append(sql)
        return rows(self, sql, params)

    snapshot.rows = counting
    try:
        db.pull("[:name :age {:friend [:name :age {:friend [:name :age]}]}]", e)
    finally:
        snapshot.rows = rows
    levels = [sql for sql in counted if "fact" in sql]
    assert len(levels) == 3


def test_limits_hold_in_the_engine_too(s: Substrate) -> None:
    many = [f"{number:05}" for number in range(12_000)]
    e = s.fact.transact([{"db/id": "e", "name": "Zoe", "aka": many}]).tempids["e"]
    db = s.fact.db()
    assert db.pull("[:aka]", e)["aka"] == many[:DEFAULT_LIMIT]
    assert db.pull("[[:aka :limit 3]]", e)["aka"] == many[:3]
    assert db.pull("[[:aka :limit nil]]", e)["aka"] == many


def test_transactions_tell_their_instant(s: Substrate) -> None:
    report = s.fact.transact([{"db/id": "datomic.tx", "aka": "note"}])
    found = s.fact.db().pull("[:db/txInstant :aka]", report.tx)
    assert found["aka"] == ["note"]
    assert found["db/txInstant"].timestamp() * 1_000_000 == pytest.approx(report.time, abs=1)


def test_functions_are_those_that_are_registered(s: Substrate) -> None:
    db, e = s.fact.db(), ada(s)
    registry = FunctionRegistry().with_function("shout", lambda name: f"{name}!")
    assert pull(db, "[[:name :xform shout]]", e, functions=registry)["name"] == "Ada!"
    assert pull_many(db, "[[:friend :xform count]]", [e])[0]["friend"] == 2
    with pytest.raises(QueryError, match="no function shout"):
        db.pull("[[:name :xform shout]]", e)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[]", "a pull pattern is a vector"),
        (":name", "a pull pattern is a vector"),
        ("[1]", "no attribute"),
        ("[{:friend 0}]", "at least 1 level"),
        ("[[:name :limit 0]]", "positive number"),
        ("[[:name :frob 1]]", "no option :frob"),
        ("[[:name :as]]", "pairs of option and value"),
        ("[(frob :name 1)]", "no attribute spec"),
        ("[{:db/id [:name]}]", "points at nothing"),
    ],
)
def test_a_pattern_is_refused_with_the_part_that_is_wrong(pattern: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        parse(pattern)


def test_only_references_can_be_followed(s: Substrate) -> None:
    for pattern in ("[{:age [:name]}]", "[:_age]"):
        with pytest.raises(QueryError, match="no reference"):
            s.fact.db().pull(pattern, ada(s))
    s.fact.transact([[":db/add", ada(s), "undeclared", 7]])
    with pytest.raises(QueryError, match="no references"):
        s.fact.db().pull("[{:undeclared [:name]}]", ada(s))


def test_names_of_entities_are_checked(s: Substrate) -> None:
    with pytest.raises(QueryError, match="unique attribute"):
        s.fact.db().pull("[:name]", [":age", 36])
    with pytest.raises(QueryError, match="cannot name an entity"):
        s.fact.db().pull("[:name]", 1.5)


def test_an_endless_pull_ends(s: Substrate) -> None:
    chain = [{"db/id": str(n), "boss": str(n + 1)} for n in range(300)]
    report = s.fact.transact([*chain, {"db/id": "300", "name": "top"}])
    with pytest.raises(LimitExceeded, match="nests deeper"):
        s.fact.db().pull("[:name {:boss ...}]", report.tempids["0"])
