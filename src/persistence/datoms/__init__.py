"""What a fact is: datoms, valid time, rectangles and schema. Pure; nothing here does I/O."""

from persistence.datoms.datom import Datom
from persistence.datoms.interval import (
    BEGINNING,
    FOREVER,
    InstantLike,
    Interval,
    instant,
    interval,
    moment,
)
from persistence.datoms.rectangles import (
    ASSERT,
    RETRACT,
    Cell,
    CellState,
    Change,
    Cuts,
    Live,
    Payload,
    ValueKey,
    cut,
    states,
)
from persistence.datoms.schema import BOUNDED, CLOSED, Attribute, Schema

__all__ = [
    "ASSERT",
    "BEGINNING",
    "BOUNDED",
    "CLOSED",
    "FOREVER",
    "RETRACT",
    "Attribute",
    "Cell",
    "CellState",
    "Change",
    "Cuts",
    "Datom",
    "InstantLike",
    "Interval",
    "Live",
    "Payload",
    "Schema",
    "ValueKey",
    "cut",
    "instant",
    "interval",
    "moment",
    "states",
]
