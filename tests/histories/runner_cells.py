"""Where a key of a workload lives in the store, and how a client reaches it.

Two neighbouring keys are two attributes of one entity, so that every workload also holds cells of
one entity against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from persistence import Substrate
from persistence.stm import BoundRef, Transaction
from tests.histories.history import Key
from tests.histories.microops import Ref

ISOLATIONS = ("serializable", "snapshot", "read-committed")
"""What `s.txn` offers, and what is left without it: reads of the head, then one write."""

READS = ("refs", "queries")
"""By what a transaction reads and writes: refs, or Datalog and transaction data."""

Cells = Callable[[Key], Ref]


_APART = 10**7  # entities between the keys of one workload and of the next


def place(key: Key, space: int = 0) -> tuple[int, str]:
    """The entity and the attribute of *key*; those of another *space* are others.

    >>> place(4), place(5), place("counter"), place(4, 1)
    ((3, 'cell/even'), (3, 'cell/odd'), (1000000, 'cell/counter'), (10000003, 'cell/even'))
    """
    if isinstance(key, int):
        return space * _APART + 1 + key // 2, f"cell/{'odd' if key % 2 else 'even'}"
    return space * _APART + 1_000_000, f"cell/{key if isinstance(key, str) else key.name}"


def cells(tx: Transaction, reads: str = "refs", space: int = 0) -> Cells:
    """The cells of a transaction, by refs or by queries."""
    if reads == "refs":
        return lambda key: _ref(tx, place(key, space))
    if reads == "queries":
        return lambda key: QueryCell(tx, *place(key, space))
    raise ValueError(f"no such way to read: {reads}; there are {', '.join(READS)}")


def _ref(tx: Transaction, cell: tuple[int, str]) -> BoundRef:
    return tx.ref(*cell, default=None)


@attrs.frozen
class _Cell:
    """A cell that is changed by reading it and setting it."""

    def deref(self) -> Any:
        raise NotImplementedError

    def set(self, value: Any) -> None:
        raise NotImplementedError

    def alter(self, f: Callable[[Any], Any]) -> None:
        self.set(f(self.deref()))

    commute = alter


@attrs.frozen
class QueryCell(_Cell):
    """A cell that is read by a query and written as transaction data."""

    tx: Transaction
    e: int
    attribute: str

    def deref(self) -> Any:
        return self.tx.q(f"[:find ?v . :in $ ?e :where [?e :{self.attribute} ?v]]", self.e)

    def set(self, value: Any) -> None:
        self.tx.transact([["db/add", self.e, self.attribute, value]])


class Unguarded:
    """Reads of whatever is committed by then, and one write at the end: no transaction at all."""

    def __init__(self, s: Substrate, space: int = 0) -> None:
        self._s, self._space = s, space
        self.buffer: dict[tuple[int, str], Any] = {}

    def __call__(self, key: Key) -> Ref:
        return _UnguardedCell(self, place(key, self._space))

    def read(self, cell: tuple[int, str]) -> Any:
        return self.buffer[cell] if cell in self.buffer else self._s.fact.db().get(*cell)

    def commit(self) -> None:
        if self.buffer:
            self._s.fact.transact([["db/add", *cell, v] for cell, v in self.buffer.items()])


@attrs.frozen
class _UnguardedCell(_Cell):
    client: Unguarded
    cell: tuple[int, str]

    def deref(self) -> Any:
        return self.client.read(self.cell)

    def set(self, value: Any) -> None:
        self.client.buffer[self.cell] = value
