"""Every command, for people and for programs."""

from __future__ import annotations

import json
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from persistence import read
from persistence.cli import main
from tests.cli.conftest import Run

TEA = '[:item/sku "tea-1"]'
PRICE = '[:find ?p . :where [?i :item/sku "tea-1"] [?i :item/price ?p]]'


def test_the_four_quadrants_by_options(shop: Run) -> None:
    found = [
        shop("--as-of", known, "--valid-at", day, "q", PRICE).out.strip()
        for known in ("2026-03-31", "2026-04-02")
        for day in ("2026-03-10", "2026-03-20")
    ]
    assert found == ["10", "10", "10", "12"]


def test_options_may_stand_behind_the_command(shop: Run) -> None:
    assert shop("q", PRICE, "--as-of", "2", "--valid-at", "2026-03-20", "--json").json == 10


def test_at_is_both_axes(shop: Run) -> None:
    assert shop("--at", "2026-03-20", "q", PRICE).out.strip() == "10"


def test_a_basis_can_be_a_transaction_id(shop: Run) -> None:
    id = shop("log", "--json").json[1]["id"]
    assert shop("--as-of", id, "--valid-at", "2026-03-20", "q", PRICE).out.strip() == "10"


# ------------------------------------------------------------------------ questions


def test_q_prints_a_table_for_people(shop: Run) -> None:
    ran = shop("q", "[:find ?n ?p :where [?i :item/name ?n] [?i :item/price ?p]]")
    head, _, row, *_ = ran.out.splitlines()
    assert head.split() == ["?n", "?p"] and row.split() == ["Green", "tea", "12"]
    assert ran.err.strip() == "1 row"


def test_q_takes_inputs_files_and_standard_input(shop: Run) -> None:
    where = "[?i :item/price ?p] [(<= ?least ?p)] [?i :item/sku ?s]"
    query = f"[:find [?s ...] :in $ ?least :where {where}]"
    Path("q.edn").write_text(query)
    assert shop("q", "@q.edn", "11", "--json").json == ["tea-1"]
    assert shop("q", "@q.edn", "13", "--json").json == []
    assert shop("q", "-", "11", "--json", input=query).json == ["tea-1"]


def test_q_takes_rules(shop: Run) -> None:
    query = "[:find [?s ...] :in $ % :where (dear ?i) [?i :item/sku ?s]]"
    rules = "[[(dear ?i) [?i :item/price ?p] [(> ?p 11)]]]"
    assert shop("q", query, rules, "--json").json == ["tea-1"]


def test_q_answers_in_edn(shop: Run) -> None:
    ran = shop("q", "--edn", "[:find ?i ?s :where [?i :item/sku ?s]]")
    ((_, sku),) = read(ran.out)  # type: ignore[misc]
    assert sku == "tea-1"


def test_keys_name_the_columns(shop: Run) -> None:
    query = "[:find ?s ?p :strs sku price :where [?i :item/sku ?s] [?i :item/price ?p]]"
    assert shop("q", "--json", query).json == [{"sku": "tea-1", "price": 12}]
    query = query.replace(":strs", ":keys")
    assert shop("q", "--json", query).json == [{":sku": "tea-1", ":price": 12}]
    assert shop("q", query).out.split()[:2] == ["sku", "price"]


def test_json_of_every_type(run: Run) -> None:
    values = (
        '{:x [nil true 1 12345678901234567890 1.5 1.50M 1/3 "t" \\c :k/w sym '
        '#inst "2024-01-02T03:04:05.6Z" #uuid "00000000-0000-0000-0000-000000000001" '
        '#bytes "AAE=" (1 2) {:a 1 "b" 2 3 4} #{2 1} ##NaN ##-Inf]}'
    )
    assert run("transact", f"[{values}]").code == 0
    wanted = [
        *(None, True, 1, 12345678901234567890, 1.5, "1.50", "1/3", "t", "c", ":k/w", "sym"),
        *("2024-01-02T03:04:05.600000Z", "00000000-0000-0000-0000-000000000001", "AAE="),
        *([1, 2], {":a": 1, "b": 2, "3": 4}, [1, 2], "NaN", "-Inf"),
    ]
    assert run("q", "--json", "[:find ?x . :where [_ :x ?x]]").json == wanted


def test_explain_shows_statement_and_plan(shop: Run) -> None:
    assert "SELECT" in shop("explain", PRICE).out
    assert "SELECT" in shop("q", "--explain", PRICE).out
    (stage,) = shop("explain", "--json", PRICE).json
    assert stage["rows"] == 1 and stage["plan"]


def test_pull_shows_a_tree(shop: Run) -> None:
    assert ":item/name  Green tea" in shop("pull", "[*]", TEA).out
    assert shop("pull", "[:item/name]", TEA, "--json").json == {":item/name": "Green tea"}
    assert read(shop("pull", "[:item/name]", TEA, "--edn").out)
    assert shop("pull", "[:item/name]", '[:item/sku "none"]', "--json").json is None


def test_entity_shows_each_fact_with_its_interval(shop: Run) -> None:
    out = shop("entity", TEA).out
    assert ":item/price" in out and "2026-03-15" in out
    facts = {fact["a"]: fact for fact in shop("entity", TEA, "--json").json}
    assert facts[":item/price"]["from"] == "2026-03-15T00:00:00Z"
    assert facts[":item/price"]["to"] is None and facts[":item/price"]["t"] == 3


def test_an_entity_of_which_nothing_is_known_is_a_finding(shop: Run) -> None:
    ran = shop("entity", "4711", "--json")
    assert (ran.code, ran.json) == (1, []) and "nothing is known" in ran.err


def test_history_draws_what_was_learned(shop: Run) -> None:
    ran = shop("history", TEA, ":item/price")
    assert [line.split()[3] for line in ran.out.splitlines() if "2026-04-01" in line] == ["-", "+"]
    assert "┣" in ran.out and "▶" in ran.out and "believed now" in ran.out
    said = shop("history", TEA, "item/price", "--json").json
    assert [(one["v"], one["op"], one["t"]) for one in said] == [
        (10, "assert", 2),
        (10, "retract", 3),
        (12, "assert", 3),
    ]


def test_history_of_nothing_is_a_finding(shop: Run) -> None:
    assert shop("history", TEA, ":item/none").code == 1


def test_log_lists_the_newest_first_and_a_range_in_order(shop: Run) -> None:
    found = shop("log", "--json").json
    assert [tx["t"] for tx in found] == [3, 2, 1]
    assert found[1]["meta"] == {":source": "catalogue"} and found[1]["author"] == "ada"
    assert [tx["t"] for tx in shop("log", "--from", "2", "--json").json] == [2, 3]
    assert [tx["t"] for tx in shop("log", "--from", "2026-03-31", "--json").json] == [3]
    assert [tx["t"] for tx in shop("log", "--to", "2026-03-31", "--json").json] == [2, 1]
    assert (
        "letter" in shop("log", "--limit", "1").out and "goes on" in shop("log", "--limit", "1").err
    )


def test_schema_as_of_a_basis(shop: Run) -> None:
    names = {one["ident"] for one in shop("schema", "--json").json}
    assert {":item/sku", ":item/price"} <= names and ":db/ident" not in names
    assert "unique identity" in shop("schema").out
    assert any(one["ident"] == ":db/ident" for one in shop("schema", "--all", "--json").json)


# -------------------------------------------------------------------------- writing


def test_init_makes_a_store_once(run: Run) -> None:
    assert run("init", "--json").json == {"store": "shop.db", "created": True, "t": 0}
    assert "is a store already" in run("init").out


def test_transact_tells_what_it_wrote(run: Run) -> None:
    ran = run(
        *("transact", '[{:db/id "a" :x 1}]', "--meta", '{:source "me"}', "--author", "ada"),
        *("--valid-from", "2024-01-01", "--valid-to", "2024-02-01", "--json"),
    )
    told = ran.json
    assert told["t"] == 1 and told["tempids"] == {"a": 1}
    fact = next(one for one in told["datoms"] if one["a"] == ":x")
    assert (fact["from"], fact["to"]) == ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z")
    assert run("log", "--json").json[0]["author"] == "ada"


def test_transact_reads_files_and_standard_input(run: Run) -> None:
    Path("data.edn").write_text("[{:x 1}]")
    assert run("transact", "@data.edn").code == 0
    assert run("transact", "-", input="[{:x 2}]").code == 0
    assert sorted(run("q", "--json", "[:find [?x ...] :where [_ :x ?x]]").json) == [1, 2]


def test_a_dry_run_writes_nothing(shop: Run) -> None:
    ran = shop("transact", "--dry-run", f"[[:db/add {TEA} :item/price 99]]", "--json")
    assert ran.json["id"] is None and {one["v"] for one in ran.json["datoms"]} == {12, 99}
    assert shop("q", PRICE).out.strip() == "12"


def test_import_tells_what_was_refused_and_why(run: Run) -> None:
    Path("users.json").write_text(json.dumps([{"id": 1, "age": 3}, {"age": 4}]))
    ran = run("import", "users.json", "--id", "user/id")
    assert ran.code == 1 and "1 rows, 2 facts" in ran.out
    assert "row 2 (line 1): it has no :user/id" in ran.out
    again = run("import", "users.json", "--id", "user/id", "--json")
    assert again.json[0]["resumed"] == 2 and again.code == 0


def test_import_takes_every_option(run: Run) -> None:
    Path("s.edn").write_text('[{:db/ident :item/price :db/doc "in cents"}]')
    Path("items.csv").write_text("SKU,price,made,boss,from\na,1,2024-01-01 10:00,x,2024-01-01\n")
    ran = run(
        *("import", "items.csv", "--id", "item/sku", "--attr", "SKU=sku", "--type", "made=instant"),
        *("--ref", "boss=user/id", "--valid-from", "from", "--timezone", "UTC", "--batch", "3"),
        *("--schema", "s.edn", "--rejects", "r.jsonl", "--max-errors", "0", "--author", "ada"),
    )
    assert ran.code == 0, ran.err
    assert (
        run("q", "--json", "[:find ?m . :where [_ :item/made ?m]]").json == "2024-01-01T10:00:00Z"
    )
    assert run("q", "--json", "[:find ?u . :where [_ :item/boss ?b] [?b :user/id ?u]]").json == "x"
    assert not Path("r.jsonl").exists()


# --------------------------------------------------------------------------- upkeep


def test_stats_check_and_reindex(shop: Run) -> None:
    stats = shop("stats", "--json").json
    assert stats["rows"]["tx"] == 3 and stats["bytes"] > 0
    assert "bytes" in shop("stats").out
    assert shop("check", "--json").json == [] and "sound" in shop("check").out
    assert shop("reindex", "--json").json["datoms"] == stats["rows"]["log"]
    assert "built the index again" in shop("reindex").out


def test_check_of_a_damaged_index_is_a_finding(shop: Run) -> None:
    with closing(sqlite3.connect("shop.db")) as db, db:
        assert db.execute("DELETE FROM fact WHERE a > 64").rowcount > 2
    ran = shop("check", "--json")
    assert ran.code == 1 and ran.json and "finding" in ran.err
    shop("reindex")
    assert shop("check").code == 0


def test_a_store_in_postgres_is_used_by_its_uri(run: Run, fresh_postgres_uri: str) -> None:
    store = ("--store", fresh_postgres_uri)
    assert run(*store, "init").code == 0
    forms = '[{:db/ident :item/sku :db/unique :db.unique/identity} {:item/sku "tea-1" :n 1}]'
    assert run(*store, "transact", forms).code == 0
    assert run(*store, "--json", "pull", "[:n]", TEA).json == {":n": 1}
    assert run(*store, "history", TEA).code == 0
    assert [tx["t"] for tx in run(*store, "--json", "log").json] == [1]
    assert run(*store, "stats", "--json").json["rows"]["tx"] == 1
    assert run(*store, "check").code == 0


# ----------------------------------------------------------------------------- demo


def test_the_demo_tells_its_story_and_leaves_a_sound_store(run: Run) -> None:
    ran = run("--store", "d.db", "demo")
    assert ran.code == 0 and ran.err == ""
    assert "12" in ran.out and "no findings" in ran.out
    assert run("--store", "d.db", "check").code == 0


def test_the_demo_does_not_touch_a_store_that_is_there(shop: Run) -> None:
    ran = shop("demo")
    assert ran.code == 2 and "not a new file" in ran.err


def test_the_demo_can_be_told_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSISTENCE_STORE")
    first, second = run("demo", "--json").json, run("demo", "--json").json
    assert first == second and first["store"] == "persistence-demo.db"
    quadrants = next(s["result"] for s in first["steps"] if "quadrants" in s["title"])
    assert [row[1:] for row in quadrants] == [[10, 10], [10, 12]]


def test_what_the_demo_ends_with_can_be_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSISTENCE_STORE")
    for command in run("demo", "--json").json["next"]:
        program, *words = shlex.split(command)
        assert program == "persistence" and run(*words).code == 0


def test_the_demo_of_real_runs_tells_what_they_did(
    run: Run, monkeypatch: pytest.MonkeyPatch, shared_dir: Path
) -> None:
    monkeypatch.delenv("PERSISTENCE_STORE")
    told = run("demo", "--tau", str(shared_dir / "data" / "tau-airline"), "--json").json
    found = {step["title"]: step["result"] for step in told["steps"]}
    assert found["Replay them"] == "100 of 100 replays are the same to the byte"
    assert len(found["Pairs to learn from"]) == 19
    ((steps, changed, before, anew, _),) = found["What if the tool had failed"]
    assert changed == before and anew > steps - changed - 20
    assert found["Verify the log"] == "no findings"
    for command in told["next"]:
        assert run(*shlex.split(command)[1:]).code == 0


def test_a_directory_without_the_airline_is_refused(run: Run, tmp_path: Path) -> None:
    ran = run("demo", "--tau", str(tmp_path))
    assert ran.code == 2 and "lacks users.json" in ran.err and "hint:" in ran.err
    assert not Path("persistence-demo.db").exists()


# ----------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_teaches_by_an_example(run: Run, name: str) -> None:
    ran = run(name, "--help")
    assert ran.code == 0 and "persistence" in ran.out.partition("Options:")[0].partition("\n")[2]


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("transact", "[{:x 1}]"),
        ("q", "[:find ?x :where [_ :item/sku ?x]]"),
        ("pull", "[*]", TEA),
        ("entity", TEA),
        ("history", TEA),
        ("log",),
        ("log", "--graph"),
        ("branch",),
        ("branch", "create", "b"),
        ("diff", "main@2", "main"),
        ("schema",),
        ("explain", PRICE),
        ("stats",),
        ("check",),
        ("reindex",),
    ],
)
def test_json_is_one_line_and_alone_on_standard_output(shop: Run, words: tuple[str, ...]) -> None:
    ran = shop("--json", *words)
    assert ran.code == 0 and ran.out.count("\n") == 1
    assert ran.json is not None
