"""What a body has decided so far: plain data, which can be copied, thrown away, or sent on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID

import attrs

from persistence.stm.reference import Ref
from persistence.transact import Batch
from persistence.values import Keyword, Map

Cell: TypeAlias = tuple[int, Keyword]


class Retry(BaseException):
    """Raised by :meth:`Transaction.retry`; never meant for an `except` in a body."""


@attrs.frozen
class Commute:
    """A change that is made again at commit, to whatever the cell holds by then."""

    e: int
    attribute: Keyword
    function: Callable[..., Any]
    args: tuple[Any, ...]
    default: Any

    @property
    def cell(self) -> Cell:
        return (self.e, self.attribute)


@attrs.frozen
class Effect:
    """Something to be done outside, once the facts are committed; the entity that asks for it."""

    operation: Keyword
    args: Map
    key: UUID
    entity: int


@attrs.define
class State:
    """The writes of a transaction in the order in which they were decided.

    `pending` are values of cells that no batch holds yet, and `notes` facts about new entities;
    they come after all batches. `values`
    is what is known of cells without asking the store. A commute counts only while its cell is
    not among the `written` ones: whoever writes a cell has taken its commutes into account.
    """

    batches: list[Batch] = attrs.field(factory=list)
    pending: dict[Cell, Any] = attrs.field(factory=dict)
    commutes: list[Commute] = attrs.field(factory=list)
    commuted: dict[Cell, Any] = attrs.field(factory=dict)  # the speculative values
    unshown: set[Cell] = attrs.field(factory=set)  # commuted cells that the overlay lacks
    values: dict[Cell, Any] = attrs.field(factory=dict)
    written: set[Cell] = attrs.field(factory=set)
    effects: list[Effect] = attrs.field(factory=list)
    cells: dict[Ref, Cell] = attrs.field(factory=dict)  # of the refs that were used
    numbers: int | None = None  # attributes in use when a batch declared some
    notes: list[tuple[int, Keyword, Any]] = attrs.field(factory=list)
    fresh: list[range] = attrs.field(factory=list)  # the entities that batches may have made

    def copy(self) -> State:
        """The same, apart from this one."""
        return State(
            [*self.batches],
            dict(self.pending),
            [*self.commutes],
            dict(self.commuted),
            set(self.unshown),
            dict(self.values),
            set(self.written),
            [*self.effects],
            dict(self.cells),
            self.numbers,
            [*self.notes],
            [*self.fresh],
        )

    @property
    def writes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.batches or self.pending or self.commutes or self.effects or self.notes)

    def standing(self) -> list[Commute]:
        """The commutes that are made again at commit."""
        return [each for each in self.commutes if each.cell not in self.written]
