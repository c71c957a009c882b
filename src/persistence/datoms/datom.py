"""The datom: one immutable statement, and its content id."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import attrs

from persistence.datoms.interval import FOREVER, moment
from persistence.ids import tx_position
from persistence.values import Keyword, datom_id


@attrs.frozen(slots=True, repr=False)
class Datom:
    """The 8-tuple ``(e, a, v, tx, tx_time, valid_from, valid_to, op)``.

    `tx` is the entity of the transaction, `t` its position in the log. `tx_time`, `valid_from`
    and `valid_to` are microseconds since the epoch, `valid_to` is ``FOREVER`` while open.
    `added` is true for an assert and false for a retract.
    """

    e: int
    a: Keyword
    v: Any
    tx: int
    tx_time: int
    valid_from: int
    valid_to: int
    added: bool = True

    @property
    def t(self) -> int:
        """The position of the transaction in the log."""
        return tx_position(self.tx)

    @property
    def id(self) -> bytes:
        """The content id: the same statement has the same id in every store and branch."""
        return datom_id(self.e, self.a, self.v, self.valid_from, self.valid_to, self.added)

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
        return iter(attrs.astuple(self, recurse=False))

    def __repr__(self) -> str:
        end = "∞" if self.valid_to == FOREVER else moment(self.valid_to).isoformat()
        op = "+" if self.added else "-"
        span = f"[{moment(self.valid_from).isoformat()} {end})"
        return f"#datom[{op} {self.e} {self.a} {self.v!r} t={self.t} {span}]"
