"""Transaction data that names nothing any more: entities are ids, functions have been called.

A body is carried out against a snapshot, and what it decided is applied to a later head. There
its batches follow each other: a later one overrides an earlier one, while inside of one batch two
values for one cell stay a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from persistence.datoms import FOREVER, Interval, Schema, interval
from persistence.transact.cells import Group
from persistence.transact.operations import (
    Add,
    Cas,
    Current,
    Ensure,
    Entity,
    Lookup,
    Operation,
    Retract,
    RetractAttribute,
    RetractEntity,
    Tempid,
)
from persistence.transact.resolve import Resolver


@attrs.frozen
class Batch:
    """The operations of one call, with the ends of the interval they hold over by default.

    An end that is None is that of the transaction: its own time, and no end. `schema` is the one
    they were read under where they declare attributes.
    """

    operations: tuple[Operation, ...]
    valid_from: int | None = None
    valid_to: int | None = None
    schema: Schema | None = attrs.field(default=None, eq=False)

    def group(self, time: int) -> Group:
        """The operations as they are carried out at the instant *time*."""
        start = time if self.valid_from is None else self.valid_from
        span = interval(start, FOREVER if self.valid_to is None else self.valid_to)
        return Group(span, self.operations, [op for op in self.operations if type(op) is not Add])

    def starts(self) -> Iterator[int]:
        """Where the intervals begin that are told already."""
        if self.valid_from is not None:
            yield self.valid_from
        for op in self.operations:
            span = None if isinstance(op, Ensure) else op.span
            if span is not None:
                yield span[0]


@attrs.frozen
class Batches:
    """What one transaction writes, batch after batch."""

    batches: Sequence[Batch]

    def schema(self, base: Schema) -> Schema:
        """The schema to read them under, on top of *base*."""
        declared = [batch.schema for batch in self.batches if batch.schema is not None]
        return declared[-1] if declared else base

    def __len__(self) -> int:
        return sum(len(batch.operations) for batch in self.batches)


def resolved(
    operations: Sequence[Operation],
    resolver: Resolver,
    gone: Mapping[int, Sequence[tuple[int, Interval]]],
) -> Iterator[Operation]:
    """*operations* with ids in the place of names.

    *gone* tells by the identity of an operation which entities went away with it: components that
    the transaction itself has made are in no store, so the operation alone would not find them.
    """
    for op in operations:
        found = _resolved(op, resolver)
        if found is not None:
            yield found
        for e, _ in gone.get(id(op), ()):
            yield RetractEntity(e, None if isinstance(op, Ensure) else op.span)


def _resolved(op: Operation, resolver: Resolver) -> Operation | None:
    """One operation with ids, None where it names nothing that could be there."""
    if isinstance(op, Ensure):
        spec = op.spec
        if isinstance(spec, Tempid | Lookup):
            spec = resolver.required(spec)
        return Ensure(_id(resolver.required, op.e), spec)
    if isinstance(op, Add):
        if op.attribute.tuple_attrs:
            return None  # it follows its parts, and has been compared with them
        value = _id(resolver.required, op.value) if op.attribute.ref else op.value
        e = op.e
        return Add(e if type(e) is int else _id(resolver.required, e), op.attribute, value, op.span)
    e = _id(resolver.entity, op.e)
    if e is None:
        return None
    if isinstance(op, Retract):
        value = _id(resolver.entity, op.value) if op.attribute.ref else op.value
        return None if value is None else op._replace(e=e, value=value)
    if isinstance(op, Cas) and op.attribute.ref:
        old = None if op.old is None else _id(resolver.required, op.old)
        return op._replace(e=e, old=old, new=_id(resolver.required, op.new))
    assert isinstance(op, Cas | RetractAttribute | RetractEntity)
    return op._replace(e=e)


def _id(find: object, entity: Entity) -> Entity:
    if isinstance(entity, Current):
        return entity  # the transaction itself has its id at commit
    return find(entity)  # type: ignore[operator,no-any-return]
