"""The most frequent transaction of all: one map of plain values.

What it writes is decided here as `prepare` would decide it, to the datom, in a third of the time.
Everything else, and what would be refused, is left to the general way, which also tells why.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from persistence.datoms import ASSERT, RETRACT, Attribute, Change, Interval, Live, ValueKey
from persistence.datoms.bootstrap import FIRST_ATTRIBUTE_ID, VALUE_TYPES
from persistence.errors import LimitExceeded, ValueRefused
from persistence.ids import RESERVED0
from persistence.transact.base import Base
from persistence.transact.forms import Role, parse_entity
from persistence.transact.operations import Tempid
from persistence.transact.typed import Typed
from persistence.values import LIMITS, Kind, columns, interned_id


class Plain(NamedTuple):
    """What one map of plain values writes."""

    changes: list[Change]
    live: list[Live]
    typed: Typed
    attributes: dict[int, Attribute]
    tempids: dict[str | int, int]
    next_e: int


def plainly(base: Base, forms: Any, span: Interval) -> Plain | None:
    """What *forms* write over *span*; None unless they are one map of plain values.

    A value is plain when it is compared with nothing but its own cell, which holds one value at a
    time; a reference when it is the id of an entity that there is by now.
    """
    if type(forms) not in (list, tuple) or len(forms) != 1 or type(forms[0]) is not dict:
        return None
    if len(forms[0]) > LIMITS.transaction_datoms or base.schema.composites():
        return None
    typed = Typed(base, [])
    attributes: dict[int, Attribute] = {}
    stated: dict[int, ValueKey] = {}
    given: Any = None
    keys = base.schema.memo.get("keys", {})  # what the parser knows of names by now
    for name, value in forms[0].items():
        known = keys.get(name)
        if known is None:
            return None
        if known.role is Role.DB_ID:
            given = value
            continue
        attribute = known.attribute
        number = base.numbers.get(attribute.ident)
        if number is None or number in stated or not _is_plain(attribute, number):
            return None
        if known.role and not _is_reference(known.role, attribute, value, base.next_e):
            return None
        key = _key(attribute, value, typed)
        if key is None:
            return None
        stated[number] = key
        attributes[number] = attribute
        typed.known[number] = attribute.ident
        typed.values[key] = value
    named = Tempid() if given is None else parse_entity(given, base.schema)
    first = next_e = base.next_e
    if type(named) is Tempid:
        e, next_e = first, first + 1
    elif type(named) is int and named < RESERVED0:
        e = named
        next_e = max(first, e + 1)
    else:
        return None
    if not stated or next_e > RESERVED0:
        return None
    live: list[Live] = []
    if not first <= e < next_e:
        live = base.live(dict.fromkeys({(e, number) for number in stated}), span[0])
    changes = _changes(e, stated, live, span)
    if changes is None or base.inherited:
        return None
    tempids = {named.key: e} if type(named) is Tempid and named.key is not None else {}
    return Plain(changes, live, typed, attributes, tempids, next_e)


def _is_plain(attribute: Attribute, number: int) -> bool:
    return (
        attribute.tuple_attrs is None
        and attribute.unique is None
        and not attribute.preds
        and not attribute.fulltext
        and number >= FIRST_ATTRIBUTE_ID
    )


def _is_reference(role: Role, attribute: Attribute, value: Any, next_e: int) -> bool:
    fine = role is Role.REFERENCE and not attribute.many
    return fine and type(value) is int and 0 < value < min(next_e, RESERVED0)


def _key(attribute: Attribute, value: Any, typed: Typed) -> ValueKey | None:
    """The key of a value, whose bytes are kept if it is long; None when it is refused."""
    try:
        k, payload, blob = columns(value)
    except (ValueRefused, LimitExceeded):
        return None
    declared = attribute.value_type
    kind = k & 31
    if kind == Kind.TAGGED or (declared is not None and kind not in VALUE_TYPES[declared]):
        return None
    if blob is not None:
        typed.interned[interned_id(str(payload))] = blob
    return k, payload


def _changes(
    e: int, stated: dict[int, ValueKey], live: Iterable[Live], span: Interval
) -> list[Change] | None:
    """The net changes; None where a cell holds more than one value that lasts as long as *span*."""
    start, end = span
    changes: list[Change] = []
    seen = set()
    for _, a, k, payload, vf, vt, _ in live:
        if a in seen or vf > start or vt != end:
            return None
        seen.add(a)
        if stated[a] != (k, payload):
            changes.append((e, a, k, payload, start, end, RETRACT))
            changes.append((e, a, *stated[a], start, end, ASSERT))
    for a, key in stated.items():
        if a not in seen:
            changes.append((e, a, *key, start, end, ASSERT))
    return changes
