"""Entity ids that are taken before anything is committed.

A body names new entities while it runs, and others name theirs at the same time. So ids come in
blocks from a counter of their own, which a short write moves on; a block that is not used up is
lost, which costs nothing but numbers.
"""

from __future__ import annotations

from typing import Final

from persistence.errors import LimitExceeded
from persistence.ids import LAST_ENTITY, RESERVED0
from persistence.store.protocol import Snapshot, Store

_KEY: Final = "reserved"


def reserved(snapshot: Snapshot) -> int:
    """The first of the reserved ids that was never given out."""
    found = snapshot.rows(f"SELECT value FROM meta WHERE key = '{_KEY}'")
    return int(found[0][0]) if found else RESERVED0


def reserve(store: Store, count: int) -> int:
    """The first of *count* entity ids that no one else will be given.

    Raises:
        LimitExceeded: there are not so many left.
    """
    first_parameter = store.dialect.parameter(1, "s")
    write = (
        f"INSERT INTO meta (key, value) VALUES ('{_KEY}', {first_parameter})"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )
    with store.session() as session:
        first = reserved(session)
        if first + count > LAST_ENTITY:
            raise LimitExceeded(
                f"entity ids end at {LAST_ENTITY}",
                limit="entity ids",
                allowed=LAST_ENTITY,
                found=first + count,
            )
        session.rows(write, (str(first + count),))
    return first
