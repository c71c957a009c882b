"""What no hash covers, held against the log: names, numbers, flags, words, leftovers.

The tree and its signatures vouch for what every transaction said. Everything else in a store
follows from that. A change of it is found by working it out again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import attrs

from persistence.audit.finding import Finding
from persistence.datoms import bootstrap as boot
from persistence.errors import PersistenceError
from persistence.ids import RESERVED0, SYSTEM0, TX0
from persistence.store import Snapshot, Store, TxRow
from persistence.store.inventory import (
    FORMAT,
    Words,
    expected_format,
    interned,
    meta,
    strange,
    words,
)
from persistence.store.protocol import INDEXED
from persistence.values import (
    ERASED,
    INTERNED,
    Kind,
    columns,
    decode,
    from_columns,
    interned_id,
)

_RESERVED: Final = "reserved"
_ERASING: Final = "unshredded"  # said by itself, see `maintenance.check`
# Kinds whose payload does not tell the kind.
_AMBIGUOUS: Final = (Kind.BIGINT, Kind.FLOAT, Kind.DECIMAL, Kind.RATIO)


@attrs.define
class Accounts:
    """What the log accounts for, while it is read."""

    attributes: set[int] = attrs.field(factory=set)
    names: dict[int, set[str]] = attrs.field(factory=dict)  # of attributes that were declared
    erased: set[int] = attrs.field(factory=set)  # the attributes of which something was erased
    blobs: set[bytes] = attrs.field(factory=set)
    next_e: int = 1
    reserved: int = RESERVED0  # the first reserved id that nobody has used

    def take(self, snapshot: Snapshot, tx: TxRow, rows: list[Any]) -> Iterator[Finding]:
        """What is odd in the rows of the next transaction."""
        where = f"transaction t = {tx.t}"
        if [row[1] for row in rows] != list(range(len(rows))):
            yield Finding(f"{where} log", "datoms numbered from 0", str([row[1] for row in rows]))
        for _, i, e, a, k, payload, *_ in rows:
            self._mention(e, a, payload)
            if k == ERASED:
                self.erased.add(a)
                if payload != 0:
                    yield Finding(f"{where} log", f"nothing in place of datom {i}", repr(payload))
            elif k in _AMBIGUOUS or k >= INTERNED:
                yield from self._exact(snapshot, f"{where} log", k, payload)
        if tx.next_e < self.next_e:
            yield Finding(f"{where} next entity", f"at least {self.next_e}", str(tx.next_e))
        self.next_e = max(self.next_e, tx.next_e)

    def _mention(self, e: int, a: int, payload: Any) -> None:
        self.attributes.add(a)
        if e < RESERVED0:
            self.next_e = max(self.next_e, e + 1)
        elif e < SYSTEM0:
            self.reserved = max(self.reserved, e + 1)
        elif e < TX0:
            self.attributes.add(e - SYSTEM0)  # declared, and perhaps never used
            if a == boot.BUILT_IN_IDS[boot.IDENT]:
                self.names.setdefault(e - SYSTEM0, set()).add(payload)

    def _exact(self, snapshot: Snapshot, where: str, k: int, payload: Any) -> Iterator[Finding]:
        """A payload must be the one that its value is kept as."""
        try:
            if k >= INTERNED:
                content = interned_id(payload)
                self.blobs.add(content)
                value = decode(snapshot.blobs([content])[content])
            else:
                value = from_columns(k, payload)
            expected = columns(value)[:2]
        except (PersistenceError, LookupError, TypeError):
            return  # said where the hashes are compared
        if (expected[0], repr(expected[1])) != (k, repr(payload)):
            yield Finding(where, f"a value kept as {expected}", str((k, payload)))

    def end(self, store: Store, snapshot: Snapshot) -> Iterator[Finding]:
        """What the store holds besides."""
        for problem in strange(store, snapshot):
            yield Finding(*problem)
        yield from self._notes(store, snapshot)
        yield from self._attributes(snapshot)
        for content in sorted(set(interned(snapshot)) - self.blobs):
            yield Finding(f"interned value {content.hex()}", "a datom that has it", "none")

    def _notes(self, store: Store, snapshot: Snapshot) -> Iterator[Finding]:
        notes = meta(snapshot)
        expected, found = expected_format(store), notes.pop(FORMAT, "none")
        if found != expected:
            yield Finding(f"meta {FORMAT}", expected, found)
        reserved = notes.pop(_RESERVED, str(RESERVED0))
        if not reserved.isdecimal() or not self.reserved <= int(reserved) <= SYSTEM0:
            yield Finding(f"meta {_RESERVED}", f"at least {self.reserved}", reserved)
        for key in sorted(notes.keys() - {_ERASING}):
            yield Finding(f"meta {key}", "nothing", notes[key])

    def _attributes(self, snapshot: Snapshot) -> Iterator[Finding]:
        found = {n: name for n, name, _ in snapshot.attributes()}
        if not found and not self.attributes:
            return  # nothing was ever written
        for ident, n in boot.BUILT_IN_IDS.items():
            if found.get(n) != ident.name:
                yield Finding(f"attribute {n}", ident.name, str(found.get(n, "none")))
        for n, name in found.items():
            if name not in self.names.get(n, (name,)):
                yield Finding(f"attribute {n}", " or ".join(sorted(self.names[n])), name)
            elif n < boot.FIRST_ATTRIBUTE_ID and n not in boot.BUILT_IN_IDS.values():
                yield Finding(f"attribute {n}", "none", name)
        for n in sorted(self.attributes - found.keys()):
            yield Finding(f"attribute {n}", "a name", "none")


def check_flags(
    rebuilt: Snapshot, snapshot: Snapshot, erased: Collection[int]
) -> Iterator[Finding]:
    """Compares what is noted of attributes, on the main line and on branches.

    What was said of values that are *erased* by now leaves its marks. An index that stands for
    the sake of a branch is no matter of the log alone.
    """
    needed = {n: flags for n, _, flags in rebuilt.attributes()}
    for n, name, flags in snapshot.attributes():
        if _differ(needed.get(n, 0), flags & ~INDEXED, n in erased):
            yield Finding(
                f"attribute {name} flags", str(needed.get(n, 0) | flags & INDEXED), str(flags)
            )
    wanted = {(b, a): flags for b, a, flags in rebuilt.branch_flags()}
    found = {(b, a): flags for b, a, flags in snapshot.branch_flags()}
    for b, a in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get((b, a), 0), found.get((b, a), 0)
        if _differ(one, other, a in erased) or ((b, a) in found and not other):
            yield Finding(f"branch {b} attribute {a} flags", str(one), str(other))


def _differ(needed: int, found: int, more_is_fine: bool) -> bool:
    needed &= ~INDEXED
    return bool(needed & ~found) if more_is_fine else needed != found


def check_words(
    rebuilt: tuple[Store, Snapshot], store: Store, snapshot: Snapshot, late: Collection[int]
) -> Iterator[Finding]:
    """Compares what full text finds. Of attributes in *late* it need not know everything: they
    had facts before they were searched."""
    expected = words(*rebuilt)
    try:
        found: Words = words(store, snapshot)
    except PersistenceError as error:
        yield Finding("full text", "an index that can be searched", str(error))
        return
    keys: Iterable[Any] = expected.keys() | found.keys()
    for a, k, payload in sorted(keys, key=repr):
        one, other = expected.get((a, k, payload)), found.get((a, k, payload))
        if one != other and not (other is None and a in late):
            where = f"full text attribute {a} text {str(payload)[:40]!r}"
            yield Finding(where, _shown(one), _shown(other))


def _shown(terms: frozenset[str] | None) -> str:
    return "nothing" if terms is None else " ".join(sorted(terms)[:20]) or "no words"
