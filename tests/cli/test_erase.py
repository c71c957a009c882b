"""`erase` and `shred`: what is gone, what is said of it, and what is asked first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

PEOPLE = """[{:db/ident :user/email :db/unique :db.unique/identity}
             {:db/ident :user/name :db/sensitive true} {:db/ident :user/note :db/sensitive true}]"""
ADA = '[:user/email "ada@example.com"]'


@pytest.fixture
def people(run: Run) -> Run:
    run("transact", PEOPLE)
    run("transact", '[{:user/email "ada@example.com" :user/name "Ada Lovelace" :user/note "tall"}]')
    return run


def test_what_is_erased_is_in_no_byte_of_any_file(people: Run) -> None:
    done = people("erase", ADA, "--reason", "asked for it", "--yes", "--json")
    assert (done.code, done.json["values"], done.json["remains"]) == (0, 2, [])
    assert people("q", "[:find ?n :where [_ :user/name ?n]]", "--json").json == []
    assert people("verify").code == 0
    for path in Path().glob("shop.db*"):
        assert b"Lovelace" not in path.read_bytes()


def test_one_attribute_may_be_erased_alone(people: Run) -> None:
    done = people("erase", ADA, "--attribute", "user/note", "--yes")
    assert done.code == 0 and "erased 1 values" in done.out
    assert people("pull", "[:user/name]", ADA).out.count("Ada Lovelace") == 1


def test_it_asks_first_and_a_no_changes_nothing(people: Run) -> None:
    refused = people("erase", ADA, input="n\n")
    assert refused.code != 0 and "for good?" in refused.err
    assert "Ada Lovelace" in people("pull", "[:user/name]", ADA).out
    assert people("erase", ADA, input="y\n").code == 0


def test_what_cannot_be_erased_is_told(people: Run) -> None:
    plain = people("erase", ADA, "--attribute", "user/email", "--yes")
    assert plain.code == 2 and ":user/email" in plain.err and "hint:" in plain.err
    nobody = people("erase", '[:user/email "eve@example.com"]', "--yes")
    assert nobody.code == 2 and "error:" in nobody.err


def test_shred_says_that_nothing_is_left(people: Run) -> None:
    people("erase", ADA, "--yes")
    assert people("shred").out == "nothing of erased values is left\n"
    assert people("shred", "--json").json == {"remains": []}
