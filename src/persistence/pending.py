"""The session of a group, which writes the rows of several transactions together.

A transaction that was prepared is kept until the group is written, or until something reads what
it may have changed. One that fails has written nothing by then, so the others need no savepoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from persistence.store import Batch, Session
from persistence.store.protocol import BEFORE_ALL, Live
from persistence.values import Payload


class Inseparable(Exception):
    """What failed may be the fault of any of the transactions: each has to be tried alone."""


@attrs.define(eq=False)
class Pending:
    """What a session shows and takes, with the writes of its transactions put off."""

    session: Session
    broken: bool = False
    _batches: list[Batch] = attrs.field(factory=list)
    _cells: set[tuple[int, int]] = attrs.field(factory=set)
    _values: set[tuple[int, int, Payload]] = attrs.field(factory=set)

    def append(self, batch: Batch) -> None:
        """Keeps *batch* until it has to be written."""
        self._require_whole()
        self._batches.append(batch)
        for e, a, k, payload, *_ in batch.log:
            self._cells.add((e, a))
            self._values.add((a, k, payload))
        if batch.reindex:
            self.write()

    def write(self) -> None:
        """Writes what was kept.

        Raises:
            Inseparable: the store refuses it.
        """
        self._require_whole()
        if self._batches:
            batches, self._batches, self._cells, self._values = self._batches, [], set(), set()
            try:
                self.session.append_all(batches)
            except Exception as error:
                self.broken = True
                raise Inseparable from error

    def live(
        self,
        branch: int,
        pairs: Iterable[tuple[int, int]],
        t: int | None = None,
        after: int = BEFORE_ALL,
    ) -> list[Live]:
        """As the session, which does not need what was kept about other cells."""
        pairs = list(pairs)
        if not self._cells.isdisjoint(pairs):
            self.write()
        return self.session.live(branch, pairs, t, after)

    def live_values(
        self, branch: int, keys: Iterable[tuple[int, int, Payload]], t: int | None = None
    ) -> list[Live]:
        """As the session, which does not need what was kept about other values."""
        keys = list(keys)
        if not self._values.isdisjoint(keys):
            self.write()
        return self.session.live_values(branch, keys, t)

    def __getattr__(self, name: str) -> Any:
        self.write()
        return getattr(self.session, name)

    def _require_whole(self) -> None:
        if self.broken:
            raise Inseparable
