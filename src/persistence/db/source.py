"""What a database value needs of the connection it was taken from.

A database value holds no connection of its own: it names coordinates and asks its source. The
connection is one source; a speculation wraps it with the attributes it added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import attrs

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


@attrs.frozen(eq=False)
class Passing:
    """A source that leaves to another one what it does not answer itself."""

    inner: Source

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    @property
    def functions(self) -> FunctionRegistry:
        return self.inner.functions

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return self.inner.snapshot()

    def read(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self.inner.read(sql, params)

    def deadline(self, seconds: float) -> AbstractContextManager[Any]:
        return self.inner.deadline(seconds)

    def attribute_id(self, ident: Keyword) -> int | None:
        return self.inner.attribute_id(ident)

    def ident(self, number: int) -> Keyword:
        return self.inner.ident(number)

    def flags(self, number: int) -> int:
        return self.inner.flags(number)

    def on(self, branch: int) -> Source:
        return self.inner.on(branch)

    def schema_at(self, t: int) -> Schema:
        return self.inner.schema_at(t)

    def resolve_basis(self, x: int | bytes | InstantLike) -> int:
        return self.inner.resolve_basis(x)

    def speculate(self, db: Any, forms: Any, options: Mapping[str, Any]) -> Any:
        return self.inner.speculate(db, forms, options)

    def values(self, keys: Iterable[tuple[int, int | float | str]]) -> list[Any]:
        return self.inner.values(keys)


TransactionFunction = Callable[..., Iterable[Any]]
