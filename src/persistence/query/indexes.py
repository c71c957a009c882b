"""Datoms in the order of an index, a few thousand at a time.

    eavt   entity, attribute, value         aevt   attribute, entity, value
    avet   attribute, value, entity         vaet   target, attribute, entity
           (indexed attributes)                    (references)

Attributes sort by their names and values in the order of all values, whatever their numbers and
encodings are in the store. Pieces of one fact whose times touch are one datom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from persistence.datoms.bootstrap import VALUE_TYPES
from persistence.datoms.datom import Datom
from persistence.datoms.schema import Attribute
from persistence.errors import QueryError
from persistence.ids import LAST_ID, tx_entity
from persistence.query.reader import Reader, Span
from persistence.values import Keyword, compare, keyword, sort_key, to_columns

__all__ = ["datoms", "index_range", "rseek_datoms", "seek_datoms"]

_WINDOW: Final = 4096  # entity numbers that are read in one statement
_ORDERS: Final = {"eavt": "eav", "aevt": "aev", "avet": "ave", "vaet": "vae"}
_ONE_PAYLOAD: Final = frozenset((2, 7, 9, 10, 12))  # kinds whose ranges the engine can cut

Key: TypeAlias = tuple[Any, ...]

_PLACES: Final[dict[str, Callable[[Datom], Any]]] = {
    "e": lambda datom: datom.e,
    "a": lambda datom: datom.a.name,
    "v": lambda datom: sort_key(datom.v),
}


def datoms(db: Any, index: Keyword | str, components: Sequence[Any]) -> Iterator[Datom]:
    """The datoms that match *components*, in the order of *index*.

    Raises:
        QueryError: no such index, too many components, or an attribute without the index.
    """
    order, given = _given(db, index, components)
    if given is None:
        return iter(())
    return _matching(db, order, given)


def seek_datoms(db: Any, index: Keyword | str, components: Sequence[Any]) -> Iterator[Datom]:
    """All datoms of *index* from *components* on."""
    order, given = _given(db, index, components)
    return iter(()) if given is None else _walk(db, order, given, backwards=False)


def rseek_datoms(db: Any, index: Keyword | str, components: Sequence[Any]) -> Iterator[Datom]:
    """All datoms of *index* from *components* back to the first."""
    order, given = _given(db, index, components)
    return iter(()) if given is None else _walk(db, order, given, backwards=True)


def index_range(db: Any, attribute: Keyword | str, start: Any, end: Any) -> Iterator[Datom]:
    """The datoms of an indexed attribute with values from *start* to *end*, in their order.

    Both ends belong to the range; None leaves it open. A reference takes names of entities.
    """
    ident = keyword(attribute)
    with Reader.of(db, ranges=True) as reader:
        declared = _indexed(reader, ident)
        low, high = (
            None if value is None else reader.target(declared, value) for value in (start, end)
        )
        number = reader.number(ident)
        if number is None:
            return iter(())
        found = _shown(reader, reader.spans(number, **_cut(declared, low, high)), number)
    kept = (
        datom
        for datom in found
        if (low is None or compare(datom.v, low) >= 0)
        and (high is None or compare(datom.v, high) <= 0)
    )
    return iter(sorted(kept, key=_key_of("ave")))


def _cut(attribute: Attribute, low: Any, high: Any) -> dict[str, Any]:
    """The range as the engine can cut it, for an attribute whose values are of one kind."""
    kinds = VALUE_TYPES.get(attribute.value_type) if attribute.value_type else None
    ends = {
        name: to_columns(value)
        for name, value in (("low", low), ("high", high))
        if value is not None
    }
    if not ends or kinds is None or len(kinds) != 1 or not kinds <= _ONE_PAYLOAD:
        return {}
    (kind,) = kinds
    if any(k != kind for k, _ in ends.values()):
        return {}
    return {"by": " ".join(ends), "k": int(kind), **{name: p for name, (_, p) in ends.items()}}


# ------------------------------------------------------------------------------- components


def _given(
    db: Any, index: Keyword | str, components: Sequence[Any]
) -> tuple[str, dict[str, Any] | None]:
    """The order of the index and the components by place; None where one names nothing."""
    name = str(index).removeprefix(":")
    order = _ORDERS.get(name)
    if order is None:
        raise QueryError(f"there is no index {name}", hint=f"use one of {', '.join(_ORDERS)}")
    if len(components) > 4:
        raise QueryError(f"{name} has 4 components at most, {len(components)} were given")
    given: dict[str, Any] = {}
    with Reader.of(db, ranges=True) as reader:
        for place, value in zip(order + "t", components, strict=False):
            if value is None:
                break
            if place == "a":
                given["a"] = keyword(value)
                if order == "ave":
                    _indexed(reader, given["a"])
            elif place == "e" or order == "vae":
                given[place] = reader.resolve([value])[0]
            elif place == "v":
                given["v"] = reader.target(reader.schema[given["a"]], value)
            else:
                given["t"] = value if value > LAST_ID // 2 else tx_entity(value)
            if given[place] is None:
                return order, None
    return order, given


def _indexed(reader: Reader, ident: Keyword) -> Attribute:
    attribute = reader.schema[ident]
    if not attribute.wants_index:
        raise QueryError(
            f"{ident} is not indexed by value",
            hint="declare it with :db/index true",
            attribute=ident,
        )
    return attribute


def _key_of(order: str) -> Callable[[Datom], Key]:
    first, second, third = (_PLACES[place] for place in order)
    return lambda d: (first(d), second(d), third(d), d.tx, d.added, d.valid_from)


def _start(order: str, given: dict[str, Any]) -> Key:
    """The beginning of a key that *given* names."""
    key: list[Any] = []
    for place in order:
        if place not in given:
            return tuple(key)
        value = given[place]
        key.append(value if place == "e" else value.name if place == "a" else sort_key(value))
    return (*key, given["t"]) if "t" in given else tuple(key)


# -------------------------------------------------------------------------------------- reads


def _matching(db: Any, order: str, given: dict[str, Any]) -> Iterator[Datom]:
    wanted = _start(order, given)
    key = _key_of(order)
    for chunk in _chunks(db, order, given, backwards=False, exact=True):
        chunk.sort(key=key)
        yield from (datom for datom in chunk if key(datom)[: len(wanted)] == wanted)


def _walk(db: Any, order: str, given: dict[str, Any], *, backwards: bool) -> Iterator[Datom]:
    start = _start(order, given)
    key = _key_of(order)
    for chunk in _chunks(db, order, given, backwards=backwards, exact=False):
        chunk.sort(key=key, reverse=backwards)
        for datom in chunk:
            place = key(datom)[: len(start)]
            if place <= start if backwards else place >= start:
                yield datom


def _chunks(
    db: Any, order: str, given: dict[str, Any], *, backwards: bool, exact: bool
) -> Iterator[list[Datom]]:
    """The datoms of an index in pieces that follow each other. Each is read for itself: a
    database value stays the same, so nothing needs to be held open between them."""
    if order == "vae":
        yield _references(db, given if exact else {})
        return
    if order == "eav":
        yield from _windows(db, None, given, backwards, exact)
        return
    for ident, number in _attributes(db, order, given, backwards, exact):
        here = given if given.get("a") is ident else {}
        if order == "aev":
            yield from _windows(db, number, here, backwards, exact)
            continue
        with Reader.of(db, ranges=True) as reader:
            if exact and "v" in here:
                k, payload = to_columns(here["v"])
                rows = reader.spans(number, "value", k=k, payload=payload)
            else:
                rows = reader.spans(number)
            yield list(_shown(reader, rows, number))


def _windows(
    db: Any, number: int | None, given: dict[str, Any], backwards: bool, exact: bool
) -> Iterator[list[Datom]]:
    at: int | None = given.get("e", LAST_ID if backwards else 1)
    if exact and "e" in given:
        with Reader.of(db, ranges=True) as reader:
            rows = reader.spans(number, "range", first=at, last=at)
            yield list(_shown(reader, rows, number, at, at))
        return
    while at is not None and at > 0:
        with Reader.of(db, ranges=True) as reader:
            at = reader.nearest(number, at, backwards=backwards)
            if at is None:
                return
            first, last = (at - _WINDOW, at) if backwards else (at, at + _WINDOW)
            rows = reader.spans(number, "range", first=first, last=last)
            found = list(_shown(reader, rows, number, first, last))
        yield found
        at = first - 1 if backwards else last + 1


def _attributes(
    db: Any, order: str, given: dict[str, Any], backwards: bool, exact: bool
) -> list[tuple[Keyword, int]]:
    """The attributes of an index from the given one on, by name."""
    with Reader.of(db, ranges=True) as reader:
        known = {Keyword(ident): number for number, ident, _ in reader.snapshot.attributes()}
        if reader.view.overlay is not None:
            known |= reader.view.overlay.numbers
        asked = given.get("a")
        if reader.footprints is not None and not (exact and asked):
            reader.footprints.add()  # an attribute that is used first would join them
        found = []
        for ident in sorted(known, key=lambda ident: ident.name, reverse=backwards):
            beyond = (
                asked is not None
                and ident is not asked
                and (exact or (ident.name > asked.name) == backwards)
            )
            if not beyond and (order == "aev" or reader.schema[ident].wants_index):
                found.append((ident, known[ident]))
        return found


def _references(db: Any, given: dict[str, Any]) -> list[Datom]:
    found: list[Datom] = []
    with Reader.of(db, ranges=True) as reader:
        for attribute in list(reader.schema.refs()):
            number = reader.number(attribute.ident)
            if number is None or given.get("a", attribute.ident) is not attribute.ident:
                continue
            if "v" in given:
                rows = reader.spans(number, "value", k=2, payload=given["v"])
            else:
                rows = reader.spans(number)
            found.extend(_shown(reader, rows, number))
    return found


# --------------------------------------------------------------------------- rows to datoms


def _shown(
    reader: Reader,
    rows: Iterable[Span],
    number: int | None,
    first: int | None = None,
    last: int | None = None,
) -> Iterator[Datom]:
    """The datoms of *rows* and of what a speculation adds: joined, and those the view shows."""
    rows = [
        *rows,
        *reader.added_spans(
            lambda row: (
                number in (None, row[1])
                and (first is None or last is None or first <= row[0] <= last)
            )
        ),
    ]
    history = reader.view.history
    facts: dict[tuple[Any, ...], list[tuple[int, int, int]]] = {}
    for e, a, k, payload, t, op, vf, vt in rows:
        key = (e, a, k, payload, t, op) if history else (e, a, k, payload)
        facts.setdefault(key, []).append((vf, vt, t))
    kept = [
        (key[:4], piece, bool(key[5]) if history else True)
        for key, pieces in facts.items()
        for piece in _joined(pieces)
        if _visible(reader, piece)
    ]
    values = reader.long([(k, payload) for (_, _, k, payload), _, _ in kept]) if kept else {}
    times = reader.times({piece[2] for _, piece, _ in kept}) if kept else {}
    ident, sensitive = reader.db.source.ident, reader.schema.sensitive()
    for (e, a, k, payload), (vf, vt, t), added in kept:
        name, value = ident(a), values[k, payload]
        sealed = b"" if name in sensitive else None  # which place it has in the log is not known
        yield Datom(e, name, value, tx_entity(t), times[t], vf, vt, added, sealed=sealed)


def _joined(pieces: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Pieces of one fact that touch or overlap as one, with the latest of their transactions."""
    if len(pieces) == 1:
        return pieces
    joined: list[tuple[int, int, int]] = []
    for vf, vt, t in sorted(pieces):
        if joined and vf <= joined[-1][1]:
            start, end, before = joined[-1]
            joined[-1] = (start, max(end, vt), max(before, t))
        else:
            joined.append((vf, vt, t))
    return joined


def _visible(reader: Reader, piece: tuple[int, int, int]) -> bool:
    view = reader.view
    if view.between is not None:
        return piece[0] < view.between[1] and view.between[0] < piece[1]
    return view.history or piece[0] <= view.instant < piece[1]
