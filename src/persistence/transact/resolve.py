"""Gives every entity of a transaction its id, in bulk, because one query per entity made large
imports quadratic.

All lookup refs and all identities that tempids claim are asked for in one statement. Identities
whose values are themselves tempids need the answer first, so those are asked for in rounds; a
transaction has as many rounds as its deepest chain of such identities, normally one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from persistence.datoms import Attribute, Interval, Payload, Schema
from persistence.datoms.bootstrap import IDENT
from persistence.errors import (
    EntityNotFound,
    LimitExceeded,
    PersistenceError,
    TransactionError,
    UniqueConflict,
)
from persistence.ids import LAST_ENTITY, RESERVED0, SYSTEM0
from persistence.transact.base import Base
from persistence.transact.operations import (
    Add,
    Cas,
    Current,
    Ensure,
    Entity,
    Lookup,
    Operation,
    Retract,
    Tempid,
)
from persistence.transact.typed import Typed
from persistence.values import Keyword, Kind, columns

Key: TypeAlias = tuple[int, int, Payload]
Holder: TypeAlias = tuple[int, int, int]  # e, vf, vt


@attrs.define
class _Survey:
    """What a transaction's operations speak of."""

    next_e: int  # the first id after those that are there or are named
    lookups: list[Lookup] = attrs.field(factory=list)
    claims: list[Add] = attrs.field(factory=list)  # of attributes that identify
    references: bool = False
    reserved: int = 0  # the largest id that was named of those which the store gives out

    def name(self, e: int) -> None:
        """Takes in an id that is not below `next_e`."""
        if e < RESERVED0:
            self.next_e = e + 1
        elif e < SYSTEM0:
            self.reserved = max(self.reserved, e)


@attrs.define
class Resolver:
    """Knows the id of every entity once `resolve` has run."""

    base: Base
    schema: Schema
    typed: Typed
    tx: int
    span: Interval
    problems: list[PersistenceError] = attrs.field(factory=list)
    ids: dict[Any, int] = attrs.field(factory=dict)  # tempid group -> id
    next_e: int = 0
    _groups: dict[Any, Any] = attrs.field(factory=dict)  # union-find over tempids
    _holders: dict[Key, list[Holder]] = attrs.field(factory=dict)
    _claims: dict[Key, Any] = attrs.field(factory=dict)  # identity -> tempid group or id
    _unused: dict[Keyword, int] = attrs.field(factory=dict)  # attributes without facts: -1, -2 …

    def resolve(self, operations: Sequence[Operation]) -> None:
        """Finds or allots an id for every tempid in *operations*."""
        survey = self._survey(operations)
        if survey.reserved and survey.reserved >= self.base.reserved:
            self.problems.append(
                TransactionError(
                    f"{survey.reserved} is an id that the store gives out itself",
                    hint=f"name new entities by tempids, or by ids below {RESERVED0}",
                    entity=survey.reserved,
                )
            )
        lookups = [self.key(lookup.attribute, lookup.value) for lookup in survey.lookups]
        self._fetch(key for key in lookups if key is not None)
        claims = [*survey.claims, *self._composite_claims(operations)]
        pending = self._explicit_claims(claims)
        while pending:
            ready = [(op, key) for op in pending if (key := self._identity_key(op)) is not None]
            if not ready:
                break
            self._fetch(key for _, key in ready)
            for op, key in ready:
                self._claim(op, key)
            done = {id(op) for op, _ in ready}
            pending = [op for op in pending if id(op) not in done]
        self._allot(operations, survey)

    # ------------------------------------------------------------------ tempids

    def group(self, tempid: Tempid) -> Any:
        """The representative of the tempids that name the same entity."""
        node: Any = tempid if tempid.key is None else tempid.key
        groups = self._groups
        while (parent := groups.get(node, node)) is not node and parent != node:
            node = parent
        return node

    def _explicit_claims(self, adds: Iterable[Add]) -> list[Add]:
        """Identities that the transaction gives to known entities; the others are returned."""
        pending = []
        for op in adds:
            if isinstance(op.e, Tempid):
                pending.append(op)
            elif (key := self._identity_key(op)) is not None:
                known = self.entity(op.e)
                if known is not None:
                    self._claims.setdefault(key, known)
        return pending

    def _composite_claims(self, operations: Iterable[Operation]) -> list[Add]:
        """Identities that tempids claim by stating every part of a composite tuple."""
        composites = [each for each in self.schema.composites() if each.identity]
        if not composites:
            return []
        parts = {part for attribute in composites for part in attribute.tuple_attrs or ()}
        told: dict[Any, dict[Keyword, Add]] = {}
        for op in operations:
            if type(op) is Add and type(op.e) is Tempid and op.attribute.ident in parts:
                name: Any = op.e if op.e.key is None else op.e.key
                told.setdefault(name, {})[op.attribute.ident] = op
        return [
            Add(
                next(iter(stated.values())).e,
                attribute,
                tuple(stated[part].value for part in attribute.tuple_attrs or ()),
                next(iter(stated.values())).span,
            )
            for stated in told.values()
            for attribute in composites
            if stated.keys() >= set(attribute.tuple_attrs or ())
        ]

    def _identity_key(self, op: Add) -> Key | None:
        """The identity that *op* claims, or None while its value is an unknown entity."""
        return self.key(op.attribute, op.value)

    def _claim(self, op: Add, key: Key) -> None:
        """Ties the tempid of *op* to the entity that holds or also claims its identity."""
        assert isinstance(op.e, Tempid)
        group = self.group(op.e)
        holder = self.holder(key, op.span or self.span)
        claimed: Any = self._claims.get(key) if holder is None else holder
        if claimed is None:
            self._claims[key] = self.ids.get(group, _Group(group))
        elif isinstance(claimed, _Group):
            self._unite(group, self.group_of(claimed))
        elif self.ids.setdefault(group, claimed) != claimed:
            self.problems.append(
                UniqueConflict(
                    f"{op.e!r} is both entity {self.ids[group]} and entity {claimed}, "
                    f"which holds {op.attribute.ident} {op.value!r}",
                    hint="one map cannot upsert two entities; split it, or correct one identity",
                    tempid=op.e.key,
                    attribute=op.attribute.ident,
                    value=op.value,
                    entities=(self.ids[group], claimed),
                )
            )

    def group_of(self, claim: _Group) -> Any:
        node = claim.root
        while (parent := self._groups.get(node, node)) is not node and parent != node:
            node = parent
        return node

    def _unite(self, one: Any, other: Any) -> None:
        if one is other or one == other:
            return
        known, same = self.ids.get(one), self.ids.get(other)
        if known is not None and same is not None and known != same:
            self.problems.append(
                UniqueConflict(
                    f"{one!r} and {other!r} share an identity but are entities {known} and {same}",
                    hint="correct one of the identities",
                    entities=(known, same),
                )
            )
            return
        self._groups[one] = other
        if known is not None:
            self.ids[other] = known

    def _survey(self, operations: Iterable[Operation]) -> _Survey:
        """What the operations speak of, found in one pass."""
        found = _Survey(next_e=self.base.next_e)
        lookups, claims = found.lookups, found.claims
        for op in operations:
            e = op[0]
            if type(e) is int:
                if e >= found.next_e:
                    found.name(e)
            elif type(e) is Lookup:
                lookups.append(e)
            if type(op) is Add or type(op) is Retract:
                attribute = op[1]
                if attribute.plain:
                    continue
                value = op[2]
                if type(op) is Add and attribute.identity:
                    claims.append(op)
                if attribute.ref:
                    found.references = True
                    if type(value) is Lookup:
                        lookups.append(value)
                    elif type(value) is int and value >= found.next_e:
                        found.name(value)
                elif attribute.tuple_attrs and type(value) is tuple:
                    lookups += [part for part in value if type(part) is Lookup]
            elif type(op) is Cas:
                lookups += [value for value in (op.old, op.new) if type(value) is Lookup]
            elif type(op) is Ensure and type(op.spec) is Lookup:
                lookups.append(op.spec)
        return found

    def _allot(self, operations: Sequence[Operation], survey: _Survey) -> None:
        """New ids for the tempids that name nothing yet, in order of appearance."""
        next_e = survey.next_e
        ids, groups = self.ids, self._groups
        # A body has reserved ids, which stay; the number of an attribute is given at commit.
        reserved = next_e >= RESERVED0
        if not reserved and any(op.attribute.ident is IDENT for op in survey.claims):
            self._allot_attributes(survey.claims)
        for op in operations:
            e = op[0]
            if type(e) is Tempid and e.id is None:
                group: Any = e if e.key is None else e.key
                if groups:
                    group = self.group(e)
                known = ids.get(group)
                if known is None:
                    known = ids[group] = next_e
                    next_e += 1
                e.id = known
        last = LAST_ENTITY
        if next_e > RESERVED0 and self.base.reserved < SYSTEM0:  # it is not a body that allots
            last = RESERVED0 - 1
        if next_e - 1 > last:
            raise LimitExceeded(
                f"entity ids end at {last}",
                limit="entity ids",
                allowed=last,
                found=next_e - 1,
            )
        self.next_e = next_e
        if survey.references:
            self._check_values(operations)

    def _allot_attributes(self, claims: Iterable[Add]) -> None:
        """Attributes have ids of their own range, so that they take none from the caller's."""
        for op in claims:
            if op.attribute.ident is not IDENT:
                continue
            if type(op.e) is Tempid and type(op.value) is Keyword:
                attribute = self.schema.attributes.get(op.value)
                group = self.group(op.e)
                if attribute is not None and attribute.entity is not None:
                    self.ids.setdefault(group, SYSTEM0 + self.typed.number(op.value))

    def _check_values(self, operations: Iterable[Operation]) -> None:
        """A tempid that is only ever a value names an entity without a single fact."""
        told: set[Any] = set()
        for op in operations:
            if isinstance(op, Add) and op.attribute.ref and isinstance(op.value, Tempid):
                group = self.group(op.value)
                if group not in self.ids and group not in told:
                    told.add(group)
                    self.problems.append(
                        EntityNotFound(
                            f"the tempid {op.value!r} is used as a value of {op.attribute.ident} "
                            "but no form says anything about it",
                            hint="add a form whose entity it is",
                            tempid=op.value.key,
                        )
                    )

    # ----------------------------------------------------------------- entities

    def entity(self, entity: Entity) -> int | None:
        """The id of *entity*; None for a tempid that has none yet, or what names nothing."""
        if type(entity) is int:
            return entity
        if type(entity) is Tempid:
            if entity.id is None:
                entity.id = self.ids.get(self.group(entity)) if self.next_e else None
                return self.ids.get(self.group(entity))
            return entity.id
        if isinstance(entity, Lookup):
            key = self.key(entity.attribute, entity.value)
            if key is None:
                return None
            found = self.holder(key, self.span)
            if found is not None:
                return found
            claimed = self._claims.get(key)
            if isinstance(claimed, _Group):
                return self.ids.get(self.group_of(claimed))
            return claimed
        if isinstance(entity, Current):
            return self.tx
        assert isinstance(entity, Keyword)
        found = self.base.schema.idents.get(entity)
        if found is not None:
            return found
        claimed = self._claims.get((self.base.numbers[IDENT], Kind.KEYWORD, entity.name))
        return self.ids.get(self.group_of(claimed)) if isinstance(claimed, _Group) else claimed

    def required(self, entity: Entity) -> int:
        """The id of *entity*.

        Raises:
            EntityNotFound: it names nothing.
        """
        found = self.entity(entity)
        if found is None:
            raise EntityNotFound(
                f"{entity!r} names no entity",
                hint="transact the entity first, or in the same transaction",
                entity=entity,
            )
        return found

    def key(self, attribute: Attribute, value: Any) -> Key | None:
        """The index key of a unique value, None while no fact of the attribute exists."""
        number = self.base.numbers.get(attribute.ident)
        if number is None:
            number = self._unused.setdefault(attribute.ident, -1 - len(self._unused))
        if attribute.ref:
            value = self.entity(value)
        elif attribute.tuple_attrs:
            value = self.composite(attribute, value)
        if value is None:
            return None
        k, payload, _ = columns(value)
        return (number, k, payload)

    def composite(self, attribute: Attribute, value: Any) -> Any:
        """A composite tuple with the ids of its references; None while one is unknown."""
        parts = attribute.tuple_attrs or ()
        if type(value) is not tuple or len(value) != len(parts):
            return value
        found = []
        for part, item in zip(parts, value, strict=True):
            known = self.entity(item) if item is not None and self.schema[part].ref else item
            if known is None and item is not None:
                return None
            found.append(known)
        return tuple(found)

    def holder(self, key: Key, span: Interval) -> int | None:
        """The entity that holds a unique value over *span*: at its start, or else first after."""
        best: tuple[int, int] | None = None
        for e, vf, vt in self._holders.get(key, ()):
            if vf < span[1] and span[0] < vt:
                candidate = (max(vf, span[0]), e)
                best = candidate if best is None else min(best, candidate)
        return None if best is None else best[1]

    def holders(self, keys: Sequence[Key]) -> Iterator[tuple[Key, int, Interval]]:
        """Who holds each of *keys*, and when; only what was not asked yet is read."""
        self._fetch(keys)
        for key in keys:
            for e, vf, vt in self._holders[key]:
                yield key, e, (vf, vt)

    def _fetch(self, keys: Iterable[Key]) -> None:
        """Reads who holds *keys*; each is asked for once."""
        new = {key for key in keys if key[0] >= 0 and key not in self._holders}
        if not new:
            return
        for key in new:
            self._holders[key] = []
        for e, a, k, payload, vf, vt, _ in self.base.live_values(new):
            self._holders[a, k, payload].append((e, vf, vt))


@attrs.frozen(eq=False)
class _Group:
    """A claim by tempids that may yet be united with others."""

    root: Any


ResolveEntity: TypeAlias = Callable[[Entity], int]
