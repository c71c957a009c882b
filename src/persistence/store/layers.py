"""The live rectangles of a branch: its own, and those of the line it came from.

A branch shows what its ancestors had as of its base, but for the facts that it, or a branch
between, has made its own by changing them. Each read asks every branch of the line once, whatever
the number of its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import attrs

from persistence.store.protocol import BEFORE_ALL, Live, Snapshot
from persistence.values import Payload

# (branch, t): read as of t, or what is live now
Layer: TypeAlias = tuple[int, int | None]


@attrs.define(eq=False)
class Layers:
    """The reads of a snapshot that go over the branches of one line, the nearest first.

    Rectangles that were read from an ancestor are remembered in `inherited`.
    """

    snapshot: Snapshot
    line: Sequence[Layer]
    inherited: set[Live] = attrs.field(factory=set)

    def live(self, pairs: Iterable[tuple[int, int]], after: int = BEFORE_ALL) -> list[Live]:
        """As `Snapshot.live`, over the line."""
        keys = pairs if len(self.line) == 1 else list(pairs)
        return self._merged(lambda branch, t: self.snapshot.live(branch, keys, t, after))

    def ended(
        self, pairs: Iterable[tuple[int, int]], asserts: Iterable[int], until: int
    ) -> list[Live]:
        """As `Snapshot.ended`, over the line."""
        keys, said = list(pairs), list(asserts)
        return self._merged(lambda branch, t: self.snapshot.ended(branch, keys, said, t, until))

    def live_entities(self, entities: Iterable[int], after: int = BEFORE_ALL) -> list[Live]:
        """As `Snapshot.live_entities`, over the line."""
        keys = list(entities)
        return self._merged(lambda branch, t: self.snapshot.live_entities(branch, keys, t, after))

    def live_values(self, keys: Iterable[tuple[int, int, Payload]]) -> list[Live]:
        """As `Snapshot.live_values`, over the line."""
        keys = list(keys)
        return self._merged(lambda branch, t: self.snapshot.live_values(branch, keys, t))

    def live_attributes(self, attributes: Iterable[int]) -> list[Live]:
        """As `Snapshot.live_attributes`, over the line."""
        keys = list(attributes)
        return self._merged(lambda branch, t: self.snapshot.live_attributes(branch, keys, t))

    def _merged(self, read: Callable[[int, int | None], list[Live]]) -> list[Live]:
        rows = read(*self.line[0])
        nearer = [self.line[0][0]]
        for branch, t in self.line[1:]:
            found = read(branch, t)
            facts = {(a, e, k, payload) for e, a, k, payload, *_ in found}
            owned = self.snapshot.owned(nearer, facts)
            found = [row for row in found if (row[1], row[0], row[2], row[3]) not in owned]
            self.inherited.update(found)
            rows = rows + found
            nearer.append(branch)
        return rows
