"""Erases values from a SQLite store: from its tables, and then from the bytes of its files.

SQLite leaves what is deleted where it was: in free pages, in the gaps of pages that were split
long ago, and in the write-ahead log. So once a commit has erased, the log is emptied and all that
is no content of the file is overwritten. docs/adr/0012 tells why neither VACUUM nor
`secure_delete` do this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, Final

import apsw

from persistence.errors import CorruptStore
from persistence.store.protocol import Said
from persistence.store.sqlite_errors import translated
from persistence.store.sqlite_open import SqliteOptions, connect
from persistence.store.sqlite_read import SEGMENTS
from persistence.store.sqlite_slack import Layout, UnknownLayout
from persistence.values import INTERNED, interned_id

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
Many = Callable[[str, Sequence[Sequence[Any]]], None]

_WHICH: Final = "e IN (SELECT value FROM json_each(?1)) AND a IN (SELECT value FROM json_each(?2))"
SAID: Final = f"""
    SELECT t, i, e, a, k, v, vf, vt, op, salt IS NOT NULL
    FROM log LEFT JOIN sealed USING (t, i) WHERE k > 0 AND {_WHICH} ORDER BY t, i
"""

_BEGIN: Final = "INSERT INTO meta (key, value) VALUES ('erasing', '')"
_END: Final = "DELETE FROM meta WHERE key = 'erasing'"
_TRACES: Final = (
    "INSERT INTO meta (key, value) SELECT 'unshredded', max(t) FROM tx WHERE true"
    " ON CONFLICT DO UPDATE SET value = excluded.value"
)
_LOG: Final = "UPDATE log SET k = 0, v = 0 WHERE t = ?1 AND i = ?2"
_SALT: Final = "UPDATE sealed SET salt = NULL WHERE t = ?1 AND i = ?2"
_WHOLE: Final = "INSERT INTO sealed (t, i, salt, hash, whole) VALUES (?1, ?2, NULL, ?3, 1)"
_FACT: Final = (
    f"{SEGMENTS} DELETE FROM fact WHERE seg IN (SELECT seg FROM segment)"
    " AND a IN (SELECT value FROM json_each(?2)) AND e IN (SELECT value FROM json_each(?1))"
)
_OWNED: Final = f"DELETE FROM owned WHERE {_WHICH}"
_TEXT: Final = """
    SELECT t.id, t.a, t.k, t.v FROM json_each(?1) AS j CROSS JOIN text AS t
    ON t.a = j.value ->> 0 AND t.k = j.value ->> 1 AND t.v = j.value ->> 2
"""
_STILL: Final = """
    SELECT DISTINCT a, k, v FROM log
    WHERE k IN (SELECT value FROM json_each(?1)) AND v IN (SELECT value FROM json_each(?2))
"""
_SAMPLES: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4'"


def keys(entities: Iterable[int], attributes: Iterable[int]) -> tuple[str, str]:
    """The parameters of the statements that look for attributes of entities."""
    return _json(sorted(set(entities))), _json(sorted(set(attributes)))


def erase(
    rows: Rows, many: Many, said: Sequence[Said], whole: Sequence[tuple[int, int, bytes]]
) -> None:
    """See :meth:`persistence.store.protocol.Session.erase`."""
    places = [row[:2] for row in said]
    which = keys((row[2] for row in said), (row[3] for row in said))
    rows(_BEGIN, ())
    many(_LOG, places)
    many(_SALT, places)
    many(_WHOLE, whole)
    rows(_END, ())
    rows(_FACT, which)
    rows(_OWNED, which)
    _forget(rows, many, {(a, k, v) for _, _, _, a, k, v, *_ in said})
    if rows(_SAMPLES, ()):
        rows("DELETE FROM sqlite_stat4", ())  # values that ANALYZE took as samples
    rows(_TRACES, ())


def _forget(rows: Rows, many: Many, values: set[tuple[int, int, Any]]) -> None:
    """Removes texts and interned values that the log no longer holds."""
    strings = [value for value in values if type(value[2]) is str]
    texts = rows(_TEXT, (_json(strings),)) if strings else []
    long = {v for _, k, v in strings if k >= INTERNED}
    wanted = long | {v for _, _, _, v in texts}
    if not wanted:
        return
    kinds = sorted({k for _, k, v in strings if v in wanted})
    still = set(rows(_STILL, (_json(kinds), _json(sorted(wanted)))))
    many("DELETE FROM blob WHERE id = ?1", [
        (interned_id(v),) for v in sorted(long - {v for _, _, v in still})
    ])  # fmt: skip
    gone = [(number,) for number, *value in texts if tuple(value) not in still]
    if gone:
        many("DELETE FROM fts WHERE rowid = ?1", gone)
        many("DELETE FROM text WHERE id = ?1", gone)
        # Until its segments are merged, full text only notes that the words are gone.
        rows("INSERT INTO fts (fts) VALUES ('optimize')", ())


# -------------------------------------------------------------------- shredding


_AT_ONCE: Final = 65_536  # bytes that are read and written in one call; SQLite's own limit is 128K
_OVERFLOW: Final = "SELECT pageno, unused FROM dbstat WHERE pagetype = 'overflow'"
_SHREDDED: Final = """
    INSERT INTO meta (key, value) VALUES ('unshredded', '') ON CONFLICT DO NOTHING;
    DELETE FROM meta WHERE key = 'unshredded'
"""


def shred(path: Path, uri: str, options: SqliteOptions) -> list[str]:
    """Empties the write-ahead log, and overwrites whatever is no content of the file with zeros.

    Gives what is left.

    Raises:
        StoreBusy: another writer held on for too long. CorruptStore: the file is damaged.
    """
    connection = connect(path, options, writable=True)
    try:
        with closing(connect(path, options, writable=True)) as keeper:
            left = _alone(connection, keeper, path, uri, options)
            if not left:
                _overwritten(connection, path, uri, options)
                # This commit also has every other connection forget the pages that it remembers,
                # slack and all: without it they would write that back with their next change.
                keeper.execute(_SHREDDED)
                keeper.execute("COMMIT")
            return left
    except apsw.Error as error:
        raise translated(error, uri, connection) from error
    finally:
        connection.close(True)


def _alone(
    connection: apsw.Connection,
    keeper: apsw.Connection,
    path: Path,
    uri: str,
    options: SqliteOptions,
) -> list[str]:
    """Lets *keeper* hold the write lock while the write-ahead log is empty: then nobody writes to
    the file, and nobody reads anything but the file. Gives what stood in the way."""
    end = monotonic() + options.busy_timeout
    while True:
        ((held, *_),) = connection.execute("PRAGMA wal_checkpoint (TRUNCATE)").fetchall()
        if held:
            return [
                f"somebody has read an earlier state of {uri}, or written to it, for more than"
                f" {options.busy_timeout:g} s, so the file and its write-ahead log"
                f" {path.name}-wal still hold erased values: end that reader and shred again"
            ]
        keeper.execute("BEGIN IMMEDIATE")
        ((_, frames, _),) = connection.execute("PRAGMA wal_checkpoint (PASSIVE)").fetchall()
        if not frames:
            return []
        keeper.execute("ROLLBACK")  # somebody has written in between
        if monotonic() > end:
            return [f"others never ceased to write to {uri}: shred again when they rest"]


def _overwritten(connection: apsw.Connection, path: Path, uri: str, options: SqliteOptions) -> None:
    # Opened by SQLite, which knows that closing a file drops the locks of the whole process.
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
    file = apsw.VFSFile(options.vfs or "", str(path.absolute()), flags)
    try:
        overflow: list[Any] = connection.execute(_OVERFLOW).fetchall()
        layout = Layout.of(file.xRead, overflow)
        size = file.xFileSize()
        for place in range(0, size, _AT_ONCE):
            data = bytearray(file.xRead(min(_AT_ONCE, size - place), place))
            first = place // layout.page + 1
            pages = range(0, len(data), layout.page)
            cleaned = [layout.cleaned(first + n, data, at) for n, at in enumerate(pages)]
            if any(cleaned):
                file.xWrite(bytes(data), place)
        if options.synchronous != "OFF":
            file.xSync(apsw.SQLITE_SYNC_FULL)
    except UnknownLayout as error:
        raise CorruptStore(
            f"the file of {uri} is not as a store's is: {error}",
            hint="run `persistence check`; VACUUM, which writes the file anew, may help",
            uri=uri,
        ) from error
    finally:
        file.xClose()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
