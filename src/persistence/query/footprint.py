"""What was read, at the grain of the pattern, so that a later change can be held against it.

A footprint names what a read depended on, not what it found: an entity, an attribute and a value,
each known or left open. A fact that is new, changed or gone matters to the read when some
footprint fits it; so what was *not* there when it was looked for is remembered too.

    everything                 ·                 entities    (e)
    attributes   (a)                             values      (a, value)
    cells        (e, a)                          facts       (e, a, value)
    loose        (value) of any attribute        unions of these

Attributes are named by their idents, because one that nobody has used yet has no number. Values
are the columns of the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from persistence.values import Keyword, Payload


@attrs.define(eq=False, repr=False)
class Footprints:
    """A set of footprints that grows; safe to add to from several threads.

    `basis` is the t of the snapshot that they are of: what is read of an earlier time can never
    change, and leaves none.

    >>> prints = Footprints(basis=7)
    >>> prints.add(1, Keyword("account/balance"))
    >>> prints.matches(1, Keyword("account/balance"), 2, 500)
    True
    >>> prints.matches(1, Keyword("account/owner"), 9, "Ada")
    False
    """

    basis: int = 0
    everything: bool = False
    entities: set[int] = attrs.field(factory=set)
    attributes: set[Keyword] = attrs.field(factory=set)
    cells: set[tuple[int, Keyword]] = attrs.field(factory=set)
    values: set[tuple[Keyword, int, Payload]] = attrs.field(factory=set)
    facts: set[tuple[int, Keyword, int, Payload]] = attrs.field(factory=set)
    loose: set[tuple[int, Payload]] = attrs.field(factory=set)

    def add(
        self,
        e: int | None = None,
        a: Keyword | None = None,
        value: tuple[int, Payload] | None = None,
    ) -> None:
        """One read of the facts with this entity, attribute and value; None is any."""
        if a is None:
            if e is not None:
                self.entities.add(e)
            elif value is not None:
                self.loose.add(value)
            else:
                self.everything = True
        elif value is None:
            if e is None:
                self.attributes.add(a)
            else:
                self.cells.add((e, a))
        elif e is None:
            self.values.add((a, *value))
        else:
            self.facts.add((e, a, *value))

    def matches(self, e: int, a: Keyword, k: int, payload: Payload) -> bool:
        """Whether a changed fact touches what was read."""
        return (
            self.everything
            or (e, a) in self.cells
            or a in self.attributes
            or e in self.entities
            or (bool(self.values) and (a, k, payload) in self.values)
            or (bool(self.facts) and (e, a, k, payload) in self.facts)
            or (bool(self.loose) and (k, payload) in self.loose)
        )

    def touches(self, e: int, a: Keyword) -> bool:
        """Whether some value of this cell would matter to what was read.

        >>> prints = Footprints()
        >>> prints.add(None, Keyword("account/owner"), (9, "Ada"))
        >>> prints.touches(1, Keyword("account/owner")), prints.touches(1, Keyword("city"))
        (True, False)
        """
        return (
            self.everything
            or (e, a) in self.cells
            or a in self.attributes
            or e in self.entities
            or bool(self.loose)
            or any(value[0] == a for value in self.values)
            or any(fact[:2] == (e, a) for fact in self.facts)
        )

    def merge(self, other: Footprints) -> None:
        """Takes over everything that *other* holds."""
        self.everything = self.everything or other.everything
        for own, more in zip(self._sets(), other._sets(), strict=True):
            own |= more

    def copy(self) -> Footprints:
        """The same footprints, apart from these."""
        found = Footprints(self.basis)
        found.merge(self)
        return found

    def cells_of(self, entities: Iterable[int], idents: Iterable[Keyword] | None) -> None:
        """One read of these attributes, or of all when None, of each entity."""
        if idents is None:
            self.entities.update(entities)
        else:
            wanted = list(idents)
            self.cells.update((e, a) for e in entities for a in wanted)

    def _sets(self) -> tuple[set[Any], ...]:
        return (
            self.entities,
            self.attributes,
            self.cells,
            self.values,
            self.facts,
            self.loose,
        )

    def __bool__(self) -> bool:
        return self.everything or any(self._sets())

    def __len__(self) -> int:
        return int(self.everything) + sum(map(len, self._sets()))

    def __repr__(self) -> str:
        return f"<Footprints of t={self.basis}: {'everything' if self.everything else len(self)}>"
