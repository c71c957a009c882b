"""What a fact is: datoms, valid time, rectangles and schema. Pure; nothing here does I/O."""

from persistence.datoms.adopt import Owned, adopt, segment_flags
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
from persistence.datoms.schema import BOUNDED, CLOSED, OPEN, OWNING, Attribute, Schema, line_flags

__all__ = [
    "ASSERT",
    "BEGINNING",
    "BOUNDED",
    "CLOSED",
    "FOREVER",
    "OPEN",
    "OWNING",
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
    "Owned",
    "Payload",
    "Schema",
    "ValueKey",
    "adopt",
    "cut",
    "instant",
    "interval",
    "line_flags",
    "moment",
    "segment_flags",
    "states",
]
