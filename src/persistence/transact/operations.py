"""What a transaction asks for, once its syntax is read: entities by name, and operations.

Nothing is resolved here: an operation names its entity as the caller did.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from persistence.datoms import Attribute, Interval
from persistence.values import Keyword


class Tempid:
    """An entity that the transaction itself names; *key* is what the caller wrote, if anything.

    `id` is the entity id, once it is resolved.
    """

    __slots__ = ("id", "key")

    def __init__(self, key: str | int | None = None) -> None:
        self.key = key
        self.id: int | None = None

    def __repr__(self) -> str:
        return "a nameless entity" if self.key is None else repr(self.key)


class Lookup(NamedTuple):
    """An entity named by a unique attribute and its value."""

    attribute: Attribute
    value: Any

    def __repr__(self) -> str:
        return f"[{self.attribute.ident} {self.value!r}]"


class Current:
    """The entity of the transaction being prepared."""

    __slots__ = ()

    def __repr__(self) -> str:
        return ":db/current-tx"


CURRENT_TX: Final = Current()

# How an operation names an entity: an id, a tempid, a lookup ref, an ident, or the transaction.
Entity: TypeAlias = int | Tempid | Lookup | Keyword | Current


class Add(NamedTuple):
    """`[:db/add e a v]`; of a reference attribute, *value* is an `Entity`."""

    e: Entity
    attribute: Attribute
    value: Any
    span: Interval | None


class Retract(NamedTuple):
    """`[:db/retract e a v]`."""

    e: Entity
    attribute: Attribute
    value: Any
    span: Interval | None


class RetractAttribute(NamedTuple):
    """`[:db/retract e a]` and `[:db/retractAttribute e a]`: every value of it."""

    e: Entity
    attribute: Attribute
    span: Interval | None


class RetractEntity(NamedTuple):
    """`[:db/retractEntity e]`: every fact of it, every reference to it, and its components."""

    e: Entity
    span: Interval | None


class Cas(NamedTuple):
    """`[:db/cas e a old new]`."""

    e: Entity
    attribute: Attribute
    old: Any
    new: Any
    span: Interval | None


class Ensure(NamedTuple):
    """`{:db/id e :db/ensure spec}`: *e* must satisfy *spec* when the transaction is done."""

    e: Entity
    spec: Entity


Operation: TypeAlias = Add | Retract | RetractAttribute | RetractEntity | Cas | Ensure
