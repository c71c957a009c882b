"""What a transaction is prepared against: one database, read in bulk.

The transactor prepares against the head of its own write session; a speculation prepares
against any database value. Both give the same answers here, a statement a question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from persistence.datoms import Live, Schema
from persistence.values import Keyword

Key = tuple[int, int, "int | float | str"]  # (a, k, payload)


class Base(Protocol):
    """The database as of a transaction's start."""

    @property
    def schema(self) -> Schema: ...

    @property
    def branch(self) -> int:
        """The branch that is written."""
        ...

    @property
    def inherited(self) -> AbstractSet[Live]:
        """The rectangles read so far that belong to the line which the branch came from, and
        must be taken over before they are cut."""
        ...

    @property
    def basis(self) -> int:
        """The t of the last transaction; the prepared one is the next."""
        ...

    @property
    def next_e(self) -> int:
        """The first entity id that was never used."""
        ...

    @property
    def reserved(self) -> int:
        """The first of the reserved ids that was never given out."""
        ...

    @property
    def numbers(self) -> Mapping[Keyword, int]:
        """The storage numbers of all attributes ever used."""
        ...

    @property
    def next_number(self) -> int:
        """The first number that no attribute was ever given."""
        ...

    @property
    def functions(self) -> Mapping[Keyword, Callable[..., Any]]:
        """Registered transaction functions and attribute predicates."""
        ...

    def value(self) -> Any:
        """The database value that transaction functions see."""
        ...

    def live(self, pairs: Iterable[tuple[int, int]], after: int) -> list[Live]:
        """The rectangles of these cells that end after the instant *after*."""
        ...

    def live_entities(self, entities: Iterable[int], after: int) -> list[Live]:
        """The rectangles of these entities that end after the instant *after*."""
        ...

    def live_values(self, keys: Iterable[Key]) -> list[Live]: ...

    def live_attributes(self, attributes: Iterable[int]) -> list[Live]: ...

    def blobs(self, ids: Iterable[bytes]) -> dict[bytes, bytes]: ...
