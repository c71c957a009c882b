"""The same attacker at a PostgreSQL server: one field of every table, and what is kept twice."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from persistence.audit.keyfile import Keyring
from tests.audit.tampering.planted import new_keys, plant_at, told

_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def keys() -> Keyring:
    return new_keys()


@pytest.fixture(scope="module")
def store(postgres_uri: str, keys: Keyring) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A planted store, and a connection of who may do everything to its tables."""
    schema = f"tampered_{next(_schemas)}"
    uri = f"{postgres_uri}{'&' if '?' in postgres_uri else '?'}schema={schema}"
    plant_at(uri, keys)
    assert told(uri, keys) == []
    with psycopg.connect(postgres_uri, autocommit=True) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        yield uri, connection


# What is done, and where it is told; {} is what the statement that comes before it gives.
CHANGES: Final[dict[str, tuple[str, str, str]]] = {
    "meta.value": ("", "UPDATE meta SET value = '3' WHERE key = 'reserved'", "meta reserved"),
    "meta.key": ("", "INSERT INTO meta VALUES ('more', '')", "meta more"),
    "attr.ident": ("", "UPDATE attr SET ident = 'db/docs' WHERE id = 13", "attribute 13:"),
    "attr.flags": ("", "UPDATE attr SET flags = 1 WHERE ident = 'tag'", "attribute tag flags"),
    "tx.branch": ("", "UPDATE tx SET branch = 16 WHERE t = 50", "transaction t = 50 branch"),
    "tx.parent": ("", "UPDATE tx SET parent = 48 WHERE t = 50", "transaction t = 50 parent"),
    "tx.id": ("", r"UPDATE tx SET id = '\x00' WHERE t = 50", "transaction t = 50 id"),
    "tx.time": ("", "UPDATE tx SET time = time + 1 WHERE t = 50", "transaction t = 50 time"),
    "tx.next_e": ("", "UPDATE tx SET next_e = 3 WHERE t = 50", "transaction t = 50 next entity"),
    "tx.leaf": (
        "",
        "UPDATE tx SET leaf = (SELECT leaf FROM tx WHERE t = 51) WHERE t = 50",
        "transaction t = 50 leaf",
    ),
    "tx.entry": (
        "",
        "UPDATE tx SET entry = (SELECT entry FROM tx WHERE t = 51) WHERE t = 50",
        "transaction t = 50 leaf",
    ),
    "log.e": ("", "UPDATE log SET e = e + 1 WHERE t = 50", "transaction t = 50 datoms root"),
    "log.n": ("", "UPDATE log SET n = n + 1 WHERE t = 50", "transaction t = 50 datoms root"),
    "log.s": (
        "SELECT t FROM log WHERE s = 'green'",
        "UPDATE log SET s = 'greed' WHERE s = 'green'",
        "transaction t = {0} datoms root",
    ),
    "log.s of a number": ("", "UPDATE log SET s = '1' WHERE t = 50", "log t = 50, i = 0"),
    "log.n of a text": (
        "SELECT t FROM log WHERE s = 'green'",
        "UPDATE log SET n = 1 WHERE s = 'green'",
        "log t = {0}",
    ),
    "log.d": (
        "SELECT t FROM log WHERE d = 2.5",
        "UPDATE log SET d = 3.5 WHERE d = 2.5",
        "log t = {0}",
    ),
    "log.vf": ("", "UPDATE log SET vf = vf + 1 WHERE t = 50", "transaction t = 50 datoms root"),
    "log.op": ("", "UPDATE log SET op = 0 WHERE t = 50", "transaction t = 50 datoms root"),
    "log.i": ("", "UPDATE log SET i = 1 WHERE t = 50", "transaction t = 50 log"),
    "a row of log": ("", "DELETE FROM log WHERE t = 50", "transaction t = 50 log"),
    "a row of tx": ("", "DELETE FROM tx WHERE t = 50", "log t = 50"),
    "blob.data": (
        "SELECT t FROM log WHERE k >= 32 LIMIT 1",
        r"UPDATE blob SET data = '\x6161'",
        "transaction t = {0} log",
    ),
    "a row of blob": ("", r"INSERT INTO blob VALUES ('\x00', '\x01')", "interned value 00"),
    "fact.n": (
        "SELECT a FROM fact WHERE t0 = 50",
        "UPDATE fact SET n = n + 1 WHERE t0 = 50",
        "index segment 0 attribute {0}",
    ),
    "fact.ix": (
        "SELECT a FROM fact WHERE t0 = 50",
        "UPDATE fact SET ix = 1 WHERE t0 = 50",
        "index segment 0 attribute {0}",
    ),
    "fact.t1": (
        "SELECT a FROM fact WHERE t0 = 50",
        "UPDATE fact SET t1 = 60 WHERE t0 = 50",
        "index segment 0 attribute {0}",
    ),
    "fact.d": ("", "UPDATE fact SET d = 3.5 WHERE d = 2.5", "fact seg = 0"),
    "fact.d of an integer": ("", "UPDATE fact SET d = 3.5 WHERE t0 = 50", "fact seg = 0"),
    "fts.words": ("", "UPDATE fts SET words = 'red:1' WHERE s = 'no tea'", "full text attribute"),
    "fts.s": ("", "UPDATE fts SET s = 'some tea' WHERE s = 'no tea'", "full text attribute"),
    "fts.n": ("", "UPDATE fts SET n = 1 WHERE s = 'no tea'", "fts a ="),
    "owned.e": (
        "SELECT branch, e FROM owned ORDER BY e LIMIT 1",
        "UPDATE owned SET e = e + 70",
        "branch {0} fact of entity {1}",
    ),
    "branch_attr.flags": (
        "SELECT branch, min(a) FROM branch_attr GROUP BY branch",
        "UPDATE branch_attr SET flags = flags # 2",
        "branch {0} attribute {1} flags",
    ),
    "tree.hash": ("", r"UPDATE tree SET hash = '\x00'", "tree level 8, node 0"),
    "tree.level": ("", "UPDATE tree SET level = 9", "tree level 9, node 0"),
    "checkpoint": ("", "DELETE FROM checkpoint", "the newest checkpoint"),
    "sealed.hash": (
        "SELECT t FROM sealed WHERE salt IS NOT NULL",
        r"UPDATE sealed SET hash = '\x00' WHERE salt IS NOT NULL",
        "transaction t = {0} log",
    ),
    "sealed.salt": (
        "SELECT t FROM sealed WHERE salt IS NOT NULL",
        "UPDATE sealed SET salt = NULL",
        "transaction t = {0} log",
    ),
    "a guard that is off": (
        "",
        "ALTER TABLE tx DISABLE TRIGGER tx_is_append_only",
        "trigger tx_is_append_only",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_told_at_its_place(
    store: tuple[str, psycopg.Connection[Any]], keys: Keyring, what: str
) -> None:
    uri, connection = store
    ask, change, place = CHANGES[what]
    tables = ("attr", "tx", "log", "sealed")
    found = connection.execute(ask).fetchone() if ask else ()
    with _kept(connection):
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        done = connection.execute(change)
        assert done.rowcount, "nothing was changed"
        for table in tables:
            guarded = "DISABLE TRIGGER" in change and table == "tx"
            connection.execute(
                f"ALTER TABLE {table} {'DISABLE' if guarded else 'ENABLE'} TRIGGER USER"
            )
        said = told(uri, keys)
    assert any(line.startswith(place.format(*(found or ()))) for line in said), said[:8]


@contextlib.contextmanager
def _kept(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """What is changed inside is changed back afterwards, for the next one."""
    tables = [
        *("meta", "attr", "tx", "log", "blob", "fact", "fts", "owned"),
        *("branch_attr", "tree", "checkpoint", "sealed"),
    ]
    for table in tables:
        connection.execute(f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}")
    try:
        yield
    finally:
        for table in ("attr", "tx", "log", "sealed"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for table in tables:
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")
            connection.execute(f"DROP TABLE kept_{table}")
        for table in ("attr", "tx", "log", "sealed"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
