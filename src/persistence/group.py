"""Transactions that are committed together, each prepared on top of the one before it.

Facts, header and leaf of one transaction are appended here; when they become durable is decided
by the connection, which holds the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, Protocol

import attrs

from persistence.audit.log import Log
from persistence.audit.record import Entry, leaf_hash
from persistence.audit.roster import Roster
from persistence.catalog import Catalog, State, placed, with_branches
from persistence.clock import Clock
from persistence.datoms import bootstrap as boot
from persistence.datoms.view import View
from persistence.db import Db
from persistence.entries import entry_of
from persistence.errors import BranchError
from persistence.session import Line, SessionSource, WriterBase
from persistence.store import Batch, Head, Session, TxRow
from persistence.store.layers import Layers
from persistence.texts import earlier_texts
from persistence.transact import Prepared, ensure_entities, laid_over, prepare
from persistence.values import Keyword

Decide = Callable[[WriterBase], Any]
Check = Callable[[Prepared], None]


class Writer(Line, Protocol):
    """What appending needs of the connection."""

    catalog: Catalog
    clock: Clock
    log: Log
    checks: list[Check]
    transaction_functions: Mapping[Keyword, Callable[..., Any]]


@attrs.define(eq=False)
class Request:
    """One call of `transact` that waits for its commit."""

    forms: Any
    options: Mapping[str, Any]
    author: str | None
    decide: Decide | None = None
    branch: int = 0
    after: State | None = None  # the catalog once it is committed
    prepared: Prepared | None = None
    tx: TxRow | None = None
    error: BaseException | None = None
    done: bool = False
    turn: Event | None = None  # set when it is done, or has to lead the next commit


@attrs.frozen(eq=False)
class Group:
    """Transactions that are committed together, up to one of them."""

    head: Head
    state: State  # of the main line
    roster: Roster
    leaves: tuple[bytes, ...] = ()  # of the transactions of this group
    states: Mapping[int, State] = attrs.field(factory=dict)  # of every branch written so far
    tips: Mapping[int, tuple[int, bytes]] = attrs.field(factory=dict)

    def tip(self, session: Session, branch: int) -> tuple[int, bytes]:
        """The last transaction of *branch*, or of the line it came from: its t and its id."""
        if not self.state.branches:
            return self.head.t, self.head.id
        known = self.tips.get(branch)
        if known is None:
            known = session.last_on(branch, self.head.t)
            for ancestor, base in self.state.line(branch):
                known = known if known[0] else session.last_on(ancestor, base)
        return known

    def after(
        self, branch: int, head: Head, state: State, prepared: Prepared, made: Entry
    ) -> Group:
        """This group with one more transaction on *branch*, prepared in *state*."""
        changed = prepared.schema is not state.schema
        main = self.state.with_numbers(prepared.numbers)
        main = main.with_flags(branch, prepared.flags).with_flags(0, prepared.index_flags)
        if not branch and (changed or prepared.branches):
            main = attrs.evolve(
                main,
                schema=prepared.schema if changed else main.schema,
                branches=with_branches(main.branches, prepared.changes)
                if prepared.branches
                else main.branches,
            )
        if prepared.index_flags:
            main = attrs.evolve(main, schema=placed(main.schema, main.flags))
        own = attrs.evolve(main, schema=prepared.schema) if branch else main
        # A new attribute, index or branch is seen by every branch: they are looked at anew.
        states = {} if changed or prepared.branches else self.states
        tips = {**self.tips, branch: (head.t, head.id)}
        roster = self.roster.after(head.t - 1, made.header.event)
        leaves = (*self.leaves, head.leaf)
        return Group(head, main, roster, leaves, {**states, branch: own}, tips)


def append(writer: Writer, session: Session, group: Group, request: Request) -> Group:
    """Prepares one request on top of *group* and appends it; gives the group with it."""
    head, branch = group.head, request.branch
    state = group.states.get(branch) or writer.catalog.on(branch, session, group.state)
    line = state.line(branch)
    _require_live(state, branch)
    time = writer.clock.now()
    if head.t:  # an empty log has no time that could go backwards
        time = max(time, head.time)

    def before() -> Db:
        view = View(basis=head.t, instant=time, branch=branch, ancestors=line)
        return Db(SessionSource(writer, session, state), view)

    layers = Layers(session, ((branch, None), *line))
    base = WriterBase(session, state, head, writer.transaction_functions, before, layers)
    forms = request.forms if request.decide is None else request.decide(base)
    prepared = prepare(base, forms, time=time, **request.options)
    for check in writer.checks:
        check(prepared)
    if prepared.ensured:
        ensured = laid_over(before(), prepared)
        ensure_entities(ensured, prepared, writer.transaction_functions)
    parent_t, parent = group.tip(session, branch)
    made = entry_of(
        writer.log,
        group.roster,
        prepared,
        author=request.author,
        branch=branch,
        parent=parent,
        previous_leaf=head.leaf,
    )
    data = made.encoded()
    leaf = leaf_hash(data)
    request.tx = TxRow(prepared.t, branch, parent_t, made.id, time, prepared.next_e, data, leaf)
    request.prepared = prepared
    if prepared.declares:
        searched = (state.schema, prepared.schema, state.numbers)
        prepared.texts += earlier_texts(session, head.t, *searched)
    if state.branches:
        prepared.place_indexes(branch)
    session.append(_batch(request.tx, prepared, state))
    after = Head(prepared.t, made.id, time, leaf, prepared.next_e)
    group = group.after(branch, after, state, prepared, made)
    request.after = group.state
    return group


def _require_live(state: State, branch: int) -> None:
    if branch and state.branches[branch].discarded:
        name = state.branches[branch].name
        raise BranchError(
            f"the branch {name!r} was discarded: nothing can be written on it",
            hint="begin a new branch at its last state",
            branch=name,
        )


def _batch(tx: TxRow, prepared: Prepared, state: State) -> Batch:
    built_in = boot.BUILT_IN_IDS.items() if tx.t == 1 else ()
    fresh = prepared.numbers.items()
    branch = tx.branch
    flags = [
        (number, flag)
        for number, flag in prepared.flags.items()
        if flag & ~state.flags_of(branch, number)
    ]
    return Batch(
        tx=tx,
        attributes=[(number, ident.name) for ident, number in (*built_in, *fresh) if number],
        flags=[*([] if branch else flags), *prepared.index_flags.items()],
        blobs=list(prepared.interned.items()),
        log=prepared.changes,
        remove=prepared.cuts.remove,
        insert=prepared.cuts.insert,
        texts=prepared.texts,
        reindex=prepared.reindex,
        owned=prepared.owned,
        branch_flags=[(branch, *flag) for flag in flags] if branch else [],
        sealed=prepared.sealed,
    )
