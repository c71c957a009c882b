"""Reads facts by what is known of them: one cell, one entity, an index, the log.

These reads take no query and give plain values or datoms. Reads of entities are one statement
each; whatever a database value shows or hides applies to them as to queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from persistence.datoms.datom import Datom
from persistence.errors import QueryError
from persistence.ids import is_tx_entity, tx_entity
from persistence.query import point
from persistence.query.indexes import datoms, index_range, rseek_datoms, seek_datoms
from persistence.query.reader import Reader
from persistence.values import (
    ERASED,
    INTERNED,
    Keyword,
    Payload,
    erased,
    from_columns,
    keyword,
    sort_key,
)

__all__ = [
    "datoms",
    "entid",
    "entity",
    "index_range",
    "log",
    "referring",
    "rseek_datoms",
    "seek_datoms",
    "values",
]

_LOG_PAGE = 256  # transactions that are read at once


def values(db: Any, e: int, attribute: Keyword | str) -> list[Any]:
    """The values of one attribute of one entity, in their order; one or none unless it is many.

    Raises:
        QueryError: *db* shows more than one instant.
    """
    ident = keyword(attribute)
    if db.footprints is not None:
        db.footprints.cells.add((e, ident))
    number = db.source.attribute_id(ident)
    if number is None:
        return []
    if point.plain(db.view) and not is_tx_entity(e):
        pairs = point.cell(db, e, number)
        return _decoded(db, pairs)
    with Reader.of(db) as reader:
        return _decoded(db, [(k, p) for _, _, k, p in reader.cell_rows(e, number)])


def entid(db: Any, name: Any) -> int | None:
    """The entity that an id, an ident or a lookup ref names, or None.

    Raises:
        QueryError: *name* cannot name an entity, or its attribute is not unique.
    """
    if type(name) is int:
        return name
    with Reader.of(db) as reader:
        return reader.resolve((name,))[0]


def entity(db: Any, e: int) -> dict[Keyword, list[Any]]:
    """Everything known of one entity: by attribute, its values in their order."""
    found: dict[int, list[tuple[int, Payload]]] = {}
    with Reader.of(db) as reader:
        for _, a, k, payload in reader.entity_rows((e,), None):
            found.setdefault(a, []).append((k, payload))
        idents = sorted(((db.source.ident(a), a) for a in found), key=lambda pair: pair[0].name)
        return {ident: _decoded(db, found[a]) for ident, a in idents}


def referring(db: Any, attribute: Keyword | str, e: int) -> list[int]:
    """The entities that refer to *e* by a reference attribute, ascending.

    Raises:
        QueryError: the attribute is declared and no reference.
    """
    ident = keyword(attribute)
    number = db.source.attribute_id(ident)
    if number is None:
        if db.footprints is not None:
            db.footprints.add(a=ident)
        return []
    with Reader.of(db) as reader:
        declared = reader.schema[ident]
        if declared.value_type is not None and not declared.ref:
            raise QueryError(f"{ident} is no reference", attribute=ident)
        return sorted({source for source, *_ in reader.reverse_rows(number, (e,))})


def log(db: Any, first: int, last: int) -> Iterator[Datom]:
    """The datoms of the transactions from *first* to *last*, both inclusive, as recorded."""
    if db.footprints is not None and last >= db.footprints.basis:
        db.footprints.add()  # the log goes on with whatever is committed
    for start in range(first - 1, last, _LOG_PAGE):
        end = min(start + _LOG_PAGE, last)
        with Reader.of(db, ranges=True) as reader:
            rows = list(reader.snapshot.log(start, end))
            if rows:
                of_line = reader.on_line(start, end)
                rows = [row for row in rows if row[0] in of_line]
            times = reader.times({row[0] for row in rows})
            known = reader.long([(row[4], row[5]) for row in rows if row[4] != ERASED])
            hashes = reader.sealed(start, end)
        ident = db.source.ident
        for t, i, e, a, k, payload, vf, vt, op in rows:
            hash, whole = hashes.get((t, i), (None, False))
            value = erased(hash or b"") if k == ERASED else known[k, payload]
            tx, time, seal = tx_entity(t), times[t], b"" if whole else hash
            yield Datom(e, ident(a), value, tx, time, vf, vt, bool(op), sealed=seal)


def _decoded(db: Any, pairs: list[tuple[int, Payload]]) -> list[Any]:
    """The values behind columns, in the order of values."""
    if len(pairs) == 1 and pairs[0][0] < INTERNED:
        return [from_columns(*pairs[0])]
    interned = [pair for pair in pairs if pair[0] >= INTERNED]
    long = dict(zip(interned, db.source.values(interned), strict=True)) if interned else {}
    found = [from_columns(*pair) if pair[0] < INTERNED else long[pair] for pair in pairs]
    return sorted(found, key=sort_key) if len(found) > 1 else found
