"""The transactions of the log, one after the other: when, by whom, how much, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from persistence.audit.record import parse_entry
from persistence.connection import Connection
from persistence.datoms import moment
from persistence.ids import tx_entity
from persistence.query import fetch
from persistence.store import TxRow
from persistence.values import Keyword

_PAGE: Final = 256


@attrs.frozen
class Transaction:
    """One entry of the log. `branch` is the number of its branch (0 is the main line), `parent`
    the t before it on its line, `id` its content id, `time` microseconds since the epoch, `datoms`
    how many it holds, `meta` the facts about the transaction itself."""

    t: int
    branch: int
    parent: int
    id: bytes
    time: int
    author: str | None
    datoms: int
    meta: Mapping[Keyword, Any]

    def __repr__(self) -> str:
        when = moment(self.time).isoformat()
        return f"<Transaction t={self.t} {self.id.hex()[:12]} {when} datoms={self.datoms}>"


def transactions(
    connection: Connection, first: int, last: int, *, newest: bool = False
) -> Iterator[Transaction]:
    """The transactions from *first* to *last*, both inclusive; the *newest* first, when asked.

    They are read page by page, as they are asked for.
    """
    starts = range(max(first, 1), last + 1, _PAGE)
    for start in reversed(starts) if newest else starts:
        end = min(start + _PAGE - 1, last)
        with connection.store.snapshot() as snapshot:
            rows = snapshot.transactions(start - 1, end, _PAGE)
        for row in reversed(rows) if newest else rows:
            yield _transaction(connection, row)


def _transaction(connection: Connection, row: TxRow) -> Transaction:
    header = parse_entry(row.entry).header
    return Transaction(
        t=row.t,
        branch=row.branch,
        parent=row.parent,
        id=row.id,
        time=row.time,
        author=header.author,
        datoms=header.datoms,
        meta=_meta(connection, row),
    )


def _meta(connection: Connection, row: TxRow) -> dict[Keyword, Any]:
    """What a transaction said about itself."""
    db = connection.db(row.branch).as_of(row.t)
    schema = db.schema
    found = {}
    for ident, values in fetch.entity(db, tx_entity(row.t)).items():
        if ident is not _INSTANT:
            found[ident] = values if schema[ident].many else values[0]
    return found


_INSTANT: Final = Keyword("db/txInstant")
