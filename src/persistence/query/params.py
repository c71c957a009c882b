"""The bound parameters of a statement: what each will hold, before and after numbering.

While a statement is written nobody knows which parts of it will stay, so a parameter is a mark in
the text. Marks that remain are numbered at the end, in the order in which they occur.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from persistence.query.ast import Const
from persistence.store.dialect import Dialect

_MARK: Final = re.compile("\x00([0-9]+)\x00")


@attrs.frozen(slots=True)
class Known:
    """A value that stands in the query itself."""

    value: Any

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is Known
            and type(other.value) is type(self.value)
            and bool(other.value == self.value)
        )


@attrs.frozen(slots=True)
class OfScalar:
    """A payload column of an input, or (part "n", shifted) a number derived from it."""

    place: int
    part: str


@attrs.frozen(slots=True)
class OfView:
    """A coordinate of a source's view: t, i, x, lo, hi, path i, path t, added t; path 9
    is that of t = 9."""

    source: str
    what: str


@attrs.frozen(slots=True)
class OfEntity:
    """The entity that an ident or lookup ref names in a source: a constant or an input."""

    source: str
    named: Const | int


@attrs.frozen(slots=True)
class OfRelation:
    """One of the parameters that carry an input relation."""

    place: int
    index: int


@attrs.frozen(slots=True)
class OfOverlay:
    """One of the parameters that carry a part of a source's overlay: hidden, added, named."""

    source: str
    part: str
    index: int


@attrs.frozen(slots=True)
class OfSearch:
    """The words to look for in full text: of a constant, or of an input."""

    text: Const | int


@attrs.frozen(slots=True)
class OfLimit:
    """How many rows are fetched: the query's limit where the engine applies it, or the budget."""

    applied: bool
    offset: bool = False


Meaning = Known | OfScalar | OfView | OfEntity | OfRelation | OfOverlay | OfSearch | OfLimit


@attrs.frozen
class Parameters:
    """The parameters of one statement while it is being written."""

    dialect: Dialect
    _numbers: dict[tuple[Meaning, str], int] = attrs.field(factory=dict, init=False)
    _meanings: list[tuple[Meaning, str]] = attrs.field(factory=list, init=False)

    def add(self, meaning: Meaning, type: str) -> str:
        """The mark of a parameter; the same meaning is passed once."""
        key = meaning, type
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._meanings)
            self._meanings.append(key)
        return f"\x00{number}\x00"

    def number(self, text: str) -> tuple[str, tuple[Meaning, ...]]:
        """The finished statement, and what its parameters hold, in order."""
        order: dict[int, int] = {}

        def place(match: re.Match[str]) -> str:
            which = int(match[1])
            number = order.setdefault(which, len(order) + 1)
            return self.dialect.parameter(number, self._meanings[which][1])

        return _MARK.sub(place, text), tuple(self._meanings[which][0] for which in order)
