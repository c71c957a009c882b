"""The log is the truth: the index can be lost and comes back the same, and damage is found."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from persistence import Keyword, Substrate
from persistence.clock import FrozenClock

SCHEMA = """[{:db/ident :id :db/unique :db.unique/identity}
             {:db/ident :tag :db/cardinality :db.cardinality/many :db/index true}
             {:db/ident :note :db/fulltext true :db/valueType :db.type/string}
             {:db/ident :now :db/noHistory true}
             {:db/ident :boss :db/valueType :db.type/ref}]"""


@pytest.fixture
def s(store_uri: str) -> Iterator[Substrate]:
    clock = FrozenClock(1_800_000_000_000_000)
    with Substrate.open(store_uri, clock=clock) as opened:
        opened.fact.transact(SCHEMA)
        for n in range(30):
            clock.advance(1_000_000)
            opened.fact.transact(
                [
                    {"id": n % 7, "tag": [n, "x"], "now": n, "note": f"word{n} shared"},
                    {"id": 100, "boss": ["id", n % 7], "long": "text " * (100 + n % 3)},
                ]
            )
        opened.fact.transact([[":db/retractEntity", [Keyword("id"), 3]]], valid_from="2030-01-01")
        opened.fact.transact("[{:db/id [:db/ident :now] :db/noHistory false}]")
        opened.fact.transact([{"id": 1, "now": "after"}])
        yield opened


def rows(s: Substrate) -> list:
    with s._connection.store.snapshot() as snapshot:
        return sorted(snapshot.facts(), key=repr)


def test_a_sound_store_has_no_findings(s: Substrate) -> None:
    assert s.check() == []


def test_reindexing_gives_the_same_rows_and_answers(s: Substrate) -> None:
    question = '[:find ?id :where [(fulltext $ :note "shared") [[?e]]] [?e :id ?id]]'
    before, answer = rows(s), sorted(s.fact.db().q(question))
    assert s.reindex() == sum(1 for _ in s.fact.db().log())
    after = rows(s)
    assert (set(after) - set(before), set(before) - set(after)) == (set(), set())
    assert sorted(s.fact.db().q(question)) == answer
    assert s.check() == []


def test_a_lost_index_is_found_and_comes_back_from_the_log_alone(s: Substrate, store_uri) -> None:
    before = rows(s)
    with s._connection.store.session() as session:
        session.clear_index()
    assert s.check() != []
    s.close()
    with Substrate.open(store_uri) as again:
        again.reindex()
        assert rows(again) == before
        assert again.check() == []


DAMAGE = {
    "a value in the log": ("UPDATE log SET v = 8 WHERE t = 2 AND v = 0", "datoms root"),
    "a datom gone from the log": ("DELETE FROM log WHERE t = 3 AND i = 0", "log"),
    "an instant in the log": ("UPDATE log SET vf = vf + 1 WHERE t = 4 AND i = 0", "datoms root"),
    "a fact gone from the index": ("DELETE FROM fact WHERE seg = 0 AND v = 100", "index"),
    "a fact too many": ("INSERT INTO fact SELECT seg, a, e + 9, vt, k, v, t0, t1, vf, ix, node"
                        " FROM fact WHERE v = 100", "index"),
    "a transaction's time": ("UPDATE tx SET time = time + 1 WHERE t = 5", "time"),
    "a transaction's id": ("UPDATE tx SET id = zeroblob(32) WHERE t = 5", "id"),
    "a leaf": ("UPDATE tx SET leaf = zeroblob(32) WHERE t = 5", "leaf"),
    "the tail": ("DELETE FROM tx WHERE t = (SELECT max(t) FROM tx)", "a transaction"),
    "an interned value": ("UPDATE blob SET data = x'80'", "log"),
    "flags": ("UPDATE attr SET flags = 0", "flags"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(tmp_path, what: str) -> None:
    path = tmp_path / "store.db"
    with Substrate.open(path) as s:
        s.fact.transact(SCHEMA)
        for n in range(4):
            s.fact.transact([{"id": 100, "tag": n, "boss": "b"}, {"db/id": "b", "id": n}])
        s.fact.transact([{"id": 100, "long": "text " * 100}])
        assert s.check() == []
    sql, where = DAMAGE[what]
    file = apsw.Connection(str(path))
    for (trigger,) in list(file.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")):
        file.execute(f"DROP TRIGGER {trigger}")
    file.execute(sql)
    assert file.total_changes() > 0
    file.close()
    with Substrate.open(path) as s:
        found = s.check()
    assert any(where in str(finding) for finding in found), found
