"""The schema of a transaction: what its forms declare already, and what its facts make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from persistence.datoms import FOREVER, Change, Schema, evolution
from persistence.datoms import bootstrap as boot
from persistence.transact import check
from persistence.transact.base import Base
from persistence.transact.forms import Parser
from persistence.transact.operations import Add
from persistence.transact.typed import Typed


def with_declarations(base: Base, forms: Iterable[Any]) -> Schema:
    """The schema under which *forms* are read: attributes that they declare count already, so
    that one transaction can declare an attribute and use it."""
    declared = [
        form
        for form in forms
        if type(form) not in _VECTORS
        and isinstance(form, Mapping)
        and not _IDENT_KEYS.isdisjoint(form)
    ]
    if not declared:
        return base.schema
    known = Parser(base.schema, lambda *_: (), default_span=(0, FOREVER))
    facts = []
    for index, form in enumerate(declared, start=1):
        known.operations.clear()
        known.map(form)
        for op in known.operations:
            if isinstance(op, Add) and op.attribute.ident in boot.BUILT_IN_IDS:
                facts.append((-index, op.attribute.ident, _frozen(op.value)))
    new = evolution.build(facts, base.numbers)
    attributes = dict(base.schema.attributes)
    for ident, attribute in new.attributes.items():
        if ident not in attributes or attribute.entity is not None:
            old = base.schema[ident]
            if old.entity is None:
                attributes[ident] = attribute
    schema = Schema(attributes, base.schema.idents, dict(base.schema.specs))
    return schema


_IDENT_KEYS = frozenset((boot.IDENT, str(boot.IDENT), boot.IDENT.name))
_VECTORS = (list, tuple)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def evolve(
    base: Base, typed: Typed, changes: Sequence[Change], touched: bool
) -> tuple[Schema, list[tuple[int, int]]]:
    """The schema after the transaction, and the attributes whose index entry switches."""
    if not touched and not typed.attributes:
        return base.schema, []
    if not touched:
        attributes = dict(base.schema.attributes)
        for ident, number in typed.attributes.items():
            attributes[ident] = attrs.evolve(base.schema[ident], id=number)
        return Schema(attributes, base.schema.idents, base.schema.specs), []
    live = base.live_attributes(boot.SCHEMA_IDS)
    rows = check.new_facts(live, changes, boot.SCHEMA_IDS)
    names = {n: ident for ident, n in boot.BUILT_IN_IDS.items()}
    facts = [(e, names[a], typed.python((k, payload))) for e, a, k, payload in rows]
    schema = evolution.build(facts, {**base.numbers, **typed.attributes})
    evolution.check_tuples(schema)
    check.evolution(base, evolution.demands(base.schema, schema), changes)
    reindex = [
        (stored, int(attribute.indexed))
        for ident, attribute in schema.attributes.items()
        if (stored := base.numbers.get(ident)) is not None
        and attribute.indexed != base.schema[ident].indexed
    ]
    return schema, reindex
