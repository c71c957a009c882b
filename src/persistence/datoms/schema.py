"""What is declared about attributes, as a value.

A `Schema` is read from the facts of one basis and never changes. It answers questions by
attribute keyword, and maps between keywords and the small integers that the tables store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from persistence.values import Keyword

BOUNDED: Final = 1  # the attribute has, or had, facts with an end in valid time
CLOSED: Final = 2  # the attribute has facts that are no longer believed
OPEN: Final = 4  # on a branch: it has open facts of its own
OWNING: Final = 8  # on a branch: it owns facts that it inherited
LINE_BITS: Final = 4  # flags of a line of branches: those of the nearest in the lowest bits


def line_flags(flags: Iterable[int]) -> int:
    """The flags of an attribute on a line of branches, nearest first, as one number."""
    packed = 0
    for place, flag in enumerate(flags):
        packed |= (flag & (1 << LINE_BITS) - 1) << LINE_BITS * place
    return packed


REF: Final = Keyword("db.type/ref")
UNIQUE_IDENTITY: Final = Keyword("db.unique/identity")


@attrs.frozen
class Attribute:
    """One attribute: its declaration and its storage number.

    An attribute that nobody declared has cardinality one and takes any type.
    """

    ident: Keyword
    id: int | None = None
    entity: int | None = None
    value_type: Keyword | None = None
    many: bool = False
    unique: Keyword | None = None
    index: bool = False
    component: bool = False
    tuple_attrs: tuple[Keyword, ...] | None = None
    tuple_types: tuple[Keyword, ...] | None = None
    tuple_type: Keyword | None = None
    preds: tuple[Keyword, ...] = ()
    no_history: bool = False
    fulltext: bool = False
    sensitive: bool = False
    doc: str | None = None
    indexed: bool = False  # whether its facts are in the AVET index now, at any basis

    # Asked for every fact of a transaction, and therefore fields:
    ref: bool = attrs.field(init=False)  # the values name entities
    identity: bool = attrs.field(init=False)  # a value names its entity for upserts
    plain: bool = attrs.field(init=False)  # a value neither names an entity nor is made of others

    @ref.default
    def _is_ref(self) -> bool:
        return self.value_type is REF

    @identity.default
    def _is_identity(self) -> bool:
        return self.unique is UNIQUE_IDENTITY

    @plain.default
    def _is_plain(self) -> bool:
        return not (self.ref or self.identity or self.tuple_attrs)

    @property
    def wants_index(self) -> bool:
        """Whether its declaration asks for the AVET index."""
        return bool(self.index or self.unique or self.ref or self.tuple_attrs)


@attrs.frozen(eq=False, repr=False)
class Schema(Mapping[Keyword, Attribute]):
    """All attributes known at a basis.

    Looking up an attribute that nobody declared gives its default: cardinality one, any type.
    """

    attributes: Mapping[Keyword, Attribute]
    idents: Mapping[Keyword, int] = attrs.field(factory=dict)  # :db/ident -> entity
    specs: Mapping[int, Any] = attrs.field(factory=dict)  # entity -> :db/ensure entity spec
    # What others derived from this schema and would derive again for every transaction.
    memo: dict[Any, Any] = attrs.field(factory=dict, init=False)

    def __getitem__(self, ident: Keyword) -> Attribute:
        found = self.attributes.get(ident)
        return found if found is not None else Attribute(ident)

    def __iter__(self) -> Iterator[Keyword]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    def __contains__(self, ident: object) -> bool:
        return ident in self.attributes

    def composites(self) -> tuple[Attribute, ...]:
        """The attributes that are tuples of others."""
        found: tuple[Attribute, ...] | None = self.memo.get("composites")
        if found is None:
            found = tuple(each for each in self.attributes.values() if each.tuple_attrs)
            self.memo["composites"] = found
        return found

    def sensitive(self) -> frozenset[Keyword]:
        """The attributes whose values may be erased: those that say so, and tuples of them."""
        found: frozenset[Keyword] | None = self.memo.get("sensitive")
        if found is None:
            said = {each.ident for each in self.attributes.values() if each.sensitive}
            made = {
                each.ident
                for each in self.composites()
                if not said.isdisjoint(each.tuple_attrs or ())
            }
            found = self.memo["sensitive"] = frozenset(said | made)
        return found

    def refs(self) -> Iterable[Attribute]:
        """The declared reference attributes."""
        return (attribute for attribute in self.attributes.values() if attribute.ref)

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema, (dict(self.attributes), dict(self.idents), dict(self.specs))

    def __repr__(self) -> str:
        return f"<Schema of {len(self.attributes)} attributes>"
