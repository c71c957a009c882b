"""Composite tuples follow their parts.

`:db/tupleAttrs` declares an attribute whose value is the vector of other attributes' values. It
is derived, never set: whenever a part changes, the tuple's own timeline is computed again from
the timelines of all parts, so it is right at every instant and not only now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from persistence.datoms import FOREVER, Attribute, Interval, Schema
from persistence.datoms.interval import intersect
from persistence.errors import TransactionError
from persistence.transact.cells import Cells
from persistence.transact.operations import Add, Operation, Retract, Tempid


def derive(cells: Cells, schema: Schema, operations: Sequence[Operation]) -> None:
    """Brings every composite tuple that *operations* touch up to date."""
    composites = schema.composites()
    if not composites:
        return
    typed = cells.typed
    for attribute in composites:
        parts = [typed.number(part) for part in attribute.tuple_attrs or ()]
        number = typed.number(attribute.ident)
        touched = {e for e, a in cells.state if a in parts}
        if not touched:
            continue
        cells.load((e, a) for e in touched for a in (*parts, number))
        for e in sorted(touched):
            _rebuild(cells, e, attribute, number, parts)
    _check_direct(cells, operations)


def _rebuild(cells: Cells, e: int, attribute: Attribute, number: int, parts: list[int]) -> None:
    """Sets the tuple's cell to what its parts say."""
    lines = [cells.timeline((e, part)) for part in parts]
    edges = sorted({edge for line in lines for _, span in line for edge in span})
    after: dict[Any, list[Interval]] = {}
    for start, end in pairwise(edges):
        values = tuple(
            next(
                (cells.typed.python(key) for key, span in line if span[0] <= start < span[1]), None
            )
            for line in lines
        )
        if any(value is not None for value in values):
            typed = cells.typed.value(e, attribute, values)
            if typed is not None:
                after.setdefault(typed[1], []).append((start, end))
    cell = cells.cell((e, number))
    # What ended by then was not read, so before it the tuple stays as it is.
    derived = (cells.since, FOREVER)
    cell.retract_all(derived)
    for key, spans in after.items():
        for span in spans:
            piece = intersect(span, derived)
            if piece is not None:
                cell.assert_many(key, piece)


def _check_direct(cells: Cells, operations: Iterable[Operation]) -> None:
    """A tuple may be named in transaction data only with the value that it has anyway."""
    for op in operations:
        if not isinstance(op, Add | Retract) or not op.attribute.tuple_attrs:
            continue
        e = cells.resolver.entity(op.e)
        if e is not None and isinstance(op, Add):
            span = op.span or cells.span
            number = cells.typed.number(op.attribute.ident)
            cells.load([(e, number)])
            value = cells.resolver.composite(op.attribute, op.value)
            state = cells.cell((e, number))
            stated = None if value is None else cells.typed.key(value)
            if stated in state.at(span[0]):
                continue  # it says what is so anyway
            if type(op.e) is Tempid and stated in state.before_at(span[0]):
                continue  # it names the entity
        cells.problems.append(
            TransactionError(
                f"the tuple {op.attribute.ident} of entity {e} follows "
                f"{' '.join(map(str, op.attribute.tuple_attrs))} and cannot be set to {op.value!r}",
                hint="transact its parts",
                attribute=op.attribute.ident,
                entity=e,
            )
        )
