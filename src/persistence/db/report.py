"""What a transaction tells its caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from persistence.datoms import Datom, moment
from persistence.ids import tx_entity

if TYPE_CHECKING:
    from persistence.db.value import Db


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class Report:
    """`db_before`, `db_after`, `tx_data` and `tempids`, and the transaction's place and name.

    `t` is the position in the log, `tx` the transaction's entity, `id` its content id (None for
    a speculation, which has no place in any log), `time` its instant in microseconds.
    """

    before: Callable[[], Db]
    after: Callable[[], Db]
    tempids: Mapping[str | int, int]
    t: int
    time: int
    id: bytes | None = None
    meta: Mapping[Any, Any] = attrs.field(factory=dict)
    data: Callable[[], tuple[Datom, ...]]

    @cached_property
    def db_before(self) -> Db:
        """The database that the transaction was prepared against."""
        return self.before()

    @cached_property
    def db_after(self) -> Db:
        """The database with the transaction."""
        return self.after()

    @cached_property
    def tx_data(self) -> tuple[Datom, ...]:
        """The datoms of the transaction, made when they are first asked for."""
        return self.data()

    @property
    def tx(self) -> int:
        """The entity of the transaction."""
        return tx_entity(self.t)

    def __repr__(self) -> str:
        name = "speculation" if self.id is None else self.id.hex()[:12]
        return (
            f"<Report t={self.t} {name} {moment(self.time).isoformat()} "
            f"datoms={len(self.tx_data)} tempids={dict(self.tempids)}>"
        )
