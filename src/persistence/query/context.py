"""One run of a query against one store: the snapshot, the views, and the values of parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from persistence.datoms.interval import path
from persistence.datoms.schema import Attribute, Schema, line_flags
from persistence.errors import BudgetExceeded, EntityNotFound, QueryError
from persistence.query.ast import Const, Var
from persistence.query.params import (
    Known,
    Meaning,
    OfEntity,
    OfLimit,
    OfOverlay,
    OfRelation,
    OfScalar,
    OfSearch,
    OfView,
    Parameters,
)
from persistence.query.project import values
from persistence.query.scope import AS_OF, NOW, OVERLAY, Scope, View, overlay_columns
from persistence.query.select import Statement
from persistence.store.dialect import Dialect
from persistence.store.protocol import Snapshot
from persistence.store.words import words
from persistence.values import Keyword, to_columns

Row = tuple[Any, ...]


def is_db(value: Any) -> bool:
    """Whether an input is a database value."""
    kind = type(value)
    known = _DATABASES.get(kind)
    if known is None:
        known = all(hasattr(kind, name) for name in ("basis", "instant", "schema", "entid"))
        _DATABASES[kind] = known
    return known


_DATABASES: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def store_of(db: Any) -> Any:
    """What two database values share when one statement can read both."""
    source = db.source
    while hasattr(source, "inner"):
        source = source.inner
    return source


@attrs.define
class _Seen:
    """What is remembered of a store at one head."""

    t: int
    interned: bool
    flags: dict[tuple[int, int], int] | None = None  # by branch and attribute


_SEEN: WeakKeyDictionary[Any, _Seen] = WeakKeyDictionary()


def _seen(store: Any, snapshot: Snapshot, t: int) -> _Seen:
    known = _SEEN.get(store)
    if known is None or known.t != t:
        interned = known is not None and known.interned and known.t < t
        if not interned:
            interned = bool(snapshot.rows("SELECT 1 FROM blob LIMIT 1"))
        known = _SEEN[store] = _Seen(t, interned)
    return known


@attrs.define(eq=False)
class DbFacts:
    """A database value as the compiler sees it. Notes every attribute that it was asked for.

    See :class:`persistence.query.compile.Facts`.
    """

    db: Any
    scope: Scope
    interned: bool
    schema: Schema
    flags: Callable[[int], int]
    asked: dict[Keyword, tuple[Attribute, int | None, int]] = attrs.field(factory=dict)

    def attribute(self, ident: Keyword) -> tuple[Attribute, int | None, int]:
        found = self.asked.get(ident)
        if found is None:
            number = self.db.source.attribute_id(ident)
            flags = 0 if number is None else self.flags(number)
            found = self.asked[ident] = (self.schema[ident], number, flags)
        return found


@attrs.define(eq=False)
class Depends:
    """What a plan took for granted: by source, the schema, and each attribute as it was."""

    sources: Mapping[str, tuple[Schema, Mapping[Keyword, tuple[Attribute, int | None, int]]]]
    checked: tuple[Any, ...] = ()  # the head and the schemas for which it is known to hold

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Depends:
        return cls({name: (each.schema, each.asked) for name, each in facts.items()})


@attrs.define(eq=False)
class Context:
    """One store's part in one run."""

    snapshot: Snapshot
    dialect: Dialect
    dbs: dict[str, Any]
    scalars: Sequence[tuple[int, Any]]  # kind and payload of each
    named: Sequence[Any]  # the scalars as they were given
    limit: int | None
    offset: int
    budget: int
    tables: list[Sequence[Any]] = attrs.field(factory=list)  # parameters of relations
    head: int = 0
    seen: _Seen | None = None

    def guess(self) -> bool:
        """Take the head to be where it was seen last; False when it must have moved."""
        for db in self.dbs.values():
            seen = self.seen = _SEEN.get(store_of(db))
            if seen is None or (db.basis > seen.t and db.overlay is None):
                return False
            self.head = seen.t
        return True

    def look(self) -> None:
        """Look at the head of the snapshot; views depend on it."""
        self.head = self.snapshot.head().t
        store = store_of(next(iter(self.dbs.values())))
        self.seen = _seen(store, self.snapshot, self.head)

    def shape(self) -> tuple[Any, ...]:
        """What the text of a statement depends on, beside the query itself."""
        assert self.seen is not None
        head, interned = self.head, self.seen.interned
        found: list[tuple[Any, ...]] = []
        for name, db in self.dbs.items():
            view = db.view
            if view.overlay is None and not view.history and view.between is None:
                now = view.basis == head
                found.append((name, view.branch, now, view.since is not None, interned))
            else:
                found.append((name, self.view(db), self.interned(db)))
        return tuple(found)

    def view(self, db: Any) -> View:
        """The static part of how *db* looks at the store."""
        overlay = db.overlay
        basis = db.basis if overlay is None else min(db.basis, overlay.base)
        return View(
            db.branch,
            NOW if basis == self.head else AS_OF,
            db.is_history,
            db.since_t is not None,
            db.between is not None,
            overlay is not None and db.basis > overlay.base,
            db.view.ancestors,
        )

    def interned(self, db: Any) -> bool:
        assert self.seen is not None
        return self.seen.interned or bool(db.overlay is not None and db.overlay.blobs)

    def flags(self, db: Any) -> Callable[[int], int]:
        """The flags of attributes, at least as new as the snapshot."""
        known: Callable[[int], int] = db.source.flags
        seen = self.seen
        if seen is None or db.basis == self.head:
            return known
        if seen.flags is None:
            seen.flags = {(0, number): flags for number, _, flags in self.snapshot.attributes()}
            seen.flags |= {(b, number): flags for b, number, flags in self.snapshot.branch_flags()}
        stored = seen.flags
        line = (db.branch, *(branch for branch, _ in db.view.ancestors))
        return lambda number: (
            known(number) | line_flags([stored.get((branch, number), 0) for branch in line])
        )

    def facts(self, parameters: Parameters, with_: dict[str, str]) -> dict[str, DbFacts]:
        """The sources for a compiler whose parameters and tables these are."""
        return {name: self._facts(name, db, parameters, with_) for name, db in self.dbs.items()}

    def _facts(self, name: str, db: Any, parameters: Parameters, with_: dict[str, str]) -> DbFacts:
        view = self.view(db)

        def parameter(what: str) -> str:
            type = "bigint[]" if what.startswith("path") else "i"
            return parameters.add(OfView(name, what), type)

        if not view.overlay:
            scope = Scope(view, self.dialect, parameter)
            return DbFacts(db, scope, self.interned(db), db.schema, self.flags(db))
        stem = name.replace("$", "o_").replace("-", "_")
        tables = {part: f"{stem}_{part}" for part in OVERLAY}
        for part, table in tables.items():
            columns = overlay_columns(self.dialect, part)
            marks = [
                parameters.add(OfOverlay(name, part, index), type)
                for index, type in enumerate(self.dialect.relation_parameters(columns))
            ]
            head = f"{table}({', '.join(column.name for column in columns)})"
            with_[head] = self.dialect.relation(columns, marks)
        new = tables["named"]
        attributes = (
            f"(SELECT id, ident FROM attr WHERE id NOT IN (SELECT id FROM {new})"
            f" UNION ALL SELECT id, ident FROM {new})"
        )
        names = (tables["hidden"], tables["added"])
        scope = Scope(view, self.dialect, parameter, names, attributes)
        return DbFacts(db, scope, self.interned(db), db.schema, self.flags(db))

    def holds(self, depends: Depends) -> bool:
        """Whether what a plan took for granted is still so."""
        state: list[Any] = [self.seen]
        for db in self.dbs.values():
            state += (db.schema, db.overlay, db.source)
        checked = depends.checked
        if len(checked) == len(state) and all(map(is_, checked, state)):
            return True
        for name, (known_schema, asked) in depends.sources.items():
            db = self.dbs[name]
            schema = db.schema
            flags = self.flags(db)
            number_of = db.source.attribute_id
            for ident, (attribute, number, known) in asked.items():
                if schema is not known_schema and schema[ident] != attribute:
                    return False
                if number_of(ident) != number:
                    return False
                if number is not None and flags(number) != known:
                    return False
        depends.checked = tuple(state)
        return True

    # ------------------------------------------------------------- parameters

    def fetch(self, statement: Statement, arguments: Arguments) -> list[Row]:
        """The rows of a statement as values.

        Raises:
            BudgetExceeded: more rows than allowed, or too long.
        """
        rows = self.snapshot.rows(statement.sql, arguments.of(self))
        if len(rows) > self.budget:
            raise BudgetExceeded(
                f"the query has more than {self.budget} rows",
                hint="give it a :limit, or allow more with rows=…",
                budget="rows",
                allowed=self.budget,
            )
        return values(self.dialect, statement.kinds, rows, self.long)

    def long(self, pairs: set[tuple[int, str]]) -> dict[tuple[int, str], Any]:
        """The interned values behind these columns."""
        keys = list(pairs)
        db = next(iter(self.dbs.values()))
        return dict(zip(keys, db.source.values(keys), strict=True))

    def entity(self, source: str, name: Any, *, strict: bool) -> int:
        """The entity that *name* names in a source; -1, which is none, where it names nothing."""
        if type(name) is int:
            return name
        if type(name) is not Keyword and not (isinstance(name, tuple) and len(name) == 2):
            return -1
        db = self.dbs[source]
        found: int | None
        try:
            found = db.schema.idents.get(name) if type(name) is Keyword else None
            found = db.entid(name) if found is None else found
        except QueryError:
            if strict:
                raise
            return -1
        if found is None:
            if strict:
                raise EntityNotFound(f"nothing is named {Const(name)!r}", entity=name)
            return -1
        return found

    def coordinate(self, source: str, what: str) -> Any:
        """A coordinate of a view; see `OfView`."""
        db = self.dbs[source]
        if what == "i":
            return db.instant
        if what == "head":
            return self.head
        if what == "t":
            return db.basis if db.overlay is None else min(db.basis, db.overlay.base)
        if what == "added t":
            return db.basis
        if what == "x":
            return db.since_t
        if what in ("lo", "hi"):
            return db.between[what == "hi"]
        axis = what.removeprefix("path ")
        point = int(axis) if axis.isdigit() else self.coordinate(source, axis)
        return self.dialect.integers(_path(point))

    def overlay(self, source: str, part: str) -> list[Any]:
        """The parameters that carry a part of an overlay."""
        overlay = self.dbs[source].overlay
        rows: list[tuple[Any, ...]] = []
        if part == "named":
            rows = [(number, ident.name) for ident, number in overlay.numbers.items()]
        elif part == "added":
            for _, a, e, k, payload, vf, vt, t0, t1, _, _ in overlay.rows:
                rows.append((e, a, k, vf, vt, t0, t1, *self._parts(k, payload)))
        else:
            for e, a, k, payload, t0 in overlay.hidden:
                rows.append((e, a, k, t0, overlay.base, *self._parts(k, payload)))
        return self.dialect.arrays(overlay_columns(self.dialect, part), rows)

    def _parts(self, k: int, payload: Any) -> Iterable[Any]:
        parts = self.dialect.split(k, payload)
        return (parts[part] for part in self.dialect.payload)


@lru_cache(maxsize=1024)
def _path(point: int) -> tuple[int, ...]:
    return tuple(path(point))


Getter = Callable[[Context], Any]


class Arguments:
    """The parameters of one statement: those known for ever, and how to get the others."""

    __slots__ = ("_fixed", "_rest")

    def __init__(self, meanings: Sequence[Meaning]) -> None:
        self._fixed: list[Any] = [None] * len(meanings)
        self._rest: list[tuple[int, Getter]] = []
        for at, meaning in enumerate(meanings):
            if type(meaning) is Known:
                self._fixed[at] = meaning.value
            else:
                self._rest.append((at, _getter(meaning)))

    def of(self, context: Context) -> list[Any]:
        """The parameters of one execution."""
        given = self._fixed[:]
        for at, get in self._rest:
            given[at] = get(context)
        return given


def _getter(meaning: Meaning) -> Getter:
    if type(meaning) is OfView:
        source, what = meaning.source, meaning.what
        if what == "i":
            return lambda context: context.dbs[source].instant
        return lambda context: context.coordinate(source, what)
    if type(meaning) is OfScalar:
        place, part = meaning.place, meaning.part
        return lambda context: context.dialect.split(*context.scalars[place])[part]
    if type(meaning) is OfLimit:
        return _limit(meaning)
    if type(meaning) is OfEntity:
        named, source = meaning.named, meaning.source
        if isinstance(named, Const):
            return lambda context: context.entity(source, named.value, strict=True)
        return lambda context: context.entity(source, context.named[named], strict=True)
    if type(meaning) is OfSearch:
        return _search(meaning)
    if type(meaning) is OfRelation:
        place, index = meaning.place, meaning.index
        return lambda context: context.tables[place][index]
    if type(meaning) is OfOverlay:
        return lambda context: context.overlay(meaning.source, meaning.part)[meaning.index]
    raise TypeError(meaning)


def _search(meaning: OfSearch) -> Getter:
    text = meaning.text

    def search(context: Context) -> str:
        given = text.value if isinstance(text, Const) else context.named[text]
        return context.dialect.search(words(given))

    return search


def _limit(meaning: OfLimit) -> Getter:
    if meaning.offset:
        return lambda context: context.offset
    if not meaning.applied:
        return lambda context: context.budget + 1

    def applied(context: Context) -> int:
        most = context.budget + 1
        return most if context.limit is None else min(context.limit, most)

    return applied


def bound(scalars: Mapping[Var, Any]) -> tuple[list[Var], list[tuple[int, Any]], list[Any]]:
    """The single values that SQL can hold: variables, columns, and the values themselves."""
    names, columns, given = [], [], []
    for var, value in scalars.items():
        if value is None or (callable(value) and not isinstance(value, type)) or is_db(value):
            continue
        names.append(var)
        columns.append(to_columns(value))
        given.append(value)
    return names, columns, given
