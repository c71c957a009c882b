"""The statements that write a Postgres store, and the rows they take.

Each takes any number of rows: a single one as values, more as one array for each column. Writes
to different tables are put together, so that a whole transaction is appended in one round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

import attrs

from persistence.store.postgres_payload import split
from persistence.store.postgres_read import SEGMENTS
from persistence.store.protocol import FactRow, Owned
from persistence.store.words import words


@attrs.frozen
class Write:
    """A statement that takes any number of rows; *types* are those of their columns."""

    sql: str
    types: tuple[str, ...]


REMOVE: Final = Write(
    """DELETE FROM fact AS f USING {rows} AS x (seg, a, e, vt, k, t0, n, s)
    WHERE f.seg = x.seg AND f.a = x.a AND f.e = x.e AND f.vt = x.vt AND f.k = x.k
        AND f.n = x.n AND f.s = x.s AND f.t0 = x.t0""",
    ("bigint",) * 7 + ("text",),
)
TX: Final = Write(
    "INSERT INTO tx (t, branch, parent, id, time, next_e, leaf, entry) SELECT * FROM {rows} AS x",
    ("bigint", "bigint", "bigint", "bytea", "bigint", "bigint", "bytea", "bytea"),
)
ATTR: Final = Write("INSERT INTO attr (id, ident) SELECT * FROM {rows} AS x", ("bigint", "text"))
BLOB: Final = Write(
    "INSERT INTO blob (id, data) SELECT * FROM {rows} AS x ON CONFLICT DO NOTHING",
    ("bytea", "bytea"),
)
LOG: Final = Write(
    "INSERT INTO log (t, i, e, a, k, vf, vt, op, n, s, d) SELECT * FROM {rows} AS x",
    ("bigint",) * 9 + ("text", "float8"),
)
SEAL: Final = Write(
    "INSERT INTO sealed (t, i, salt, hash) SELECT * FROM {rows} AS x",
    ("bigint", "bigint", "bytea", "bytea"),
)
FACT: Final = Write(
    "INSERT INTO fact (seg, a, e, k, vf, vt, t0, t1, ix, node, n, s, d) SELECT * FROM {rows} AS x",
    ("bigint",) * 11 + ("text", "float8"),
)
OWN: Final = Write(
    "INSERT INTO owned (branch, a, e, k, n, s) SELECT * FROM {rows} AS x",
    ("bigint",) * 5 + ("text",),
)
BRANCH_FLAGS: Final = Write(
    """INSERT INTO branch_attr AS b (branch, a, flags) SELECT * FROM {rows} AS x
    ON CONFLICT (branch, a) DO UPDATE SET flags = b.flags | excluded.flags""",
    ("bigint",) * 3,
)
TEXT: Final = Write(
    """INSERT INTO fts (a, k, s, words) SELECT a, k, s, w::tsvector FROM {rows} AS x (a, k, s, w)
    ON CONFLICT DO NOTHING""",
    ("bigint", "bigint", "text", "text"),
)
FLAGS: Final = Write(
    """UPDATE attr SET flags = attr.flags | x.flags FROM {rows} AS x (id, flags)
    WHERE attr.id = x.id""",
    ("bigint", "bigint"),
)
REINDEX: Final = Write(
    f"""UPDATE fact AS f SET ix = x.ix FROM {{rows}} AS x (a, ix)
    WHERE f.seg = ANY (ARRAY({SEGMENTS} SELECT seg FROM segment)) AND f.a = x.a""",
    ("bigint", "bigint"),
)
TREE: Final = Write(
    """INSERT INTO tree (level, n, hash) SELECT * FROM {rows} AS x
    ON CONFLICT (level, n) DO UPDATE SET hash = excluded.hash""",
    ("bigint", "bigint", "bytea"),
)
NOTE: Final = Write(
    """INSERT INTO checkpoint (id, note) SELECT * FROM {rows} AS x
    ON CONFLICT (id) DO UPDATE SET note = excluded.note""",
    ("bigint", "text"),
)
_SEG_A_E: Final = itemgetter(0, 1, 2)
Rows: TypeAlias = Sequence[Sequence[Any]]


def together(writes: Sequence[tuple[Write, Rows]]) -> tuple[str, list[Any]]:
    """One statement, and its parameters, that carries out several writes to different tables."""
    parts: list[str] = []
    params: list[Any] = []
    for write, rows in writes:
        places = [f"${n}::{type}" for n, type in enumerate(write.types, len(params) + 1)]
        if len(rows) == 1:  # most transactions are this small, and arrays cost more to send
            source = f"(VALUES ({', '.join(places)}))"
            params += rows[0]
        else:
            source = f"unnest({', '.join(f'{place}[]' for place in places)})"
            params += (list(column) for column in zip(*rows, strict=True))
        parts.append(write.sql.replace("{rows}", source))
    named = ", ".join(f"w{n} AS ({part})" for n, part in enumerate(parts[:-1]))
    return (f"WITH {named} {parts[-1]}" if named else parts[-1]), params


def fact_rows(rows: Sequence[FactRow]) -> Rows:
    # In the order of the key, so that neighbouring rows share a page of its index.
    return [
        (seg, a, e, k, vf, vt, t0, t1, ix, node, *split(k, payload))
        for seg, a, e, k, payload, vf, vt, t0, t1, ix, node in sorted(rows, key=_SEG_A_E)
    ]


def owned_rows(rows: Sequence[Owned]) -> Rows:
    return [(branch, a, e, k, *split(k, payload)[:2]) for branch, a, e, k, payload in rows]


def text_rows(rows: Sequence[tuple[int, int, str, str]]) -> Rows:
    return [(a, k, payload, _vector(text)) for a, k, payload, text in rows]


def flag_rows(flags: Sequence[tuple[int, int]]) -> Rows:
    # An UPDATE takes only one of several rows that name the same attribute.
    merged: dict[int, int] = {}
    for a, flag in flags:
        merged[a] = merged.get(a, 0) | flag
    return list(merged.items())


def _vector(text: str) -> str:
    """The words of *text* as the text of a tsvector."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(words(text), 1):
        places.setdefault(word, []).append(str(place))
    return " ".join(f"{word}:{','.join(at)}" for word, at in places.items())
