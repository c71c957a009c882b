"""A ref in use: one cell, as one transaction sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from persistence.errors import TransactionError, UndeclaredRef
from persistence.stm import cells
from persistence.stm.reference import MISSING, Ref
from persistence.stm.state import Cell, Commute
from persistence.stm.workspace import Workspace
from persistence.values import freeze

_PLAIN: Final = frozenset((bool, int, float, str, bytes))


@attrs.frozen(eq=False, repr=False)
class BoundRef:
    """A ref of a transaction: what the cell holds, and what it shall hold.

    >>> def double(tx):
    ...     age = tx.ref(ada, "user/age")
    ...     before = age.deref()
    ...     age.set(2 * before)
    ...     return before, age.deref()
    >>> s.txn.run(double)
    (36, 72)
    """

    transaction: Workspace
    ref: Ref

    def deref(self) -> Any:
        """The value of the cell, or the ref's default, or None.

        The transaction depends on it from now on, unless it has written the cell itself.

        Raises:
            UndeclaredRef: there is no such cell.
        """
        return cells.read(self.transaction, self._cell(), self.ref.default)

    def set(self, value: Any) -> None:
        """Lets the cell hold *value*. Depends on nothing: a blind write never conflicts."""
        cells.write(self.transaction, self._cell(), self._value(value))

    def alter(self, function: Callable[..., Any], *args: Any) -> Any:
        """Sets the cell to ``function(value, *args)`` and gives that."""
        cell = self._cell()
        held = cells.read(self.transaction, cell, self.ref.default)
        value = self._value(function(held, *args))
        cells.write(self.transaction, cell, value)
        return value

    def commute(self, function: Callable[..., Any], *args: Any) -> Any:
        """As `alter`, but made again at commit on whatever the cell holds by then.

        So it never conflicts over the cell. *function* must be pure and quick, and the order in
        which several transactions apply theirs must not matter. What is given here may not be
        what is committed; ask `deref` for a value to rely on.
        """
        cell = self._cell()
        commute = Commute(cell[0], cell[1], function, args, self.ref.default)
        return cells.commute(self.transaction, commute)

    def ensure(self) -> Any:
        """The value of the cell, which nobody may change before this transaction commits.

        Under serializable isolation that is true of everything read; under snapshot isolation it
        is what guards a read that the writes depend on.
        """
        cell = self._cell()
        cells.ensure(self.transaction, cell)
        return cells.read(self.transaction, cell, self.ref.default)

    def _value(self, value: Any) -> Any:
        if value is None:
            raise TransactionError(
                f"{self.ref} cannot be set to nil, which is no fact",
                hint='transact [":db/retract", entity, attribute] to empty the cell',
                entity=self.ref.entity,
                attribute=self.ref.attribute,
            )
        return value if type(value) in _PLAIN else freeze(value)

    def _cell(self) -> Cell:
        known = self.transaction.state.cells.get(self.ref)
        return self._found() if known is None else known

    def _found(self) -> Cell:
        """The cell, which is looked up once for each transaction.

        Raises:
            UndeclaredRef: the entity names nothing, or nobody ever used the attribute.
            TransactionError: the attribute holds several values.
        """
        transaction, ref = self.transaction, self.ref
        entity, ident = ref.entity, ref.attribute
        db = transaction.db if type(entity) is not int else transaction.snapshot
        e = entity if type(entity) is int else db.entid(entity)
        if e is None:
            raise UndeclaredRef(
                f"{entity!r} names no entity, so {ref} has no cell",
                hint="transact the entity first, and take the ref of its id",
                entity=entity,
                attribute=ident,
            )
        schema = db.schema
        used = ident in schema or db.source.attribute_id(ident) is not None
        if not used and ref.default is MISSING:
            raise UndeclaredRef(
                f"nobody has declared or used {ident}, so {ref} has no cell",
                hint="declare the attribute, or give the ref a default",
                entity=entity,
                attribute=ident,
            )
        if schema[ident].many:
            raise TransactionError(
                f"{ident} holds several values, and a ref holds one",
                hint="use tx.get and tx.transact for attributes of cardinality many",
                attribute=ident,
            )
        cell = transaction.state.cells[ref] = (e, ident)
        return cell

    def __repr__(self) -> str:
        return f"<{self.ref!r} in a transaction>"
