"""Branches: lines of transactions that begin at some t of another line and go on by themselves.

A branch is made of four datoms, whatever the store holds: they stand on the main line, on the
transaction that begins it, whose t is the branch's number. See `datoms/adopt.py` for what a
branch stores, and `query/scope.py` for how it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from persistence.ancestry import in_common, made_from
from persistence.catalog import Branch
from persistence.connection import Connection
from persistence.datoms import Datom
from persistence.datoms import bootstrap as boot
from persistence.datoms.view import at_basis
from persistence.db import Db, Report
from persistence.difference import difference
from persistence.errors import BranchError, MergeConflict
from persistence.ids import tx_entity
from persistence.merging import Conflict, Merge, Resolver, forms, plan, resolvers
from persistence.session import WriterBase

MAIN: Final = "main"
_LONGEST: Final = 200  # characters of a name
_ROUNDS: Final = 20  # times a merge is planned anew because one of the two moved


@attrs.frozen
class Line:
    """One branch as it stands: its number and name, the name of the branch it came from, the t
    up to which it sees that one, and its last own transaction (t and content id)."""

    number: int
    name: str
    parent: str | None
    base: int
    t: int
    id: bytes
    discarded: bool = False


class Branches:
    """What `s.branch` does with branches by name; "main" is the main line."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, name: str, *, of: str | Db = MAIN, author: str | None = None) -> Branch:
        """Begins a branch at the head of another one, or at a database value.

        Raises:
            BranchError: there is a branch of this name, none of the name *of*, or the database
                value is a speculation or shows a range.
        """
        _check_name(name)
        found: list[Branch] = []

        def decide(base: WriterBase) -> Sequence[Any]:
            branches = base.state.branches
            if any(one.name == name and not one.discarded for one in branches.values()):
                raise BranchError(
                    f"there is a branch {name!r} already", hint="choose another name", branch=name
                )
            parent, t = self._start(of, branches, base.basis)
            found[:] = [Branch(base.basis + 1, name, parent, t)]
            return [
                {
                    ":db/id": ":db/current-tx",
                    boot.BRANCH_NAME: name,
                    boot.BRANCH_PARENT: parent,
                    boot.BRANCH_BASE: t,
                }
            ]

        self._connection.decided(decide, author=author)
        return found[0]

    def _start(self, of: str | Db, branches: Mapping[int, Branch], head: int) -> tuple[int, int]:
        """The branch and the t at which a new one begins."""
        if not isinstance(of, Db):
            return _named(branches, of).number if of != MAIN else 0, head
        if of.overlay is not None or of.is_history or of.between or of.since_t is not None:
            raise BranchError(
                "a branch begins at a state that is stored, and this value is "
                + ("a speculation" if of.overlay is not None else "a range of time"),
                hint="begin it at db or db.as_of(…), and transact the rest on it",
            )
        return at_basis(of.branch, of.view.ancestors, of.basis)[0], of.basis

    def find(self, name: str, *, discarded: bool = False) -> int:
        """The number of the branch *name*.

        Raises:
            BranchError: there is none, or it was discarded and that is not asked for.
        """
        if name == MAIN:
            return 0
        self._connection.db()  # what other processes have done is seen by it
        return _named(self._connection.catalog.state.branches, name, discarded=discarded).number

    def list(self, *, discarded: bool = False) -> Sequence[Line]:
        """Every branch, the main line first; with *discarded*, those that were discarded too."""
        self._connection.db()
        branches = self._connection.catalog.state.branches
        names = {0: MAIN, **{one.number: one.name for one in branches.values()}}
        found = []
        with self._connection.store.snapshot() as snapshot:
            head = snapshot.head().t
            for one in (Branch(0, MAIN, 0, 0), *branches.values()):
                if one.discarded and not discarded:
                    continue
                t, id = snapshot.last_on(one.number, head)
                parent = names[one.parent] if one.number else None
                found.append(Line(one.number, one.name, parent, one.base, t, id, one.discarded))
        return found

    def discard(self, name: str, *, author: str | None = None) -> Report:
        """Hides a branch. Nothing can be written on it any more; its history stays."""
        number = self.find(name)
        if not number:
            raise BranchError("the main line cannot be discarded", branch=name)
        fact = [":db/add", tx_entity(number), boot.BRANCH_DISCARDED, True]
        return self._connection.transact([fact], author=author)

    def diff(self, a: str | Db, b: str | Db) -> Sequence[Datom]:
        """The datoms that turn *a* into *b*; each is a branch or a database value."""
        return difference(self._value(a), self._value(b))

    def _value(self, of: str | Db) -> Db:
        if isinstance(of, Db):
            return of
        return self._connection.db(self.find(of, discarded=True))

    def merge(
        self,
        source: str,
        *,
        into: str = MAIN,
        resolve: Resolver | Mapping[Any, Resolver] | None = None,
        dry_run: bool = False,
        author: str | None = None,
        meta: Mapping[Any, Any] | None = None,
    ) -> Merge:
        """Takes what *source* changed into another branch, as one transaction of that branch.

        What both changed differently is a conflict: *resolve* settles it, by attribute or for
        all ("ours", "theirs", or a function of a :class:`Conflict` that gives the value). With
        *dry_run* nothing is written and the conflicts are told.

        Raises:
            MergeConflict: conflicts that nothing settles; nothing was written.
            BranchError: a branch that is not there, or that was discarded.
        """
        target, other = self.find(into), self.find(source)
        if target == other:
            raise BranchError(f"{source!r} cannot be merged into itself", branch=source)
        settle = resolvers(resolve)
        for _ in range(_ROUNDS):
            ours, theirs = self._connection.db(target), self._connection.db(other)
            merge = plan(self._base(theirs, ours), theirs, ours, settle)
            if dry_run:
                return merge
            _require_settled(merge.conflicts, source, into)
            report = self._commit(merge, ours, theirs, author=author, meta=dict(meta or {}))
            if report is not None:
                return attrs.evolve(merge, report=report)
        raise BranchError(
            f"{source!r} or {into!r} changed {_ROUNDS} times while the merge was planned",
            hint="try again when fewer transactions touch the same facts",
        )

    def _commit(self, merge: Merge, ours: Db, theirs: Db, **options: Any) -> Report | None:
        """Writes *merge*, unless one of the two has moved under it."""

        def decide(base: WriterBase) -> Sequence[Any]:
            cells = base.session.touched(base.branch, ours.basis, base.basis)
            # What the source said since it was read would count as merged, and be lost.
            newer = base.session.last_on(theirs.branch, base.basis)[0] > theirs.basis
            if newer or not merge.cells.isdisjoint(cells):
                raise _Moved
            told = {":db/id": ":db/current-tx", boot.BRANCH_MERGED: theirs.branch}
            return [*forms(merge.datoms), told]

        try:
            return self._connection.decided(decide, branch=ours.branch, **options)
        except _Moved:
            return None

    def _base(self, theirs: Db, ours: Db) -> Db:
        """The latest state that both were made from: where they parted, or a merge since."""
        state = self._connection.catalog.state
        with self._connection.store.snapshot() as snapshot:
            one, other = (made_from(snapshot, state, db.branch, db.basis) for db in (ours, theirs))
            branch, t = in_common(snapshot, one, other)
        return self._connection.db(branch).as_of(t)


class _Moved(Exception):
    """The source of a merge changed, or the target where the merge would write."""


def _named(branches: Mapping[int, Branch], name: str, *, discarded: bool = False) -> Branch:
    found = [one for one in branches.values() if one.name == name]
    live = [one for one in found if not one.discarded]
    if live:
        return live[-1]
    if found and discarded:
        return found[-1]
    if found:
        raise BranchError(
            f"the branch {name!r} was discarded",
            hint="it can still be read (discarded=True), not written or merged",
            branch=name,
        )
    known = sorted(one.name for one in branches.values() if not one.discarded)
    raise BranchError(
        f"there is no branch {name!r}", hint=f"there are: {', '.join((MAIN, *known))}", branch=name
    )


def _check_name(name: str) -> None:
    text: object = name
    if not isinstance(text, str) or not 0 < len(name) <= _LONGEST or name == MAIN:
        raise BranchError(
            f"{name!r} cannot name a branch",
            hint=f'give a text of 1 to {_LONGEST} characters other than "main"',
            branch=name,
        )


def _require_settled(conflicts: tuple[Conflict, ...], source: str, into: str) -> None:
    if conflicts:
        listed = "; ".join(str(one) for one in conflicts[:5])
        raise MergeConflict(
            f"{source!r} and {into!r} disagree in {len(conflicts)} places: {listed}",
            hint='give resolve="ours", "theirs", or a function, for all or by attribute',
            conflicts=conflicts,
        )
