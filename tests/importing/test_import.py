"""What an import makes of the rows of a file."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence import FrozenClock, Imported, ImportRefused, InputError, Keyword, Substrate

START = 1_800_000_000_000_000


@pytest.fixture
def s() -> Iterator[Substrate]:
    with Substrate.open(":memory:", clock=FrozenClock(START)) as substrate:
        yield substrate


@pytest.fixture
def load(s: Substrate, tmp_path: Path) -> Any:
    def load(rows: Any, name: str = "rows.json", **options: Any) -> Imported:
        path = tmp_path / name
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
        return s.import_file(path, **options)

    return load


def every(s: Substrate, attribute: str) -> list[Any]:
    return sorted(s.fact.db().q(f"[:find [?v ...] :where [_ :{attribute} ?v]]"), key=repr)


def declared(s: Substrate, attribute: str) -> Any:
    return s.fact.db().schema[Keyword(attribute)]


# ------------------------------------------------------------------ rows and names


def test_each_object_is_an_entity_and_its_types_are_declared(s: Substrate, load: Any) -> None:
    done = load([{"id": 1, "name": "Ada", "ok": True, "x": 1.5}], id="user/id")
    assert (done.imported, done.facts, done.refusals) == (1, 4, 0)
    assert s.fact.db().pull("[*]", ["user/id", 1])[Keyword("user/name")] == "Ada"
    kinds = {n: declared(s, f"user/{n}").value_type.local for n in ("id", "name", "ok", "x")}
    assert kinds == {"id": "long", "name": "string", "ok": "boolean", "x": "double"}
    assert declared(s, "user/id").identity


def test_the_same_id_twice_is_one_entity_and_the_later_row_wins(s: Substrate, load: Any) -> None:
    rows = [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob"}, {"id": 1, "name": "Ada L."}]
    assert load(rows, id="user/id").refusals == 0
    assert every(s, "user/name") == ["Ada L.", "Bob"]
    known_before = s.fact.db().history().q("[:find [?n ...] :where [_ :user/name ?n]]")
    assert "Ada" in known_before


def test_an_object_of_objects_is_named_by_its_keys(s: Substrate, load: Any) -> None:
    load({"ada": {"age": 36}, "bob": {"age": 41, "name": "bob"}}, id="user/name")
    assert every(s, "user/name") == ["ada", "bob"]
    done = load({"eve": {"age": 36, "name": "mallory"}}, id="user/name")
    assert "stands under 'eve'" in done.refused[0].reason


def test_keys_of_an_object_of_objects_need_no_option(s: Substrate, load: Any) -> None:
    load({"ada": {"age": 36}}, namespace="user")
    assert every(s, "user/id") == ["ada"] and declared(s, "user/id").identity


def test_keys_are_renamed_and_those_with_a_namespace_keep_it(s: Substrate, load: Any) -> None:
    load(
        [{"First Name": "Ada", "other/x": 1, "y": 2}],
        names={"First Name": "name"},
        namespace="user",
    )
    assert (every(s, "user/name"), every(s, "other/x"), every(s, "user/y")) == (["Ada"], [1], [2])


def test_without_options_keys_are_attributes_as_they_stand(s: Substrate, load: Any) -> None:
    load([{"name": "Ada", "nothing": None}])
    assert every(s, "name") == ["Ada"]
    assert Keyword("nothing") not in s.fact.db().schema


def test_a_key_that_is_no_attribute_refuses_its_row_and_says_what_helps(load: Any) -> None:
    done = load([{"First Name": "Ada"}, {"name": "Bob"}])
    assert done.imported == 1 and "--attr 'First Name'=NAME" in done.refused[0].reason


# ---------------------------------------------------------------------- structure


def test_objects_inside_become_components(s: Substrate, load: Any) -> None:
    row = {"id": 1, "home": {"city": "Bonn"}, "jobs": [{"at": "x"}, {"at": "y"}], "no": []}
    load([row], id="user/id")
    found = s.fact.db().pull("[{:user/home [:user.home/city]} {:user/jobs [*]}]", ["user/id", 1])
    assert found[Keyword("user/home")] == {Keyword("user.home/city"): "Bonn"}
    assert [job[Keyword("user.jobs/at")] for job in found[Keyword("user/jobs")]] == ["x", "y"]
    assert declared(s, "user/home").component and declared(s, "user/jobs").many


def test_refs_lead_to_entities_that_may_come_later(s: Substrate, load: Any) -> None:
    refs = {"friends": "user/id", "boss": "user/id"}
    load([{"id": 1, "friends": [2, 3], "boss": {"id": 2, "name": "Bob"}}], id="user/id", refs=refs)
    load([{"id": 3, "name": "Eve"}], id="user/id", refs=refs)
    names = "[:find [?n ...] :where [?a :user/id 1] [?a :user/friends ?f] [?f :user/name ?n]]"
    assert sorted(s.fact.db().q(names)) == ["Bob", "Eve"]
    assert not declared(s, "user/boss").component


def test_keyed_objects_keep_their_keys(s: Substrate, load: Any) -> None:
    cards = {"c1": {"brand": "visa"}, "c2": {"brand": "other", "id": "c2"}}
    load([{"id": 1, "cards": cards}], id="user/id", keyed={"cards": "id"})
    assert every(s, "user.cards/id") == ["c1", "c2"]
    assert load([{"id": 2, "cards": {"a": 1}}], id="user/id", keyed={"cards": "id"}).refusals == 1


def test_arrays_of_plain_values_are_several_values(s: Substrate, load: Any) -> None:
    load([{"tags": "one"}, {"tags": ["two", None, "three"]}])
    assert every(s, "tags") == ["one", "three", "two"] and declared(s, "tags").many


def test_an_array_can_stay_one_value(s: Substrate, load: Any) -> None:
    load([{"at": [1, 2], "o": {"k": 1}}], types={"at": "vector", "o": "map"})
    assert every(s, "at") == [(1, 2)] and every(s, "o") == [{"k": 1}]


def test_without_inference_nothing_is_declared_and_values_stay_whole(
    s: Substrate, load: Any
) -> None:
    load([{"id": 1, "tags": [1, "x"], "home": {"city": "Bonn"}}], id="user/id", infer=False)
    assert every(s, "user/tags") == [(1, "x")] and every(s, "user/home") == [{"city": "Bonn"}]
    assert declared(s, "user/id").identity and declared(s, "user/tags").entity is None


# -------------------------------------------------------------------------- types


def test_asked_types_are_converted(s: Substrate, load: Any) -> None:
    name = "00000000-0000-0000-0000-000000000001"
    row = {"at": "2024-05-01T10:00:00", "price": 1.10, "kind": "a/b", "n": "12", "u": name}
    types = {"at": "instant", "price": "bigdec", "kind": "keyword", "n": "long", "u": "uuid"}
    assert load([row], types=types, timezone="America/New_York").refusals == 0
    assert every(s, "at") == [datetime(2024, 5, 1, 14, tzinfo=UTC)]
    assert every(s, "price") == [Decimal("1.1")] and every(s, "kind") == [Keyword("a/b")]
    assert every(s, "n") == [12] and every(s, "u") == [uuid.UUID(name)]


def test_decimals_keep_the_digits_of_the_file(s: Substrate, load: Any) -> None:
    load('[{"price": 1.10, "x": 0.5}]', types={"price": "bigdec"})
    assert str(every(s, "price")[0]) == "1.10"


def test_a_type_that_a_later_row_breaks_is_taken_back(s: Substrate, load: Any) -> None:
    done = load([{"x": 1}, {"x": "one"}, {"x": 2**70}], batch=1)
    assert every(s, "x") == ["one", 1, 2**70] and declared(s, "x").value_type is None
    assert "several types" in done.notes[0]


def test_integers_grow_beyond_64_bits(s: Substrate, load: Any) -> None:
    assert load([{"x": 1}, {"x": 2**63}], batch=1).refusals == 0
    assert declared(s, "x").value_type is Keyword("db.type/bigint")


def test_what_somebody_declared_is_never_changed(s: Substrate, load: Any) -> None:
    s.fact.transact("[{:db/ident :age :db/valueType :db.type/long}]")
    done = load([{"age": 1}, {"age": "2"}, {"age": "old"}, {"age": [3, 4]}])
    assert every(s, "age") == [1, 2] and done.refusals == 2
    assert "'old' is no integer" in done.refused[0].reason


def test_tables_guess_the_types_of_their_columns(s: Substrate, load: Any) -> None:
    table = "sku,price,zip,ok\na,1.5,01234,true\nb,2,99999,FALSE\nc,,,\n"
    assert load(table, "t.csv", id="item/sku").refusals == 0
    assert every(s, "item/price") == [1.5, 2.0] and every(s, "item/zip") == ["01234", "99999"]
    assert every(s, "item/ok") == [False, True] and len(every(s, "item/sku")) == 3


def test_edn_rows_keep_their_types_and_names(s: Substrate, load: Any) -> None:
    load('[{:user/id 1 :kind :a :at #inst "2024-01-01T00:00:00Z" :r 1/2}]', "r.edn", id="user/id")
    assert every(s, "user/kind") == [Keyword("a")]
    assert every(s, "user/at") == [datetime(2024, 1, 1, tzinfo=UTC)]


# ----------------------------------------------------------------------- valid time


def test_rows_hold_over_their_own_interval(s: Substrate, load: Any) -> None:
    rows = [
        {"id": 1, "price": 10, "since": "2024-03-01", "until": "2024-03-15"},
        {"id": 1, "price": 12, "since": "2024-03-15", "until": None},
    ]
    assert load(rows, id="item/id", valid_from="since", valid_to="until").refusals == 0
    price = "[:find ?p . :where [_ :item/price ?p]]"
    days = ("2024-02-01", "2024-03-10", "2024-03-20")
    assert [s.fact.db().valid_at(day).q(price) for day in days] == [None, 10, 12]
    assert Keyword("item/since") not in s.fact.db().schema


@pytest.mark.parametrize("batch", [1, 100])
def test_rows_with_separate_intervals_speak_of_one_entity(
    s: Substrate, load: Any, batch: int
) -> None:
    spans = (("2024-03-01", "2024-03-02"), ("2024-02-01", "2024-02-02"), ("2024-04-01", None))
    boss = {"id": 7, "name": "Eve"}
    rows = [
        {"id": 1, "n": n, "boss": boss, "since": a, "until": b} for n, (a, b) in enumerate(spans)
    ]
    refs = {"boss": "user/id", "deputy": "user/id"}
    rows[0]["deputy"] = 7
    load(rows, id="user/id", valid_from="since", valid_to="until", refs=refs, batch=batch)
    ids = s.fact.db().history().q("[:find ?id (count-distinct ?e) :where [?e :user/id ?id]]")
    assert sorted(ids) == [(1, 1), (7, 1)]
    eve = "[:find ?n . :where [_ :user/boss ?b] [?b :user/id 7] [?b :user/name ?n]]"
    assert [s.fact.db().valid_at(day).q(eve) for day in ("2024-02-01", "2024-02-03")] == [
        "Eve",
        None,
    ]


def test_components_hold_as_long_as_their_row(s: Substrate, load: Any) -> None:
    rows = [{"id": 1, "home": {"city": "Bonn"}, "since": "2024-03-01", "until": "2024-04-01"}]
    load(rows, id="user/id", valid_from="since", valid_to="until")
    city = "[:find ?c . :where [_ :user/home ?h] [?h :user.home/city ?c]]"
    assert s.fact.db().valid_at("2024-03-10").q(city) == "Bonn"
    assert s.fact.db().valid_at("2024-04-10").q(city) is None


@pytest.mark.parametrize(
    ("since", "until", "reason"),
    [
        ("yesterday", None, "is no instant"),
        ("2024-03-01T10:00:00", None, "no time zone"),
        ("2024-03-02", "2024-03-01", "ends before it starts"),
        ("2024-03-02", "2024-03-02", "at its start"),
        (17, None, "is no instant"),
    ],
)
def test_intervals_that_cannot_be_read_refuse_the_row(
    load: Any, since: Any, until: Any, reason: str
) -> None:
    rows = [{"x": 1, "since": since, "until": until}, {"x": 2}]
    done = load(rows, valid_from="since", valid_to="until")
    assert done.imported == 1 and reason in done.refused[0].reason


def test_a_time_zone_is_that_of_stamps_without_one(s: Substrate, load: Any) -> None:
    load([{"x": 1, "since": "2024-07-01"}], valid_from="since", timezone="Europe/Berlin")
    found = s.fact.db().valid_at("2024-06-30T22:00:00+00:00").q("[:find ?x . :where [_ :x ?x]]")
    assert found == 1


# ------------------------------------------------------------------------- refusals


def test_a_row_that_the_store_refuses_does_not_take_others_along(
    s: Substrate, load: Any, tmp_path: Path
) -> None:
    s.fact.transact("[{:db/ident :code :db/unique :db.unique/value}]")
    rows = [{"id": n, "code": "same" if n in (3, 7) else f"c{n}"} for n in range(10)]
    rejects = tmp_path / "rejects.jsonl"
    done = load(rows, id="user/id", names={"code": "code"}, rejects=rejects)
    assert done.refusals == 0  # :user/code is another attribute
    done = load([{"user/id": n, "code": row["code"]} for n, row in enumerate(rows)], "b.json",
                rejects=rejects)  # fmt: skip
    assert done.imported == 9 and len(every(s, "code")) == 9
    assert done.refused[0].row == 8 and "already names" in done.refused[0].reason
    (line,) = rejects.read_text().splitlines()
    assert json.loads(line)["data"] == {"user/id": 7, "code": "same"}


def test_refused_rows_of_edn_are_kept_as_edn(load: Any, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.edn"
    load("{:x 1} {:x 2 :x 3} 7", "r.edn", rejects=rejects)
    lines = rejects.read_text().splitlines()
    assert '"{:x 2 :x 3}"' in lines[0] and ":data 7" in lines[1]


def test_an_import_stops_beyond_the_allowed_number_of_refusals(s: Substrate, load: Any) -> None:
    rows = [{"x": 1}, {"y z": 1}, {"x": 2}, {"y z": 2}, {"x": 3}]
    with pytest.raises(ImportRefused, match="more than 1 rows"):
        load(rows, max_errors=1, batch=1)
    assert every(s, "x") == [1, 2]
    assert load(rows, batch=1).resumed == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "xml"}, "no format"),
        ({"id": "no name"}, "no EDN keyword"),
        ({"types": {"x": "number"}}, "no type"),
        ({"timezone": "Mars/Olympus", "valid_from": "x"}, "no time zone"),
        ({"timezone": "UTC"}, "nothing that it could apply to"),
        ({"batch": 0}, "at least one"),
        ({"schema": "[{:db/ident"}, "never closed"),
        ({"names": {"x": "y"}}, "would both become"),
    ],
)
def test_options_that_cannot_be_honoured_are_errors_and_write_nothing(
    s: Substrate, load: Any, options: Any, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        load([{"x": 1, "y": 2}], **options)
    assert s.fact.db().basis == 0


def test_an_identity_that_is_declared_otherwise_is_an_error(s: Substrate, load: Any) -> None:
    s.fact.transact("[{:db/ident :user/id :db/valueType :db.type/long}]")
    with pytest.raises(InputError, match="without an identity"):
        load([{"id": 1}], id="user/id")


def test_an_option_that_no_row_has_a_use_for_is_told(load: Any) -> None:
    assert "no row has 'z'" in load([{"x": 1}], types={"z": "long"}).notes[0]


def test_a_file_that_is_not_there_is_an_error(s: Substrate) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        s.import_file("nowhere.json")


# ------------------------------------------------------------------------- resuming


def test_running_again_doubles_nothing(s: Substrate, load: Any) -> None:
    rows = [{"x": n} for n in range(10)]
    assert load(rows, batch=3).rows == 10
    before = s.fact.db().basis
    again = load(rows, batch=3)
    assert (again.rows, again.resumed, s.fact.db().basis) == (0, 10, before)


def test_an_import_that_broke_off_goes_on_after_the_last_committed_row(
    s: Substrate, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"x": {n}}}\n' for n in range(1000)))
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        s.import_file(path, batch=100, progress=stop)
    assert len(every(s, "x")) == 500
    done = s.import_file(path, batch=100)
    assert (done.resumed, done.rows) == (500, 500)
    assert sorted(every(s, "x")) == list(range(1000))
    assert s.check() == []


def test_a_file_that_has_grown_goes_on_where_it_ended(s: Substrate, load: Any) -> None:
    load('{"x": 1}\n', "r.jsonl")
    assert load('{"x": 1}\n{"x": 2}\n', "r.jsonl").rows == 1
    assert every(s, "x") == [1, 2]


def test_other_options_and_other_content_are_other_imports(s: Substrate, load: Any) -> None:
    load([{"x": 1}])
    assert load([{"x": 1}], namespace="n").rows == 1
    assert load([{"x": 5}]).rows == 1


def test_an_import_can_be_asked_to_begin_again(s: Substrate, load: Any) -> None:
    load([{"id": 1}], id="user/id")
    assert load([{"id": 1}], id="user/id", again=True).rows == 1
    assert every(s, "user/id") == [1]


def test_transactions_tell_where_their_facts_come_from(s: Substrate, load: Any) -> None:
    load([{"x": 1}, {"x": 2}], author="importer")
    *_, last = s.fact.transactions()
    assert last.meta[Keyword("import/file")] == "rows.json"
    assert last.meta[Keyword("import/rows")] == 2 and last.author == "importer"


# ----------------------------------------------------------------------------- laws

scalars = st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5) | st.floats(
    allow_nan=False, allow_infinity=False
)  # fmt: skip
flat = st.dictionaries(
    st.sampled_from("abcde"), scalars | st.lists(scalars, min_size=1, max_size=3), max_size=5
)


@given(st.lists(flat, max_size=8), st.integers(1, 10))
def test_rows_come_back_as_they_went_in(rows: list[dict[str, Any]], batch: int) -> None:
    """Rows to facts to rows; several values come back as a set, and each with its type."""
    with Substrate.open(":memory:", clock=FrozenClock(START)) as s:
        import_rows(s, [{"n": n, **row} for n, row in enumerate(rows)], batch)
        db = s.fact.db()
        for n, row in enumerate(rows):
            found = db.pull("[*]", ["row/n", n])
            for key, value in row.items():
                held = found[Keyword(f"row/{key}")]
                many = declared(s, f"row/{key}").many
                wanted = value if isinstance(value, list) else [value]
                assert typed(held if many else [held]) == typed(wanted)
            assert len(found) == len(row) + 2


def typed(values: Any) -> set[tuple[type, Any]]:
    return {(type(value), repr(value)) for value in values}


def import_rows(s: Substrate, rows: list[Any], batch: int, **options: Any) -> None:
    options = options or {"id": "row/n"}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        done = s.import_file(file.name, batch=batch, **options)
    assert (done.imported, done.refusals) == (len(rows), 0), done.refused


days = st.integers(1, 9).map(lambda day: f"2024-01-0{day}")
events = st.fixed_dictionaries(
    {"id": st.integers(1, 2), "since": days},
    optional={
        "a": st.integers(1, 3),
        "b": st.integers(1, 3),
        "until": days,
        "c": st.just([1, 2]),
        "boss": st.fixed_dictionaries({"id": st.just(3)}, optional={"a": st.integers(1, 3)}),
    },
).filter(lambda row: "until" not in row or row["since"] < row["until"])


@given(st.lists(events, max_size=12), st.integers(2, 40))
def test_batches_never_change_what_the_rows_say(rows: list[dict[str, Any]], batch: int) -> None:
    """Rows of one entity in one transaction say what they say one after the other."""
    answers = []
    for size in (1, batch):
        with Substrate.open(":memory:", clock=FrozenClock(START)) as s:
            options = {"valid_from": "since", "valid_to": "until", "refs": {"boss": "row/id"}}
            import_rows(s, rows, size, id="row/id", **options)
            db = s.fact.db()
            query = """[:find ?n ?a ?v
                        :where [?e :row/id ?n]
                               (or-join [?e ?a ?v]
                                 (and [?e ?a ?v] [(not= ?a :row/boss)])
                                 (and [?e :row/boss ?b] [?b :row/id ?v] [(ground :boss) ?a]))]"""
            days = [f"2024-01-{day:02}" for day in range(1, 12)]
            answers.append([sorted(db.valid_at(day).q(query), key=repr) for day in days])
    assert answers[0] == answers[1]


def test_the_past_of_one_entity_goes_in_together(s: Substrate, load: Any) -> None:
    rows = [{"id": 1, "price": day, "since": f"2024-01-{day:02}"} for day in range(1, 31)]
    assert load(rows, id="item/id", valid_from="since").transactions == 3
    price = "[:find ?p . :where [_ :item/price ?p]]"
    assert [s.fact.db().valid_at(f"2024-01-{d:02}").q(price) for d in (1, 17, 30)] == [1, 17, 30]


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_both_backends_hold_the_same(
    backend: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = str(tmp_path / "s.db")
    if backend == "postgres":
        uri = request.getfixturevalue("fresh_postgres_uri")
    path = tmp_path / "users.jsonl"
    rows = [{"id": n, "name": f"n{n}", "tags": ["a", "b"], "at": {"x": n}} for n in range(50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Substrate.open(uri) as s:
        assert s.import_file(path, id="user/id", batch=40).imported == 50
        assert s.import_file(path, id="user/id", batch=40).resumed == 50
        found = s.fact.db().q(
            "[:find ?n (count ?t) :where [?u :user/id ?n] [?u :user/tags ?t]"
            " [?u :user/at ?a] [?a :user.at/x ?n]]"
        )
        assert sorted(found) == [(n, 2) for n in range(50)]
        assert s.check() == []
