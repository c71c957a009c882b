"""The fsck: compares log, index and ids, and builds the index again from the log.

The log is the truth. `reindex` replays it into the index; `check` replays it into a scratch
store and compares row by row, and recomputes every hash of the log on the way. Neither trusts
anything it can compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final, TypeAlias

import attrs

from persistence.audit.finding import Finding
from persistence.audit.merkle import leaf_hash, tree_hash
from persistence.audit.record import NO_LEAF, NO_PARENT, parse_entry
from persistence.catalog import Branch, State, read_schema, schema_of, with_branches
from persistence.connection import Connection
from persistence.datoms import ASSERT, RETRACT, CellState, Schema, adopt, cut, segment_flags
from persistence.datoms import bootstrap as boot
from persistence.datoms.evolution import build
from persistence.datoms.rectangles import OPEN_T
from persistence.errors import PersistenceError, StoreError
from persistence.leaves import Tombstones, leaves
from persistence.store import Session, Snapshot, Store, TxRow, open_store
from persistence.store.layers import Layers
from persistence.store.protocol import BEFORE_ALL, INDEXED
from persistence.texts import earlier_texts
from persistence.unhashed import Accounts, check_flags, check_words
from persistence.values import (
    ERASED,
    INTERNED,
    Keyword,
    Kind,
    decode,
    from_columns,
    interned_id,
)

_STEP: Final = 1_000  # transactions a report of progress
Progress: TypeAlias = Callable[[int, int], None]


# ---------------------------------------------------------------------- replay


def reindex(connection: Connection, progress: Progress | None = None) -> int:
    """Drops the fact index and builds it again from the log, in one commit."""
    with connection.store.session() as session:
        last = session.head().t
        schema = schema_of_log(session, last)
        session.clear_index()
        return replay(session, session, last, schema, progress)[0]


def schema_of_log(source: Snapshot, last: int) -> Schema:
    """The schema that the log alone declares on the main line; the index may be damaged."""
    cells: dict[tuple[int, int], CellState] = {}
    lines = _branches_of(source, last)
    for t, _, e, a, k, payload, vf, vt, op in source.log(0, last):
        if a in boot.SCHEMA_IDS and t not in lines:
            cell = cells.setdefault((e, a), CellState({}))
            if op == ASSERT:
                cell.assert_many((k, payload), (vf, vt))
            else:
                cell.retract((k, payload), (vf, vt))
    live = [
        (e, a, k, payload, start, end, 0)
        for (e, a), cell in cells.items()
        for (k, payload), pieces in cell.after.items()
        for start, end in pieces
    ]
    numbers = {Keyword(name): n for n, name, _ in source.attributes()}
    return schema_of(live, numbers, source)


def replay(
    source: Snapshot, target: Session, last: int, final: Schema, progress: Progress | None = None
) -> tuple[int, set[int]]:
    """Writes the index rows of every transaction of *source* up to *last* into *target*.

    Gives the number of datoms, and the attributes that had facts before they were searched.

    *final* is the schema of the main line at the end: it says which attributes are indexed and
    hold full text. What `:db/noHistory` says counts from the transaction that said it.
    """
    work = _Replay(source, target, final)
    lines = _branches_of(source, last)
    count = 0
    for t, rows in groupby(source.log(0, last), key=lambda row: row[0]):
        datoms = list(rows)
        count += len(datoms)
        changes = [tuple(row[2:]) for row in datoms if row[4] != ERASED]
        work.transaction(t, lines.get(t, 0), changes)
        if progress is not None and t % _STEP == 0:
            progress(t, last)
    work.finish()
    if progress is not None:
        progress(last, last)
    return count, work.late


def _branches_of(source: Snapshot, last: int) -> dict[int, int]:
    """The branches of the transactions that are not on the main line."""
    return {tx.t: tx.branch for tx in _transactions(source, last) if tx.branch}


class _Replay:
    """The index while it is built from a log, transaction by transaction."""

    def __init__(self, source: Snapshot, target: Session, final: Schema) -> None:
        self.source, self.target, self.final = source, target, final
        self.numbers = {Keyword(name): n for n, name, _ in source.attributes()}
        by_name = final.attributes
        shared = {n for n, _, flags in source.attributes() if flags & INDEXED}
        self.indexed = {
            n: int(n in shared or (ident in by_name and by_name[ident].indexed))
            for ident, n in self.numbers.items()
        }
        self.state = State(self.numbers, {}, {}, final)
        self.schemas: dict[int, Schema] = {0: build((), self.numbers)}
        self.late: set[int] = set()  # attributes that full text did not know from the beginning

    def transaction(self, t: int, branch: int, changes: list[Any]) -> None:
        """Writes what one transaction does to the index."""
        layers = Layers(self.target, ((branch, None), *self.state.line(branch)))
        schema = self._schema(branch, layers)
        forgetful = self._marked("no_history", schema)
        cells = {(e, a) for e, a, *_, op in changes if op == RETRACT}
        live = layers.live(cells) if cells else []
        cuts = cut(branch, t, changes, live, self.indexed, forgetful)
        owned = adopt(branch, cuts, layers.inherited, self.indexed, layers.live)
        self.target.write_index(remove=cuts.remove, insert=cuts.insert, owned=owned)
        self.state = self.state.with_flags(branch, segment_flags(cuts, owned, branch))
        self._learn(branch, changes)
        self._write_texts(t, changes, schema, self.schemas[branch])

    def _write_texts(self, t: int, changes: list[Any], before: Schema, after: Schema) -> None:
        """Lets full text find what a transaction says, and what was said before of attributes
        that are searched from here on."""
        searched = self._marked("fulltext", after)
        texts = [
            (a, k, str(p), text)
            for _, a, k, p, _, _, op in changes
            if a in searched
            and op == ASSERT
            and k != ERASED
            and isinstance(text := _value(self.source, k, p), str)
        ]
        if before is not after:
            earlier = earlier_texts(self.source, t - 1, before, after, self.numbers)
            self.late.update(a for a, *_ in earlier)
            texts += earlier
        self.target.write_index(texts=texts)

    def finish(self) -> None:
        """Writes what was gathered of all attributes."""
        shared = [(n, flags) for n, _, flags in self.source.attributes() if flags & INDEXED]
        self.target.write_index(
            flags=[*self.state.flags.items(), *((n, INDEXED) for n, _ in shared)],
            branch_flags=[(b, a, flags) for (b, a), flags in self.state.branch_flags.items()],
        )

    def _schema(self, branch: int, layers: Layers) -> Schema:
        if branch not in self.schemas:
            self.schemas[branch] = read_schema(layers, self.numbers, self.source)
        return self.schemas[branch]

    def _marked(self, what: str, schema: Schema) -> set[int]:
        """The attributes that *schema* marks so."""
        found = (a.ident for a in schema.attributes.values() if getattr(a, what))
        return {self.numbers[ident] for ident in found if ident in self.numbers}

    def _learn(self, branch: int, changes: list[Any]) -> None:
        """What a transaction says of schema and branches counts for those after it."""
        said = {change[1] for change in changes}
        if not boot.SCHEMA_IDS.isdisjoint(said):
            layers = Layers(self.target, ((branch, None), *self.state.line(branch)))
            self.schemas[branch] = read_schema(layers, self.numbers, self.source)
        if not branch and not boot.BRANCH_IDS.isdisjoint(said):
            branches = with_branches(self.state.branches, changes)
            self.state = attrs.evolve(self.state, branches=branches)


def _value(source: Snapshot, k: int, payload: Any) -> Any:
    if k < INTERNED:
        return from_columns(k, payload)
    content = interned_id(payload)
    return decode(source.blobs([content])[content])


# ----------------------------------------------------------------------- check


def check(connection: Connection, progress: Progress | None = None) -> list[Finding]:
    """Everything that disagrees in the store; nothing in a sound one."""
    return check_store(connection.store, progress)


def check_store(store: Store, progress: Progress | None = None) -> list[Finding]:
    """Everything that disagrees in a store, also in one that is too broken to be worked with."""
    found = list(_damage(store))
    accounts = Accounts()
    with store.snapshot() as snapshot:
        last = snapshot.head().t
        if snapshot.unshredded():
            found.append(Finding("files", "no traces of erased values", "not shredded yet"))
        found += _check_log(snapshot, last, accounts, progress)
        found += accounts.end(store, snapshot)
        try:
            found += _check_index(store, snapshot, last, accounts)
        except Exception as error:
            if not found:
                raise
            # What is wrong with the log was said; what a transactor never wrote need not replay.
            found.append(Finding("index", "one that the log gives", f"{error!r}"))
    return found


def _damage(store: Store) -> Iterator[Finding]:
    try:
        for text in store.damage():
            yield Finding("engine", "no damage", text)
    except StoreError as error:
        yield Finding("engine", "files that it can check", str(error))


def _check_log(
    snapshot: Snapshot, last: int, accounts: Accounts, progress: Progress | None
) -> Iterator[Finding]:
    """Recomputes ids, roots and leaves from the stored datoms, and checks the chain."""
    names = {n: name for n, name, _ in snapshot.attributes()}
    leaf, time, expected_t = NO_LEAF, 0, 1
    line, erased = _Line(snapshot), Tombstones()
    log = groupby(snapshot.log(BEFORE_ALL, OPEN_T), key=lambda row: row[0])
    group = next(log, None)
    seals = _ByTransaction(snapshot.sealed(BEFORE_ALL, OPEN_T))
    for tx in _transactions(snapshot, last):
        if tx.t != expected_t:
            yield Finding(f"transaction t = {tx.t}", f"t = {expected_t}", f"t = {tx.t}")
        expected_t = tx.t + 1
        while group is not None and group[0] < tx.t:
            yield _orphan(group[0])
            group = next(log, None)
        rows: list[Any] = []
        if group is not None and group[0] == tx.t:
            rows = list(group[1])
            group = next(log, None)
        yield from _check_tx(snapshot, tx, rows, line.parent(tx), leaf, time)
        yield from _check_root(snapshot, tx, rows, seals.of(tx.t), names)
        yield from accounts.take(snapshot, tx, rows)
        line.take(tx, rows)
        erased.take(snapshot, rows)
        leaf, time = tx.leaf, tx.time
        if progress is not None and tx.t % _STEP == 0:
            progress(tx.t, last)
    while group is not None:
        yield _orphan(group[0])
        group = next(log, None)
    yield from (Finding(*problem) for problem in erased.problems())
    yield from (Finding(f"sealed t = {t}", "a transaction", "none") for t in seals.rest())
    if progress is not None:
        progress(last, last)


class _ByTransaction:
    """Rows in order of t, given out transaction by transaction; those that nobody asks for are
    left over."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = iter(rows)
        self._next = next(self._rows, None)
        self._orphans: set[int] = set()

    def of(self, t: int) -> list[Any]:
        found = []
        while self._next is not None and self._next[0] <= t:
            if self._next[0] == t:
                found.append(self._next)
            else:
                self._orphans.add(self._next[0])
            self._next = next(self._rows, None)
        return found

    def rest(self) -> list[int]:
        self.of(OPEN_T)
        return sorted(self._orphans)


class _Line:
    """The last transaction of every branch, while the log is read."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.tips: dict[int, tuple[int, bytes]] = {}
        self.branches: dict[int, Branch] = {}

    def parent(self, tx: TxRow) -> tuple[int, bytes]:
        """What the parent of *tx* must be: the one before it on its branch, or, for the first,
        the last one that the branch sees of the line it came from."""
        branch, before = tx.branch, tx.t
        found = self.tips.get(branch, (0, b""))
        while not found[0] and branch in self.branches:
            one = self.branches[branch]
            branch, before = one.parent, min(before, one.base)
            found = self.snapshot.last_on(branch, before)
        return found

    def take(self, tx: TxRow, rows: list[Any]) -> None:
        self.tips[tx.branch] = (tx.t, tx.id)
        if not tx.branch:
            said = [tuple(row[2:]) for row in rows if _BRANCH_KINDS.get(row[3]) == row[4]]
            self.branches = with_branches(self.branches, said)


_BRANCH_KINDS: Final = {18: Kind.STRING, 19: Kind.INT, 20: Kind.INT, 21: Kind.BOOL}


def _orphan(t: int) -> Finding:
    return Finding(f"log t = {t}", "a transaction", "none")


def _transactions(snapshot: Snapshot, last: int) -> Iterator[TxRow]:
    after = BEFORE_ALL
    while after < last:
        page = snapshot.transactions(after, last, _STEP)
        if not page:
            return
        yield from page
        after = page[-1].t


def _check_tx(
    snapshot: Snapshot,
    tx: TxRow,
    rows: list[Any],
    parent: tuple[int, bytes],
    leaf: bytes,
    time: int,
) -> Iterator[Finding]:
    where = f"transaction t = {tx.t}"
    try:
        entry = parse_entry(tx.entry)
    except PersistenceError as error:
        yield Finding(f"{where} entry", "canonical bytes", str(error))
        return
    if leaf_hash(tx.entry) != tx.leaf:
        yield Finding(f"{where} leaf", leaf_hash(tx.entry).hex(), tx.leaf.hex())
    header = entry.header
    if entry.previous_leaf != leaf:
        yield Finding(f"{where} previous leaf", leaf.hex(), entry.previous_leaf.hex())
    if entry.id != tx.id or header.id() != tx.id:
        yield Finding(f"{where} id", header.id().hex(), tx.id.hex())
    if header.parent != (parent[1] or NO_PARENT):
        yield Finding(f"{where} parent", parent[1].hex(), header.parent.hex())
    if tx.parent != parent[0]:
        yield Finding(f"{where} parent", f"t = {parent[0]}", f"t = {tx.parent}")
    if header.branch != tx.branch:
        yield Finding(f"{where} branch", str(header.branch), str(tx.branch))
    if header.time != tx.time:
        yield Finding(f"{where} time", str(header.time), str(tx.time))
    if tx.time < time:
        yield Finding(f"{where} time", f"at least {time}", str(tx.time))
    if header.datoms != len(rows):
        yield Finding(f"{where} log", f"{header.datoms} datoms", f"{len(rows)}")


def _check_root(
    snapshot: Snapshot, tx: TxRow, rows: list[Any], seals: list[Any], names: dict[int, str]
) -> Iterator[Finding]:
    """Compares what was hashed of the datoms with what is stored of them."""
    where = f"transaction t = {tx.t}"
    try:
        expected = parse_entry(tx.entry).header.datoms_root
    except PersistenceError:
        return  # told already
    try:
        root = tree_hash([leaf.hash for leaf in leaves(snapshot, rows, seals, names)])
    except PersistenceError as error:
        yield Finding(f"{where} log", "readable datoms", str(error))
        return
    if root != expected:
        yield Finding(f"{where} datoms root", expected.hex(), root.hex())


def _check_index(
    store: Store, snapshot: Snapshot, last: int, accounts: Accounts
) -> Iterator[Finding]:
    """Compares the index with one that is built from the log in a scratch store."""
    schema = schema_of_log(snapshot, last)
    scratch = open_store(":memory:")
    try:
        with scratch.session() as session:
            _copy_attributes(snapshot, session)
            _, late = replay(snapshot, session, last, schema)
        with scratch.snapshot() as rebuilt:
            yield from _compare(rebuilt.facts(), snapshot.facts())
            yield from check_flags(rebuilt, snapshot, accounts.erased)
            yield from _check_owned(rebuilt, snapshot)
            yield from check_words((scratch, rebuilt), store, snapshot, late)
    finally:
        scratch.close()


def _copy_attributes(snapshot: Snapshot, session: Session) -> None:
    session.write_attributes([(n, name) for n, name, _ in snapshot.attributes()])


def _compare(expected: Iterable[Any], found: Iterable[Any]) -> Iterator[Finding]:
    """Merges two streams of index rows in the same order and tells where they differ."""
    left = groupby(expected, key=lambda row: row[:3])
    right = groupby(found, key=lambda row: row[:3])
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield _row_finding(one[0], len(list(one[1])), 0)
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield _row_finding(other[0], 0, len(list(other[1])))
            other = next(right, None)
        else:
            wanted, held = {_exact(row) for row in one[1]}, {_exact(row) for row in other[1]}
            if wanted != held:
                lost, extra = sorted(wanted - held, key=repr), sorted(held - wanted, key=repr)
                where = f"index segment {one[0][0]} attribute {one[0][1]} entity {one[0][2]}"
                yield Finding(where, f"rows {lost[:3]}", f"rows {extra[:3]}")
            one, other = next(left, None), next(right, None)


def _exact(row: Any) -> tuple[Any, ...]:
    """A row whose payload equals no other one: 1 is not 1.0."""
    return (*row[:4], repr(row[4]), *row[5:])


def _row_finding(key: tuple[int, int, int], expected: int, found: int) -> Finding:
    where = f"index segment {key[0]} attribute {key[1]} entity {key[2]}"
    return Finding(where, f"{expected} rows", f"{found} rows")


def _check_owned(rebuilt: Snapshot, snapshot: Snapshot) -> Iterator[Finding]:
    """Compares the facts that branches have made their own."""
    expected = {_exact(row) for row in rebuilt.every_owned()}
    found = {_exact(row) for row in snapshot.every_owned()}
    for branch, a, e, k, payload in sorted(expected ^ found, key=repr):
        kept = (branch, a, e, k, payload) in expected
        where = f"branch {branch} fact of entity {e} attribute {a}"
        yield Finding(where, "owned" if kept else "inherited", "inherited" if kept else "owned")
