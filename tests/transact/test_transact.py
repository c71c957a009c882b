"""Transaction data: every form, every refusal, on both backends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from persistence import Datom, Keyword, Substrate
from persistence.clock import FrozenClock
from persistence.errors import (
    CasFailed,
    ConflictError,
    EdnError,
    EntityNotFound,
    IntervalError,
    QueryError,
    SchemaError,
    TransactionError,
    UniqueConflict,
    ValueRefused,
)

SCHEMA = """
[{:db/ident :user/email :db/unique :db.unique/identity :db/valueType :db.type/string}
 {:db/ident :user/badge :db/unique :db.unique/value}
 {:db/ident :user/name}
 {:db/ident :user/age :db/valueType :db.type/long}
 {:db/ident :user/aka :db/cardinality :db.cardinality/many}
 {:db/ident :user/boss :db/valueType :db.type/ref}
 {:db/ident :user/friends :db/valueType :db.type/ref :db/cardinality :db.cardinality/many}
 {:db/ident :order/lines :db/valueType :db.type/ref :db/cardinality :db.cardinality/many
  :db/isComponent true}
 {:db/ident :order/total :db/valueType :db.type/bigdec}]
"""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(1_800_000_000_000_000)


@pytest.fixture
def s(store_uri: str, clock: FrozenClock) -> Iterator[Substrate]:
    functions = {
        "bump": lambda db, e, a: [[":db/add", e, a, (db.get(e, a) or 0) + 1]],
        "even": lambda value: isinstance(value, int) and value % 2 == 0,
        "adult": lambda db, e: (db.get(e, "user/age") or 0) >= 18,
    }
    with Substrate.open(store_uri, clock=clock, functions=functions) as opened:
        opened.fact.transact(SCHEMA)
        yield opened


def told(report) -> list[tuple]:
    return [(d.e, str(d.a), d.v, d.added) for d in report.tx_data]


def all_of(s: Substrate, attribute: str) -> set:
    return set(s.fact.db().q("[:find ?e ?v :in $ ?a :where [?e ?a ?v]]", Keyword(attribute)))


def test_maps_vectors_and_text_say_the_same(s: Substrate) -> None:
    s.fact.transact([{"db/id": "x", "user/name": "Ada"}])
    s.fact.transact([[":db/add", "y", ":user/name", "Grace"]])
    s.fact.transact('[{:db/id -1 :user/name "Edsger"}]')
    assert {name for _, name in all_of(s, "user/name")} == {"Ada", "Grace", "Edsger"}


def test_tempids_are_reported_and_unify(s: Substrate) -> None:
    report = s.fact.transact(
        [
            {"db/id": "ada", "user/email": "a@x", "user/friends": ["bob", -7]},
            {"db/id": "bob", "user/name": "Bob"},
            {"db/id": -7, "user/name": "Cyd"},
            {"db/id": "also-ada", "user/email": "a@x", "user/name": "Ada"},
        ]
    )
    ids = report.tempids
    assert ids["ada"] == ids["also-ada"]
    assert len({ids["ada"], ids["bob"], ids[-7]}) == 3
    assert all_of(s, "user/friends") == {(ids["ada"], ids["bob"]), (ids["ada"], ids[-7])}


def test_identity_upserts_and_lookup_refs_name_the_same_entity(s: Substrate) -> None:
    first = s.fact.transact([{"db/id": "a", "user/email": "a@x", "user/age": 1}]).tempids["a"]
    again = s.fact.transact([{"db/id": "b", "user/email": "a@x", "user/age": 2}]).tempids["b"]
    s.fact.transact([{"db/id": ["user/email", "a@x"], "user/name": "Ada"}])
    s.fact.transact([{"user/name": "Bob", "user/boss": [Keyword("user/email"), "a@x"]}])
    assert first == again
    assert all_of(s, "user/age") == {(first, 2)}
    assert (first, "Ada") in all_of(s, "user/name")
    assert {v for _, v in all_of(s, "user/boss")} == {first}


def test_nested_maps_and_reverse_attributes(s: Substrate) -> None:
    report = s.fact.transact(
        """[{:db/id "o" :order/total 12.50M :order/lines [{:user/name "nut"} {:user/name "bolt"}]}
            {:db/id "boss" :user/name "Boss" :user/_boss [{:user/name "W1"} {:user/name "W2"}]}]"""
    )
    assert len(all_of(s, "order/lines")) == 2
    assert {boss for _, boss in all_of(s, "user/boss")} == {report.tempids["boss"]}


def test_a_component_given_and_taken_in_one_transaction_goes_with_all_its_facts(
    s: Substrate,
) -> None:
    s.fact.transact(
        "[{:db/ident :part :db/valueType :db.type/ref :db/isComponent true}"
        ' {:db/id 101 :name "wheel"}]'
    )
    s.fact.transact([[":db/add", 7, "part", 101], [":db/retractAttribute", 7, "part"]])
    assert s.fact.db().q("[:find [?e ...] :where [?e :name]]") == []


def test_retracting_an_entity_takes_components_and_references_along(s: Substrate) -> None:
    ids = s.fact.transact(
        """[{:db/id "o" :order/lines [{:db/id "l" :user/name "nut"}]}
            {:db/id "other" :user/boss "o" :user/name "stays"}]"""
    ).tempids
    s.fact.transact([[":db/retractEntity", ids["o"]]])
    assert all_of(s, "order/lines") == all_of(s, "user/boss") == set()
    assert all_of(s, "user/name") == {(ids["other"], "stays")}


@pytest.mark.parametrize("first", [0, 1])
def test_components_go_with_each_retraction_of_their_entity(s: Substrate, first: int) -> None:
    """Of two retractions over different times, neither decides for the other."""
    ids = s.fact.transact(
        [{"db/id": "o", "order/lines": {"db/id": "line", "note": "x"}}],
        valid_from="2026-01-01",
        valid_to="2026-03-01",
    ).tempids
    whole = [":db/retractEntity", ids["o"], "2026-01-01", None]
    later = [":db/retractEntity", ids["o"], "2026-06-01", "2026-07-01"]
    s.fact.transact([whole, later] if first else [later, whole])
    assert s.fact.db().valid_at("2026-02-01").get(ids["line"], "note") is None


def test_cardinality_one_replaces_and_many_unites(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/name": "A", "user/aka": ["x", "y"]}]).tempids["e"]
    report = s.fact.transact([{"db/id": e, "user/name": "B", "user/aka": ["y", "z"]}])
    assert told(report) == [
        (e, ":user/name", "A", False),
        (e, ":user/name", "B", True),
        (e, ":user/aka", "z", True),
    ]
    assert {v for _, v in all_of(s, "user/aka")} == {"x", "y", "z"}


def test_what_already_holds_adds_nothing(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/name": "A"}]).tempids["e"]
    report = s.fact.transact([{"db/id": e, "user/name": "A"}])
    assert report.tx_data == () and report.t == 3


def test_there_and_back_within_one_instant_leaves_the_right_value(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/name": "A"}]).tempids["e"]
    for name in ("B", "A", "A", "B", "A"):
        s.fact.transact([{"db/id": e, "user/name": name}])
        assert s.fact.db().get(e, "user/name") == name
    assert s.fact.db().as_of(3).get(e, "user/name") == "B"


def test_overwriting_one_fact_leaves_its_siblings_alone(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/name": "A", "user/age": 3}]).tempids["e"]
    s.fact.transact([{"db/id": e, "user/name": "B"}])
    assert s.fact.db().get(e, "user/age") == 3


def test_a_reference_is_updated_twice(s: Substrate) -> None:
    ids = s.fact.transact(
        [{"db/id": n, "user/name": n} for n in ("a", "b", "c")] + [{"db/id": "w", "user/boss": "a"}]
    ).tempids
    for boss in ("b", "c"):
        s.fact.transact([{"db/id": ids["w"], "user/boss": ids[boss]}])
    assert all_of(s, "user/boss") == {(ids["w"], ids["c"])}


def test_cas_replaces_only_what_it_expects(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/age": 1}]).tempids["e"]
    s.fact.transact([[":db/cas", e, "user/age", 1, 2]])
    s.fact.transact([[":db/cas", e, "user/name", None, "A"]])
    with pytest.raises(CasFailed) as refused:
        s.fact.transact([[":db/cas", e, "user/age", 1, 3]])
    assert refused.value.data["found"] == ["2"]
    assert s.fact.db().get(e, "user/age") == 2


def test_transaction_functions_see_the_start(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/age": 1}]).tempids["e"]
    s.fact.transact([[":bump", e, "user/age"]])
    assert s.fact.db().get(e, "user/age") == 2
    with pytest.raises(TransactionError, match="registered transaction function"):
        s.fact.transact([[":no/such", e]])


def test_metadata_is_facts_about_the_transaction(s: Substrate) -> None:
    report = s.fact.transact(
        [{"user/name": "A"}, [":db/add", "datomic.tx", "tx/why", "because"]],
        meta={"tx/source": "term sheet"},
    )
    db = s.fact.db()
    assert db.get(report.tx, "tx/source") == "term sheet"
    assert db.get(report.tx, "tx/why") == "because"
    found = db.q("[:find ?source . :where [_ :user/name _ ?tx] [?tx :tx/source ?source]]")
    assert found == "term sheet"


def test_datoms_are_transaction_data_too(s: Substrate, clock: FrozenClock) -> None:
    report = s.fact.transact([{"db/id": "e", "user/name": "A", "user/aka": ["x"]}])
    s.fact.transact([[":db/retractEntity", report.tempids["e"]]])
    s.fact.transact(list(report.tx_data))
    assert s.fact.db().get(report.tempids["e"], "user/name") == "A"
    assert all(isinstance(datom, Datom) for datom in report.tx_data)


def test_one_transaction_may_declare_and_use_an_attribute(s: Substrate) -> None:
    report = s.fact.transact(
        """[{:db/ident :team/members :db/valueType :db.type/ref
             :db/cardinality :db.cardinality/many}
            {:db/id "t" :team/members [{:user/name "A"} {:user/name "B"}]}]"""
    )
    assert len([d for d in report.tx_data if d.a is Keyword("team/members")]) == 2


# ------------------------------------------------------------------------ refusals


def unchanged(s: Substrate, forms, error, match: str | None = None, **options):
    """*forms* are refused with *error*, and nothing is written."""
    before = s.fact.db().basis
    with pytest.raises(error, match=match) as refused:
        s.fact.transact(forms, **options)
    assert s.fact.db().basis == before
    assert s.check() == []
    return refused.value


def test_two_values_at_once_are_a_conflict(s: Substrate) -> None:
    unchanged(
        s,
        [[":db/add", 9, "user/name", "A"], [":db/add", 9, "user/name", "B"]],
        ConflictError,
        "two values",
    )


def test_all_conflicting_upserts_are_reported_together(s: Substrate) -> None:
    s.fact.transact([{"user/email": f"{n}@x", "user/badge": n} for n in range(4)])
    error = unchanged(
        s,
        [
            {"user/email": "0@x", "user/badge": 1},
            {"user/email": "2@x", "user/badge": 3},
        ],
        UniqueConflict,
        "2 problems",
    )
    assert len(error.data["conflicts"]) == 2


def test_a_map_cannot_upsert_two_entities(s: Substrate) -> None:
    s.fact.transact("[{:db/ident :user/nick :db/unique :db.unique/identity}]")
    s.fact.transact([{"user/email": "a@x"}, {"user/nick": "n"}])
    unchanged(s, [{"user/email": "a@x", "user/nick": "n"}], UniqueConflict, "is both entity")


@pytest.mark.parametrize(
    ("forms", "error", "match"),
    [
        ([{"user/age": "old"}], TransactionError, "db.type/long is declared"),
        ([{"user/age": True}], TransactionError, "db.type/long is declared"),
        ([{"user/name": None}], TransactionError, "nil"),
        ([{"user/name": object()}], TransactionError, "object"),
        ([{"db/id": ["user/email", "no@x"], "user/age": 1}], EntityNotFound, "no@x"),
        ([{"db/id": ["user/name", "A"], "user/age": 1}], TransactionError, "unique"),
        ([{"user/name": "x", "user/boss": "nobody"}], EntityNotFound, "nobody"),
        ([[":db/add", 1, "user/name"]], TransactionError, "elements"),
        ([[":db/retract", "temp", "user/name", "x"]], TransactionError, "tempid"),
        ([[":db/add", 0, "user/name", "x"]], TransactionError, "entity id"),
        ([["db/add", 2**47, "user/name", "x"]], TransactionError, "entity id"),
        (["text"], TransactionError, "no transaction form"),
        ({"user/name": "x"}, TransactionError, "one map"),
        ("[{:user/name", EdnError, "line 1"),
        ([{"db/txInstant": 1}], TransactionError, "set by the store"),
        ([{"user/_name": 3}], TransactionError, "no reference"),
        ("[{:db/ident :x :db/valueType :db.type/nonsense}]", SchemaError, "nonsense"),
        ("[{:db/ident :x :db/cardinality :db.cardinality/some}]", SchemaError, "cardinality"),
        ("[{:db/ident :x :db/isComponent true}]", SchemaError, "isComponent"),
    ],
)
def test_bad_data_changes_nothing_and_says_why(s: Substrate, forms, error, match) -> None:
    refused = unchanged(s, forms, error, match)
    assert refused.hint or isinstance(refused, EdnError | ValueRefused) or match


def test_intervals_must_be_intervals(s: Substrate) -> None:
    forms = [{"user/name": "A"}]
    unchanged(s, forms, IntervalError, "empty", valid_from="2026-01-01", valid_to="2026-01-01")
    unchanged(s, forms, IntervalError, "before", valid_from="2026-01-02", valid_to="2026-01-01")
    unchanged(s, forms, IntervalError, "time zone", valid_from="2026-01-02T10:00:00")


def test_schema_evolution_names_the_facts_that_break_it(s: Substrate) -> None:
    s.fact.transact([{"user/name": "A", "user/aka": ["x", "y"]}, {"user/name": 7}])
    error = unchanged(
        s, "[{:db/id [:db/ident :user/name] :db/valueType :db.type/string}]", SchemaError, "string"
    )
    assert error.data["facts"]
    unchanged(
        s,
        "[{:db/id [:db/ident :user/aka] :db/cardinality :db.cardinality/one}]",
        SchemaError,
        "several values",
    )
    s.fact.transact([{"user/name": 7}])
    unchanged(
        s,
        "[{:db/id [:db/ident :user/name] :db/unique :db.unique/value}]",
        SchemaError,
        "share a value",
    )


def test_index_comes_and_goes_without_changing_an_answer(s: Substrate) -> None:
    s.fact.transact([{"user/name": f"n{n % 3}"} for n in range(9)])
    question = '[:find ?e :where [?e :user/name "n1"]]'
    before = sorted(s.fact.db().q(question))
    for flag in ("true", "false"):
        s.fact.transact(f"[{{:db/id [:db/ident :user/name] :db/index {flag}}}]")
        assert sorted(s.fact.db().q(question)) == before
        assert s.check() == []


def test_predicates_and_entity_specs(s: Substrate) -> None:
    s.fact.transact(
        """[{:db/ident :dice/roll :db.attr/preds [:even]}
            {:db/ident :person :db.entity/attrs [:user/name :user/age]
             :db.entity/preds [:adult]}]"""
    )
    s.fact.transact([{"dice/roll": 2}])
    unchanged(s, [{"dice/roll": 3}], TransactionError, "even")
    unchanged(s, [{"user/name": "A", "db/ensure": Keyword("person")}], TransactionError, "user/age")
    child = {"user/name": "A", "user/age": 7, "db/ensure": Keyword("person")}
    unchanged(s, [child], TransactionError, "adult")
    s.fact.transact([{**child, "user/age": 18}])


def test_composite_tuples_follow_their_parts(s: Substrate) -> None:
    s.fact.transact(
        """[{:db/ident :a} {:db/ident :b}
            {:db/ident :a+b :db/tupleAttrs [:a :b] :db/unique :db.unique/identity}]"""
    )
    e = s.fact.transact([{"db/id": "e", "a": 1, "b": 2}]).tempids["e"]
    assert s.fact.db().get(e, "a+b") == (1, 2)
    s.fact.transact([[":db/retract", e, "b"]])
    assert s.fact.db().get(e, "a+b") == (1, None)
    unchanged(s, [{"a": 1, "b": 5, "a+b": [9, 9]}], TransactionError, "follows")
    s.fact.transact([{"db/id": e, "b": 2}])
    assert s.fact.transact([{"db/id": "same", "a": 1, "b": 2}]).tempids["same"] == e
    unchanged(s, [{"db/id": 900, "a": 1, "b": 2}], UniqueConflict, "already names")


def test_a_speculation_equals_the_commit_and_writes_nothing(s: Substrate) -> None:
    e = s.fact.transact([{"db/id": "e", "user/email": "a@x", "user/age": 1}]).tempids["e"]
    forms = [{"user/email": "a@x", "user/age": 2, "user/new": "attr"}, {"user/email": "b@x"}]
    db = s.fact.db()
    what_if = db.with_(forms)
    assert s.fact.db().basis == db.basis
    assert what_if.db_after.get(e, "user/age") == 2 and db.get(e, "user/age") == 1
    further = what_if.db_after.with_([[":db/retract", e, "user/age"]])
    assert further.db_after.get(e, "user/age") is None
    assert further.db_after.as_of(what_if.t).get(e, "user/age") == 2
    assert further.db_after.as_of(db.basis).get(e, "user/age") == 1
    question = "[:find ?e ?a ?v :where [?e :user/email] [?e ?a ?v]]"
    past = "[:find ?e ?a ?v ?tx ?op ?from ?to :where [?e ?a ?v ?tx ?op ?from ?to]]"
    history = sorted(map(repr, what_if.db_after.history().q(past)))
    for refused in (
        lambda: what_if.db_after.log(),
        lambda: what_if.db_after.history().datoms("eavt"),
    ):
        with pytest.raises(QueryError, match="speculation"):
            list(refused())
    committed = s.fact.transact(forms)
    assert sorted(map(repr, committed.db_after.history().q(past))) == history
    assert sorted(map(repr, what_if.db_after.q(question))) == sorted(
        map(repr, committed.db_after.q(question))
    )
    assert told(what_if) == told(committed)


def test_listeners_hear_every_commit_in_order(s: Substrate) -> None:
    heard: list[int] = []
    stop = s.fact.listen(lambda report: heard.append(report.t))
    for n in range(3):
        s.fact.transact([{"user/age": n}])
    stop()
    s.fact.transact([{"user/age": 9}])
    assert heard == [2, 3, 4]


def test_a_speculation_keeps_the_early_pieces_of_what_it_replaces(s: Substrate) -> None:
    s.fact.transact([{"db/id": 2, "price": 1}], valid_from="2020-01-01")
    s.fact.transact([{"db/id": 2, "price": 2}], valid_from="2021-01-01", valid_to="2022-01-01")
    after = s.fact.with_([{"db/id": 2, "price": 3}]).db_after
    days = ("2020-06-01", "2021-06-01", "2022-06-01")
    assert [after.valid_at(day).get(2, "price") for day in days] == [1, 2, 1]
    assert after.get(2, "price") == 3


def test_ids_that_the_store_gives_out_are_refused_until_it_did(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        for forms in (
            [{"db/id": 2**44 + 5, "n": 1}],
            [["db/add", 1, "n", 2], ["db/add", 2**44, "n", 3]],
        ):
            with pytest.raises(TransactionError, match="gives out itself"):
                s.fact.transact(forms)
        named = s.txn.run(lambda tx: tx.transact([{"db/id": "x", "n": 1}]).tempids["x"])
        assert named >= 2**44
        s.fact.transact([{"db/id": named, "n": 2}])
        assert s.fact.db().get(named, "n") == 2 and s.check() == []


def test_full_text_finds_what_was_said_before_it_was_declared(store_uri: str) -> None:
    find = '[:find [?e ...] :where [(fulltext $ :doc "fox") [[?e]]]]'
    with Substrate.open(store_uri) as s:
        s.fact.transact([{"db/id": 1, "doc": "a quick fox"}, {"db/id": 2, "doc": "fox " * 100}])
        s.fact.transact([{"db/id": 1, "doc": "a lazy dog"}, {"db/id": 3, "n": 1}])
        t = s.fact.transact("[{:db/ident :doc :db/fulltext true}]").t
        assert s.fact.db().q(find) == [2]
        assert sorted(s.fact.db().as_of(t - 2).q(find)) == [1, 2]
        assert s.check() == []
        s.reindex()
        assert s.fact.db().q(find) == [2] and s.check() == []


def test_full_text_passes_over_what_is_no_text(store_uri: str) -> None:
    with Substrate.open(store_uri) as s:
        s.fact.transact("[{:db/ident :doc :db/fulltext true}]")
        s.fact.transact([{"db/id": 1, "doc": 7}, {"db/id": 2, "doc": "seven"}])
        assert s.fact.db().q('[:find [?e ...] :where [(fulltext $ :doc "seven") [[?e]]]]') == [2]
        assert s.fact.db().get(1, "doc") == 7 and s.check() == []
