"""What full text has to learn of the past, when an attribute comes to be searched."""

from __future__ import annotations

from collections.abc import Mapping

from persistence.coordinates import stored_values
from persistence.datoms import ASSERT, Schema
from persistence.store import Snapshot
from persistence.values import ERASED, Keyword


def earlier_texts(
    snapshot: Snapshot, t: int, before: Schema, after: Schema, numbers: Mapping[Keyword, int]
) -> list[tuple[int, int, str, str]]:
    """What was said, up to *t*, of attributes that *after* searches and *before* did not.

    Reads the whole log: nothing else knows what was ever said, and it happens once.
    """
    found = {
        numbers[ident]
        for ident, attribute in after.attributes.items()
        if attribute.fulltext and not before[ident].fulltext and ident in numbers
    }
    if not found:
        return []
    said = dict.fromkeys(
        (a, k, payload)
        for _, _, _, a, k, payload, _, _, op in snapshot.log(0, t)
        if a in found and k != ERASED and op == ASSERT
    )
    values = stored_values(snapshot, [(k, payload) for _, k, payload in said])
    return [
        (a, k, str(payload), value)
        for (a, k, payload), value in zip(said, values, strict=True)
        if isinstance(value, str)
    ]
