"""What a store holds that no read of it gives: names of tables, words, columns kept twice.

Whoever can write to the files can change these as well. The fsck asks for them here, as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import apsw

from persistence.errors import StoreError
from persistence.store.dialect import FLOAT_KIND, INTEGER_KINDS
from persistence.store.migrate import migrations
from persistence.store.protocol import Snapshot, Store
from persistence.values import Payload, float_from_order, float_order

FORMAT: Final = "format"
_SQLITE_FORMAT: Final = "1"

# (a, k, payload) of a text, and its words
Words = dict[tuple[int, int, Payload], frozenset[str]]


def meta(snapshot: Snapshot) -> dict[str, str]:
    """What the store notes of itself."""
    return dict(snapshot.rows("SELECT key, value FROM meta"))


def expected_format(store: Store) -> str:
    """What `meta` says of the format of a store of this version."""
    if store.dialect.name == "sqlite":
        return _SQLITE_FORMAT  # the number of the last migration stands in the head of the file
    return str(migrations(store.dialect.name)[-1].number)


def interned(snapshot: Snapshot) -> Iterator[bytes]:
    """The content ids of all interned values."""
    return (id for (id,) in snapshot.rows("SELECT id FROM blob"))


def nodes(snapshot: Snapshot) -> list[tuple[int, int]]:
    """The places in the Merkle tree of all hashes that are kept."""
    return [(level, n) for level, n in snapshot.rows("SELECT level, n FROM tree")]


def strange(store: Store, snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    """Where tables, triggers and columns are not what this version makes them; what is expected
    there, and what is found."""
    if store.dialect.name == "sqlite":
        yield from _objects(snapshot)
    else:
        yield from _triggers(snapshot)
        for table, key in _PAYLOADS.items():
            yield from _payloads(snapshot, table, key)


def words(store: Store, snapshot: Snapshot) -> Words:
    """Every text that can be searched, and the words it is found by.

    Raises:
        StoreError: the full-text index cannot be read.
    """
    if store.dialect.name != "sqlite":
        found = snapshot.rows("SELECT a, k, s, tsvector_to_array(words) FROM fts")
        return {(a, k, payload): frozenset(terms) for a, k, payload, terms in found}
    _see_words(snapshot)
    _require_sizes(snapshot)
    held: dict[int, set[str]] = {}
    for term, doc in snapshot.rows("SELECT term, doc FROM temp.fts_instances"):
        held.setdefault(doc, set()).add(term)
    _require_found(snapshot, held)
    rows = snapshot.rows("SELECT id, a, k, v FROM text")
    texts = {(a, k, v): frozenset(held.pop(id, ())) for id, a, k, v in rows}
    return texts | {(-1, 0, doc): frozenset(terms) for doc, terms in held.items()}  # of no text


# ------------------------------------------------------------------------ SQLite


def _objects(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    expected, found = _fresh_objects(), _objects_of(snapshot.rows(_SCHEMA))
    for name in sorted(expected.keys() | found.keys()):
        kind, sql = expected.get(name) or found[name]
        if name not in found:
            yield f"{kind} {name}", "there", "not there"
        elif name not in expected:
            if kind != "index":  # one more index changes no answer
                yield f"{kind} {name}", "nothing", "something of this name"
        elif found[name] != (kind, sql):
            yield f"{kind} {name}", "as it was made", "made otherwise"


_SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema"


def _objects_of(rows: list[tuple[Any, ...]]) -> dict[str, tuple[str, str]]:
    """Tables, triggers and indexes by name; how full text keeps its own is the engine's."""
    return {
        name: (kind, sql)
        for kind, name, sql in rows
        if not name.startswith(("sqlite_", "fts_")) and sql is not None
    }


def _fresh_objects() -> dict[str, tuple[str, str]]:
    fresh = apsw.Connection(":memory:")
    try:
        for step in migrations("sqlite"):
            fresh.execute(step.sql)
        return _objects_of(fresh.execute(_SCHEMA).fetchall())
    finally:
        fresh.close()


def _see_words(snapshot: Snapshot) -> None:
    """Lets the words of the full-text index be read, through a table that only this reader has."""
    snapshot.rows("PRAGMA query_only = 0")
    try:
        snapshot.rows(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.fts_instances"
            " USING fts5vocab(main, fts, instance)"
        )
    finally:
        snapshot.rows("PRAGMA query_only = 1")


def _require_sizes(snapshot: Snapshot) -> None:
    """What the engine notes of each text, and needs to forget it again."""
    found = snapshot.rows("""
        SELECT id FROM (SELECT id FROM text EXCEPT SELECT id FROM fts_docsize)
        UNION ALL SELECT id FROM (SELECT id FROM fts_docsize EXCEPT SELECT id FROM text)
    """)
    if found:
        raise StoreError(f"text {found[0][0]} is known in part", text=found[0][0])


def _require_found(snapshot: Snapshot, held: dict[int, set[str]]) -> None:
    """Searches for every word there is: what reads them all in order needs no search."""
    counts: dict[str, int] = {}
    for terms in held.values():
        for term in terms:
            counts[term] = counts.get(term, 0) + 1
    for term, count in counts.items():
        ((hits,),) = snapshot.rows("SELECT count(*) FROM fts WHERE fts MATCH ?1", (f'"{term}"',))
        if hits != count:
            raise StoreError(
                f"a search for {term!r} finds {hits} texts, and {count} have it", word=term
            )


# ---------------------------------------------------------------------- Postgres

_TRIGGERS: Final = """
    SELECT c.relname, t.tgname, t.tgenabled::text FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal
"""
_GUARDS: Final = {
    "log_is_append_only": "log",
    "log_is_only_erased": "log",
    "tx_is_append_only": "tx",
    "attr_is_never_renamed": "attr",
    "sealed_is_append_only": "sealed",
    "sealed_is_only_erased": "sealed",
}


def _triggers(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    found = {name: (table, on) for table, name, on in snapshot.rows(_TRIGGERS)}
    for name, table in _GUARDS.items():
        if found.pop(name, None) != (table, "O"):
            yield f"trigger {name}", "there", "not there, or switched off"
    for name, (table, _) in sorted(found.items()):
        yield f"trigger {name}", "nothing", f"a trigger on {table}"


# One payload stands in several columns, and reads take those that they need.
_PAYLOADS: Final = {
    "log": ("t", "i"),
    "fact": ("seg", "a", "e", "vt", "t0"),
    "owned": ("branch", "a", "e"),
    "fts": ("a",),
}


def _payloads(
    snapshot: Snapshot, table: str, key: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    ints = ", ".join(str(k) for k in sorted(INTEGER_KINDS))
    double = "d" if table in ("log", "fact") else "NULL::float8"
    rows = snapshot.rows(f"""
        SELECT k, n, s, {double}, {", ".join(key)} FROM {table} WHERE k = {FLOAT_KIND}
            OR k IN ({ints}) AND (s <> '' OR {double} IS NOT NULL)
            OR k NOT IN ({FLOAT_KIND}, {ints}) AND (n <> 0 OR {double} IS NOT NULL)
    """)
    for k, n, s, d, *place in rows:
        number = float_from_order(n) if k == FLOAT_KIND else None
        same = number is not None and (double != "d" or _same(number, d)) and s == ""
        if not same:
            where = ", ".join(f"{name} = {x}" for name, x in zip(key, place, strict=True))
            yield f"{table} {where}", "columns that say the same", f"n {n}, s {s!r}, d {d}"


def _same(one: float, other: float | None) -> bool:
    return other is not None and float_order(one) == float_order(other)
