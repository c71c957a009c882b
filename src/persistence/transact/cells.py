"""Operations applied, in order, to the cells they touch.

A cell is one (entity, attribute). Every cell that could hold something already is read in one
statement; a cell of a new entity is known to be empty and costs no reading. What comes out are
net changes: retracts and asserts of exactly the pieces that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import attrs

from persistence.datoms import (
    ASSERT,
    RETRACT,
    Attribute,
    Cell,
    CellState,
    Change,
    Interval,
    Live,
    Schema,
    ValueKey,
    states,
)
from persistence.datoms.interval import overlaps
from persistence.errors import CasFailed, ConflictError, PersistenceError
from persistence.transact.base import Base
from persistence.transact.operations import (
    Add,
    Cas,
    Ensure,
    Entity,
    Operation,
    Retract,
    RetractAttribute,
    RetractEntity,
    Tempid,
)
from persistence.transact.resolve import Resolver
from persistence.transact.typed import Typed
from persistence.values import Kind

# A cell of which only one assert is known, as the change it is; most cells of an import stay that.
_Single: TypeAlias = Change


@attrs.frozen(slots=True)
class _Stored:
    """A cell as it was read, which nothing has changed yet."""

    rows: tuple[Live, ...]


@attrs.frozen(slots=True)
class _Replaced:
    """A cell of one value that ends with *span*, and gives way to another one over it; what
    most updates are."""

    row: Live
    key: ValueKey
    span: Interval


class Group(NamedTuple):
    """Operations that are one in contradicting each other, and the interval they hold over."""

    span: Interval
    operations: Sequence[Operation]
    rare: Sequence[Operation]  # those among them that add nothing


@attrs.define
class Cells:
    """The cells of one transaction."""

    base: Base
    schema: Schema
    resolver: Resolver
    typed: Typed
    span: Interval
    problems: list[PersistenceError]
    since: int  # only what holds after this instant is read, and can be changed
    live: list[Live] = attrs.field(factory=list)
    state: dict[Cell, CellState | _Single | _Stored | _Replaced] = attrs.field(factory=dict)
    asserted: dict[Cell, list[tuple[ValueKey, Interval]]] = attrs.field(factory=dict)
    # By the identity of an operation: the entities that went away with the one it names.
    gone: dict[int, list[tuple[int, Interval]]] = attrs.field(factory=dict)
    _by_entity: dict[int, list[Cell]] = attrs.field(factory=dict)  # of the first `_indexed`
    _indexed: int = 0
    _settled: set[Cell] = attrs.field(factory=set)  # changed by groups before the one that runs
    # The components of what is retracted whole, and when they are its components.
    _parts: dict[int, set[tuple[int, Interval]]] = attrs.field(factory=dict)

    def apply(self, groups: Sequence[Group], operations: Sequence[Operation]) -> None:
        """Runs the operations of each group over their cells; *operations* are all of them.

        A group overrides those before it; inside of one group two values for one cell at one
        time are a problem.
        """
        self.load(self._pairs(operations))
        for place, group in enumerate(groups):
            self.span = group.span
            if place:
                self._settle()
            doomed = self._doomed_entities(group.rare, operations) if group.rare else None
            if doomed:
                self._load_entities(doomed)
            self._run(group.operations)

    def _settle(self) -> None:
        """What was asserted so far is no contradiction to what follows."""
        self._settled = {cell for cell, state in self.state.items() if type(state) is not _Stored}
        self.asserted.clear()

    def _run(self, operations: Sequence[Operation]) -> None:
        state, value, default = self.state, self.typed.value, self.span
        required = self.resolver.required
        for op in operations:
            if type(op) is not Add or op[1].tuple_attrs:
                self._other(op)
                continue
            named, attribute, stated, span = op
            if type(named) is int:
                e = named
            elif type(named) is Tempid and named.id is not None:
                e = named.id
            else:
                e = required(named)
            typed = value(e, attribute, required(stated) if attribute.ref else stated)
            if typed is None:
                continue  # it is among the problems
            number, key = typed
            cell = (e, number)
            if cell in state:
                self._put_again(cell, attribute, key, span or default)
            else:
                state[cell] = (e, number, *key, *(span or default), ASSERT)

    # ------------------------------------------------------------------ reading

    def load(self, pairs: Iterable[Cell]) -> None:
        """Reads these cells, those that are not there yet, in one statement."""
        wanted = [pair for pair in pairs if pair not in self.state]
        if wanted:
            self._keep(self.base.live(dict.fromkeys(wanted), self.since))

    def _keep(self, rows: Iterable[Live]) -> None:
        new = [row for row in rows if (row[0], row[1]) not in self.state]
        if not new:
            return
        self.live += new
        found: dict[Cell, _Stored] = {}
        for row in new:
            cell = row[0], row[1]
            stored = found.get(cell)
            if stored is None:
                found[cell] = _Stored((row,))
            else:
                found[cell] = _Stored((*stored.rows, row))
        for cell, stored in found.items():
            self.state[cell] = stored

    def _cells_of(self, e: int) -> list[Cell]:
        index = self._by_entity
        for cell in islice(self.state, self._indexed, None):  # what came since the last time
            index.setdefault(cell[0], []).append(cell)
        self._indexed = len(self.state)
        return index.get(e, [])

    def _pairs(self, operations: Iterable[Operation]) -> set[Cell]:
        """The cells of entities that may have facts; new ids have none."""
        fresh, last = self.base.next_e, self.resolver.next_e
        numbers = self.base.numbers
        entity = self.resolver.entity
        pairs = set()
        before: Entity | None = None
        e: int | None = None
        for op in operations:
            named = op[0]
            if named is not before:  # the operations of one map share their entity
                before = named
                if type(named) is int:
                    e = named
                elif type(named) is Tempid and named.id is not None:
                    e = named.id
                else:
                    e = entity(named)
            if e is None or fresh <= e < last:
                continue
            if isinstance(op, (RetractEntity, Ensure)) or op.attribute.tuple_attrs:
                continue
            number = numbers.get(op.attribute.ident)
            if number is not None:
                pairs.add((e, number))
        return pairs

    def _doomed_entities(
        self, rare: Iterable[Operation], operations: Sequence[Operation]
    ) -> set[int]:
        """The entities that *rare* retract whole, by name or as a lost component."""
        doomed: set[int] = set()
        for op in rare:
            if type(op) is RetractEntity:
                e = self.resolver.entity(op.e)
                if e is not None:
                    doomed.add(e)
            elif type(op) is RetractAttribute and op.attribute.component:
                doomed.update(self._components(op), self._added_components(op, operations))
        return doomed

    def _added_components(
        self, lost: RetractAttribute, operations: Iterable[Operation]
    ) -> Iterator[int]:
        """The component entities that the transaction itself gives to an attribute it retracts."""
        e = self.resolver.entity(lost.e)
        for op in operations:
            if type(op) is Add and op.attribute is lost.attribute and e is not None:
                target = self.resolver.entity(op.value)
                if target is not None and self.resolver.entity(op.e) == e:
                    yield target

    def _components(self, op: RetractAttribute) -> list[int]:
        """The component entities that a retracted attribute leads to over its interval."""
        e, number = self.resolver.entity(op.e), self.typed.number_of(op.attribute.ident)
        if e is None or number is None:
            return []
        span = op.span or self.span
        return [int(key[1]) for key, piece in self.timeline((e, number)) if overlaps(piece, span)]

    def _load_entities(self, level: set[int]) -> None:
        """Reads what goes away with retracted entities: their facts, the facts that refer to
        them, and, level by level, their components."""
        refs = {
            number: attribute
            for attribute in self.base.schema.refs()
            if (number := self.base.numbers.get(attribute.ident)) is not None
        }
        seen: set[int] = set()
        while level:
            seen |= level
            rows = self.base.live_entities(level, self.since)
            self._keep(rows)
            parts = set()
            for e, a, k, payload, vf, vt, _ in rows:
                attribute = refs.get(a)
                if attribute is not None and attribute.component and k == Kind.INT:
                    self._parts.setdefault(e, set()).add((int(payload), (vf, vt)))
                    parts.add(int(payload))
            level = parts - seen
        keys = [(number, int(Kind.INT), e) for number in refs for e in seen]
        incoming = self.base.live_values(keys) if keys else []
        self.load({(e, a) for e, a, *_ in incoming})

    # ------------------------------------------------------------------ writing

    def _put_again(self, cell: Cell, attribute: Attribute, key: ValueKey, span: Interval) -> None:
        """Asserts one value over *span* in a cell that holds something already."""
        e = cell[0]
        known = self.state[cell]
        if (
            type(known) is _Stored
            and len(known.rows) == 1
            and not attribute.many
            and cell not in self.asserted
        ):
            _, _, k, payload, vf, vt, _ = known.rows[0]
            if vf <= span[0] and vt == span[1]:
                if key == (k, payload):
                    self.asserted[cell] = [(key, span)]
                else:
                    self.state[cell] = _Replaced(known.rows[0], key, span)
                return
        state = self.cell(cell)
        if attribute.many:
            state.assert_many(key, span)
            return
        told = self.asserted.setdefault(cell, [])
        for other, where in told:
            if other != key and where[0] < span[1] and span[0] < where[1]:
                self.problems.append(
                    ConflictError(
                        f"entity {e} gets two values of {attribute.ident} at one time: "
                        f"{self.typed.show(other)} and {self.typed.show(key)}",
                        hint="keep one, give them separate intervals, "
                        "or declare :db.cardinality/many",
                        entity=e,
                        attribute=attribute.ident,
                        values=(self.typed.show(other), self.typed.show(key)),
                    )
                )
        told.append((key, span))
        state.assert_one(key, span)

    def cell(self, cell: Cell) -> CellState:
        """The full state of *cell*, from here on kept as such."""
        state = self.state.get(cell)
        if isinstance(state, CellState):
            return state
        told: tuple[ValueKey, Interval] | None = None
        if isinstance(state, _Stored):
            full = states(state.rows)[cell]
        elif isinstance(state, _Replaced):
            full = states((state.row,))[cell]
            full.assert_one(state.key, state.span)
            told = state.key, state.span
        else:
            full = CellState({})
            if state is not None:
                told = _stated(state)
                full.assert_many(*told)
        if told is not None and cell not in self._settled:
            self.asserted[cell] = [told]
        self.state[cell] = full
        return full

    def _other(self, op: Operation) -> None:
        e = self.resolver.entity(op.e)
        if isinstance(op, Add | Ensure):
            return  # composites follow their parts, specs are checked at the end
        if isinstance(op, Cas):
            self._cas(op, self.resolver.required(op.e))
        elif e is None:
            return  # nothing is known of it, so there is nothing to take away
        elif isinstance(op, RetractEntity):
            self._take_away(op, [(e, op.span or self.span)])
        elif (number := self.typed.number_of(op.attribute.ident)) is not None:
            state = self.cell((e, number))
            if isinstance(op, RetractAttribute):
                lost = self._components(op) if op.attribute.component else ()
                state.retract_all(op.span or self.span)
                if lost:
                    self._take_away(op, [(target, op.span or self.span) for target in lost])
                self.asserted.pop((e, number), None)
            else:
                self._retract(op, state, (e, number))

    def _retract(self, op: Retract, state: CellState, cell: Cell) -> None:
        value = self.resolver.entity(op.value) if op.attribute.ref else op.value
        if value is None:
            return
        key = self.typed.key(value)
        state.retract(key, op.span or self.span)
        if cell in self.asserted:
            self.asserted[cell] = [told for told in self.asserted[cell] if told[0] != key]

    def _take_away(self, op: Operation, pending: list[tuple[int, Interval]]) -> None:
        """Takes away all facts of these entities, all references to them, and components."""
        seen: set[int] = set()
        gone = self.gone[id(op)] = []
        numbers = {self.typed.number_of(attribute.ident) for attribute in self.schema.refs()}
        while pending:
            e, span = pending.pop()
            if e in seen:
                continue
            seen.add(e)
            if e != op.e:
                gone.append((e, span))
            for cell in self._cells_of(e):
                self.cell(cell).retract_all(span)
                self.asserted.pop(cell, None)
            target = (int(Kind.INT), e)
            for cell in list(self.state):
                if cell[1] in numbers:
                    self.cell(cell).retract(target, span)
            parts = self._parts.get(e, ())
            pending += [(part, span) for part, piece in parts if overlaps(piece, span)]

    def _cas(self, op: Cas, e: int) -> None:
        attribute = op.attribute
        old, new = op.old, op.new
        if attribute.ref:
            old = None if old is None else self.resolver.required(old)
            new = self.resolver.required(new)
        typed = self.typed.value(e, attribute, new)
        if typed is None:
            return
        number, key = typed
        span = op.span or self.span
        state = self.cell((e, number))
        held = state.at(span[0])
        expected = None if old is None else self.typed.key(old)
        if (expected is None and held) or (expected is not None and expected not in held):
            found = [self.typed.show(one) for one in held]
            self.problems.append(
                CasFailed(
                    f"entity {e} has {attribute.ident} {', '.join(found) or 'nil'}, not {old!r}",
                    hint="read it again and decide anew",
                    entity=e,
                    attribute=attribute.ident,
                    expected=old,
                    found=found,
                )
            )
            return
        if attribute.many and expected is not None:
            state.retract(expected, span)
        if attribute.many:
            state.assert_many(key, span)
        else:
            state.assert_one(key, span)

    # -------------------------------------------------------------------- result

    def changes(self) -> list[Change]:
        """The net changes of all cells, in the order in which cells were first touched."""
        found: list[Change] = []
        append = found.append
        for cell, state in self.state.items():
            if type(state) is tuple:
                append(state)
                continue
            e, a = cell
            if isinstance(state, _Replaced):
                (k, payload), (start, end) = state.key, state.span
                _, _, old_k, old_payload, *_ = state.row
                append((e, a, old_k, old_payload, start, end, RETRACT))
                append((e, a, k, payload, start, end, ASSERT))
            elif isinstance(state, CellState):
                for (k, payload), (start, end), op in state.changes():
                    append((e, a, k, payload, start, end, op))
        return found

    def value_at(self, cell: Cell, point: int) -> ValueKey | None:
        """The value of a cell of cardinality one at *point*, after the transaction."""
        for key, (start, end) in self.timeline(cell):
            if start <= point < end:
                return key
        return None

    def timeline(self, cell: Cell) -> list[tuple[ValueKey, Interval]]:
        """Every value of a cell with the intervals it holds after the transaction."""
        state = self.state.get(cell)
        if state is None:
            return []
        if isinstance(state, tuple):
            return [_stated(state)]
        if isinstance(state, _Stored):
            return [((k, payload), (vf, vt)) for _, _, k, payload, vf, vt, _ in state.rows]
        full = self.cell(cell)
        return [(key, piece) for key, pieces in full.after.items() for piece in pieces]


def _stated(single: _Single) -> tuple[ValueKey, Interval]:
    _, _, k, payload, start, end, _ = single
    return (k, payload), (start, end)
