"""The datom: one immutable statement, and its content id."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs

from persistence.datoms.interval import FOREVER, moment
from persistence.errors import QueryError
from persistence.ids import tx_position
from persistence.values import Keyword, datom_id, sealed


@attrs.frozen(slots=True, repr=False)
class Datom:
    """The 8-tuple ``(e, a, v, tx, tx_time, valid_from, valid_to, op)``.

    `tx` is the entity of the transaction, `t` its position in the log. `tx_time`, `valid_from`
    and `valid_to` are microseconds since the epoch, `valid_to` is ``FOREVER`` while open.
    `added` is true for an assert and false for a retract. `sealed` is the commitment that is
    hashed in place of a sensitive value, and empty where it is not at hand.
    """

    e: int
    a: Keyword
    v: Any
    tx: int
    tx_time: int
    valid_from: int
    valid_to: int
    added: bool = True
    sealed: bytes | None = attrs.field(default=None, kw_only=True, eq=False)

    @property
    def t(self) -> int:
        """The position of the transaction in the log."""
        return tx_position(self.tx)

    @property
    def id(self) -> bytes:
        """The content id: the same statement has the same id in every store and branch.

        That of a sensitive value is the id of what was hashed: of its commitment.

        Raises:
            QueryError: the commitment to a sensitive value is not known here.
        """
        v = self.v
        if self.sealed is not None:
            if not self.sealed:
                raise QueryError(
                    f"the id of a sensitive value of {self.a} covers the salt of its transaction",
                    hint="take the datom from db.log() or from the report of its transaction",
                    attribute=self.a,
                )
            v = sealed(self.sealed)
        return datom_id(self.e, self.a, v, self.valid_from, self.valid_to, self.added)

    @property
    def holds_from(self) -> datetime:
        """`valid_from` as a datetime."""
        return moment(self.valid_from)

    @property
    def holds_to(self) -> datetime | None:
        """`valid_to` as a datetime, None while the fact stays open."""
        return None if self.valid_to == FOREVER else moment(self.valid_to)

    def __iter__(self) -> Iterator[Any]:
        """Unpacks as the 8-tuple."""
        return iter(attrs.astuple(self, recurse=False)[:8])

    def __repr__(self) -> str:
        end = "∞" if self.valid_to == FOREVER else moment(self.valid_to).isoformat()
        op = "+" if self.added else "-"
        span = f"[{moment(self.valid_from).isoformat()} {end})"
        return f"#datom[{op} {self.e} {self.a} {self.v!r} t={self.t} {span}]"
