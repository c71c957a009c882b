"""Nothing of an erased value is found in the bytes of any file; nothing else is lost."""

from __future__ import annotations

import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import psycopg
import pytest

from persistence import Keyword, Substrate
from persistence.erasing import erase, shred
from persistence.values import columns

SCHEMA = """[{:db/ident :p/id :db/unique :db.unique/identity}
             {:db/ident :p/secret :db/sensitive true}
             {:db/ident :p/found :db/sensitive true :db/index true}
             {:db/ident :p/many :db/sensitive true :db/cardinality :db.cardinality/many}
             {:db/ident :p/text :db/sensitive true :db/fulltext true
              :db/valueType :db.type/string}
             {:db/ident :p/note :db/fulltext true :db/valueType :db.type/string}]"""

Scan = Callable[[bytes], list[str]]

DECIMAL = Decimal("31415926535.8979323846")

# A value, and what of it is searched for in the files.
VALUES: dict[str, tuple[Any, list[bytes]]] = {
    "a short string": ("xylophonist", [b"xylophonist"]),
    "a long string": ("quinquagenarian " * 40, [b"quinquagenarian"]),
    "a huge string": ("".join(f"n{n}zyzzyva" for n in range(9_000)), [b"zyzzyva"]),
    "a keyword": (Keyword("mnemonic/oxymoron"), [b"mnemonic/oxymoron"]),
    "bytes": (bytes.fromhex("c0ffee15600d") * 3, [b"c0ffee15600d", b"\xc0\xff\xee\x15\x60\x0d"]),
    "a uuid": (UUID("deadbeef-0bad-4ace-8bed-facade123456"), [b"deadbeef0bad4ace8bedfacade123456"]),
    "an integer": (
        0x6B65_7973_6563_7265,  # eight bytes that read "keysecre"
        [b"keysecre", b"ercesyek", str(0x6B65_7973_6563_7265).encode()],
    ),
    "a float": (
        1.2345678912345e300,
        [struct.pack(">d", 1.2345678912345e300), struct.pack("<d", 1.2345678912345e300)],
    ),
    "a decimal": (DECIMAL, [str(columns(DECIMAL)[1]).encode()]),
    "a vector": (("perspicacious", 7), [b"perspicacious"]),
    "a map": ({Keyword("kumquat/vat"): "obstreperous"}, [b"obstreperous".hex().encode()]),
}  # fmt: skip


def of(s: Substrate, id: str) -> int:
    e = s.fact.db().entid([Keyword("p/id"), id])
    assert e is not None
    return e


@pytest.fixture
def filled(s: Substrate) -> Substrate:
    s.fact.transact(SCHEMA)
    for n in range(40):
        s.fact.transact([{"p/id": f"other-{n}", "p/secret": f"stays-{n}", "p/note": f"w{n} kept"}])
    return s


@pytest.mark.parametrize("what", VALUES)
def test_no_file_holds_an_erased_value(filled: Substrate, found: Scan, what: str) -> None:
    s, (value, needles) = filled, VALUES[what]
    s.fact.transact([{"p/id": "ada", "p/secret": value, "p/found": value, "p/many": [value]}])
    assert any(found(needle) for needle in needles), "what is searched for was there"
    erasure = erase(s._connection, [of(s, "ada")])
    assert (erasure.values, erasure.unsalted, erasure.remains) == (3, 0, ())
    assert [found(needle) for needle in needles] == [[]] * len(needles)
    assert s.check() == []
    assert found(b"stays-7")


def test_neither_does_one_hold_what_was_replaced_retracted_or_said_on_a_branch(
    filled: Substrate, found: Scan
) -> None:
    s = filled
    s.fact.transact([{"p/id": "ada", "p/secret": "zugzwang one", "p/many": ["zugzwang two"]}])
    e = of(s, "ada")
    s.fact.transact([[":db/add", e, "p/secret", "zugzwang three"]], valid_from="2020-01-01")
    what_if = s.branch.create("what-if")
    what_if.fact.transact([[":db/add", e, "p/secret", "zugzwang four"]])
    what_if.fact.transact([[":db/retract", e, "p/many", "zugzwang two"]])
    s.fact.transact([[":db/retractEntity", e]])
    s._connection.store.analyze()  # whose samples are values
    assert found(b"zugzwang")
    erasure = erase(s._connection, [e])
    assert erasure.entities == (e,) and erasure.remains == ()
    assert found(b"zugzwang") == []
    assert s.check() == []
    assert what_if.fact.db().get(e, "p/secret") is None


def test_full_text_forgets_the_words(filled: Substrate, found: Scan) -> None:
    s = filled
    s.fact.transact([{"p/id": "ada", "p/text": "the gallimaufry of words"}])
    s.fact.transact([{"p/id": "ada", "p/text": "another Gallimaufry " * 30}])
    s.fact.transact([{"p/id": "bob", "p/text": "borborygmus is kept"}])
    assert found(b"gallimaufry")
    erase(s._connection, [of(s, "ada")])
    assert found(b"gallimaufry") == found(b"Gallimaufry") == []
    ask = "[:find [?e ...] :in $ ?w :where [(fulltext $ :p/text ?w) [[?e]]]]"
    db = s.fact.db()
    assert list(db.q(ask, "gallimaufry")) == []
    assert list(db.q(ask, "borborygmus")) == [of(s, "bob")]
    assert list(db.q('[:find [?e ...] :where [(fulltext $ :p/note "w7") [[?e]]]]')) != []
    assert s.check() == []


@pytest.mark.parametrize("words", ["short hullabaloo", "long hullabaloo " * 40])
def test_what_others_say_too_stays(filled: Substrate, found: Scan, words: str) -> None:
    s = filled
    s.fact.transact([{"p/id": "ada", "p/text": words, "p/note": words}])
    s.fact.transact([{"p/id": "bob", "p/text": words}])
    ada, bob = of(s, "ada"), of(s, "bob")
    erase(s._connection, [ada])
    db = s.fact.db()
    assert (db.get(ada, "p/text"), db.get(ada, "p/note"), db.get(bob, "p/text")) == (
        None,
        words,
        words,
    )
    ask = '[:find [?e ...] :in $ ?a :where [(fulltext $ ?a "hullabaloo") [[?e]]]]'
    assert list(db.q(ask.replace('?a "', ':p/text "').replace(" :in $ ?a", ""))) == [bob]
    assert s.check() == []
    erase(s._connection, [bob])
    assert s.fact.db().get(ada, "p/note") == words
    assert s.check() == []


def test_a_value_written_before_its_attribute_was_sensitive(s: Substrate, found: Scan) -> None:
    s.fact.transact(
        [{"db/id": "a", "early/bird": "whippersnapper", "early/long": "flimflam " * 50}]
    )
    s.fact.transact(
        "[{:db/ident :early/bird :db/sensitive true} {:db/ident :early/long :db/sensitive true}]"
    )
    s.fact.transact([[":db/add", 1, "early/bird", "whippersnapper too"]])
    erasure = erase(s._connection, [1])
    assert (erasure.values, erasure.unsalted) == (4, 2)
    assert found(b"whippersnapper") == found(b"flimflam") == []
    assert s.check() == []


def test_shredding_can_be_repeated(filled: Substrate) -> None:
    assert shred(filled._connection) == shred(filled._connection) == ()
    assert filled.check() == []


def test_a_role_without_rights_on_the_server_is_told_what_is_left(own_database: str) -> None:
    name = urlsplit(own_database).path.removeprefix("/")
    with psycopg.connect(own_database, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE clerk_{name} LOGIN")
        admin.execute(f"GRANT ALL ON DATABASE {name} TO clerk_{name}")
    place = parse_qs(urlsplit(own_database).query)["host"][0]
    uri = f"postgresql://clerk_{name}@/{name}?host={place}"
    with Substrate.open(uri) as s:
        s.fact.transact(SCHEMA)
        s.fact.transact([{"p/id": "ada", "p/secret": "taradiddle"}])
        erasure = s.audit.erase([of(s, "ada")])
        samples, wal = erasure.remains
        assert "VACUUM (FULL) pg_catalog.pg_statistic" in samples
        assert "write-ahead log" in wal and "superuser" in wal
        assert "taradiddle" not in samples + wal
        assert [finding.where for finding in s.check()] == ["files"]
    with Substrate.open(own_database) as s:
        assert s.audit.shred() == ()
        assert s.check() == []
