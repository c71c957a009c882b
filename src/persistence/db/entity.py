"""A lazy, read-only look at one entity of one database value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from persistence.query import fetch
from persistence.values import Keyword, keyword

if TYPE_CHECKING:
    from persistence.db.value import Db


class Entity(Mapping[Keyword, Any]):
    """The attributes of an entity, read in one statement when the first is asked for.

    References lead to entities, and a reversed name (`:order/_items`) to those that refer here.

    >>> entity = db.entity(ada)
    >>> entity["user/name"], sorted(map(str, entity))
    ('Ada Lovelace', [':user/age', ':user/name'])
    """

    __slots__ = ("_facts", "db", "id")

    def __init__(self, db: Db, e: int) -> None:
        self.db = db
        self.id = e
        self._facts: dict[Keyword, Any] | None = None

    def _read(self) -> dict[Keyword, Any]:
        if self._facts is None:
            schema = self.db.schema
            found: dict[Keyword, Any] = {}
            for ident, values in fetch.entity(self.db, self.id).items():
                attribute = schema[ident]
                shown = [Entity(self.db, v) for v in values] if attribute.ref else values
                found[ident] = shown if attribute.many else shown[0]
            self._facts = found
        return self._facts

    def __getitem__(self, attribute: Keyword | str) -> Any:
        ident = keyword(attribute)
        facts = self._read()
        if ident in facts:
            return facts[ident]
        local = ident.local
        if local.startswith("_"):
            forward = Keyword(f"{ident.namespace}/{local[1:]}" if ident.namespace else local[1:])
            sources = fetch.referring(self.db, forward, self.id)
            if sources:
                return [Entity(self.db, e) for e in sources]
        raise KeyError(attribute)

    def __iter__(self) -> Iterator[Keyword]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        return type(other) is Entity and other.id == self.id and other.db == self.db

    def __hash__(self) -> int:
        return hash((Entity, self.id))

    def __repr__(self) -> str:
        return f"<Entity {self.id}>"
