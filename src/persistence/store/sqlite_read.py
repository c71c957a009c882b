"""Reads of a SQLite store.

Each bulk read is one statement, whatever the number of its keys: they travel as one JSON text,
which SQLite unfolds with `json_each`. A single key has its own, plainer statement, because point
reads are the most frequent of all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final

import apsw

from persistence.store.dialect import Column
from persistence.store.dialect_sqlite import SQLITE
from persistence.store.protocol import (
    BEFORE_ALL,
    OPEN_T,
    FactRow,
    Head,
    Live,
    Owned,
    Sealed,
    TxRow,
)
from persistence.store.sqlite_errors import translated
from persistence.values import Payload

_HEAD: Final = "SELECT t, id, time, leaf, next_e FROM tx ORDER BY t DESC LIMIT 1"
_BEFORE_ANY: Final = Head(0, b"", 0, b"", 1)

# What is live now; with ?2 bound, what was known at that t. What ends at ?3 or before is left
# out: a cell that was written a thousand times has a thousand facts, and one that still holds.
# ?4 and later are the keys.
_NOW: Final = "f.seg IN (?1, ?1 + 1) AND ?2 IS NULL AND f.vt > ?3"
_THEN: Final = "f.seg IN (?1, ?1 + 1, ?1 + 2) AND f.t0 <= ?2 AND f.t1 > ?2 AND f.vt > ?3"
_SELECT: Final = "SELECT f.e, f.a, f.k, f.v, f.vf, f.vt, f.t0 FROM"

_ONE_PAIR: Final = f"{_SELECT} fact AS f WHERE {{view}} AND f.a = ?5 AND f.e = ?4"
# The most frequent of all: two searches of the key are faster than one over a list of segments.
_ONE_PAIR_NOW: Final = " UNION ALL ".join(
    f"{_SELECT} fact AS f WHERE f.seg = {seg} AND ?2 IS NULL AND f.vt > ?3"
    " AND f.a = ?5 AND f.e = ?4"
    for seg in ("?1", "?1 + 1")
)
_PAIRS: Final = f"""
    WITH g AS MATERIALIZED (SELECT value ->> 0 AS a, value -> 1 AS es FROM json_each(?4))
    {_SELECT} g CROSS JOIN json_each(g.es) AS j CROSS JOIN fact AS f
    ON {{view}} AND f.a = g.a AND f.e = j.value
"""
_ONE_ENTITY: Final = f"{_SELECT} fact AS f INDEXED BY eavt WHERE {{view}} AND f.e = ?4"
_ENTITIES: Final = f"""
    {_SELECT} json_each(?4) AS j CROSS JOIN fact AS f INDEXED BY eavt
    ON {{view}} AND f.e = j.value
"""
_ONE_VALUE: Final = (
    f"{_SELECT} fact AS f WHERE {{view}} AND f.a = ?4 AND f.k = ?5 AND f.v = ?6 AND f.ix = 1"
)
_KEYS: Final = (Column("a", "k"), Column("k", "k"), Column("v", "v"))
_VALUES: Final = f"""
    WITH g (a, k, v) AS ({SQLITE.relation(_KEYS, ["?4"])})
    {_SELECT} g CROSS JOIN fact AS f
    ON {{view}} AND f.a = g.a AND f.k = g.k AND f.v = g.v AND f.ix = 1
"""
_ATTRIBUTES: Final = f"""
    {_SELECT} json_each(?4) AS j CROSS JOIN fact AS f ON {{view}} AND f.a = j.value
"""
_OWNED_KEYS: Final = (Column("a", "k"), Column("e", "k"), Column("k", "k"), Column("v", "v"))
_OWNED: Final = f"""
    WITH g (a, e, k, v) AS ({SQLITE.relation(_OWNED_KEYS, ["?2"])})
    SELECT o.a, o.e, o.k, o.v FROM g CROSS JOIN owned AS o
    ON o.a = g.a AND o.e = g.e AND o.k = g.k AND o.v = g.v
    AND o.branch IN (SELECT value FROM json_each(?1))
"""
_TOUCHED: Final = """
    SELECT DISTINCT log.e, log.a FROM tx CROSS JOIN log ON log.t = tx.t
    WHERE tx.branch = ?1 AND tx.t > ?2 AND tx.t <= ?3
"""
_TOUCHED_BRANCH: Final = _TOUCHED.replace("FROM tx", "FROM tx INDEXED BY tx_branch").replace(
    "WHERE", "WHERE tx.branch > 0 AND"
)
_LAST_ON_MAIN: Final = "SELECT t, id FROM tx WHERE branch = 0 AND t <= ?1 ORDER BY t DESC LIMIT 1"
_LAST_ON_BRANCH: Final = (
    "SELECT t, id FROM tx INDEXED BY tx_branch"
    " WHERE branch = ?1 AND branch > 0 AND t <= ?2 ORDER BY t DESC LIMIT 1"
)
# Segments are few and rows many, so it jumps from one segment to the next.
SEGMENTS: Final = """
    WITH RECURSIVE segment (seg) AS (
        SELECT min(seg) FROM fact
        UNION ALL
        SELECT (SELECT min(seg) FROM fact WHERE seg > segment.seg)
        FROM segment WHERE segment.seg IS NOT NULL
    )
"""
_CHANGES: Final = f"""
    {SEGMENTS}, f AS MATERIALIZED (
        SELECT f.t0, f.t1
        FROM segment CROSS JOIN json_each(?1) AS j CROSS JOIN fact AS f
        ON f.seg = segment.seg AND f.a = j.value
    )
    SELECT t0 FROM f WHERE t0 > ?2 UNION SELECT t1 FROM f WHERE t1 > ?2 AND t1 < {OPEN_T}
    ORDER BY 1
"""
_BLOBS: Final = "SELECT id, data FROM blob WHERE id IN (SELECT unhex(value) FROM json_each(?1))"
_TRANSACTIONS: Final = (
    "SELECT t, branch, parent, id, time, next_e, entry, leaf FROM tx"
    " WHERE t > ?1 AND t <= ?2 ORDER BY t LIMIT ?3"
)
_LEAVES: Final = "SELECT leaf FROM tx WHERE t > ?1 AND t <= ?2 ORDER BY t"
_TREE: Final = "SELECT hash FROM tree WHERE level = ?1 AND n >= ?2 AND n < ?3 ORDER BY n"
# Bisection: times never decrease with t, so they need no index that every commit would write.
_AT: Final = """
    WITH RECURSIVE place (low, high) AS (
        SELECT 0, ifnull(max(t), 0) FROM tx
        UNION ALL
        SELECT iif(tx.time <= ?1, tx.t, low), iif(tx.time <= ?1, high, tx.t - 1)
        FROM place CROSS JOIN tx ON tx.t = (low + high + 1) / 2 WHERE low < high
    )
    SELECT low FROM place WHERE low = high
"""
_LOG: Final = "SELECT t, i, e, a, k, v, vf, vt, op FROM log WHERE t > ?1 AND t <= ?2 ORDER BY t, i"
_SEALED: Final = "SELECT t, i, salt, hash, whole FROM sealed WHERE t > ?1 AND t <= ?2 ORDER BY t, i"
_FACTS: Final = (
    "SELECT seg, a, e, k, v, vf, vt, t0, t1, ix, node FROM fact ORDER BY seg, a, e, vt, k, v, t0"
)


_VIEWED: Final = {
    (sql, view): sql.format(view=view)
    for sql in (_ONE_PAIR, _PAIRS, _ONE_ENTITY, _ENTITIES, _ONE_VALUE, _VALUES, _ATTRIBUTES)
    for view in (_NOW, _THEN)
} | {(_ONE_PAIR, _NOW): _ONE_PAIR_NOW}
_MARKS: Final = """
    SELECT (SELECT count(*) FROM attr), (SELECT total(flags) FROM attr),
        (SELECT count(*) FROM branch_attr), (SELECT total(flags) FROM branch_attr),
        EXISTS (SELECT 1 FROM log WHERE t > ?1 AND a < ?2)
"""
_ENDED: Final = {
    view: _PAIRS.format(
        view=view.replace("f.vt > ?3", "f.vt <= ?3")
        + " AND f.t0 IN (SELECT value FROM json_each(?5))"
    )
    for view in (_NOW, _THEN)
}


class SqliteReads:
    """The reads of one connection; what a snapshot and a session share."""

    def __init__(self, connection: apsw.Connection, uri: str) -> None:
        self.connection = connection
        self._uri = uri
        self._cursor = connection.cursor()
        self._streams: list[apsw.Cursor] = []

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._cursor.execute(sql, params).fetchall()
        except apsw.Error as error:
            raise translated(error, self._uri, self.connection) from error

    def head(self) -> Head:
        found = self.rows(_HEAD)
        return Head(*found[0]) if found else _BEFORE_ANY

    def attributes(self) -> list[tuple[int, str, int]]:
        return self.rows("SELECT id, ident, flags FROM attr ORDER BY id")

    def marks(self, after: int, below: int) -> tuple[int, ...]:
        return self.rows(_MARKS, (after, below))[0]

    def live(
        self,
        branch: int,
        pairs: Iterable[tuple[int, int]],
        t: int | None = None,
        after: int = BEFORE_ALL,
    ) -> list[Live]:
        keys = pairs if isinstance(pairs, list) else list(pairs)
        if len(keys) == 1:
            return self._live(_ONE_PAIR, branch, t, after, *keys[0])
        return self._live(_PAIRS, branch, t, after, _grouped(keys)) if keys else []

    def ended(
        self,
        branch: int,
        pairs: Iterable[tuple[int, int]],
        asserts: Iterable[int],
        t: int | None,
        until: int,
    ) -> list[Live]:
        sql = _ENDED[_NOW if t is None else _THEN]
        given = (3 * branch, t, until, _grouped(pairs), _json(sorted(asserts)))
        return self.rows(sql, given)

    def live_entities(
        self,
        branch: int,
        entities: Iterable[int],
        t: int | None = None,
        after: int = BEFORE_ALL,
    ) -> list[Live]:
        keys = sorted(set(entities))
        if len(keys) == 1:
            return self._live(_ONE_ENTITY, branch, t, after, keys[0])
        return self._live(_ENTITIES, branch, t, after, _json(keys)) if keys else []

    def live_values(
        self, branch: int, keys: Iterable[tuple[int, int, Payload]], t: int | None = None
    ) -> list[Live]:
        asked = list(dict.fromkeys(keys))
        if len(asked) == 1:
            return self._live(_ONE_VALUE, branch, t, BEFORE_ALL, *asked[0])
        if not asked:
            return []
        return self._live(_VALUES, branch, t, BEFORE_ALL, *SQLITE.arrays(_KEYS, asked))

    def live_attributes(
        self, branch: int, attributes: Iterable[int], t: int | None = None
    ) -> list[Live]:
        keys = sorted(set(attributes))
        return self._live(_ATTRIBUTES, branch, t, BEFORE_ALL, _json(keys)) if keys else []

    def _live(self, sql: str, branch: int, t: int | None, after: int, *keys: Any) -> list[Live]:
        view = _NOW if t is None else _THEN
        return self.rows(_VIEWED[sql, view], (3 * branch, t, after, *keys))

    def owned(
        self, branches: Sequence[int], facts: Iterable[tuple[int, int, int, Payload]]
    ) -> set[tuple[int, int, int, Payload]]:
        keys = list(facts)
        if not keys or not branches:
            return set()
        found = self.rows(_OWNED, (_json(list(branches)), *SQLITE.arrays(_OWNED_KEYS, keys)))
        return set(found)

    def every_owned(self) -> list[Owned]:
        return self.rows("SELECT branch, a, e, k, v FROM owned")

    def touched(self, branch: int, after: int, to: int) -> set[tuple[int, int]]:
        sql = _TOUCHED_BRANCH if branch else _TOUCHED
        return set(self.rows(sql, (branch, after, to)))

    def branch_flags(self) -> list[tuple[int, int, int]]:
        return self.rows("SELECT branch, a, flags FROM branch_attr")

    def last_on(self, branch: int, t: int) -> tuple[int, bytes]:
        if branch:
            found = self.rows(_LAST_ON_BRANCH, (branch, t))
        else:
            found = self.rows(_LAST_ON_MAIN, (t,))
        return found[0] if found else (0, b"")

    def changes_of(self, attributes: Iterable[int], after: int) -> list[int]:
        return [t for (t,) in self.rows(_CHANGES, (_json(sorted(attributes)), after))]

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        keys = [key.hex() for key in ids]
        return dict(self.rows(_BLOBS, (_json(keys),))) if keys else {}

    def transactions(self, after: int, to: int, limit: int) -> list[TxRow]:
        return [TxRow(*row) for row in self.rows(_TRANSACTIONS, (after, to, limit))]

    def transaction_of(self, id: bytes) -> int | None:
        found = self.rows("SELECT t FROM tx WHERE id = ?1", (id,))
        return found[0][0] if found else None

    def transaction_at(self, time: int) -> int:
        ((t,),) = self.rows(_AT, (time,))
        return int(t)

    def leaves(self, after: int, to: int) -> list[bytes]:
        return [leaf for (leaf,) in self.rows(_LEAVES, (after, to))]

    def tree(self, level: int, start: int, stop: int) -> list[bytes]:
        return [hash for (hash,) in self.rows(_TREE, (level, start, stop))]

    def checkpoint(self) -> str | None:
        found = self.rows("SELECT note FROM checkpoint")
        return found[0][0] if found else None

    def log(self, after: int, to: int) -> Iterator[tuple[Any, ...]]:
        return self._stream(_LOG, (after, to))

    def facts(self) -> Iterator[FactRow]:
        return self._stream(_FACTS, ())

    def sealed(self, after: int, to: int) -> Iterator[Sealed]:
        return self._stream(_SEALED, (after, to))

    def unshredded(self) -> bool:
        return bool(self.rows("SELECT 1 FROM meta WHERE key = 'unshredded'"))

    def _stream(self, sql: str, params: Sequence[Any]) -> Iterator[Any]:
        cursor = self.connection.cursor()
        self._streams.append(cursor)
        try:
            yield from cursor.execute(sql, params)
        except apsw.Error as error:
            raise translated(error, self._uri, self.connection) from error
        finally:
            cursor.close(True)
            if cursor in self._streams:
                self._streams.remove(cursor)

    def _end_streams(self) -> None:
        # A stream somebody left half read would keep its transaction open.
        for cursor in self._streams:
            cursor.close(True)
        self._streams.clear()


class SqliteSnapshot(SqliteReads):
    """The reading connection of one thread; entered, it stays at one state of the store.

    The state is that of the first read. Entering it again inside itself joins it. It is its own
    context manager, because a point read takes only a few microseconds.
    """

    def __init__(self, connection: apsw.Connection, uri: str) -> None:
        super().__init__(connection, uri)
        self._depth = 0

    def __enter__(self) -> SqliteSnapshot:
        if self._depth == 0:
            try:
                self._cursor.execute("BEGIN")
            except apsw.Error as error:
                raise translated(error, self._uri, self.connection) from error
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            if self._streams:
                self._end_streams()
            try:
                self._cursor.execute("END")
            except apsw.Error:  # closed, or ended by the engine together with a statement
                pass


def _grouped(pairs: Iterable[tuple[int, int]]) -> str:
    """(e, a) pairs as JSON: for each attribute its entities."""
    groups: dict[int, set[int]] = {}
    for e, a in pairs:
        groups.setdefault(a, set()).add(e)
    return _json([(a, sorted(entities)) for a, entities in groups.items()])


def _json(keys: Any) -> str:
    return json.dumps(keys, ensure_ascii=False, separators=(",", ":"))
