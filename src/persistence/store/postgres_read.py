"""Reads of a Postgres store.

Each bulk read is one statement, whatever the number of its keys: they travel as arrays. The keys
drive the search (`CROSS JOIN LATERAL … OFFSET 0` keeps the planner from reading a whole table
because of a wrong guess), so a read costs what it returns.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final

import psycopg
from psycopg.pq import ExecStatus

from persistence.errors import BudgetExceeded
from persistence.store.postgres_connections import Connections
from persistence.store.postgres_errors import translated
from persistence.store.postgres_open import Connection
from persistence.store.postgres_payload import joined, split
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
from persistence.values import Payload

HEAD: Final = "SELECT t, id, time, leaf, next_e FROM tx ORDER BY t DESC LIMIT 1"
_BEFORE_ANY: Final = Head(0, b"", 0, b"", 1)
_PAGE: Final = 5_000  # rows of a stream in memory at a time

# What is live now; with $2 bound, what was known at that t. What ends at $3 or before is left
# out, as in sqlite_read. $4 and later are the keys.
_NOW: Final = "f.seg IN ($1::bigint, $1::bigint + 1) AND $2::bigint IS NULL AND f.vt > $3::bigint"
_THEN: Final = (
    "f.seg IN ($1::bigint, $1::bigint + 1, $1::bigint + 2)"
    " AND f.t0 <= $2::bigint AND f.t1 > $2::bigint AND f.vt > $3::bigint"
)
_SELECT: Final = "SELECT f.e, f.a, f.k, f.n, f.s, f.vf, f.vt, f.t0 FROM"


def _driven(keys: str, match: str) -> str:
    return (
        f"{_SELECT} {keys} CROSS JOIN LATERAL"
        f" (SELECT * FROM fact AS f WHERE {{view}} AND {match} OFFSET 0) AS f"
    )


_PAIRS: Final = _driven("unnest($4::bigint[], $5::bigint[]) AS x (e, a)", "f.a = x.a AND f.e = x.e")
_ONE_PAIR: Final = f"{_SELECT} fact AS f WHERE {{view}} AND f.e = $4::bigint AND f.a = $5::bigint"
_ENTITIES: Final = _driven("unnest($4::bigint[]) AS x (e)", "f.e = x.e")
_VALUES: Final = _driven(
    "unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::text[]) AS x (a, k, n, s)",
    "f.a = x.a AND f.k = x.k AND f.n = x.n AND f.s = x.s AND f.ix = 1",
)
# Here the planner may choose: it knows how many facts these very attributes have.
_ATTRIBUTES: Final = f"{_SELECT} fact AS f WHERE {{view}} AND f.a = ANY ($4::bigint[])"
_OWNED: Final = """
    SELECT o.a, o.e, o.k, o.n, o.s
    FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[])
        AS x (a, e, k, n, s)
    CROSS JOIN LATERAL (
        SELECT * FROM owned AS o WHERE o.branch = ANY ($1::bigint[]) AND o.a = x.a AND o.e = x.e
            AND o.k = x.k AND o.n = x.n AND o.s = x.s OFFSET 0
    ) AS o
"""
_TOUCHED: Final = """
    SELECT DISTINCT log.e, log.a FROM tx JOIN log ON log.t = tx.t
    WHERE tx.branch = $1::bigint AND tx.t > $2::bigint AND tx.t <= $3::bigint
"""
_LAST_ON_MAIN: Final = (
    "SELECT t, id FROM tx WHERE branch = 0 AND t <= $1::bigint ORDER BY t DESC LIMIT 1"
)
_LAST_ON_BRANCH: Final = (
    "SELECT t, id FROM tx WHERE branch = $1::bigint AND branch > 0 AND t <= $2::bigint"
    " ORDER BY t DESC LIMIT 1"
)
# Segments are few and rows many, so it jumps from one segment to the next.
SEGMENTS: Final = """
    WITH RECURSIVE segment (seg) AS (
        (SELECT seg FROM fact ORDER BY seg LIMIT 1)
        UNION ALL
        SELECT (SELECT f.seg FROM fact AS f WHERE f.seg > segment.seg ORDER BY f.seg LIMIT 1)
        FROM segment WHERE segment.seg IS NOT NULL
    )
"""
_CHANGES: Final = f"""
    {SEGMENTS}, f AS MATERIALIZED (
        SELECT t0, t1 FROM fact
        WHERE seg = ANY (ARRAY(SELECT seg FROM segment)) AND a = ANY ($1::bigint[])
    )
    SELECT t0 FROM f WHERE t0 > $2::bigint
    UNION SELECT t1 FROM f WHERE t1 > $2::bigint AND t1 < {OPEN_T}
    ORDER BY 1
"""
_TRANSACTIONS: Final = """
    SELECT t, branch, parent, id, time, next_e, entry, leaf FROM tx
    WHERE t > $1::bigint AND t <= $2::bigint ORDER BY t LIMIT $3::bigint
"""
_LEAVES: Final = "SELECT leaf FROM tx WHERE t > $1::bigint AND t <= $2::bigint ORDER BY t"
_TREE: Final = (
    "SELECT hash FROM tree"
    " WHERE level = $1::bigint AND n >= $2::bigint AND n < $3::bigint ORDER BY n"
)
# Bisection: times never decrease with t, so they need no index that every commit would write.
_AT: Final = """
    WITH RECURSIVE place (low, high) AS (
        SELECT 0::bigint, coalesce(max(t), 0) FROM tx
        UNION ALL
        SELECT CASE WHEN tx.time <= $1::bigint THEN tx.t ELSE low END,
               CASE WHEN tx.time <= $1::bigint THEN high ELSE tx.t - 1 END
        FROM place CROSS JOIN tx WHERE tx.t = (low + high + 1) / 2 AND low < high
    )
    SELECT low FROM place WHERE low = high
"""
_LOG: Final = f"""
    SELECT t, i, e, a, k, n, s, vf, vt, op FROM log
    WHERE (t, i) > ($1::bigint, $2::bigint) AND t <= $3::bigint ORDER BY t, i LIMIT {_PAGE}
"""
_SEALED: Final = f"""
    SELECT t, i, salt, hash, whole FROM sealed
    WHERE (t, i) > ($1::bigint, $2::bigint) AND t <= $3::bigint ORDER BY t, i LIMIT {_PAGE}
"""
_FACTS: Final = f"""
    SELECT seg, a, e, k, n, s, vf, vt, t0, t1, ix, node FROM fact
    WHERE (seg, a, e, vt, k, n, s, t0) > ($1::bigint, $2::bigint, $3::bigint, $4::bigint,
        $5::bigint, $6::bigint, $7::text, $8::bigint)
    ORDER BY seg, a, e, vt, k, n, s, t0 LIMIT {_PAGE}
"""
_BEFORE_FACTS: Final = (-1, 0, 0, 0, 0, 0, "", 0)
_MARKS: Final = """
    SELECT (SELECT count(*) FROM attr), (SELECT sum(flags) FROM attr),
        (SELECT count(*) FROM branch_attr), (SELECT sum(flags) FROM branch_attr),
        EXISTS (SELECT 1 FROM log WHERE t > $1::bigint AND a < $2::bigint)
"""
_ENDED: Final = {
    view: _PAIRS.format(
        view=view.replace("f.vt > $3", "f.vt <= $3") + " AND f.t0 = ANY ($6::bigint[])"
    )
    for view in (_NOW, _THEN)
}


class PostgresReads(ABC):
    """The reads inside one database transaction; what a snapshot and a session share."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._uri = connections.uri
        self.connection: Connection | None = None
        self._cursor: psycopg.Cursor[tuple[Any, ...]] | None = None

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._ready()
        try:
            cursor.execute(sql, params)
            result = cursor.pgresult
            if result is None or result.status != ExecStatus.TUPLES_OK:
                return []
            return cursor.fetchall()
        except psycopg.Error as error:
            raise translated(error, self._uri, self.connection) from error

    @abstractmethod
    def _ready(self) -> psycopg.Cursor[tuple[Any, ...]]:
        """The cursor of the transaction, begun when need be."""

    def head(self) -> Head:
        found = self.rows(HEAD)
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
        keys = set(pairs)
        if len(keys) == 1:
            return self._live(_ONE_PAIR, branch, t, after, keys, *keys.copy().pop())
        return self._live(
            _PAIRS, branch, t, after, keys, [e for e, _ in keys], [a for _, a in keys]
        )

    def ended(
        self,
        branch: int,
        pairs: Iterable[tuple[int, int]],
        asserts: Iterable[int],
        t: int | None,
        until: int,
    ) -> list[Live]:
        keys = list(pairs)
        columns = [e for e, _ in keys], [a for _, a in keys], list(asserts)
        found = self.rows(_ENDED[_NOW if t is None else _THEN], (3 * branch, t, until, *columns))
        return [(e, a, k, joined(k, n, s), vf, vt, t0) for e, a, k, n, s, vf, vt, t0 in found]

    def live_entities(
        self,
        branch: int,
        entities: Iterable[int],
        t: int | None = None,
        after: int = BEFORE_ALL,
    ) -> list[Live]:
        keys = sorted(set(entities))
        return self._live(_ENTITIES, branch, t, after, keys, keys)

    def live_values(
        self, branch: int, keys: Iterable[tuple[int, int, Payload]], t: int | None = None
    ) -> list[Live]:
        asked = [(a, k, *split(k, payload)) for a, k, payload in dict.fromkeys(keys)]
        columns = [list(column) for column in zip(*asked, strict=True)][:4]
        return self._live(_VALUES, branch, t, BEFORE_ALL, asked, *columns)

    def live_attributes(
        self, branch: int, attributes: Iterable[int], t: int | None = None
    ) -> list[Live]:
        keys = sorted(set(attributes))
        return self._live(_ATTRIBUTES, branch, t, BEFORE_ALL, keys, keys)

    def _live(
        self, sql: str, branch: int, t: int | None, after: int, keys: Iterable[Any], *arrays: Any
    ) -> list[Live]:
        if not keys:
            return []
        view = _NOW if t is None else _THEN
        found = self.rows(_VIEWED[sql, view], (3 * branch, t, after, *arrays))
        return [(e, a, k, joined(k, n, s), vf, vt, t0) for e, a, k, n, s, vf, vt, t0 in found]

    def owned(
        self, branches: Sequence[int], facts: Iterable[tuple[int, int, int, Payload]]
    ) -> set[tuple[int, int, int, Payload]]:
        keys = [(a, e, k, *split(k, payload)[:2]) for a, e, k, payload in facts]
        if not keys or not branches:
            return set()
        columns = [list(column) for column in zip(*keys, strict=True)]
        found = self.rows(_OWNED, (list(branches), *columns))
        return {(a, e, k, joined(k, n, s)) for a, e, k, n, s in found}

    def every_owned(self) -> list[Owned]:
        found = self.rows("SELECT branch, a, e, k, n, s FROM owned")
        return [(branch, a, e, k, joined(k, n, s)) for branch, a, e, k, n, s in found]

    def touched(self, branch: int, after: int, to: int) -> set[tuple[int, int]]:
        return {(e, a) for e, a in self.rows(_TOUCHED, (branch, after, to))}

    def branch_flags(self) -> list[tuple[int, int, int]]:
        return self.rows("SELECT branch, a, flags FROM branch_attr")

    def last_on(self, branch: int, t: int) -> tuple[int, bytes]:
        if branch:
            found = self.rows(_LAST_ON_BRANCH, (branch, t))
        else:
            found = self.rows(_LAST_ON_MAIN, (t,))
        return (found[0][0], found[0][1]) if found else (0, b"")

    def changes_of(self, attributes: Iterable[int], after: int) -> list[int]:
        return [t for (t,) in self.rows(_CHANGES, (sorted(attributes), after))]

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        keys = list(ids)
        sql = "SELECT id, data FROM blob WHERE id = ANY ($1::bytea[])"
        return dict(self.rows(sql, (keys,))) if keys else {}

    def transactions(self, after: int, to: int, limit: int) -> list[TxRow]:
        return [TxRow(*row) for row in self.rows(_TRANSACTIONS, (after, to, limit))]

    def transaction_of(self, id: bytes) -> int | None:
        found = self.rows("SELECT t FROM tx WHERE id = $1::bytea", (id,))
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
        place = (after, 2**62)
        while page := self.rows(_LOG, (*place, to)):
            for t, i, e, a, k, n, s, vf, vt, op in page:
                yield t, i, e, a, k, joined(k, n, s), vf, vt, op
            place = page[-1][:2]

    def sealed(self, after: int, to: int) -> Iterator[Sealed]:
        place = (after, 2**62)
        while page := self.rows(_SEALED, (*place, to)):
            yield from page
            place = page[-1][:2]

    def unshredded(self) -> bool:
        return bool(self.rows("SELECT 1 FROM meta WHERE key = 'unshredded'"))

    def facts(self) -> Iterator[FactRow]:
        place: tuple[Any, ...] = _BEFORE_FACTS
        while page := self.rows(_FACTS, place):
            for seg, a, e, k, n, s, vf, vt, t0, t1, ix, node in page:
                yield seg, a, e, k, joined(k, n, s), vf, vt, t0, t1, ix, node
            seg, a, e, k, n, s, _, vt, t0, *_ = page[-1]
            place = (seg, a, e, vt, k, n, s, t0)


_VIEWED: Final = {
    (sql, view): sql.format(view=view)
    for sql in (_ONE_PAIR, _PAIRS, _ENTITIES, _VALUES, _ATTRIBUTES)
    for view in (_NOW, _THEN)
}


class PostgresSnapshot(PostgresReads):
    """The reads of one thread; entered, they stay at one state of the store.

    The state is that of the first read, and the connection is taken from the pool with it.
    Entering it again inside itself joins it.
    """

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._depth = 0
        self._limited = False
        self.deadline: float | None = None
        self.stopped = False

    def __enter__(self) -> PostgresSnapshot:
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0 and self.connection is not None:
            connection, self.connection, self._cursor = self.connection, None, None
            self._connections.give_back(connection)

    def head(self) -> Head:
        if self._depth == 0:
            with self:
                return self.head()
        if self.connection is None:
            found = self._begin(HEAD)  # one round trip for both
            return Head(*found[0]) if found else _BEFORE_ANY
        return super().head()

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if self._depth == 0:  # a single read, as a snapshot of its own
            with self:
                return self.rows(sql, params)
        if self.deadline is None and not self._limited:
            return super().rows(sql, params)
        try:
            self._limit()
            return super().rows(sql, params)
        except BudgetExceeded:
            self.stopped = True
            raise

    def _ready(self) -> psycopg.Cursor[tuple[Any, ...]]:
        if self._cursor is None:
            self._begin("")
        assert self._cursor is not None
        return self._cursor

    def _begin(self, first: str) -> list[tuple[Any, ...]]:
        self.connection, self._cursor, found = self._connections.take_reader(first)
        self._limited = False
        return found

    def _limit(self) -> None:
        self._ready()
        if self.deadline is None:
            super().rows("SET LOCAL statement_timeout TO DEFAULT")
            self._limited = False
            return
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise BudgetExceeded(
                "the query ran longer than its time budget",
                hint="give it more time, or bind more of its variables",
                budget="seconds",
            )
        super().rows(f"SET LOCAL statement_timeout = {max(1, round(left * 1000))}")
        self._limited = True
