"""What a snapshot knows of bases and of stored values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

from persistence.datoms import InstantLike, Payload, instant
from persistence.errors import UnknownBasis
from persistence.ids import is_tx_entity, tx_position
from persistence.store import Snapshot
from persistence.values import INTERNED, decode, from_columns, interned_id

_TX_ID_BYTES: Final = 32


def stored_values(snapshot: Snapshot, keys: Iterable[tuple[int, Payload]]) -> list[Any]:
    """The values of stored (k, payload) pairs, interned ones in one statement."""
    keys = list(keys)
    long = {interned_id(str(p)) for k, p in keys if k >= INTERNED}
    blobs = snapshot.blobs(long) if long else {}
    return [
        decode(blobs[interned_id(str(p))]) if k >= INTERNED else from_columns(k, p) for k, p in keys
    ]


def resolve_basis(snapshot: Snapshot, x: int | bytes | InstantLike) -> int:
    """The t that a t, a transaction entity, a transaction id or an instant names in *snapshot*.

    Raises:
        UnknownBasis: the log does not hold it.
    """
    head = snapshot.head()
    if isinstance(x, int) and not isinstance(x, bool):
        t = tx_position(x) if is_tx_entity(x) else x
        if not 0 <= t <= head.t:
            raise UnknownBasis(
                f"{x} is no basis: the log ends at t = {head.t}",
                hint="give a t of the log, a transaction, or an instant",
                basis=x,
                head=head.t,
            )
        return t
    if isinstance(x, str) and len(x) == 2 * _TX_ID_BYTES:
        x = _spelled_id(x) or x  # else it is the text of an instant, or nothing
    if isinstance(x, bytes):
        named = snapshot.transaction_of(x)
        if named is None:
            raise UnknownBasis(f"no transaction has the id {x.hex()}", basis=x.hex())
        return named
    if not isinstance(x, str | date):
        raise UnknownBasis(
            f"{x!r} is no basis",
            hint="give a t, a transaction (entity or id), or an instant",
            basis=x,
        )
    return snapshot.transaction_at(instant(x))


def _spelled_id(text: str) -> bytes | None:
    """The transaction id that *text* spells; None when it spells none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
