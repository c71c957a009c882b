"""Pulls trees of entities: one statement per level, because one per entity made deep pulls slow.

The walk goes down level by level. A level is a list of entities, each with the dictionary that it
fills; one read brings the facts of all of them, and the references among those facts are the next
level. An entity in several places fills several dictionaries. When the last level is read, the
references are gone through upwards: what turned out empty is taken away, and `:default` and
`:xform` do their work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from persistence.datoms.schema import Attribute
from persistence.errors import LimitExceeded, QueryError
from persistence.query.functions import FunctionRegistry
from persistence.query.pull_fill import Filling
from persistence.query.pull_pattern import DB_ID, MISSING, Pattern, Spec, parse
from persistence.query.pull_plan import Plan, Plans
from persistence.query.pulled import Pulled
from persistence.query.reader import Reader
from persistence.values import INTERNED, LIMITS, from_columns, sort_key

__all__ = ["pull", "pull_many"]

# How an entity was reached: whether by recursion, the entities that recursion came through before,
# and the depth left of each bounded recursion. A cycle of recursions ends in `{:db/id …}`.
Step: TypeAlias = tuple[bool, frozenset[int], dict[Spec, int]]
# (e, a, k, payload)
Row: TypeAlias = tuple[int, int, int, Any]

_START: Final[Step] = (False, frozenset(), {})


def pull(
    db: Any, pattern: Any, entity: Any, *, functions: FunctionRegistry | None = None
) -> Pulled | None:
    """What *pattern* asks of one entity, or None if it has nothing of that or does not exist.

    *entity* is an id, an ident or a lookup ref. Many-valued attributes give lists in the order of
    their values, references give dictionaries. *functions* are those that `:xform` may name, by
    default those of the store that *db* is of.

    Raises:
        QueryError: *pattern* is no pattern, nests into an attribute that is no reference, names an
            unknown function, or *db* shows several instants at once.
        LimitExceeded: the answer nests too deeply or is too large.
    """
    return pull_many(db, pattern, (entity,), functions=functions)[0]


def pull_many(
    db: Any, pattern: Any, entities: Iterable[Any], *, functions: FunctionRegistry | None = None
) -> list[Pulled | None]:
    """What *pattern* asks of each of *entities*, in their order; see :func:`pull`."""
    parsed = pattern if isinstance(pattern, Pattern) else parse(pattern)
    registry = db.source.functions if functions is None else functions
    with Reader.of(db) as reader:
        walk = _Walk(reader, registry, Plans(reader, registry), Filling(reader, registry))
        return walk.run(parsed, reader.resolve(entities))


@attrs.define(eq=False)
class _Level:
    """The entities of one level under one plan, in parallel lists."""

    entities: list[int] = attrs.field(factory=list)
    outs: list[Pulled] = attrs.field(factory=list)
    steps: list[Step] = attrs.field(factory=list)
    paths: list[Step] = attrs.field(factory=list)  # the same, each once


Levels: TypeAlias = dict[Plan, _Level]


@attrs.define(eq=False)
class _Walk:
    """One pull. `sites` are the references to go through upwards at the end."""

    reader: Reader
    functions: FunctionRegistry
    plans: Plans
    filling: Filling
    sites: list[tuple[Pulled, Spec]] = attrs.field(factory=list)
    size: int = 0

    def run(self, pattern: Pattern, entities: Sequence[int | None]) -> list[Pulled | None]:
        roots = [None if e is None else Pulled() for e in entities]
        top = _Level(paths=[_START])
        for e, root in zip(entities, roots, strict=True):
            if e is not None and root is not None:
                top.entities.append(e)
                top.outs.append(root)
                top.steps.append(_START)
        levels = {self.plans.of(pattern): top} if top.entities else {}
        for _ in range(LIMITS.pull_depth):
            if not levels:
                break
            levels = self.descend(levels)
        else:
            if levels:
                raise _exceeded("pull_depth", LIMITS.pull_depth + 1, "nests deeper than")
        for out, spec in reversed(self.sites):
            self.settle(out, spec)
        return [root or None for root in roots]

    # ----------------------------------------------------------------------------- one level

    def descend(self, levels: Levels) -> Levels:
        """Fills the dictionaries of one level and gives the next."""
        below: Levels = {}
        alone = len(levels) == 1
        if not (alone and all(self._sheet(*level, below) for level in levels.items())):
            rows = self._rows(levels)
            for plan, level in levels.items():
                for spec in plan.pattern.ids:
                    self.filling.identify(spec, level.entities, level.outs)
                self._assemble(plan, level, rows, below)
        for plan, level in levels.items():
            for number, spec in plan.reverse:
                self._reverse(plan, number, spec, level, below)
            for spec in plan.demanding:
                for out in level.outs:
                    if not dict.__contains__(out, spec.key):
                        self._absent(out, spec)
        if self.size > LIMITS.query_rows:
            raise _exceeded("query_rows", self.size, "has more entities than")
        return below

    def _wanted(self, plan: Plan, level: _Level) -> set[int]:
        """The forward attributes to read: not those whose recursion is used up everywhere."""
        numbers = plan.scalars.keys() | plan.groups.keys()
        for number, spec in plan.bounded:
            if all(step[2].get(spec) == 0 for step in level.paths):
                numbers.discard(number)
        return numbers

    def _rows(self, levels: Levels) -> list[Row]:
        """Every fact that one of the plans asks for, and perhaps some more."""
        entities: set[int] = set()
        numbers: set[int] | None = set()
        limits = []
        for plan, level in levels.items():
            limits.append(plan.most)
            wanted = self._wanted(plan, level)
            if plan.pattern.wildcard:
                numbers = None
            elif numbers is not None:
                numbers |= wanted
            if wanted or plan.pattern.wildcard:
                entities.update(level.entities)
        most = max((limit for limit in limits if limit is not None), default=None)
        if not entities or numbers == set():
            return []
        return self.reader.entity_rows(entities, numbers, None if None in limits else most)

    def _sheet(self, plan: Plan, level: _Level, below: Levels) -> bool:
        """Reads single values and references side by side, everything else besides.

        False, with nothing done, where they do not fit.
        """
        if plan.pattern.wildcard:
            return False
        wanted = self._wanted(plan, level)
        single = sorted(plan.scalars.keys() & wanted)
        linking = [
            number
            for number in sorted(wanted - plan.scalars.keys())
            if self.plans.attribute(number).ref and len(plan.groups[number]) == 1
        ]
        links = [(number, plan.groups[number][0].limit) for number in linking]
        filled = dict(zip(level.entities, level.outs, strict=True))
        sheet = self.reader.sheet(filled, single, links)
        if sheet is None:
            return False
        outs = [filled[row[0]] for row in sheet.rows]
        keys = [plan.scalars[number] for number in single]
        if not self.filling.plain(plan.pattern.ids, keys, sheet, outs):
            if sheet.doubtful:
                sheet = self.reader.sheet(filled, single, links, kinds=True)
                assert sheet is not None
                outs = [filled[row[0]] for row in sheet.rows]
            self.filling.any(plan.pattern.ids, keys, sheet, outs)
        rest = wanted.difference(single, linking)
        self._copy(level, filled)
        if rest:
            rows = self.reader.entity_rows(filled, rest, plan.most)
            self._assemble(plan, level, rows, below)
        for number, column in zip(linking, sheet.links, strict=True):
            found = {
                row[0]: targets for row, targets in zip(sheet.rows, column, strict=True) if targets
            }
            if found:
                (spec,) = plan.groups[number]
                self._follow(plan, spec, self.plans.attribute(number), found, level, below)
        return True

    def _copy(self, level: _Level, filled: Mapping[int, Pulled]) -> None:
        """Gives every dictionary of an entity what one of them got."""
        if len(filled) < len(level.outs):
            for e, out in zip(level.entities, level.outs, strict=True):
                if filled[e] is not out:
                    out.update(filled[e])

    def _assemble(self, plan: Plan, level: _Level, rows: Sequence[Row], below: Levels) -> None:
        if plan.pattern.wildcard:
            for number in {row[1] for row in rows}:
                self.plans.learn(plan, number)
        scalars, groups = plan.scalars, plan.groups
        filled = dict(zip(level.entities, level.outs, strict=True))
        gathered: dict[int, dict[int, list[tuple[int, Any]]]] = {number: {} for number in groups}
        long: list[tuple[Pulled, Any, int, Any]] = []
        set_any = False
        for e, a, k, payload in rows:
            if a in groups:
                found = gathered[a]
                if e in found:
                    found[e].append((k, payload))
                else:
                    found[e] = [(k, payload)]
            elif a in scalars and e in filled:
                set_any = True
                if k < INTERNED:
                    filled[e][scalars[a]] = from_columns(k, payload)
                else:
                    long.append((filled[e], scalars[a], k, payload))
        self.filling.intern(long)
        if set_any:
            self._copy(level, filled)
        for number, cells in gathered.items():
            if cells:
                for pairs in cells.values():
                    if len(pairs) > 1:
                        pairs.sort()
                for spec in groups[number]:
                    self._group(plan, number, spec, cells, level, below)

    def _group(
        self,
        plan: Plan,
        number: int,
        spec: Spec,
        cells: Mapping[int, list[tuple[int, Any]]],
        level: _Level,
        below: Levels,
    ) -> None:
        attribute = self.plans.attribute(number)
        if attribute.ref:
            targets = {e: [p for _, p in pairs[: spec.limit]] for e, pairs in cells.items()}
            self._follow(plan, spec, attribute, targets, level, below)
            return
        if spec.recursive or spec.pattern is not None:
            raise QueryError(
                f"{spec.attribute} holds values that are no references, so nothing can be nested",
                hint="declare it with :db/valueType :db.type/ref",
                attribute=spec.attribute,
            )
        transform = None if spec.xform is None else self.functions[spec.xform]
        values = self._values(cells)
        for e, out in zip(level.entities, level.outs, strict=True):
            if e in values:
                value = values[e][: spec.limit] if attribute.many else values[e][-1]
                self._set(out, spec.key, value if transform is None else transform(value))

    def _values(self, cells: Mapping[int, list[tuple[int, Any]]]) -> dict[int, list[Any]]:
        """The values behind sorted columns, in the order of values."""
        long = [pair for pairs in cells.values() for pair in pairs if pair[0] >= INTERNED]
        interned = self.reader.long(long) if long else {}
        values: dict[int, list[Any]] = {}
        for e, pairs in cells.items():
            values[e] = [
                from_columns(*pair) if pair[0] < INTERNED else interned[pair] for pair in pairs
            ]
            # Numbers of several kinds, and long values, do not sort by their columns.
            if pairs[0][0] != pairs[-1][0]:
                values[e].sort(key=sort_key)
        return values

    # ------------------------------------------------------------------------- references

    def _reverse(self, plan: Plan, number: int, spec: Spec, level: _Level, below: Levels) -> None:
        found: dict[int, list[int]] = {}
        for e, _, _, target in self.reader.reverse_rows(number, set(level.entities), spec.limit):
            found.setdefault(int(target), []).append(e)
        for target, sources in found.items():
            found[target] = sorted(sources)[: spec.limit]
        self._follow(plan, spec, self.plans.attribute(number), found, level, below)

    def _follow(
        self,
        plan: Plan,
        spec: Spec,
        attribute: Attribute,
        found: Mapping[int, list[int]],
        level: _Level,
        below: Levels,
    ) -> None:
        """Puts a dictionary for every reference, and asks the next level to fill it."""
        many = attribute.component is False if spec.reverse else attribute.many
        pattern, recursive = self.plans.below(plan, spec, attribute)
        unsettled = spec.xform is not None or (pattern is not None and not pattern.ids)
        lower = _Level()
        if pattern is not None:
            lower = below.setdefault(self.plans.of(pattern), lower)
        for e, out, step in zip(level.entities, level.outs, level.steps, strict=True):
            targets = found.get(e)
            if targets is None:
                continue
            if pattern is None:
                kids = [Pulled({DB_ID: target}) for target in targets]
            else:
                left = step[2]
                if recursive:
                    depth = left.get(spec, spec.depth)
                    if depth is not None:
                        if depth <= 0:
                            continue
                        left = {**left, spec: depth - 1}
                seen = step[1] | {e} if step[0] else step[1]
                kids = _enter(lower, targets, (recursive, seen, left))
            out[spec.key] = kids if many else kids[-1]
            self.size += len(kids)
            if unsettled:
                self.sites.append((out, spec))
        if pattern is not None and not lower.entities:
            del below[self.plans.of(pattern)]

    # ------------------------------------------------------------------------- on the way up

    def settle(self, out: Pulled, spec: Spec) -> None:
        """Takes away the references that came to nothing, and transforms the others."""
        value = out[spec.key]
        if type(value) is list:
            value = [kid for kid in value if kid]
        if not value:
            del out[spec.key]
            self._absent(out, spec)
        elif spec.xform is None:
            out[spec.key] = value
        else:
            del out[spec.key]
            self._set(out, spec.key, self.functions[spec.xform](value))

    def _absent(self, out: Pulled, spec: Spec) -> None:
        if spec.default is not MISSING:
            out[spec.key] = spec.default
        elif spec.xform is not None:
            self._set(out, spec.key, self.functions[spec.xform](None))

    def _set(self, out: Pulled, key: Any, value: Any) -> None:
        if value is not None:
            out[key] = value


def _enter(lower: _Level, targets: list[int], step: Step) -> list[Pulled]:
    """New dictionaries for *targets*, of which those not seen before go to the level below."""
    kids = [Pulled() for _ in targets]
    recursive, seen, _ = step
    new = kids
    if recursive and not seen.isdisjoint(targets):
        for target, kid in zip(targets, kids, strict=True):
            if target in seen:
                kid[DB_ID] = target
        new = [kid for target, kid in zip(targets, kids, strict=True) if target not in seen]
        targets = [target for target in targets if target not in seen]
    lower.entities += targets
    lower.outs += new
    lower.steps += [step] * len(new)
    lower.paths.append(step)
    return kids


def _exceeded(limit: str, found: int, what: str) -> LimitExceeded:
    allowed = getattr(LIMITS, limit)
    return LimitExceeded(
        f"the answer of this pull {what} {allowed}",
        hint="bound the recursion, or the number of values with :limit",
        limit=limit,
        allowed=allowed,
        found=found,
    )
