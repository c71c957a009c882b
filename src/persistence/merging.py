"""What a merge would do: the changes of one branch, told to another, and where they disagree.

Three ways: what both had when they were last the same (the base), what the target says now
(ours), and what the source says (theirs). They are compared for each cell and each instant of
valid time. Where only theirs differs from the base, it is taken over; where both differ and say
different things of one instant, that is a conflict. Values of cardinality many never conflict:
each holds at an instant or does not, and what both changed, both changed to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

import attrs

from persistence.datoms import ASSERT, Cell, Datom, Payload, ValueKey, moment
from persistence.datoms import bootstrap as boot
from persistence.datoms.interval import FOREVER, coalesce, gaps, intersect
from persistence.db import Db, Report
from persistence.difference import Pieces, net, parting, pieces, touched
from persistence.errors import BranchError
from persistence.ids import tx_entity
from persistence.values import Keyword, keyword


@attrs.frozen
class Conflict:
    """One cell of which two branches say different things over an interval of valid time.

    `base` is what both had, `ours` what the target says, `theirs` what the source says; None
    where it says nothing. Instants are microseconds since the epoch.
    """

    entity: int
    attribute: Keyword
    valid_from: int
    valid_to: int
    base: Any
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        end = "∞" if self.valid_to == FOREVER else moment(self.valid_to).isoformat()
        return (
            f"entity {self.entity} {self.attribute} over [{moment(self.valid_from).isoformat()} "
            f"{end}): ours {self.ours!r}, theirs {self.theirs!r}, both had {self.base!r}"
        )


Resolver: TypeAlias = Literal["ours", "theirs"] | Callable[[Conflict], Any]


@attrs.frozen
class Merge:
    """What a merge does, or would do: `datoms` for the target, and `conflicts` that stay open.

    `resolved` are the conflicts that a resolver settled; `report` tells what was written, and is
    None for a dry run.
    """

    datoms: tuple[Datom, ...]
    conflicts: tuple[Conflict, ...]
    resolved: tuple[Conflict, ...] = ()
    cells: frozenset[Cell] = attrs.field(default=frozenset(), repr=False)
    report: Report | None = attrs.field(default=None, repr=False)


def plan(base_of: Db, theirs: Db, ours: Db, resolvers: Mapping[Keyword | None, Resolver]) -> Merge:
    """What merging *theirs* into *ours* would do, when both had *base_of* in common.

    *resolvers* settle conflicts by attribute; the one of None stands for all others.
    """
    with ours.source.snapshot() as snapshot:
        since = parting(theirs, base_of)
        cells = touched(snapshot, theirs, since) | touched(snapshot, base_of, since)
        three = [pieces(db, snapshot, cells) for db in (base_of, ours, theirs)]
    keys = list({key for each in three for cell in each.values() for key in cell})
    values = dict(zip(keys, theirs.source.values(keys), strict=True))
    work = _Work(theirs, ours, resolvers, values)
    for cell in sorted(cells):
        base, own, new = (each[cell] for each in three)
        ident = theirs.source.ident(cell[1])
        declared = ours.schema[ident] if ours.schema[ident].entity else theirs.schema[ident]
        if declared.many:
            work.take(cell, _of_many(base, own, new))
        else:
            work.take(cell, work.of_one(cell, base, own, new))
    return Merge(tuple(work.datoms), tuple(work.conflicts), tuple(work.resolved), frozenset(cells))


def forms(datoms: Iterable[Datom]) -> list[Any]:
    """Transaction data that says *datoms*.

    Declarations become maps, because only those count for the rest of their transaction.
    """
    found: list[Any] = []
    declared: dict[tuple[int, int, int], dict[Any, Any]] = {}
    for datom in datoms:
        if not datom.added or boot.BUILT_IN_IDS.get(datom.a) not in boot.SCHEMA_IDS:
            found.append(datom)
            continue
        span = (datom.valid_from, datom.valid_to)
        entity = declared.setdefault(
            (datom.e, *span), {":db/id": datom.e, ":db/validFrom": datom.holds_from}
        )
        if datom.holds_to is not None:
            entity[":db/validTo"] = datom.holds_to
        if datom.a in _SEVERAL:
            entity.setdefault(datom.a, []).append(datom.v)
        else:
            entity[datom.a] = datom.v
    return [*declared.values(), *found]


_SEVERAL: Final = frozenset(each.ident for each in boot.BUILT_IN if each.many)

# (k, payload, from, to, op)
_Told: TypeAlias = tuple[int, Payload, int, int, int]


def _of_many(base: Pieces, ours: Pieces, theirs: Pieces) -> Iterator[_Told]:
    """Their changes, as far as ours does not say the same already."""
    for k, payload, start, end, op in net(base, theirs):
        held = ours.get((k, payload), ())
        spans = gaps((start, end), held) if op == ASSERT else _within((start, end), held)
        for span in spans:
            yield (k, payload, *span, op)


def _within(span: tuple[int, int], held: Any) -> list[tuple[int, int]]:
    cut = (intersect(span, piece) for piece in coalesce(held))
    return [piece for piece in cut if piece is not None]


@attrs.define
class _Work:
    theirs: Db
    ours: Db
    resolvers: Mapping[Keyword | None, Resolver]
    values: Mapping[ValueKey, Any]
    datoms: list[Datom] = attrs.field(factory=list)
    conflicts: list[Conflict] = attrs.field(factory=list)
    resolved: list[Conflict] = attrs.field(factory=list)

    def take(self, cell: Cell, told: Iterator[_Told] | list[Datom]) -> None:
        """Adds what is told of a cell to the datoms."""
        source = self.theirs.source
        tx, time = tx_entity(self.ours.basis), self.ours.instant
        for each in told:
            if isinstance(each, Datom):
                self.datoms.append(each)
                continue
            k, payload, start, end, op = each
            value = self.values[k, payload]
            ident = source.ident(cell[1])
            sealed = b"" if ident in self.ours.schema.sensitive() else None
            self.datoms.append(
                Datom(cell[0], ident, value, tx, time, start, end, op == ASSERT, sealed=sealed)
            )

    def of_one(self, cell: Cell, base: Pieces, ours: Pieces, theirs: Pieces) -> list[Datom]:
        """What becomes of a cell of cardinality one: interval by interval."""
        found: list[Datom] = []
        for start, end in _intervals(base, ours, theirs):
            had, own, new = (_at(each, start) for each in (base, ours, theirs))
            if new in (had, own):
                continue
            if own == had:
                found += self._replaced(cell, (start, end), own, new)
            else:
                found += self._settled(self._conflict(cell, (start, end), had, own, new))
        return found

    def _replaced(
        self, cell: Cell, span: tuple[int, int], own: ValueKey | None, new: ValueKey | None
    ) -> list[Datom]:
        if new is not None:
            return [self._datom(cell, span, self._value(new), True)]
        return [self._datom(cell, span, self._value(own), False)]

    def _conflict(self, cell: Cell, span: tuple[int, int], *keys: ValueKey | None) -> Conflict:
        ident = self.theirs.source.ident(cell[1])
        return Conflict(cell[0], ident, *span, *(self._value(key) for key in keys))

    def _settled(self, conflict: Conflict) -> list[Datom]:
        """What a resolver makes of *conflict*; without one it stays open."""
        resolver = self.resolvers.get(conflict.attribute, self.resolvers.get(None))
        if resolver is None:
            self.conflicts.append(conflict)
            return []
        self.resolved.append(conflict)
        value = conflict.theirs if resolver == "theirs" else conflict.ours
        if callable(resolver):
            value = resolver(conflict)
        number = self.theirs.source.attribute_id(conflict.attribute)
        assert number is not None
        cell, span = (conflict.entity, number), (conflict.valid_from, conflict.valid_to)
        if resolver == "ours" or (value is None and conflict.ours is None):
            return []
        return [
            self._datom(cell, span, conflict.ours if value is None else value, value is not None)
        ]

    def _datom(self, cell: Cell, span: tuple[int, int], value: Any, added: bool) -> Datom:
        tx, ident = tx_entity(self.ours.basis), self.theirs.source.ident(cell[1])
        sealed = b"" if ident in self.ours.schema.sensitive() else None
        return Datom(cell[0], ident, value, tx, self.ours.instant, *span, added, sealed=sealed)

    def _value(self, key: ValueKey | None) -> Any:
        return None if key is None else self.values[key]


def _intervals(*states: Pieces) -> Iterator[tuple[int, int]]:
    """The longest intervals over which none of *states* changes, in order."""
    ends = sorted({end for state in states for spans in state.values() for s in spans for end in s})
    return pairwise(ends)


def _at(state: Pieces, point: int) -> ValueKey | None:
    for key, spans in state.items():
        for start, end in spans:
            if start <= point < end:
                return key
    return None


def resolvers(given: Resolver | Mapping[Any, Resolver] | None) -> dict[Keyword | None, Resolver]:
    """Resolvers by attribute, as a caller gives them.

    Raises:
        BranchError: something that is no resolver.
    """
    if given is None:
        return {}
    named = given.items() if isinstance(given, Mapping) else [(None, given)]
    found: dict[Keyword | None, Resolver] = {}
    for name, resolver in named:
        if resolver not in ("ours", "theirs") and not callable(resolver):
            raise BranchError(
                f"{resolver!r} is no resolver",
                hint='give "ours", "theirs", or a function of a Conflict',
                resolver=resolver,
            )
        found[None if name is None else keyword(name)] = resolver
    return found
