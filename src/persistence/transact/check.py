"""What must be true of a transaction before it is written. Finds every problem, not the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from persistence.datoms import (
    ASSERT,
    FOREVER,
    Attribute,
    Change,
    Interval,
    Live,
    Payload,
    Schema,
)
from persistence.datoms.evolution import Demand, EntitySpec
from persistence.datoms.interval import gaps, overlaps
from persistence.errors import (
    ConflictError,
    PersistenceError,
    SchemaError,
    TransactionError,
    UniqueConflict,
)
from persistence.transact.base import Base
from persistence.transact.cells import Cells
from persistence.transact.operations import Ensure, Operation


def unique(cells: Cells, schema: Schema, changes: Sequence[Change]) -> None:
    """No two entities may hold one value of a unique attribute at one instant."""
    watched = {
        number: attribute
        for number, ident in cells.typed.known.items()
        if (attribute := schema[ident]).unique is not None
    }
    if not watched:
        return
    claims: dict[tuple[int, int, Payload], list[tuple[int, Interval]]] = {}
    for e, a, k, payload, vf, vt, op in changes:
        if op == ASSERT and a in watched:
            claims.setdefault((a, k, payload), []).append((e, (vf, vt)))
    if not claims:
        return
    stored = [key for key in claims if key[0] not in cells.typed.attributes.values()]
    for (a, k, payload), e, held in cells.resolver.holders(stored):
        for claimant, span in claims[a, k, payload]:
            if claimant != e and overlaps(held, span) and _still(cells, (e, a), (k, payload), span):
                _conflict(cells, watched[a], (k, payload), claimant, e)
    for (a, k, payload), told in claims.items():
        for index, (e, span) in enumerate(told):
            for other, where in told[:index]:
                if other != e and overlaps(span, where):
                    _conflict(cells, watched[a], (k, payload), e, other)


def _still(cells: Cells, cell: tuple[int, int], key: tuple[int, Payload], span: Interval) -> bool:
    """Whether the cell holds the value over part of *span* after the transaction too."""
    if cell not in cells.state:
        return True
    return any(held == key and overlaps(piece, span) for held, piece in cells.timeline(cell))


def _conflict(
    cells: Cells, attribute: Attribute, key: tuple[int, Payload], e: int, other: int
) -> None:
    shown = "that value" if attribute.sensitive else cells.typed.show(key)
    cells.problems.append(
        UniqueConflict(
            f"{attribute.ident} {shown} of entity {e} already names entity {other}",
            hint="use a lookup ref to speak of the entity that is there, or another value",
            attribute=attribute.ident,
            value=None if attribute.sensitive else cells.typed.python(key),
            entity=e,
            existing=other,
        )
    )


def specs(
    cells: Cells, schema: Schema, operations: Iterable[Operation]
) -> list[tuple[int, EntitySpec]]:
    """Entities under `:db/ensure` have the attributes their spec names; gives what to ensure."""
    found: list[tuple[int, EntitySpec]] = []
    for op in operations:
        if not isinstance(op, Ensure):
            continue
        e = cells.resolver.required(op.e)
        spec = schema.specs.get(cells.resolver.required(op.spec))
        if spec is None:
            cells.problems.append(
                TransactionError(
                    f"{op.spec!r} is no entity spec",
                    hint="declare it: {:db/ident … :db.entity/attrs […]}",
                    spec=op.spec,
                )
            )
            continue
        found.append((e, spec))
        numbers = {cells.typed.number(ident): ident for ident in spec.attributes}
        cells.load((e, number) for number in numbers)
        missing = [
            ident
            for number, ident in numbers.items()
            if cells.value_at((e, number), cells.span[0]) is None
        ]
        if missing:
            cells.problems.append(
                TransactionError(
                    f"entity {e} lacks {' '.join(map(str, missing))}, which {spec.ident} demands",
                    hint="add them in the same transaction",
                    entity=e,
                    spec=spec.ident,
                    missing=missing,
                )
            )
    return found


def evolution(base: Base, needed: Iterable[Demand], changes: Sequence[Change]) -> None:
    """Refuses a change of schema that stored facts, or facts of this transaction, break.

    Raises:
        SchemaError: names the attribute and the facts that break it.
    """
    for demand in needed:
        number = base.numbers.get(demand.attribute.ident)
        if number is None:
            continue
        rows = _after(base.live_attributes([number]), [c for c in changes if c[1] == number])
        broken = _breaks(demand, rows)
        if broken:
            e, _, what = broken[0]
            raise SchemaError(
                f"{demand.attribute.ident} cannot change: {what}, for instance entity {e}",
                hint="retract or convert those facts first",
                attribute=demand.attribute.ident,
                facts=[(e, payload) for e, payload, _ in broken[:100]],
                count=len(broken),
            )


Row = tuple[int, int, Payload, int, int]  # e, k, payload, vf, vt


def _after(live: Iterable[Live], changes: Iterable[Change]) -> list[Row]:
    rows: list[Row] = []
    gone: dict[tuple[int, int, Payload], list[Interval]] = {}
    for e, _, k, payload, vf, vt, op in changes:
        if op == ASSERT:
            rows.append((e, k, payload, vf, vt))
        else:
            gone.setdefault((e, k, payload), []).append((vf, vt))
    for e, _, k, payload, vf, vt, _ in live:
        for start, end in gaps((vf, vt), gone.get((e, k, payload), ())):
            rows.append((e, k, payload, start, end))
    return rows


def _breaks(demand: Demand, rows: Sequence[Row]) -> list[tuple[int, Payload, str]]:
    if demand.none:
        return [(e, payload, "it has facts already") for e, _, payload, _, _ in rows]
    broken: list[tuple[int, Payload, str]] = []
    if demand.kinds is not None:
        wanted = demand.attribute.value_type
        broken += [
            (e, payload, f"not every value is {wanted}")
            for e, k, payload, _, _ in rows
            if (k & 31) not in demand.kinds
        ]
    if demand.single:
        broken += _together(rows, lambda row: row[0], "an entity has several values at once")
    if demand.unique:
        broken += _together(rows, lambda row: row[1:3], "several entities share a value")
    return broken


def _together(rows: Sequence[Row], group: object, what: str) -> list[tuple[int, Payload, str]]:
    found = []
    held: dict[object, list[Row]] = {}
    for row in rows:
        others = held.setdefault(group(row), [])  # type: ignore[operator]
        if any(
            (other[0] != row[0] or other[1:3] != row[1:3])
            and overlaps((other[3], other[4]), (row[3], row[4]))
            for other in others
        ):
            found.append((row[0], row[2], what))
        others.append(row)
    return found


def raise_all(problems: Sequence[PersistenceError]) -> None:
    """Raises what was found: the problem itself, or one error that lists them all."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0]
    kinds = {type(problem) for problem in problems}
    kind = kinds.pop() if len(kinds) == 1 else ConflictError
    lines = "\n".join(f"  - {problem}" for problem in problems)
    raise kind(
        f"{len(problems)} problems in one transaction:\n{lines}",
        hint=problems[0].hint,
        conflicts=list(problems),
    )


def new_facts(
    live: Iterable[Live], changes: Iterable[Change], numbers: frozenset[int]
) -> list[tuple[int, int, int, Payload]]:
    """The (e, a, k, payload) of attributes *numbers* that stay open after *changes*."""
    rows = {(e, a, k, payload): None for e, a, k, payload, _, vt, _ in live if vt == FOREVER}
    for e, a, k, payload, _, vt, op in changes:
        if a in numbers and vt == FOREVER:
            if op == ASSERT:
                rows[e, a, k, payload] = None
            else:
                rows.pop((e, a, k, payload), None)
    return list(rows)
