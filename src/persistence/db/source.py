"""What a database value needs of the connection it was taken from.

A database value holds no connection of its own: it names coordinates and asks its source. The
connection is one source; a speculation wraps it with the attributes it added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from persistence.datoms import InstantLike, Schema
from persistence.query import FunctionRegistry
from persistence.store.dialect import Dialect
from persistence.store.protocol import Snapshot
from persistence.values import Keyword


class Source(Protocol):
    """Where a database value reads."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def functions(self) -> FunctionRegistry:
        """The functions, predicates and aggregates that queries may call."""
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """A consistent read of the store."""
        ...

    def read(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement, in a snapshot of its own."""
        ...

    def deadline(self, seconds: float) -> AbstractContextManager[Any]:
        """Stops a statement of this thread that runs longer."""
        ...

    def attribute_id(self, ident: Keyword) -> int | None:
        """The storage number of an attribute, None when no fact ever used it."""
        ...

    def ident(self, number: int) -> Keyword:
        """The attribute of a storage number."""
        ...

    def flags(self, number: int) -> int:
        """BOUNDED and CLOSED, as far as the attribute has such rectangles.

        On a branch these are the flags of its line, as `line_flags` packs them.
        """
        ...

    def on(self, branch: int) -> Source:
        """The source that values of *branch* read."""
        ...

    def schema_at(self, t: int) -> Schema:
        """The schema as of *t*."""
        ...

    def resolve_basis(self, x: int | bytes | InstantLike) -> int:
        """The t that a t, a transaction entity, a transaction id or an instant names."""
        ...

    def speculate(self, db: Any, forms: Any, options: Mapping[str, Any]) -> Any:
        """The report of transacting *forms* on top of *db*, without writing."""
        ...

    def values(self, keys: Iterable[tuple[int, int | float | str]]) -> list[Any]:
        """The values of stored (k, payload) pairs; interned ones in one statement."""
        ...


TransactionFunction = Callable[..., Iterable[Any]]
