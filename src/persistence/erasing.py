"""Erases values of sensitive attributes, so that nobody can read them again and proofs still hold.

The log is append-only; this is the one exception. A datom that is erased keeps its place, its
entity, its attribute and its interval; its value and its salt are gone, and what was hashed in
their place stays, so every hash that covers it still verifies. A tombstone in the log says what
was erased, when, by whom and why, in the same commit.

Then the files are shredded. What cannot be reached from here is told, never passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from persistence.audit.record import leaf_hash
from persistence.audit.roster import ERASE
from persistence.catalog import State
from persistence.connection import Alone, Connection
from persistence.datoms import ASSERT, Schema
from persistence.datoms import bootstrap as boot
from persistence.db import Db
from persistence.errors import (
    EntityNotFound,
    QueryError,
    RefusedInTransaction,
    SchemaError,
    StoreError,
    TransactionError,
)
from persistence.session import WriterBase
from persistence.stm.guard import is_guarded
from persistence.store import Session
from persistence.store.protocol import Said
from persistence.values import (
    INTERNED,
    Keyword,
    Kind,
    decode,
    encode_datom,
    from_columns,
    interned_id,
    keyword,
)

_NAMED: Final = 1_000  # entities in one tombstone: the entry of a leaf has room for some 6 000


@attrs.frozen
class Erasure:
    """What was erased: `values` datoms of `entities`, as the tombstone at `t` says.

    `unsalted` of them had been written before their attribute was sensitive: what was hashed of
    them is a plain hash, so whoever has a proof of one of them and guesses its value can tell that
    the guess is right. `remains` names the places where traces may be left, and what to do there;
    it is empty when there are none.
    """

    t: int
    values: int
    entities: tuple[int, ...]
    unsalted: int
    remains: tuple[str, ...]


def erase(
    connection: Connection,
    entities: Iterable[Any],
    *,
    attributes: Iterable[Keyword | str] | None = None,
    reason: str | None = None,
    author: str | None = None,
) -> Erasure:
    """Erases every value that sensitive attributes of *entities* ever had, on every branch.

    *entities* are ids, idents or lookup refs; what they hold by `:db/isComponent` belongs to
    them. *attributes* are those to erase, by default all that are sensitive. *reason* and
    *author* stand in the tombstone, and *reason* must not repeat what is erased.

    Raises:
        SchemaError: some of *attributes* are not sensitive.
        EntityNotFound: a name that names nothing.
        TransactionError: there is nothing to erase.
        RefusedInTransaction, StoreError: from inside of a transaction. Nothing was erased.
    """
    if is_guarded():
        raise RefusedInTransaction(
            "a body must not erase anything: it may run more than once",
            hint="erase once the transaction is committed",
        )
    db = connection.db()
    named = _named(db, entities)
    asked = None if attributes is None else [keyword(each) for each in attributes]
    with connection.alone() as alone:
        schemas = [*_schemas(connection, alone)]
        state = alone.group.state
        numbers = _numbers(state, schemas, asked)
        said = _said(alone.session, named, numbers, _components(state, schemas))
        if not said:
            raise TransactionError(
                "there is nothing to erase of the entities and their components",
                hint="only values of attributes that are :db/sensitive are erased; what was"
                " erased before leaves nothing to erase, but its files can be shredded again",
                entities=sorted(named),
            )
        whole = _hashes(alone.session, state, [row for row in said if not row[9]])
        alone.session.erase(said, whole)
        _entomb(alone, said, reason, author)
    report = alone.report()
    return Erasure(
        t=report.t,
        values=len(said),
        entities=tuple(sorted({row[2] for row in said})),
        unsalted=len(whole),
        remains=_shredded(connection),
    )


def shred(connection: Connection) -> tuple[str, ...]:
    """Overwrites what the files of the store may still hold of erased values.

    `erase` does so itself. This finishes what a crash, or a reader that held on to the past, kept
    it from; it can be repeated at will. Gives what remains, as :class:`Erasure` does.

    Raises:
        StoreError: it could not be done; nothing is lost by that, and it can be tried again.
    """
    return tuple(connection.store.shred())


def _shredded(connection: Connection) -> tuple[str, ...]:
    try:
        return shred(connection)
    except StoreError as error:  # what was erased is gone for readers, and that is to be told
        return (f"the files were not shredded, because {error}: shred again",)


# ------------------------------------------------------------------------- what


def _named(db: Db, entities: Iterable[Any]) -> set[int]:
    """The ids of *entities*. Errors tell the place in the list: a lookup ref may be the secret."""
    named = set()
    for place, name in enumerate([entities] if isinstance(entities, int) else entities, start=1):
        try:
            e = db.entid(name)
        except QueryError:
            e = None
        if e is None:
            raise EntityNotFound(
                f"number {place} of the entities to erase names nothing",
                hint="give its id; a lookup ref is no use once its value is gone",
                place=place,
            ) from None
        named.add(e)
    return named


def _schemas(connection: Connection, alone: Alone) -> Iterable[Schema]:
    """The schema of the main line, and those of all branches."""
    yield alone.group.state.schema
    for branch in alone.group.state.branches:
        yield connection.catalog.on(branch, alone.session, alone.group.state).schema


def _numbers(state: State, schemas: Sequence[Schema], asked: Sequence[Keyword] | None) -> set[int]:
    """The storage numbers of the attributes to erase."""
    sensitive = frozenset().union(*(schema.sensitive() for schema in schemas))
    if asked is None:
        wanted = sensitive
    else:
        others = sorted({str(ident) for ident in asked if ident not in sensitive})
        if others:
            raise SchemaError(
                f"{', '.join(others)} cannot be erased: only sensitive attributes can",
                hint="declare it :db/sensitive true; what is stated from then on is sealed too",
                attributes=others,
            )
        made = {
            each.ident
            for schema in schemas
            for each in schema.composites()
            if not set(asked).isdisjoint(each.tuple_attrs or ())
        }
        wanted = frozenset(asked) | made
    return {state.numbers[ident] for ident in wanted if ident in state.numbers}


def _components(state: State, schemas: Sequence[Schema]) -> set[int]:
    """The storage numbers of the attributes that lead to parts of an entity."""
    return {
        state.numbers[each.ident]
        for schema in schemas
        for each in schema.attributes.values()
        if each.component and each.ident in state.numbers
    }


def _said(session: Session, named: set[int], numbers: set[int], parts: set[int]) -> list[Said]:
    """What the log holds of *numbers* of the entities, and of whatever was ever a part of them."""
    said: list[Said] = []
    seen = fresh = set(named)
    while fresh:
        found = session.said(fresh, numbers | parts)
        said += [row for row in found if row[3] in numbers]
        fresh = {int(row[5]) for row in found if row[3] in parts and row[4] == Kind.INT} - seen
        seen = seen | fresh
    return said


def _hashes(session: Session, state: State, rows: Sequence[Said]) -> list[tuple[int, int, bytes]]:
    """The leaf hashes of datoms that were never sealed."""
    long = {interned_id(str(row[5])) for row in rows if row[4] >= INTERNED}
    blobs = session.blobs(long)
    hashes = []
    for t, i, e, a, k, payload, vf, vt, op, _ in rows:
        value = _value(k, payload, blobs)
        data = encode_datom(e, state.idents[a], value, vf, vt, op == ASSERT)
        hashes.append((t, i, leaf_hash(data)))
    return hashes


def _value(k: int, payload: Any, blobs: Mapping[bytes, bytes]) -> Any:
    return decode(blobs[interned_id(payload)]) if k >= INTERNED else from_columns(k, payload)


def _entomb(alone: Alone, said: Sequence[Said], reason: str | None, author: str | None) -> None:
    """Appends the tombstones: one for every thousand entities."""
    counts: dict[int, int] = {}
    for row in said:
        counts[row[2]] = counts.get(row[2], 0) + 1
    entities = sorted(counts)
    meta = None if reason is None else {boot.LOG_REASON: reason}
    for start in range(0, len(entities), _NAMED):
        some = entities[start : start + _NAMED]
        event = (ERASE, tuple(some), sum(counts[e] for e in some))
        alone.append(_Tombstone(event), author=author, meta=meta)


@attrs.frozen
class _Tombstone:
    """Decides what a tombstone says, whatever the head is."""

    event: tuple[Any, ...]

    def __call__(self, base: WriterBase) -> list[Any]:
        return [[":db/add", "datomic.tx", boot.LOG_EVENT, self.event]]


__all__ = ["ERASE", "Erasure", "erase", "shred"]
