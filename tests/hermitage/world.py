"""Two facts and transactions over them, driven step by step from one thread.

Bodies hold no locks, so a script can have any number of them open and decide who does what next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from persistence import Substrate
from persistence.db import Db
from persistence.errors import Conflict
from persistence.stm import Transaction

ISOLATIONS = ("serializable", "snapshot", "no transaction")
"""`no transaction` reads whatever is committed by then, and writes all at once at the end."""

START = {1: 10, 2: 20}


class World:
    """A store where entity 1 holds 10 and entity 2 holds 20; scripts begin transactions in it."""

    def __init__(self, s: Substrate, isolation: str) -> None:
        self.s, self.isolation = s, isolation
        self.refused: list[str] = []
        s.fact.transact([["db/add", e, "test/value", value] for e, value in START.items()])

    def begin(self, name: str) -> Session:
        if self.isolation == "no transaction":
            return Unguarded(name, self)
        return Guarded(name, self)

    def now(self) -> Mapping[int, int]:
        """What is committed."""
        return found(self.s.fact.db())


def found(db: Db | Transaction, clause: str = "") -> Mapping[int, int]:
    """The entities and values that a Datalog clause about ?v lets through."""
    rows = db.q(f"[:find ?e ?v :where [?e :test/value ?v] {clause}]")
    return dict(rows or ())


@attrs.define
class Session:
    """One transaction of a script: reads, writes, and an end."""

    name: str
    world: World

    def read(self, e: int) -> int:
        raise NotImplementedError

    def where(self, clause: str = "") -> Mapping[int, int]:
        raise NotImplementedError

    def write(self, forms: list[Any]) -> None:
        raise NotImplementedError

    def commit(self) -> bool:
        """Whether it committed; a script that asks for no more ends its transactions with it."""
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def set(self, e: int, value: int) -> None:
        self.write([["db/add", e, "test/value", value]])

    def insert(self, value: int) -> None:
        self.write([{"test/value": value}])

    def delete(self, clause: str) -> Mapping[int, int]:
        """Deletes where *clause* holds; gives what it deleted."""
        gone = self.where(clause)
        if gone:
            self.write([["db/retract", e, "test/value", value] for e, value in gone.items()])
        return gone


class _Undone(Exception):
    """Ends a transaction without a commit."""


@attrs.define
class Guarded(Session):
    """A transaction of `s.txn`, one attempt."""

    _block: Any = attrs.field(init=False)
    _tx: Transaction = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._block = self.world.s.txn.once(isolation=self.world.isolation)
        self._tx = self._block.__enter__()

    def read(self, e: int) -> int:
        return self._tx.get(e, "test/value")

    def where(self, clause: str = "") -> Mapping[int, int]:
        return found(self._tx, clause)

    def write(self, forms: list[Any]) -> None:
        self._tx.transact(forms)

    def commit(self) -> bool:
        try:
            self._block.__exit__(None, None, None)
        except Conflict:
            self.world.refused.append(self.name)
            return False
        return True

    def abort(self) -> None:
        error = _Undone()
        try:
            self._block.__exit__(_Undone, error, None)
        except _Undone:
            pass


@attrs.define
class Unguarded(Session):
    """What a program does that never heard of transactions; its one write is atomic, though."""

    _cells: dict[int, Any] = attrs.field(factory=dict)  # the last write to each entity
    _new: list[Any] = attrs.field(factory=list)

    def read(self, e: int) -> int:
        return self._now().get(e, "test/value")

    def where(self, clause: str = "") -> Mapping[int, int]:
        return found(self._now(), clause)

    def write(self, forms: list[Any]) -> None:
        self._new += [form for form in forms if type(form) is dict]
        self._cells |= {form[1]: form for form in forms if type(form) is list}

    def commit(self) -> bool:
        if self._forms:
            self.world.s.fact.transact(self._forms)
        return True

    def abort(self) -> None:
        self._cells, self._new = {}, []

    @property
    def _forms(self) -> list[Any]:
        return [*self._cells.values(), *self._new]

    def _now(self) -> Db:
        db = self.world.s.fact.db()
        return db.with_(self._forms).db_after if self._forms else db
