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

from persistence.audit.record import NO_LEAF, NO_PARENT, datoms_root, leaf_hash, parse_entry
from persistence.catalog import read_schema, schema_of
from persistence.connection import Connection
from persistence.datoms import ASSERT, BOUNDED, CLOSED, RETRACT, CellState, Schema, cut
from persistence.datoms import bootstrap as boot
from persistence.datoms.rectangles import OPEN_T
from persistence.errors import PersistenceError
from persistence.store import Session, Snapshot, TxRow, open_store
from persistence.store.layers import Layers
from persistence.values import (
    INTERNED,
    Keyword,
    decode,
    digest,
    encode_datom,
    from_columns,
    interned_id,
)

_STEP: Final = 1_000  # transactions a report of progress
Progress: TypeAlias = Callable[[int, int], None]


@attrs.frozen
class Finding:
    """One disagreement: where it is, what was expected there, and what was found."""

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


# ---------------------------------------------------------------------- replay


def reindex(connection: Connection, progress: Progress | None = None) -> int:
    """Drops the fact index and builds it again from the log, in one commit."""
    with connection.store.session() as session:
        last = session.head().t
        schema = schema_of_log(session, last)
        session.clear_index()
        return replay(session, session, last, schema, progress)


def schema_of_log(source: Snapshot, last: int) -> Schema:
    """The schema that the log alone declares; the index may be damaged."""
    cells: dict[tuple[int, int], CellState] = {}
    for _, _, e, a, k, payload, vf, vt, op in source.log(0, last):
        if a in boot.SCHEMA_IDS:
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
) -> int:
    """Writes the index rows of every transaction of *source* up to *last* into *target*.

    *final* is the schema at the end: it says which attributes are indexed and hold full text.
    What `:db/noHistory` says counts from the transaction that said it.
    """
    numbers = {a.ident: n for n, a in _attributes(source, final).items()}
    indexed = {n: int(final[ident].indexed) for ident, n in numbers.items()}
    fulltext = {n for ident, n in numbers.items() if final[ident].fulltext}
    forgetful: frozenset[int] = frozenset()
    count = 0
    flags: dict[int, int] = {}
    for t, rows in groupby(source.log(0, last), key=lambda row: row[0]):
        changes = [tuple(row[2:]) for row in rows]
        count += len(changes)
        cells = {(e, a) for e, a, *_, op in changes if op == RETRACT}
        live = target.live(0, cells) if cells else []
        cuts = cut(0, t, changes, live, indexed, forgetful)
        for row in cuts.insert:
            if row[0] % 3:
                flags[row[1]] = flags.get(row[1], 0) | (BOUNDED if row[0] % 3 == 1 else CLOSED)
        texts = [
            (a, k, str(p), _value(source, k, p))
            for _, a, k, p, _, _, op in changes
            if a in fulltext and op == ASSERT
        ]
        target.write_index(remove=cuts.remove, insert=cuts.insert, texts=texts)
        if any(change[1] in boot.SCHEMA_IDS for change in changes):
            schema = read_schema(Layers(target, ((0, None),)), numbers, source)
            forgetful = frozenset(n for ident, n in numbers.items() if schema[ident].no_history)
        if progress is not None and t % _STEP == 0:
            progress(t, last)
    target.write_index(flags=list(flags.items()))
    if progress is not None:
        progress(last, last)
    return count


def _attributes(source: Snapshot, schema: Schema) -> dict[int, Any]:
    by_name = {ident.name: attribute for ident, attribute in schema.attributes.items()}
    return {n: by_name[name] for n, name, _ in source.attributes() if name in by_name}


def _value(source: Snapshot, k: int, payload: Any) -> Any:
    if k < INTERNED:
        return from_columns(k, payload)
    content = interned_id(payload)
    return decode(source.blobs([content])[content])


# ----------------------------------------------------------------------- check


def check(connection: Connection, progress: Progress | None = None) -> list[Finding]:
    """Everything that disagrees in the store; nothing in a sound one."""
    found = [Finding("engine", "no damage", text) for text in connection.store.damage()]
    with connection.store.snapshot() as snapshot:
        last = snapshot.head().t
        found += _check_log(snapshot, last, progress)
        found += _check_index(snapshot, last, schema_of_log(snapshot, last))
    return found


def _check_log(snapshot: Snapshot, last: int, progress: Progress | None) -> Iterator[Finding]:
    """Recomputes ids, roots and leaves from the stored datoms, and checks the chain."""
    names = {n: name for n, name, _ in snapshot.attributes()}
    parent, leaf, time, expected_t = NO_PARENT, NO_LEAF, 0, 1
    log = groupby(snapshot.log(0, OPEN_T), key=lambda row: row[0])
    group = next(log, None)
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
        yield from _check_tx(snapshot, tx, rows, parent, leaf, time, names)
        parent, leaf, time = tx.id, tx.leaf, tx.time
        if progress is not None and tx.t % _STEP == 0:
            progress(tx.t, last)
    while group is not None:
        yield _orphan(group[0])
        group = next(log, None)
    if progress is not None:
        progress(last, last)


def _orphan(t: int) -> Finding:
    return Finding(f"log t = {t}", "a transaction", "none")


def _transactions(snapshot: Snapshot, last: int) -> Iterator[TxRow]:
    after = 0
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
    parent: bytes,
    leaf: bytes,
    time: int,
    names: dict[int, str],
) -> Iterator[Finding]:
    where = f"transaction t = {tx.t}"
    try:
        tx_id, previous, header = parse_entry(tx.entry)
    except PersistenceError as error:
        yield Finding(f"{where} entry", "canonical bytes", str(error))
        return
    if leaf_hash(tx.entry) != tx.leaf:
        yield Finding(f"{where} leaf", leaf_hash(tx.entry).hex(), tx.leaf.hex())
    if previous != leaf:
        yield Finding(f"{where} previous leaf", leaf.hex(), previous.hex())
    if tx_id != tx.id or header.id() != tx.id:
        yield Finding(f"{where} id", header.id().hex(), tx.id.hex())
    if header.parent != parent:
        yield Finding(f"{where} parent", parent.hex(), header.parent.hex())
    if header.time != tx.time:
        yield Finding(f"{where} time", str(header.time), str(tx.time))
    if tx.time < time:
        yield Finding(f"{where} time", f"at least {time}", str(tx.time))
    if header.datoms != len(rows):
        yield Finding(f"{where} log", f"{header.datoms} datoms", f"{len(rows)}")
    try:
        root = datoms_root(_encoded(snapshot, rows, names))
    except PersistenceError as error:
        yield Finding(f"{where} log", "readable datoms", str(error))
        return
    if root != header.datoms_root:
        yield Finding(f"{where} datoms root", header.datoms_root.hex(), root.hex())


def _encoded(snapshot: Snapshot, rows: list[Any], names: dict[int, str]) -> Iterable[bytes]:
    wanted = {interned_id(row[5]) for row in rows if row[4] >= INTERNED}
    blobs = snapshot.blobs(wanted) if wanted else {}
    for _, _, e, a, k, payload, vf, vt, op in rows:
        if a not in names:
            raise PersistenceError(f"attribute {a} has no name")
        if k < INTERNED:
            value = from_columns(k, payload)
        else:
            content = interned_id(payload)
            data = blobs.get(content)
            if data is None or digest("blob", data) != content:
                raise PersistenceError(f"the interned value {content.hex()} is missing or changed")
            value = decode(data)
        yield encode_datom(e, Keyword(names[a]), value, vf, vt, op == ASSERT)


def _check_index(snapshot: Snapshot, last: int, schema: Schema) -> Iterator[Finding]:
    """Compares the index with one that is built from the log in a scratch store."""
    scratch = open_store(":memory:")
    try:
        with scratch.session() as session:
            _copy_attributes(snapshot, session)
            replay(snapshot, session, last, schema)
        with scratch.snapshot() as rebuilt:
            yield from _compare(rebuilt.facts(), snapshot.facts())
            yield from _check_flags(rebuilt, snapshot)
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
            wanted, held = set(one[1]), set(other[1])
            if wanted != held:
                lost, extra = sorted(wanted - held, key=repr), sorted(held - wanted, key=repr)
                where = f"index segment {one[0][0]} attribute {one[0][1]} entity {one[0][2]}"
                yield Finding(where, f"rows {lost[:3]}", f"rows {extra[:3]}")
            one, other = next(left, None), next(right, None)


def _row_finding(key: tuple[int, int, int], expected: int, found: int) -> Finding:
    where = f"index segment {key[0]} attribute {key[1]} entity {key[2]}"
    return Finding(where, f"{expected} rows", f"{found} rows")


def _check_flags(rebuilt: Snapshot, snapshot: Snapshot) -> Iterator[Finding]:
    needed = {n: flags for n, _, flags in rebuilt.attributes()}
    for n, name, flags in snapshot.attributes():
        if needed.get(n, 0) & ~flags:
            yield Finding(f"attribute {name} flags", str(needed[n]), str(flags))
