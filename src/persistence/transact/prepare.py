"""Data in, datoms out: decides everything that one transaction writes, and writes nothing.

parse     forms -> operations            (forms)
resolve   names -> entity ids            (resolve; one statement, more for chained identities)
apply     operations -> cells            (cells; one statement for all cells)
derive    composite tuples               (tuples)
check     types, uniqueness, specs       (typed, check; one statement for all unique values)
evolve    schema facts -> schema         (datoms.evolution; only when schema changed)
cut       net changes -> index rows      (datoms.rectangles)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from secrets import token_bytes
from typing import Any

import attrs

from persistence.datoms import (
    ASSERT,
    BEGINNING,
    FOREVER,
    RETRACT,
    Attribute,
    Change,
    Cuts,
    Datom,
    InstantLike,
    Interval,
    Live,
    Owned,
    Schema,
    adopt,
    cut,
    evolution,
    instant,
    interval,
    segment_flags,
)
from persistence.datoms import bootstrap as boot
from persistence.errors import LimitExceeded, PersistenceError, TransactionError
from persistence.ids import tx_entity
from persistence.store.protocol import INDEXED
from persistence.transact import check, tuples
from persistence.transact.base import Base
from persistence.transact.cells import Cells, Group
from persistence.transact.declared import evolve, with_declarations
from persistence.transact.forms import Parser
from persistence.transact.operations import CURRENT_TX, Add, Operation, Tempid
from persistence.transact.plain import Plain, plainly
from persistence.transact.resolve import Resolver
from persistence.transact.resolved import Batch, Batches, resolved
from persistence.transact.sealing import Salts, Seal, seal
from persistence.transact.typed import Typed
from persistence.values import LIMITS, Keyword, encode_datoms, keyword, read


@attrs.define(kw_only=True, eq=False)
class Prepared:
    """Everything a transaction will write, decided."""

    t: int
    time: int
    span: Interval
    changes: list[Change]
    cuts: Cuts
    live: list[Live]
    tempids: Mapping[str | int, int]
    next_e: int
    numbers: Mapping[Keyword, int]  # attributes numbered by this transaction
    flags: Mapping[int, int]  # attribute number -> flags that come on, on the branch written
    owned: list[Owned]  # inherited facts that the branch takes over
    interned: Mapping[bytes, bytes]
    texts: list[tuple[int, int, str, str]]
    reindex: list[tuple[int, int]]
    schema: Schema
    meta: Mapping[Any, Any]
    typed: Typed
    declares: bool  # whether the schema changed
    branches: bool  # whether it says something of branches
    speaks: bool  # whether it says something of the log itself
    ensured: list[tuple[int, evolution.EntitySpec]]
    index_flags: Mapping[int, int] = attrs.field(factory=dict)  # see `place_indexes`
    sealed: list[Seal] = attrs.field(factory=list)  # see `encoded`

    def encoded(self, salts: Salts = token_bytes) -> list[bytes]:
        """The canonical bytes of every datom, in log order, with sensitive values sealed.

        How they were sealed is in `sealed` from then on.
        """
        typed = self.typed
        unseen = [  # what is asserted was seen when it was typed
            change[2:4]
            for change in self.changes
            if change[6] == RETRACT and change[2:4] not in typed.values
        ]
        if unseen:
            typed.fetch(unseen)
            for key in unseen:
                typed.python(key)
        encoded = encode_datoms(self.changes, typed.known, typed.values)
        if names := self.schema.sensitive():
            numbers = {number for number, ident in typed.known.items() if ident in names}
            if numbers:
                self.sealed = seal(encoded, self.changes, typed.known, typed.values, numbers, salts)
        return encoded

    def place_indexes(self, branch: int) -> None:
        """Lets indexes stand for every branch, in a store that has branches.

        Rows are shared: what one branch wants to find by value is indexed for all, and stays so.
        """
        wanted = [number for number, ix in self.reindex if ix and branch]
        dropped = [number for number, ix in self.reindex if not ix]
        fresh = [n for ident, n in self.numbers.items() if branch and self.schema[ident].indexed]
        self.index_flags = dict.fromkeys((*wanted, *dropped, *fresh), INDEXED)
        self.reindex = [(number, ix) for number, ix in self.reindex if ix]

    def indexed(self, number: int) -> bool:
        """Whether facts of an attribute go into the AVET index."""
        return self.schema[self.typed.known[number]].indexed

    def datoms(self) -> tuple[Datom, ...]:
        """The datoms as their readers see them."""
        typed, tx = self.typed, tx_entity(self.t)
        sealed = {seal.i: seal.hash for seal in self.sealed}
        return tuple(
            Datom(
                e,
                typed.known[a],
                typed.python((k, payload)),
                tx,
                self.time,
                vf,
                vt,
                op == ASSERT,
                sealed=sealed.get(i),
            )
            for i, (e, a, k, payload, vf, vt, op) in enumerate(self.changes)
        )


def prepare(
    base: Base,
    forms: Any,
    *,
    time: int,
    valid_from: InstantLike | None = None,
    valid_to: InstantLike | None = None,
    meta: Mapping[Any, Any] | None = None,
) -> Prepared:
    """What *forms* write on top of *base*, at the instant *time*.

    *forms* may also be `Batches`, whose names are resolved already.

    Raises:
        TransactionError, SchemaError, IntervalError, LimitExceeded: nothing is written; when a
            transaction has several problems, one error lists them all.
    """
    if not meta:
        span = _span(time, valid_from, valid_to)
        plain = plainly(base, forms, span)
        if plain is not None:
            return _plain(base, plain, time, span)
    return _decided(base, forms, time, valid_from, valid_to, meta)[0]


def prepare_batch(
    base: Base,
    forms: Any,
    *,
    time: int,
    valid_from: InstantLike | None = None,
    valid_to: InstantLike | None = None,
) -> tuple[Prepared, Batch]:
    """What `prepare` gives, and the same to be applied to a later base.

    Raises:
        TransactionError, SchemaError, IntervalError, LimitExceeded: as `prepare`.
    """
    prepared, cells, operations = _decided(base, forms, time, valid_from, valid_to, None)
    return prepared, Batch(
        tuple(resolved(operations, cells.resolver, cells.gone)),
        None if valid_from is None else prepared.span[0],
        None if valid_to is None else prepared.span[1],
        None if cells.schema is base.schema else cells.schema,
    )


def _decided(
    base: Base,
    forms: Any,
    time: int,
    valid_from: InstantLike | None,
    valid_to: InstantLike | None,
    meta: Mapping[Any, Any] | None,
) -> tuple[Prepared, Cells, Sequence[Operation]]:
    span = _span(time, valid_from, valid_to)
    meta = dict(meta or {})
    t = base.basis + 1
    problems: list[PersistenceError] = []

    def call(name: Any, arguments: Sequence[Any]) -> Iterable[Any]:
        return _call(base, name, arguments)

    if isinstance(forms, Batches):
        provisional = forms.schema(base.schema)
        parser = Parser(provisional, call, default_span=span)
        groups = [batch.group(time) for batch in forms.batches]
        since = min([span[0], *(start for batch in forms.batches for start in batch.starts())])
    else:
        forms = _sequence(read(forms) if isinstance(forms, str) else forms)
        provisional = with_declarations(base, forms)
        parser = Parser(provisional, call, default_span=span)
        groups = [Group(span, parser.parse(forms), parser.rare)]
        since = parser.since
    if meta:
        made = _metadata(parser, provisional, meta, time)
        groups.append(Group((time, FOREVER), made, ()))
        since = min(since, time)
    operations = groups[0].operations
    if len(groups) > 1:
        operations = [op for group in groups for op in group.operations]
    if len(operations) > LIMITS.transaction_datoms:
        raise LimitExceeded(
            f"one transaction may hold {LIMITS.transaction_datoms} facts, "
            f"this one holds {len(operations)}",
            hint="split it into several transactions",
            limit="transaction_datoms",
            allowed=LIMITS.transaction_datoms,
            found=len(operations),
        )
    typed = Typed(base, problems)
    resolver = Resolver(base, provisional, typed, tx_entity(t), span, problems)
    resolver.resolve(operations)
    check.raise_all(problems)
    cells = Cells(base, provisional, resolver, typed, span, problems, since)
    cells.apply(groups, operations)
    tuples.derive(cells, provisional, operations)
    rare = [op for group in groups for op in group.rare]
    ensured = check.specs(cells, provisional, rare) if rare else []
    changes = cells.changes()
    changed = {change[1] for change in changes}
    if not changed <= typed.known.keys():
        typed.known.update({number: ident for ident, number in base.numbers.items()})
    check.unique(cells, provisional, changes)
    check.raise_all(problems)
    declares = not boot.SCHEMA_IDS.isdisjoint(changed)
    schema, reindex = evolve(base, typed, changes, declares)
    prepared = _prepared(
        base,
        t=t,
        time=time,
        span=span,
        changes=changes,
        cells=cells,
        resolver=resolver,
        operations=operations,
        schema=schema,
        reindex=reindex,
        meta=meta,
        ensured=ensured,
        declares=declares,
        branches=not boot.BRANCH_IDS.isdisjoint(changed),
        speaks=boot.LOG_EVENT_ID in changed,
    )
    return prepared, cells, operations


def _span(time: int, valid_from: InstantLike | None, valid_to: InstantLike | None) -> Interval:
    return interval(
        time if valid_from is None else instant(valid_from),
        FOREVER if valid_to is None else instant(valid_to),
    )


def _plain(base: Base, plain: Plain, time: int, span: Interval) -> Prepared:
    """What one map of plain values writes, as everything else is written."""
    t = base.basis + 1
    changes, live, typed, attributes, tempids, next_e = plain
    cuts = _cuts(base, t, changes, live, attributes)[0]
    return Prepared(
        t=t,
        time=time,
        span=span,
        changes=changes,
        cuts=cuts,
        live=live,
        tempids=tempids,
        next_e=next_e,
        numbers={},
        flags=segment_flags(cuts, (), base.branch),
        owned=[],
        interned=typed.interned,
        texts=[],
        reindex=[],
        schema=base.schema,
        meta={},
        typed=typed,
        ensured=[],
        declares=False,
        branches=False,
        speaks=False,
    )


def _cuts(
    base: Base,
    t: int,
    changes: Sequence[Change],
    live: Sequence[Live],
    attributes: Mapping[int, Attribute],
) -> tuple[Cuts, dict[int, int]]:
    """What the index loses and gains, and the `ix` of each attribute."""
    indexed, forgetful = {}, set()
    for number, attribute in attributes.items():
        indexed[number] = int(attribute.indexed)
        if attribute.no_history:
            forgetful.add(number)
    return cut(base.branch, t, changes, live, indexed, forgetful), indexed


def _prepared(
    base: Base,
    *,
    t: int,
    time: int,
    span: Interval,
    changes: list[Change],
    cells: Cells,
    resolver: Resolver,
    operations: Sequence[Operation],
    schema: Schema,
    reindex: list[tuple[int, int]],
    meta: Mapping[Any, Any],
    ensured: list[tuple[int, evolution.EntitySpec]],
    declares: bool,
    branches: bool,
    speaks: bool,
) -> Prepared:
    typed = cells.typed
    attributes = {number: schema[ident] for number, ident in typed.known.items()}
    cuts, indexed = _cuts(base, t, changes, cells.live, attributes)
    owned: list[Owned] = []
    if cuts.remove and base.inherited:
        owned = adopt(
            base.branch, cuts, base.inherited, indexed, lambda cells: base.live(cells, BEGINNING)
        )
    return Prepared(
        t=t,
        time=time,
        span=span,
        changes=changes,
        cuts=cuts,
        live=cells.live,
        tempids=_tempids(resolver, operations),
        next_e=resolver.next_e,
        numbers=typed.attributes,
        flags=segment_flags(cuts, owned, base.branch),
        owned=owned,
        interned=typed.interned,
        texts=_texts(typed, attributes, changes),
        reindex=reindex,
        schema=schema,
        meta=meta,
        typed=typed,
        ensured=ensured,
        declares=declares,
        branches=branches,
        speaks=speaks,
    )


def _sequence(forms: Any) -> Sequence[Any]:
    if isinstance(forms, Mapping):
        raise TransactionError(
            "transaction data is a list of forms, and this is one map",
            hint="put it in brackets",
            form=forms,
        )
    try:
        return forms if isinstance(forms, list | tuple) else list(forms)
    except TypeError as error:
        raise TransactionError(
            f"{forms!r} is no transaction data", hint="give a list of forms"
        ) from error


def _call(base: Base, name: Any, arguments: Sequence[Any]) -> Iterable[Any]:
    """Runs a transaction function, registered by name or given as a callable."""
    function = name if callable(name) else base.functions.get(keyword(name))
    if function is None:
        known = " ".join(sorted(str(one) for one in base.functions)) or "none"
        raise TransactionError(
            f"{name} is neither an operation nor a registered transaction function",
            hint=f"registered: {known}",
            function=name,
        )
    return function(base.value(), *arguments) or ()


def _metadata(
    parser: Parser, schema: Schema, meta: Mapping[Any, Any], time: int
) -> list[Operation]:
    """The facts about the transaction itself; they hold from its own time on."""
    span = (time, FOREVER)
    start = len(parser.operations)
    parser.map({":db/id": CURRENT_TX, **meta})
    made = parser.operations[start:]
    del parser.operations[start:]
    sensitive = [
        op.attribute.ident
        for op in made
        if isinstance(op, Add) and op.attribute.ident in schema.sensitive()
    ]
    if sensitive:
        raise TransactionError(
            f"{sensitive[0]} is sensitive, and metadata are hashed as they are",
            hint='state it as a fact about "datomic.tx" among the forms, where it is sealed',
            attributes=sensitive,
        )
    return [op._replace(span=span) if isinstance(op, Add) else op for op in made]


def _tempids(resolver: Resolver, operations: Iterable[Operation]) -> dict[str | int, int]:
    found: dict[str | int, int] = {}
    before: Any = None
    for op in operations:
        e = op[0]
        if e is before:
            continue
        before = e
        if type(e) is Tempid and e.key is not None and e.key not in found:
            known = resolver.entity(e)
            if known is not None:
                found[e.key] = known
    return found


def _texts(
    typed: Typed, attributes: Mapping[int, Attribute], changes: Iterable[Change]
) -> list[tuple[int, int, str, str]]:
    """What a full-text index has to learn."""
    wanted = {number for number, attribute in attributes.items() if attribute.fulltext}
    if not wanted:
        return []
    return [
        (a, k, str(payload), typed.python((k, payload)))
        for _, a, k, payload, _, _, op in changes
        if a in wanted and op == ASSERT and isinstance(typed.python((k, payload)), str)
    ]


__all__ = ["Prepared", "prepare", "prepare_batch"]
