"""What was hashed of stored datoms, computed again; and whether what is missing was erased.

A datom is hashed as it is, or with a commitment in place of its value when its attribute is
sensitive. Of one that was erased only the hash is left. The hashes alone cannot tell an erasure
from an intrusion, so every erased datom must be accounted for by a tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from persistence.audit.merkle import leaf_hash
from persistence.audit.roster import ERASE
from persistence.datoms import ASSERT
from persistence.datoms import bootstrap as boot
from persistence.errors import CorruptStore
from persistence.store import Snapshot
from persistence.store.protocol import Sealed
from persistence.values import (
    ERASED,
    INTERNED,
    Keyword,
    commitment,
    decode,
    digest,
    encode,
    encode_datom,
    from_columns,
    interned_id,
    same_digest,
    sealed,
)


@attrs.frozen
class Leaf:
    """What a transaction's datoms root hashes of one datom: the hash, and the canonical bytes
    that have it, which are None when the datom was erased whole."""

    hash: bytes
    data: bytes | None


def leaves(
    snapshot: Snapshot,
    rows: Sequence[tuple[Any, ...]],
    seals: Iterable[Sealed],
    names: Mapping[int, str],
) -> list[Leaf]:
    """The leaves of one transaction, from its rows of the log and of what was sealed.

    Raises:
        CorruptStore: a value, a name or a salt is missing, or is not the one that was hashed.
        ValueRefused, EdnError: a value cannot be read.
    """
    found = {i: (salt, hash, whole) for _, i, salt, hash, whole in seals}
    wanted = {interned_id(row[5]) for row in rows if row[4] >= INTERNED}
    blobs = snapshot.blobs(wanted) if wanted else {}
    made = []
    for t, i, e, a, k, payload, vf, vt, op in rows:
        if a not in names:
            raise CorruptStore(f"attribute {a} has no name")
        salt, hash, whole = found.pop(i, (None, b"", 0))
        if (k == ERASED) != (bool(hash) and salt is None):
            raise CorruptStore(f"datom {i} of t = {t} is erased in part")
        if whole:
            made.append(Leaf(hash, None))
            continue
        value = sealed(hash) if k == ERASED else _value(k, payload, blobs)
        if salt is not None:
            value = sealed(commitment(salt, encode(value)))
            if not same_digest(value.value, hash):
                raise CorruptStore(f"the commitment to datom {i} of t = {t} is another one")
        data = encode_datom(e, Keyword(names[a]), value, vf, vt, op == ASSERT)
        made.append(Leaf(leaf_hash(data), data))
    if found:
        raise CorruptStore(f"a datom {min(found)} that was sealed is not in the log")
    return made


def logged(snapshot: Snapshot, t: int) -> list[Leaf]:
    """The leaves of transaction *t*, in log order.

    Raises:
        CorruptStore, ValueRefused, EdnError: as `leaves`.
    """
    names = {n: name for n, name, _ in snapshot.attributes()}
    rows = list(snapshot.log(t - 1, t))
    return leaves(snapshot, rows, snapshot.sealed(t - 1, t), names)


def _value(k: int, payload: Any, blobs: Mapping[bytes, bytes]) -> Any:
    if k < INTERNED:
        return from_columns(k, payload)
    content = interned_id(payload)
    data = blobs.get(content)
    if data is None or digest("blob", data) != content:
        raise CorruptStore(f"the interned value {content.hex()} is missing or changed")
    return decode(data)


@attrs.define
class Tombstones:
    """Holds what was erased against what the log says was erased, while the log is read."""

    erased: dict[int, list[int]] = attrs.field(factory=dict)  # by entity, the t of its datoms
    _told: int = 0
    _count: int = 0

    def take(self, snapshot: Snapshot, rows: Iterable[tuple[Any, ...]]) -> None:
        """The rows of the next transaction."""
        for t, _, e, a, k, payload, _, _, op in rows:
            if k == ERASED:
                self.erased.setdefault(e, []).append(t)
                self._count += 1
            elif a == boot.LOG_EVENT_ID and op == ASSERT:
                blobs = snapshot.blobs([interned_id(payload)]) if k >= INTERNED else {}
                self._event(_value(k, payload, blobs))

    def _event(self, event: Any) -> None:
        match event:
            case (kind, tuple(entities), int(count)) if kind is ERASE:
                self._told += count
                for e in entities:
                    self.erased.pop(e, None)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Where, what was expected, and what was found instead."""
        for e, times in sorted(self.erased.items()):
            yield f"entity {e} t = {times[0]}", "a tombstone", f"{len(times)} values erased"
        if self._told != self._count and not self.erased:
            yield "tombstones", f"{self._told} values erased", str(self._count)
