"""Branches from a shell: begun, read, written, compared, merged and drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

TEA = '[:item/sku "tea-1"]'
PRICE = '[:find ?p . :where [?i :item/sku "tea-1"] [?i :item/price ?p]]'


def priced(price: int) -> str:
    return f"[[:db/add {TEA} :item/price {price}]]"


@pytest.fixture
def forked(shop: Run) -> Run:
    """The shop with a branch on which tea costs 15."""
    assert shop("branch", "create", "what-if").code == 0
    assert shop("--branch", "what-if", "transact", priced(15)).code == 0
    return shop


def test_a_branch_is_read_and_written_by_the_same_commands(forked: Run) -> None:
    on = ("--branch", "what-if")
    assert (forked("q", PRICE).out, forked(*on, "q", PRICE).out) == ("12\n", "15\n")
    assert forked(*on, "pull", "[:item/price]", TEA, "--json").json == {":item/price": 15}
    assert {one["v"] for one in forked(*on, "entity", TEA, "--json").json} >= {15}
    said = forked("history", TEA, ":item/price", *on, "--json").json
    assert [one["v"] for one in said if one["op"] == "assert"] == [10, 12, 15]
    assert [tx["branch"] for tx in forked(*on, "log", "--json").json] == ["what-if", *["main"] * 3]
    assert forked(*on, "explain", PRICE).code == 0
    assert forked(*on, "schema").code == 0
    assert forked(*on, "--as-of", "3", "q", PRICE).out == "12\n"
    ran = forked(*on, "transact", "--dry-run", priced(99), "--json")
    assert {one["v"] for one in ran.json["datoms"]} == {15, 99}


def test_an_import_goes_to_the_branch_that_is_named(forked: Run) -> None:
    Path("items.jsonl").write_text('{"sku": "tea-2", "price": 7}\n')
    assert forked("--branch", "what-if", "import", "items.jsonl", "--id", "item/sku").code == 0
    skus = ("q", "--json", "[:find [?s ...] :where [_ :item/sku ?s]]")
    assert forked(*skus).json == ["tea-1"]
    assert sorted(forked(*skus, "--branch", "what-if").json) == ["tea-1", "tea-2"]


def test_branches_are_listed_as_a_tree(forked: Run) -> None:
    forked("branch", "create", "deeper", "--of", "what-if")
    out = forked("branch").out.splitlines()
    assert [line.split()[0] for line in out] == ["main", "└──", "└──"]
    assert "what-if" in out[1] and "from main at t 3" in out[1] and "nothing of its own" in out[2]
    found = forked("branch", "--json").json
    assert [(one["name"], one["parent"], one["base"]) for one in found] == [
        *(("main", None, 0), ("what-if", "main", 3), ("deeper", "what-if", 5)),
    ]


def test_a_branch_may_begin_in_the_past(shop: Run) -> None:
    assert "begins at t 2 of main" in shop("branch", "create", "then", "--as-of", "2").out
    assert shop("--branch", "then", "q", PRICE).out == "10\n"
    made = shop("branch", "create", "day", "--as-of", "2026-03-15", "--json").json
    assert (made["base"], made["t"], made["id"]) == (2, 0, None)


def test_a_difference_is_a_table_of_what_is_added_and_taken_away(forked: Run) -> None:
    ran = forked("diff", "main", "what-if")
    rows = [line.split() for line in ran.out.splitlines()[2:]]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        *(("-", ":item/price", "12"), ("+", ":item/price", "15")),
    ]
    assert "2 datoms turn main into what-if" in ran.err
    back = forked("diff", "what-if", "main", "--json").json
    assert [(one["v"], one["op"]) for one in back] == [(15, "retract"), (12, "assert")]
    assert forked("diff", "main@3", "main", "--json").json == []
    assert [one["v"] for one in forked("diff", "main@2", "main@3", "--json").json] == [10, 12]


def test_a_merge_takes_over_what_changed(forked: Run) -> None:
    planned = forked("merge", "what-if", "--dry-run")
    assert planned.code == 0 and "would take 1 datom of what-if into main" in planned.out
    assert forked("q", PRICE).out == "12\n"
    ran = forked("merge", "what-if", "--author", "ada", "--meta", '{:why "it went well"}')
    assert ran.code == 0 and "took 1 datom of what-if into main" in ran.out
    assert forked("q", PRICE).out == "15\n"
    last = forked("log", "--json").json[0]
    assert (last["author"], last["merged"], last["meta"][":why"]) == (
        *("ada", "what-if", "it went well"),
    )
    assert forked("merge", "main", "--into", "what-if", "--json").json["conflicts"] == []


def test_conflicts_are_listed_and_stop_a_merge(forked: Run) -> None:
    forked("transact", priced(14))
    ran = forked("merge", "what-if")
    assert ran.code == 1 and ran.err.startswith("error: what-if and main disagree in 1 place")
    assert "hint: settle them with --resolve" in ran.err
    head, _, row = ran.out.splitlines()
    assert head.split()[-3:] == ["had", "ours", "theirs"]
    assert row.split()[-3:] == ["12", "14", "15"]
    assert forked("q", PRICE).out == "14\n", "nothing was written"
    assert forked("merge", "what-if", "--dry-run").code == 1
    told = forked("merge", "what-if", "--json")
    (conflict,) = told.json["conflicts"]
    assert told.code == 1 and told.json["t"] is None
    assert [conflict[side] for side in ("base", "ours", "theirs")] == [12, 14, 15]


@pytest.mark.parametrize(
    ("words", "price"),
    [
        (("--resolve", "ours"), "14"),
        (("--resolve", "theirs"), "15"),
        (("--resolve-attribute", ":item/price=theirs"), "15"),
        (("--resolve", "theirs", "--resolve-attribute", "item/price=ours"), "14"),
    ],
)
def test_conflicts_are_settled_by_a_side(forked: Run, words: tuple[str, ...], price: str) -> None:
    forked("transact", priced(14))
    ran = forked("merge", "what-if", *words, "--json")
    assert ran.code == 0 and len(ran.json["resolved"]) == 1
    assert forked("q", PRICE).out.strip() == price


def test_a_discarded_branch_is_hidden_and_can_still_be_read(forked: Run) -> None:
    assert forked("branch", "discard", "what-if").code == 0
    assert "what-if" not in forked("branch").out
    assert "discarded" in forked("branch", "--all").out
    assert forked("--branch", "what-if", "q", PRICE).out == "15\n"
    for words in (("--branch", "what-if", "transact", priced(1)), ("merge", "what-if")):
        ran = forked(*words)
        assert ran.code == 2 and "was discarded" in ran.err


def test_the_graph_draws_every_line_with_its_merges(forked: Run) -> None:
    forked("branch", "create", "deeper", "--of", "what-if")
    forked("--branch", "deeper", "transact", priced(16))
    forked("merge", "deeper", "--into", "what-if")
    forked("merge", "what-if")
    forked("branch", "create", "new")
    rows = forked("log", "--graph").out.splitlines()[2:]
    drawn = [line[:6].rstrip() for line in rows]
    assert drawn == [
        *("●", "●", "├─╮", "│ ●", "│ ├─╮", "│ │ ●", "● │ │", "│ ├─╯"),
        *("│ ●", "● │", "├─╯", "●", "●", "●"),
    ]
    assert "begins new" in rows[0] and "main (new)" in rows[1] and "merges what-if" in rows[1]
    told = forked("log", "--graph", "--json").json
    assert [(tx["t"], tx["branch"], tx["parent"], tx["merged"]) for tx in told[1:5]] == [
        *((9, "main", 6, "what-if"), (8, "what-if", 5, "deeper"), (7, "deeper", 5, None)),
        *((6, "main", 4, None),),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--branch", "nowhere", "q", PRICE), "no branch 'nowhere'"),
        (("--branch", "nowhere", "transact", "[{:x 1}]"), "no branch 'nowhere'"),
        (("--branch", "what-if", "check"), "--branch chooses what is read"),
        (("--branch", "what-if", "log", "--graph"), "--graph draws all branches"),
        (("branch", "create", "what-if"), "there is a branch 'what-if' already"),
        (("branch", "create", "x", "--of", "nowhere"), "no branch 'nowhere'"),
        (("branch", "create", "x", "--valid-at", "2026-01-01"), "--valid-at chooses"),
        (("branch", "discard", "main"), "main line cannot be discarded"),
        (("diff", "main", "nowhere"), "no branch 'nowhere'"),
        (("diff", "main@99", "main"), "99"),
        (("merge", "what-if", "--into", "what-if"), "into itself"),
        (("merge", "what-if", "--resolve-attribute", "x"), "not of the form ATTR=ours"),
        (("merge", "what-if", "--dry-run", "--author", "ada"), "writes nothing"),
    ],
)
def test_what_cannot_be_done_is_said(forked: Run, words: tuple[str, ...], said: str) -> None:
    ran = forked(*words)
    assert ran.code == 2 and said in ran.err and ran.err.startswith("error: ")
    assert len(forked("log", "--json").json) == 4, "nothing was written"


def test_a_branch_of_a_store_that_is_not_there_makes_none(run: Run) -> None:
    ran = run("--branch", "b", "transact", "[{:x 1}]")
    assert ran.code == 2 and "no store" in ran.err and not Path("shop.db").exists()
