"""Schema out of facts, and what a change of schema may do.

Evolution only moves forward: a change that stored facts would contradict is refused, and the
facts are named. What is allowed without a look at the facts: documentation, dropping an index,
dropping uniqueness, one to many, and taking a type away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from persistence.datoms import bootstrap as boot
from persistence.datoms.schema import Attribute, Schema
from persistence.errors import SchemaError
from persistence.values import Keyword

SchemaFact: TypeAlias = tuple[int, Keyword, Any]  # entity, built-in attribute, value

_MANY: Final = Keyword("db.cardinality/many")
_ONE: Final = Keyword("db.cardinality/one")
_IDENTITY: Final = Keyword("db.unique/identity")
_VALUE: Final = Keyword("db.unique/value")
_TUPLE: Final = Keyword("db.type/tuple")

_SPEC: Final = frozenset((boot.ENTITY_ATTRS, boot.ENTITY_PREDS))
_DECLARES: Final = (
    frozenset(attribute.ident for attribute in boot.BUILT_IN if 2 <= (attribute.id or 0) <= 16)
    - _SPEC
    - {boot.DOC}
)


@attrs.frozen
class EntitySpec:
    """What `:db/ensure` demands of an entity: attributes it must have, predicates it must pass."""

    ident: Keyword
    attributes: tuple[Keyword, ...] = ()
    preds: tuple[Any, ...] = ()


def build(facts: Iterable[SchemaFact], numbers: Mapping[Keyword, int]) -> Schema:
    """The schema that *facts* declare; *numbers* are the storage numbers of attributes.

    Raises:
        SchemaError: a declaration that means nothing, with the entity and the value.
    """
    entities: dict[int, dict[Keyword, list[Any]]] = {}
    for e, a, v in facts:
        entities.setdefault(e, {}).setdefault(a, []).append(v)
    attributes = {attribute.ident: attribute for attribute in boot.BUILT_IN}
    idents: dict[Keyword, int] = {}
    specs: dict[int, EntitySpec] = {}
    for e, told in entities.items():
        if boot.IDENT not in told:
            continue
        ident = told[boot.IDENT][-1]
        idents[ident] = e
        if not told.keys().isdisjoint(_DECLARES):
            attributes[ident] = _declared(e, ident, told, numbers.get(ident))
        if not told.keys().isdisjoint(_SPEC):
            specs[e] = EntitySpec(
                ident,
                tuple(told.get(boot.ENTITY_ATTRS, ())),
                tuple(told.get(boot.ENTITY_PREDS, ())),
            )
    for ident, number in numbers.items():
        if ident not in attributes:
            attributes[ident] = Attribute(ident, id=number)
    return Schema(attributes, idents, specs)


def _declared(
    e: int, ident: Keyword, told: Mapping[Keyword, list[Any]], number: int | None
) -> Attribute:
    def one(key: Keyword, default: Any = None) -> Any:
        return told[key][-1] if key in told else default

    tuple_attrs, tuple_types = one(boot.TUPLE_ATTRS), one(boot.TUPLE_TYPES)
    value_type = one(boot.VALUE_TYPE)
    if value_type is None and (tuple_attrs or tuple_types or one(boot.TUPLE_TYPE)):
        value_type = _TUPLE
    attribute = Attribute(
        ident,
        id=number,
        entity=e,
        value_type=value_type,
        many=one(boot.CARDINALITY, _ONE) is _MANY,
        unique=one(boot.UNIQUE),
        index=one(boot.INDEX, False),
        component=one(boot.IS_COMPONENT, False),
        tuple_attrs=tuple(tuple_attrs) if tuple_attrs else None,
        tuple_types=tuple(tuple_types) if tuple_types else None,
        tuple_type=one(boot.TUPLE_TYPE),
        preds=tuple(told.get(boot.PREDS, ())),
        no_history=one(boot.NO_HISTORY, False),
        fulltext=one(boot.FULLTEXT, False),
        sensitive=one(boot.SENSITIVE, False),
        doc=one(boot.DOC),
    )
    _check_declaration(attribute, one(boot.CARDINALITY, _ONE))
    return attrs.evolve(attribute, indexed=attribute.wants_index)


def _check_declaration(attribute: Attribute, cardinality: Keyword) -> None:
    """Refuses a declaration that means nothing."""
    ident = attribute.ident
    if attribute.value_type is not None and attribute.value_type not in boot.VALUE_TYPES:
        known = ", ".join(sorted(str(name) for name in boot.VALUE_TYPES))
        _refuse(ident, ":db/valueType", attribute.value_type, f"use one of {known}")
    if cardinality not in (_ONE, _MANY):
        _refuse(ident, ":db/cardinality", cardinality, f"use {_ONE} or {_MANY}")
    if attribute.unique not in (None, _IDENTITY, _VALUE):
        _refuse(ident, ":db/unique", attribute.unique, f"use {_IDENTITY} or {_VALUE}")
    if attribute.component and not attribute.ref:
        _refuse(ident, ":db/isComponent", True, "add :db/valueType :db.type/ref")
    if attribute.fulltext and attribute.value_type not in (None, Keyword("db.type/string")):
        _refuse(ident, ":db/fulltext", True, "full text needs :db.type/string")
    parts = attribute.tuple_attrs
    if parts is None:
        return
    if len(parts) == 0 or not all(isinstance(part, Keyword) for part in parts):
        _refuse(ident, ":db/tupleAttrs", parts, "give a vector of attributes")
    if attribute.many:
        _refuse(ident, ":db/tupleAttrs", parts, "a composite tuple has cardinality one")
    if ident in parts:
        _refuse(ident, ":db/tupleAttrs", parts, "a tuple cannot be a part of itself")


def _refuse(ident: Keyword, key: str, value: Any, hint: str) -> None:
    raise SchemaError(
        f"attribute {ident} cannot have {key} {value}",
        hint=hint,
        attribute=ident,
        key=key,
        value=value,
    )


def check_tuples(schema: Schema) -> None:
    """Refuses composite tuples over attributes that are many or composite themselves.

    Raises:
        SchemaError: names the tuple and the part.
    """
    for attribute in schema.attributes.values():
        for part in attribute.tuple_attrs or ():
            component = schema[part]
            if component.many:
                _refuse(attribute.ident, ":db/tupleAttrs", part, "a part must have cardinality one")
            if component.tuple_attrs:
                _refuse(attribute.ident, ":db/tupleAttrs", part, "a part cannot be a tuple itself")


@attrs.frozen
class Demand:
    """What a change of one attribute needs to be true of the stored facts."""

    attribute: Attribute
    kinds: frozenset[int] | None = None  # every value is of one of these kinds
    single: bool = False  # no entity holds two values at one instant
    unique: bool = False  # no two entities hold one value at one instant
    none: bool = False  # there are no facts at all


def demands(old: Schema, new: Schema) -> list[Demand]:
    """What must be true of the stored facts for *new* to follow *old*."""
    found = []
    for ident, after in new.attributes.items():
        before = old[ident]
        if after is before or after == before:
            continue
        retyped = after.value_type is not None and after.value_type is not before.value_type
        kinds = boot.VALUE_TYPES[after.value_type] if retyped and after.value_type else None
        demand = Demand(
            after,
            kinds=kinds,
            single=before.many and not after.many,
            unique=after.unique is not None and before.unique is None,
            none=after.tuple_attrs != before.tuple_attrs
            or (retyped and after.ref and before.value_type is not None),
        )
        if demand.kinds or demand.single or demand.unique or demand.none:
            found.append(demand)
    return found
