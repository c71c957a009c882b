"""Cells as a transaction sees them: what it set or commuted them to, else what the snapshot holds.

Reading a cell that was read or written before asks the store nothing, and setting one lays nothing
over the snapshot; that is what makes a transaction on refs cheap.
"""

from __future__ import annotations

from typing import Any

import attrs

from persistence.stm.reference import MISSING
from persistence.stm.state import Cell, Commute
from persistence.stm.workspace import Workspace


def read(work: Workspace, cell: Cell, default: Any) -> Any:
    """The value of a cell, which is remembered as read unless it is the transaction's own."""
    work.check()
    state = work.state
    if cell in state.values:
        value = state.values[cell]
    elif cell in state.commuted:
        work.reads.cells.add(cell)  # who looks at it depends on it
        value = state.commuted[cell]
    else:
        derived = bool(state.pending) and work.snapshot.schema[cell[1]].tuple_attrs
        value = (work.db if derived else work.snapshot).get(*cell, None)
        state.values[cell] = value
    return (None if default is MISSING else default) if value is None else value


def write(work: Workspace, cell: Cell, value: Any) -> None:
    """Sets a cell of cardinality one."""
    work.check()
    if work.eager or (type(value) is not int and work.snapshot.schema[cell[1]].ref):
        work.decide([["db/add", *cell, value]], work.options.valid_from, work.options.valid_to)
    else:
        work.watching.accept(*cell, value)
        work.wrote({cell})
        work.state.pending[cell] = value
        work.state.values[cell] = value


def commute(work: Workspace, change: Commute) -> Any:
    """Changes a cell now, for this body's eyes, and again at commit; gives the value."""
    work.check()
    state, cell = work.state, change.cell
    if cell in state.written or work.eager:
        held = read(work, cell, change.default)
        value = change.function(held, *change.args)
        write(work, cell, value)
        return value
    if cell in state.commuted:
        held = state.commuted[cell]
    elif cell in state.values:
        held = state.values.pop(cell)
    else:
        held = attrs.evolve(work.db, footprints=None).get(*cell, None)
    if held is None and change.default is not MISSING:
        held = change.default
    value = state.commuted[cell] = change.function(held, *change.args)
    state.commutes.append(change)
    state.unshown.add(cell)
    return value


def ensure(work: Workspace, cell: Cell) -> None:
    """Lets the commit fail if somebody else changes the cell meanwhile."""
    work.check()
    work.reads.cells.add(cell)
    work.kept.cells.add(cell)
