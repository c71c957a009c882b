"""Bad input: exit code 2, one clear sentence with place and cause, and nothing changed."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from persistence import Substrate
from tests.cli.conftest import Run

TEA = '[:item/sku "tea-1"]'


@pytest.mark.parametrize(
    ("words", "told"),
    [
        # Malformed EDN, with its place.
        (("transact", "[{:a 1]"), "line 1, column 7"),
        (("transact", "[{:a 1}] 2"), "begins a second"),
        (("transact", "[{:a 1 :a 2}]"), "comes twice"),
        (("transact", "[]", "--meta", "{:a"), "(in --meta)"),
        (("transact", "[]", "--meta", "7"), "--meta is no map"),
        (("q", "[:find"), "(in QUERY)"),
        (("q", "[:find ?x :in $ ?x]", ")"), "(in INPUT 1)"),
        (("transact", "@nowhere.edn"), "nowhere.edn cannot be read"),
        # Transactions.
        (("transact", "{:a 1}"), "put it in brackets"),
        (("transact", "[{:db/ident :a :db/valueType :db.type/number}]"), ":db.type/number"),
        (("transact", "[{:db/ident :a :db/valueType :db.type/long} {:a 1.5}]"), "db.type/long"),
        (("transact", "[{:item/sku nil}]"), "nil"),
        (("transact", '[[:db/add [:item/sku "no"] :item/price 1]]'), "'no'"),
        (("transact", "[[:db/add [:item/price 10] :item/price 1]]"), "needs a unique attribute"),
        (("transact", f"[[:db/cas {TEA} :item/price 11 13]]"), "not 11"),
        (("transact", "[[:no/such 1]]"), ":no/such"),
        # Time.
        (
            ("transact", "[{:a 1}]", "--valid-from", "2026-02-01", "--valid-to", "2026-01-01"),
            "ends before it starts",
        ),
        (
            ("transact", "[{:a 1}]", "--valid-from", "2026-02-01", "--valid-to", "2026-02-01"),
            "is empty",
        ),
        (("transact", "[{:a 1}]", "--valid-from", "2026-02-01T10:00:00"), "no time zone"),
        (("transact", "[{:a 1}]", "--valid-from", "soon"), "'soon' is no instant"),
        (("--valid-at", "2026-02-01T10:00:00", "q", "[:find ?e :where [?e :a]]"), "no time zone"),
        (("--as-of", "99", "q", "[:find ?e :where [?e :a]]"), "the log ends at t = 3"),
        (("--as-of", "ab" * 32, "q", "[:find ?e :where [?e :a]]"), "no transaction has the id"),
        (("--at", "2026-01-01", "--as-of", "1", "schema"), "leave out"),
        # Queries.
        (("q", "[:find ?e ?x :where [?e :a]]"), "?x"),
        (("q", "[:find ?e :in $ % :where (nope ?e)]", "[]"), "nope"),
        (("q", "[:find ?e :where [?e :a] [(nope ?e)]]"), "nope"),
        (("q", "[:find ?e :in $ ?x :where [?e :a ?x]]"), "too few inputs"),
        (("q", "[:find ?e :where [?e ?a]]", "--rows", "1"), "rows"),
        (("q", "[:find ?e :where [?e :a]]", "--json", "--edn"), "choose one"),
        (("pull", "[7]", TEA), "7"),
        (("pull", "[*]", "[:item/price 10]"), "unique"),
        # Misuse.
        (("nothing",), "no such command"),
        (("q",), "missing argument"),
        (("q", "[]", "--colour", "red"), "no such option"),
        (("--as-of", "1", "transact", "[{:a 1}]"), "--as-of"),
        (("--at", "2026-01-01", "check"), "--at"),
        (("transact", "[]", "--dry-run", "--author", "me"), "--author"),
        (("--store", "nowhere.db", "stats"), "there is no store at nowhere.db"),
        (("--store", "mysql://x/y", "stats"), "no backend reads mysql://"),
        (("import", "nowhere.json"), "nowhere.json cannot be read"),
        (("import", "nowhere"), "does not tell the format"),
        (("import", "x.json", "--type", "a"), "NAME=VALUE"),
        (("import", "x.json", "--schema", "nowhere.edn"), "cannot be read"),
    ],
)
def test_bad_input_is_told_and_changes_nothing(
    shop: Run, words: tuple[str, ...], told: str
) -> None:
    before = Path("shop.db").read_bytes()
    head = shop("log", "--json", "--limit", "1").json
    Path("x.json").write_text("[]")
    ran = shop(*words)
    assert ran.code == 2, ran
    assert ran.out == "" and ran.err.startswith("error: ") and told in ran.err, ran.err
    assert "Traceback" not in ran.err
    assert shop("log", "--json", "--limit", "1").json == head
    assert Path("shop.db").read_bytes() == before
    assert not Path("nowhere.db").exists()


def test_conflicts_are_told_all_at_once(shop: Run) -> None:
    forms = f"[[:db/add {TEA} :item/price 1] [:db/add {TEA} :item/price 2]" \
        f" [:db/add {TEA} :item/name 3] [:db/add {TEA} :item/name 4]]"  # fmt: skip
    ran = shop("transact", forms)
    assert ran.code == 2 and ":item/price" in ran.err and ":item/name" in ran.err


def test_a_query_over_its_time_is_stopped(run: Run) -> None:
    with Substrate.open("shop.db") as s:
        s.fact.transact([{"n": n} for n in range(3000)])
    query = "[:find (count ?c) . :with ?a ?b :where [?a :n ?x] [?b :n ?y] [?c :n ?z]"
    ran = run("q", query + " [(< ?x ?y)] [(< ?y ?z)]]", "--seconds", "0.05")
    assert ran.code == 2 and "budget" in ran.err


def test_no_store_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSISTENCE_STORE")
    ran = run("stats")
    assert ran.code == 2 and "hint: give --store" in ran.err


def test_a_file_that_is_no_store(run: Run) -> None:
    Path("shop.db").write_text("shopping list\n" * 100)
    ran = run("stats")
    assert ran.code == 2 and "not a store" in ran.err
    assert Path("shop.db").read_text().startswith("shopping list")


def test_a_database_of_another_program(run: Run) -> None:
    with sqlite3.connect("shop.db") as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    ran = run("transact", "[{:a 1}]")
    assert ran.code == 2 and "another program" in ran.err


def test_a_store_of_a_later_version(shop: Run) -> None:
    with sqlite3.connect("shop.db") as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    ran = shop("stats")
    assert ran.code == 2 and "has format 9999" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run as another user")
def test_a_file_that_cannot_be_written(shop: Run) -> None:
    Path("shop.db").chmod(0o400)
    assert shop("transact", "[{:a 1}]").code == 2


def test_a_directory_is_no_store(run: Run) -> None:
    ran = run("--store", ".", "stats")
    assert ran.code == 2 and "is a directory" in ran.err


def test_stored_text_cannot_steer_a_terminal(run: Run) -> None:
    run("transact", "-", input='[{:x "\\u001b[2J"}]')
    for words in (("q", "[:find ?x :where [_ :x ?x]]"), ("q", "[:find ?x . :where [_ :x ?x]]")):
        assert "\x1b" not in run(*words).out
