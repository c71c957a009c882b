"""Erases values from a Postgres store: from its tables, and then from the files of the server.

The server leaves what is deleted where it was, moves it about when it tidies a page, samples it
for its planner, and has written it to its write-ahead log before anything else. Tables are
written anew; the log is moved on until the segments that knew the values are gone or overwritten.
That takes rights that the owner of a schema may not have: then what is left is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors

from persistence.store.postgres_errors import translated
from persistence.store.postgres_open import Address, Connection, PostgresOptions, connect
from persistence.store.postgres_payload import split
from persistence.store.postgres_read import SEGMENTS
from persistence.store.protocol import Said
from persistence.values import INTERNED, interned_id

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_WHICH: Final = "e = ANY ($1::bigint[]) AND a = ANY ($2::bigint[])"
SAID: Final = f"""
    SELECT t, i, e, a, k, n, s, vf, vt, op, (salt IS NOT NULL)::int
    FROM log LEFT JOIN sealed USING (t, i) WHERE k > 0 AND {_WHICH} ORDER BY t, i
"""

_BEGIN: Final = "INSERT INTO meta (key, value) VALUES ('erasing', '')"
_END: Final = "DELETE FROM meta WHERE key = 'erasing'"
_TRACES: Final = """
    INSERT INTO meta (key, value) SELECT 'unshredded', max(t)::text FROM tx
    ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_PLACES: Final = "unnest($1::bigint[], $2::bigint[]) AS x (t, i)"
_LOG: Final = f"""
    UPDATE log SET k = 0, n = 0, s = '', d = NULL FROM {_PLACES}
    WHERE log.t = x.t AND log.i = x.i
"""
_SALT: Final = f"""
    UPDATE sealed SET salt = NULL FROM {_PLACES} WHERE sealed.t = x.t AND sealed.i = x.i
"""
_WHOLE: Final = """
    INSERT INTO sealed (t, i, hash, whole)
    SELECT t, i, hash, 1
    FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS x (t, i, hash)
"""
_FACT: Final = f"""
    DELETE FROM fact WHERE seg = ANY (ARRAY({SEGMENTS} SELECT seg FROM segment)) AND {_WHICH}
"""
_OWNED: Final = f"DELETE FROM owned WHERE {_WHICH}"
_TEXT: Final = """
    SELECT f.a, f.k, f.s FROM fts AS f
    JOIN unnest($1::bigint[], $2::bigint[], $3::text[]) AS x (a, k, s)
    ON f.a = x.a AND f.k = x.k AND f.s = x.s
"""
_STILL: Final = "SELECT DISTINCT a, k, s FROM log WHERE k > 0 AND s = ANY ($1::text[])"
_BLOB: Final = "DELETE FROM blob WHERE id = ANY ($1::bytea[])"
_FTS: Final = """
    DELETE FROM fts USING unnest($1::bigint[], $2::bigint[], $3::text[]) AS x (a, k, s)
    WHERE fts.a = x.a AND fts.k = x.k AND fts.s = x.s
"""


def keys(entities: Iterable[int], attributes: Iterable[int]) -> tuple[list[int], list[int]]:
    """The parameters of the statements that look for attributes of entities."""
    return sorted(set(entities)), sorted(set(attributes))


def erase(rows: Rows, said: Sequence[Said], whole: Sequence[tuple[int, int, bytes]]) -> None:
    """See :meth:`persistence.store.protocol.Session.erase`."""
    places = [row[0] for row in said], [row[1] for row in said]
    which = keys((row[2] for row in said), (row[3] for row in said))
    rows(_BEGIN, ())
    rows(_LOG, places)
    rows(_SALT, places)
    if whole:
        rows(_WHOLE, _columns(whole))
    rows(_END, ())
    rows(_FACT, which)
    rows(_OWNED, which)
    _forget(rows, {(a, k, split(k, v)[1]) for _, _, _, a, k, v, *_ in said})
    rows(_TRACES, ())


def _forget(rows: Rows, values: set[tuple[int, int, str]]) -> None:
    """Removes texts and interned values that the log no longer holds."""
    strings = [value for value in values if value[2]]
    texts = set(rows(_TEXT, _columns(strings))) if strings else set()
    long = {s for _, k, s in strings if k >= INTERNED}
    wanted = long | {s for _, _, s in texts}
    if not wanted:
        return
    still = set(rows(_STILL, (sorted(wanted),)))
    gone = long - {s for _, _, s in still}
    rows(_BLOB, ([interned_id(s) for s in sorted(gone)],))
    if forgotten := sorted(texts - still):
        rows(_FTS, _columns(forgotten))


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


# -------------------------------------------------------------------- shredding


_TABLES: Final = ("log", "fact", "owned", "sealed", "blob", "fts")
_STATISTICS: Final = "pg_catalog.pg_statistic"
_PAUSE: Final = 0.1  # seconds between tries, while somebody holds on to the past
_SEGMENTS_MOST: Final = 256  # of the write-ahead log that are overwritten; 4 GiB by default


def shred(address: Address, options: PostgresOptions) -> list[str]:
    """Writes the tables anew and moves the server's log on; gives what is left.

    Raises:
        StoreBusy: somebody held on to a table for too long. ConnectionLost: the server went away.
    """
    connection = connect(address, options)
    uri = str(address)
    try:
        with _patient(connection, options):
            meta = f"{address.namespace}.meta"
            marked = connection.execute(
                f"SELECT value FROM {meta} WHERE key = 'unshredded'"
            ).fetchall()
            left = [*_tables(connection, address, options), *_wal(connection, uri)]
            for (value,) in marked if not left else ():
                connection.execute(
                    f"DELETE FROM {meta} WHERE key = 'unshredded' AND value = $1", [value]
                )
            return [*left, *_elsewhere(connection, uri)]
    except psycopg.Error as error:
        raise translated(error, uri, connection) from error
    finally:
        connection.close()


@contextmanager
def _patient(connection: Connection, options: PostgresOptions) -> Iterator[None]:
    connection.execute(f"SET lock_timeout = {round(options.busy_timeout * 1000)}", prepare=False)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("RESET lock_timeout", prepare=False)


def _tables(connection: Connection, address: Address, options: PostgresOptions) -> Iterator[str]:
    names = [f"{address.namespace}.{table}" for table in _TABLES]
    connection.execute(f"ANALYZE {', '.join(names)}", prepare=False)
    end = time.monotonic() + options.busy_timeout
    for name in (*names, _STATISTICS):
        file = _file(connection, name)
        while kept := _written_anew(connection, name):
            if time.monotonic() > end:
                yield (
                    f"somebody has looked at an earlier state of {address} for more than"
                    f" {options.busy_timeout:g} s, so {kept} deleted rows of {name} are kept: end"
                    " that transaction, prepared transaction or replication slot and shred again"
                )
                break
            time.sleep(_PAUSE)
        if _file(connection, name) == file:
            yield (
                f"the user of {address} may not write {name} anew, which may hold samples of the"
                f" values: let a superuser run VACUUM (FULL) {name}"
            )


def _written_anew(connection: Connection, name: str) -> int:
    """Writes a table anew; gives how many dead rows somebody's snapshot has kept alive."""
    details: list[str] = []

    def noted(diagnostic: psycopg.errors.Diagnostic) -> None:
        details.append(diagnostic.message_detail or "")

    connection.add_notice_handler(noted)
    try:
        connection.execute(f"VACUUM (FULL, VERBOSE) {name}", prepare=False)
    finally:
        connection.remove_notice_handler(noted)
    # "3 dead row versions cannot be removed yet." in whichever language the server speaks
    counts = [detail.split()[0] for detail in details if detail.strip()]
    return sum(int(count) for count in counts if count.isdigit())


def _file(connection: Connection, name: str) -> Any:
    return connection.execute("SELECT pg_relation_filenode($1::regclass)", [name]).fetchone()


_NOW_AT: Final = "SELECT pg_walfile_name(pg_current_wal_lsn())"
_ON_DISK: Final = "SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'"
_NOTE: Final = "SELECT pg_logical_emit_message(false, 'persistence', '')"  # a switch needs a record
_SWITCH: Final = "SELECT pg_switch_wal()"


def _wal(connection: Connection, uri: str) -> Iterator[str]:
    """Moves the write-ahead log on, so that no segment of it knows what came before."""
    try:
        connection.execute(_NOTE)
        connection.execute(_SWITCH)
        connection.execute(_NOTE)
        first = _one(connection, _NOW_AT)
        connection.execute("CHECKPOINT")
        # The server keeps old segments under the names of those to come, with what is in them.
        stale = [name for (name,) in connection.execute(_ON_DISK).fetchall() if name > first]
        for _ in range(min(len(stale), _SEGMENTS_MOST) + 1):
            if not stale or _one(connection, _NOW_AT) > max(stale):
                break
            connection.execute(_NOTE)
            connection.execute(_SWITCH)
        connection.execute(_NOTE)
        now = _one(connection, _NOW_AT)
        names = [name for (name,) in connection.execute(_ON_DISK).fetchall()]
    except errors.InsufficientPrivilege:
        yield (
            f"the user of {uri} may not move the server's write-ahead log on, and it still holds"
            " erased values: let a superuser shred, or run CHECKPOINT and pg_switch_wal() until"
            " every segment that is older than this moment is gone from pg_wal or overwritten"
        )
        return
    kept = sorted(name for name in names if name < first)
    if kept:
        yield (
            f"the server of {uri} keeps {len(kept)} segments of its write-ahead log that hold"
            f" erased values, up to {kept[-1]}: see to wal_keep_size, to replication slots and to"
            " archiving that is behind, then shred again"
        )
    unwritten = sorted(name for name in stale if name in names and name > now)
    if unwritten:
        yield (
            f"the server of {uri} has {len(unwritten)} segments of its write-ahead log ready for"
            " use that it has not overwritten: shred again, or set wal_recycle to off"
        )


_ELSEWHERE: Final = {
    "archives of its write-ahead log (archive_mode is on)":
        "SELECT current_setting('archive_mode') <> 'off'",
    "replicas and slots with files of their own":
        "SELECT EXISTS (SELECT 1 FROM pg_replication_slots)"
        " OR EXISTS (SELECT 1 FROM pg_stat_replication)",
    "a log of statements and their parameters (log_statement, log_min_duration_statement)":
        "SELECT current_setting('log_statement') IN ('mod', 'all')"
        " OR current_setting('log_min_duration_statement') <> '-1'",
}  # fmt: skip


def _elsewhere(connection: Connection, uri: str) -> Iterator[str]:
    for what, sql in _ELSEWHERE.items():
        try:
            there = _one(connection, sql)
        except errors.InsufficientPrivilege:
            continue  # it cannot be seen; docs/erasure.md says that it is to be looked at
        if there:
            yield f"the server of {uri} has {what}: erase there what they hold"


def _one(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]
