"""Batches as the transactor would make them, small enough to write by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from persistence.datoms import FOREVER
from persistence.store import Batch, TxRow
from persistence.store.protocol import OPEN_T, FactKey, FactRow, LogRow
from persistence.values import Payload

START = 1_700_000_000_000_000  # an instant in 2023, from which the facts hold
STRING = 9


def tx(t: int, *, salt: int = 0, next_e: int = 1_000) -> TxRow:
    return TxRow(
        t=t,
        branch=0,
        parent=t - 1,
        id=(salt << 64 | t).to_bytes(32, "big"),
        time=START + t,
        next_e=next_e,
        entry=b"entry %d" % t,
        leaf=t.to_bytes(32, "little"),
    )


def fact(
    e: int,
    a: int,
    payload: Payload,
    t: int = 1,
    *,
    k: int = STRING,
    vf: int = START,
    vt: int = FOREVER,
    seg: int | None = None,
    t1: int = OPEN_T,
    ix: int = 1,
) -> FactRow:
    """An open rectangle, or a bounded or closed one when *vt* or *t1* say so."""
    if seg is None:
        seg = 2 if t1 != OPEN_T else 0 if vt == FOREVER else 1
    return (seg, a, e, k, payload, vf, vt, t, t1, ix, None if seg % 3 == 0 else 0)


def key(row: FactRow) -> FactKey:
    seg, a, e, k, payload, _, vt, t0, *_ = row
    return (seg, a, e, vt, k, payload, t0)


def live(row: FactRow) -> tuple[Any, ...]:
    """What a snapshot reads of *row*."""
    _, a, e, k, payload, vf, vt, t0, *_ = row
    return (e, a, k, payload, vf, vt, t0)


def logged(rows: Sequence[FactRow], op: int = 1) -> list[LogRow]:
    return [(e, a, k, payload, vf, vt, op) for _, a, e, k, payload, vf, vt, *_ in rows]


def batch(t: int, insert: Sequence[FactRow] = (), *, salt: int = 0, **given: Any) -> Batch:
    """Transaction *t*, which asserts *insert* and whatever else is given."""
    empty: dict[str, Any] = {
        "attributes": (),
        "flags": (),
        "blobs": (),
        "log": logged(insert),
        "remove": (),
        "texts": (),
        "reindex": (),
    }
    return Batch(tx=tx(t, salt=salt), insert=insert, **{**empty, **given})
