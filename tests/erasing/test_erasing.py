"""What is erased is gone from every view; what was hashed of it stands, and so does all else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from persistence import FrozenClock, Keyring, Keyword, PersistenceError, Substrate
from persistence.audit.merkle import tree_hash
from persistence.audit.record import parse_entry
from persistence.erasing import ERASE, erase, shred
from persistence.errors import (
    EntityNotFound,
    QueryError,
    SchemaError,
    StoreError,
    TransactionError,
)
from persistence.leaves import leaves
from persistence.values import Tagged, erased

SCHEMA = """[{:db/ident :p/mail :db/unique :db.unique/identity :db/sensitive true}
             {:db/ident :p/name :db/sensitive true}
             {:db/ident :p/tags :db/sensitive true :db/cardinality :db.cardinality/many}
             {:db/ident :p/visits :db/valueType :db.type/ref :db/isComponent true
              :db/cardinality :db.cardinality/many}
             {:db/ident :v/finding :db/sensitive true}
             {:db/ident :p/born :db/valueType :db.type/long}
             {:db/ident :p/key :db/tupleAttrs [:p/name :p/born]}]"""
MAIL = [Keyword("p/mail"), "ada@example.org"]


@pytest.fixture
def ada(s: Substrate) -> int:
    s.fact.transact(SCHEMA)
    report = s.fact.transact(
        [
            {"db/id": "ada", "p/mail": MAIL[1], "p/name": "Ada", "p/born": 1815, "p/tags": ["x"]},
            {"db/id": "v", "v/finding": "healthy", "v/room": 7},
            ["db/add", "ada", "p/visits", "v"],
            {"p/mail": "bob@example.org", "p/name": "Bob"},
        ]
    )
    s.fact.transact([{"p/mail": MAIL[1], "p/name": "Ada Lovelace"}])
    return report.tempids["ada"]


def rows(s: Substrate) -> list[Any]:
    with s._connection.store.snapshot() as snapshot:
        return [
            sorted(snapshot.facts(), key=repr),
            sorted(snapshot.every_owned(), key=repr),
        ]


# ------------------------------------------------------------------------- sealing


def test_sensitive_values_are_hashed_as_commitments(s: Substrate, ada: int) -> None:
    with s._connection.store.snapshot() as snapshot:
        seals = [*snapshot.sealed(0, 99)]
        names = {n: name for n, name, _ in snapshot.attributes()}
        for t in (2, 3):
            log = [*snapshot.log(t - 1, t)]
            said = {(row[1]) for row in log if names[row[3]] in _SENSITIVE}
            assert {seal[1] for seal in seals if seal[0] == t} == said
            made = leaves(snapshot, log, [seal for seal in seals if seal[0] == t], names)
            (tx,) = snapshot.transactions(t - 1, t, 1)
            assert (
                tree_hash([leaf.hash for leaf in made]) == parse_entry(tx.entry).header.datoms_root
            )
            assert not any(b"Ada" in (leaf.data or b"") for leaf in made)
        assert len({seal[2] for seal in seals}) == len(seals), "each has a salt of its own"


_SENSITIVE = {"p/mail", "p/name", "p/tags", "v/finding", "p/key"}


def test_a_transaction_without_sensitive_values_seals_nothing(s: Substrate, ada: int) -> None:
    t = s.fact.transact([{"db/id": ada, "p/born": 1816}]).t
    with s._connection.store.snapshot() as snapshot:
        names = {n: name for n, name, _ in snapshot.attributes()}
        sealed = [seal[1] for seal in snapshot.sealed(t - 1, t)]
        said = [row[1] for row in snapshot.log(t - 1, t) if names[row[3]] == "p/key"]
    assert sealed == said, "the tuple holds the name as well"
    t = s.fact.transact([{"db/id": ada, "p/shoe": 38}]).t
    with s._connection.store.snapshot() as snapshot:
        assert [*snapshot.sealed(t - 1, t)] == []


def test_ids_of_sensitive_datoms_cover_the_commitment(s: Substrate, ada: int) -> None:
    report = s.fact.transact([{"db/id": ada, "p/name": "Countess"}])
    told = {datom.id for datom in report.tx_data}
    assert told == {datom.id for datom in s.fact.db().log(report.t, report.t)}
    again = s.fact.transact([[":db/retract", ada, "p/name", "Countess"]])
    twice = s.fact.transact([{"db/id": ada, "p/name": "Countess"}])
    assert not {d.id for d in twice.tx_data} & (told | {d.id for d in again.tx_data})
    (found,) = s.fact.db().datoms("eavt", ada, "p/name")
    with pytest.raises(QueryError, match="covers the salt"):
        found.id


def test_metadata_are_not_sealed_so_sensitive_ones_are_refused(s: Substrate, ada: int) -> None:
    with pytest.raises(TransactionError, match=":p/name is sensitive") as caught:
        s.fact.transact([{"db/id": ada, "p/born": 1}], meta={"p/name": "whistleblower"})
    assert "whistleblower" not in str(caught.value) and "datomic.tx" in (caught.value.hint or "")
    t = s.fact.transact([{"db/id": "datomic.tx", "v/finding": "whistleblower"}]).t
    with s._connection.store.snapshot() as snapshot:
        assert len([*snapshot.sealed(t - 1, t)]) == 1


def test_nobody_can_say_what_only_the_log_says(s: Substrate, ada: int) -> None:
    for tag in ("db/sealed", "db/erased"):
        with pytest.raises(TransactionError, match="stands for a value"):
            s.fact.transact([{"db/id": ada, "p/name": Tagged(tag, b"x" * 32)}])


# -------------------------------------------------------------------------- erasing


def test_an_erasure_tells_what_it_did(s: Substrate, ada: int) -> None:
    before = s.fact.db()
    erasure = erase(s._connection, [MAIL], reason="asked to be forgotten", author="clerk")
    (visit,) = s.fact.db().get(ada, "p/visits")
    assert erasure.entities == (ada, visit)
    # mail, two names and the end of the first, a tag, two keys and the end of the first, a finding
    assert (erasure.values, erasure.unsalted, erasure.remains) == (9, 0, ())
    assert erasure.t == before.basis + 1
    event = s.fact.db().get(2**46 + erasure.t, "db.log/event")
    assert event == (ERASE, (ada, visit), 9)
    (tx,) = s.fact.transactions(erasure.t)
    assert tx.author == "clerk"
    assert tx.meta[Keyword("db.log/reason")] == "asked to be forgotten"


def test_erased_facts_are_gone_from_every_view(s: Substrate, ada: int) -> None:
    held, what_if = s.fact.db(), s.branch.create("what-if")
    erase(s._connection, [ada])
    for db in (
        s.fact.db(),
        held,
        s.fact.db().as_of(2),
        s.fact.db().as_of(3).history(),
        what_if.fact.db(),
    ):
        assert db.q("[:find [?v ...] :in $ ?e :where [?e :p/name ?v]]", ada) == []
        assert db.q("[:find [?e ...] :where [?e :p/name ?v]]") != []
    assert s.fact.db().entid(MAIL) is None
    assert s.fact.db().get(ada, "p/born") == 1815
    shown = [datom for datom in s.fact.db().log() if datom.e == ada and datom.a.name == "p/name"]
    assert [datom.v for datom in shown] == [erased(datom.sealed) for datom in shown]
    assert len({datom.id for datom in shown}) == len(shown) == 3
    assert s.check() == []


def test_what_was_hashed_stands(s: Substrate, ada: int) -> None:
    with s._connection.store.snapshot() as snapshot:
        before = snapshot.transactions(0, 99, 99)
    ids = [datom.id for datom in s.fact.db().log()]
    erasure = erase(s._connection, [ada])
    with s._connection.store.snapshot() as snapshot:
        assert snapshot.transactions(0, erasure.t - 1, 99) == before
    assert [datom.id for datom in s.fact.db().log(0, erasure.t - 1)] == ids
    assert s.check() == []


def test_reindexing_gives_what_erasing_left(s: Substrate, ada: int) -> None:
    what_if = s.branch.create("what-if")
    what_if.fact.transact([[":db/retract", ada, "p/name"], {"db/id": ada, "p/tags": ["y"]}])
    erase(s._connection, [ada])
    what_if.fact.transact([{"db/id": ada, "p/name": "again"}])
    left = rows(s)
    s.reindex()
    assert rows(s) == left
    assert s.check() == []


def test_a_value_can_be_used_again_and_erased_again(s: Substrate, ada: int) -> None:
    erase(s._connection, [ada])
    eve = s.fact.transact([{"db/id": "eve", "p/mail": MAIL[1], "p/name": "Eve"}]).tempids["eve"]
    assert eve != ada
    s.fact.transact([{"db/id": ada, "p/name": "Ada, once more"}])
    erasure = erase(s._connection, [eve, ada], attributes=["p/name"])
    assert (erasure.entities, erasure.values) == ((ada, eve), 4)
    assert s.fact.db().get(eve, "p/mail") == MAIL[1]
    assert s.check() == []


def test_erasing_a_name_erases_the_tuples_made_of_it(s: Substrate, ada: int) -> None:
    erase(s._connection, [ada], attributes=[":p/name"])
    assert s.fact.db().get(ada, "p/key") is None
    assert s.fact.db().get(ada, "p/mail") == MAIL[1]


def test_many_entities_have_several_tombstones(s: Substrate) -> None:
    s.fact.transact("[{:db/ident :p/name :db/sensitive true}]")
    made = s.fact.transact([{"db/id": f"e{n}", "p/name": f"n{n}"} for n in range(1_001)])
    erasure = erase(s._connection, made.tempids.values())
    assert (erasure.values, erasure.t) == (1_001, 4)
    assert s.check() == []


def test_branches_go_on_and_are_merged(s: Substrate, ada: int) -> None:
    what_if = s.branch.create("what-if")
    what_if.fact.transact([{"db/id": ada, "p/name": "other", "p/born": 1800}])
    erase(s._connection, [ada])
    assert what_if.fact.db().get(ada, "p/name") is None
    assert {d.a.name for d in s.branch.diff("main", "what-if") if d.e == ada} == {"p/born"}
    s.branch.merge("what-if")
    assert s.fact.db().get(ada, "p/born") == 1800
    assert s.check() == []


def test_a_body_that_read_what_was_erased_meanwhile_conflicts(s: Substrate, ada: int) -> None:
    def body(tx: Any) -> None:
        name = tx.db.get(ada, "p/name")
        if name is not None:
            erase(s._connection, [ada])
        tx.transact([{"db/id": ada, "p/copy": str(name)}])

    s.txn.run(body)
    assert s.fact.db().get(ada, "p/copy") == "None"
    assert s.check() == []


# ------------------------------------------------------------------------- refusals


def refused(kind: type[PersistenceError], s: Substrate, *args: Any, **options: Any) -> str:
    t = s.fact.db().basis
    with pytest.raises(kind) as caught:
        erase(s._connection, *args, **options)
    assert s.fact.db().basis == t
    shown = f"{caught.value} {caught.value.hint} {caught.value.data}"
    assert "Ada" not in shown and "example.org" not in shown
    return shown


def test_only_sensitive_attributes_are_erased(s: Substrate, ada: int) -> None:
    shown = refused(SchemaError, s, [ada], attributes=["p/born", "p/name", "p/shoe"])
    assert ":p/born, :p/shoe cannot be erased" in shown


def test_entities_must_be_known_and_hold_something(s: Substrate, ada: int) -> None:
    assert "number 2" in refused(EntityNotFound, s, [ada, [Keyword("p/mail"), "no@example.org"]])
    assert "number 1" in refused(EntityNotFound, s, [[Keyword("p/born"), 1815]])
    assert "nothing to erase of the entities" in refused(TransactionError, s, [999_999])
    assert "nothing to erase" in refused(TransactionError, s, [])
    erase(s._connection, [ada])
    assert "nothing to erase" in refused(TransactionError, s, [ada])


def test_a_transaction_function_cannot_erase(s: Substrate, ada: int) -> None:
    def greedy(db: Any) -> list[Any]:
        erase(s._connection, [ada])
        return []

    s._connection.transaction_functions = {Keyword("greedy"): greedy}
    with pytest.raises(StoreError, match="committing a transaction"):
        s.fact.transact([[":greedy"]])
    assert s.fact.db().get(ada, "p/name") == "Ada Lovelace"


FORBIDDEN = {
    "a value": "UPDATE log SET e = e WHERE t = 2",
    "a row": "DELETE FROM log WHERE t = 2",
    "a hash": "UPDATE sealed SET hash = salt WHERE t = 2",
    "a salt": "UPDATE sealed SET salt = NULL WHERE t = 2",
    "a seal": "DELETE FROM sealed WHERE t = 2",
}


ERASES = ("a salt", True)


# Everything is forbidden to an ordinary commit; one that erases may take a salt away.
@pytest.mark.parametrize(
    ("what", "erasing"),
    [
        (what, erasing)
        for what in FORBIDDEN
        for erasing in (False, True)
        if (what, erasing) != ERASES
    ],
)
def test_the_log_changes_in_no_other_way(s: Substrate, ada: int, what: str, erasing: bool) -> None:
    with pytest.raises(StoreError), s._connection.store.session() as session:
        if erasing:
            session.rows("INSERT INTO meta (key, value) VALUES ('erasing', '')")
        session.rows(FORBIDDEN[what])
    assert s.check() == []


TAMPERED = {
    "a salt": ("UPDATE sealed SET salt = hash WHERE t = 2 AND i = {i}", "the commitment to"),
    "a commitment": ("UPDATE sealed SET hash = salt WHERE t = 2 AND i = {i}", "the commitment to"),
    "a value": ("UPDATE log SET {v} = 'Eve' WHERE t = 2 AND i = {i}", "the commitment to"),
    "a seal gone": ("DELETE FROM sealed WHERE t = 2 AND i = {i}", "datoms root"),
    "a seal of nothing": ("UPDATE sealed SET i = 99 WHERE t = 2 AND i = {i}", "not in the log"),
    "a seal of no transaction": ("UPDATE sealed SET t = 99 WHERE t = 2 AND i = {i}", "sealed t"),
    "half an erasure": ("UPDATE sealed SET salt = NULL WHERE t = 2 AND i = {i}", "in part"),
    "a value put back": ("UPDATE log SET k = 9, {v} = 'Bob' WHERE t = 2 AND k = 0", "in part"),
    "no tombstone": (
        "UPDATE log SET k = 0, {v} = {none} WHERE t = 2 AND i = {i};"
        " UPDATE sealed SET salt = NULL WHERE t = 2 AND i = {i}",
        "a tombstone",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_found(s: Substrate, ada: int, what: str) -> None:
    bob = s.fact.db().entid([Keyword("p/mail"), "bob@example.org"])
    erase(s._connection, [ada])
    assert s.check() == []
    sql, found = TAMPERED[what]
    sqlite = s._connection.store.dialect.name == "sqlite"
    with s._connection.store.session() as session:
        names = {name: n for n, name, _ in session.attributes()}
        (i,) = [row[1] for row in session.log(1, 2) if row[2] == bob and row[3] == names["p/name"]]
        if sqlite:
            for (trigger,) in session.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
                session.rows(f"DROP TRIGGER {trigger}")
        else:
            session.rows("ALTER TABLE log DISABLE TRIGGER USER")
            session.rows("ALTER TABLE sealed DISABLE TRIGGER USER")
        for one in sql.split(";"):
            session.rows(one.format(i=i, v="v" if sqlite else "s", none="0" if sqlite else "''"))
    assert any(found in str(finding) for finding in s.check()), s.check()


# -------------------------------------------------------------------------- crashes


def test_an_exception_inside_the_commit_leaves_everything(s: Substrate, ada: int) -> None:
    before, t = rows(s), s.fact.db().basis

    def interrupted(prepared: Any) -> None:
        raise KeyboardInterrupt

    s._connection.checks.append(interrupted)
    with pytest.raises(KeyboardInterrupt):
        erase(s._connection, [ada])
    s._connection.checks.clear()
    assert (rows(s), s.fact.db().basis) == (before, t)
    assert s.check() == []
    assert erase(s._connection, [ada]).values == 9


KILLED = """
import os, sys
from persistence import Substrate
from persistence.erasing import erase
s = Substrate.open(sys.argv[1])
s.fact.listen(lambda report: os._exit(9))  # committed, and nothing shredded yet
erase(s._connection, [int(sys.argv[2])])
"""


def test_a_crash_before_shredding_is_told_and_made_up_for(
    s: Substrate, ada: int, uri: str, found: Callable[[bytes], list[str]]
) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, uri, str(ada)]).returncode == 9
    assert s.fact.db().get(ada, "p/name") is None
    assert found(b"Ada Lovelace") != []
    assert [finding.where for finding in s.check()] == ["files"]
    assert shred(s._connection) == ()
    assert found(b"Ada Lovelace") == []
    assert s.check() == []


def test_a_reader_of_the_past_is_waited_for_and_then_told(
    uri: str, ada: int, s: Substrate, found: Callable[[bytes], list[str]]
) -> None:
    with Substrate.open(uri, busy_timeout=0.3) as hurried:
        with s._connection.store.snapshot() as reader:
            reader.head()
            erasure = erase(hurried._connection, [ada])
            assert len(erasure.remains) >= 1
            assert "0.3 s" in erasure.remains[0] and "shred again" in erasure.remains[0]
            assert [finding.where for finding in hurried.check()] == ["files"]
        assert shred(hurried._connection) == ()
    assert found(b"Ada Lovelace") == []
    assert s.check() == []


def test_the_readers_of_this_process_see_what_is_left(s: Substrate, ada: int) -> None:
    with s._connection.store.snapshot() as reader:
        reader.head()
    erase(s._connection, [ada])
    assert s.fact.db().q("[:find [?n ...] :where [_ :p/name ?n]]") == ["Bob"]


# ---------------------------------------------------------------------- signed logs


def test_proofs_hold_in_a_signed_log(uri: str, clock: FrozenClock) -> None:
    keys = Keyring.generate("example.org/clinic", "clerk")
    with Substrate.open(uri, clock=clock, keys=keys) as s:
        s.fact.transact(SCHEMA)
        told = s.fact.transact([{"p/mail": MAIL[1], "p/name": "Ada", "p/born": 1815}])
        before = [s.audit.prove(datom).extra for datom in told.tx_data]
        root = s.audit.root()
        erasure = s.audit.erase([MAIL], reason="asked to be forgotten")
        assert s.audit.root(told.t) == root
        assert [s.audit.prove(d).extra for d in s.fact.db().log(told.t, told.t)] == before
        assert not any(b"Ada" in (extra or b"") for extra in before)
        with s._connection.store.snapshot() as snapshot:
            (tx,) = snapshot.transactions(erasure.t - 1, erasure.t, 1)
        assert parse_entry(tx.entry).header.event == (ERASE, erasure.entities, erasure.values)
        assert s.audit.verify() == []
