"""Reads the rows of many entities, or of many values, in one statement, as a database value shows
them.

The view enters through `scope`, as it does for queries. Only what a speculation hides and adds is
applied here, to the rows that come back: they are few, and in Python already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import attrs

from persistence.datoms.bootstrap import BUILT_IN_IDS, IDENT, TX_INSTANT, VALUE_TYPES
from persistence.datoms.interval import FOREVER, path
from persistence.datoms.schema import Attribute, Schema
from persistence.datoms.view import View
from persistence.errors import QueryError
from persistence.ids import TX0, is_tx_entity, tx_entity
from persistence.query import scope
from persistence.query.footprint import Footprints
from persistence.query.reads import (
    INTEGERS,
    Asked,
    limited,
    list_type,
    sheet,
    statement,
    value_columns,
)
from persistence.query.sheet import Sheet, lists
from persistence.store.dialect import Dialect
from persistence.store.protocol import Snapshot
from persistence.values import Keyword, Kind, Payload, keyword, to_columns

__all__ = ["Reader", "Row", "Sheet", "Span"]

Row: TypeAlias = tuple[int, int, int, Payload]  # e, a, k, payload
Span: TypeAlias = tuple[int, int, int, Payload, int, int, int, int]  # and tx, op, vf, vt

_INT: Final = int(Kind.INT)
_INST: Final = int(Kind.INST)
# Kinds whose payload is an integer or text on every engine; a type with one of them tells it.
_TELLING: Final = frozenset(int(kind) for kind in Kind) - {int(Kind.FLOAT)}
_INSTANT_NUMBER: Final = BUILT_IN_IDS[TX_INSTANT] or 0
_AT_ONCE: Final = 10_000  # rows that are read before it pays to let the engine apply limits
_COLUMNS: Final = 24  # attributes side by side; SQLite joins 64 tables at most


@attrs.define(eq=False)
class Reader:
    """One database value on one snapshot of its store.

    With *ranges* rows come with their times, and of everything that holds at some instant.
    """

    db: Any
    snapshot: Snapshot
    dialect: Dialect
    view: View
    schema: Schema
    form: scope.View
    basis: int
    _kinds: dict[int, int | None] = attrs.field(factory=dict)

    @classmethod
    @contextmanager
    def of(cls, db: Any, *, ranges: bool = False) -> Iterator[Reader]:
        """A reader of *db*, for the length of a `with`.

        Raises:
            QueryError: *db* shows more than one instant, and *ranges* is not set.
        """
        view: View = db.view
        if not ranges and (view.history or view.between is not None):
            raise QueryError(
                "an entity is read at one instant, and this value shows a range of time",
                hint="use db.valid_at(…) or db.as_of(…), or ask a query for ?from and ?to",
            )
        if view.history and view.overlay is not None:
            raise QueryError(
                "the history of a speculation is answered by queries alone",
                hint="db.history().q('[:find ?e ?a ?v ?tx ?op ?from ?to"
                " :where [?e ?a ?v ?tx ?op ?from ?to]]')",
            )
        basis = view.basis if view.overlay is None else view.overlay.base
        with db.source.snapshot() as snapshot:
            form = scope.View(
                view.branch,
                scope.NOW if basis == snapshot.head().t else scope.AS_OF,
                history=view.history,
                since=view.since is not None,
                between=ranges and not view.history,
                ancestors=view.ancestors,
            )
            yield cls(db, snapshot, db.source.dialect, view, db.schema, form, basis)

    # --------------------------------------------------------------------- attributes, values

    def number(self, ident: Keyword) -> int | None:
        """The storage number of an attribute, None if no fact ever used it."""
        found: int | None = self.db.source.attribute_id(ident)
        if found is None and self.footprints is not None:
            self.footprints.add(a=ident)  # its first use will be a change
        return found

    @property
    def footprints(self) -> Footprints | None:
        """Where reads are noted, if they are."""
        noted: Footprints | None = self.db.footprints
        return noted

    def attribute(self, number: int) -> Attribute:
        """The declaration of the attribute with this storage number."""
        return self.schema[self.db.source.ident(number)]

    def long(self, pairs: Iterable[tuple[int, Payload]]) -> dict[tuple[int, Payload], Any]:
        """The values behind columns, interned ones included, by their columns."""
        keys = list(dict.fromkeys(pairs))
        return dict(zip(keys, self.db.source.values(keys), strict=True))

    def sealed(self, after: int, to: int) -> dict[tuple[int, int], tuple[bytes, bool]]:
        """What was hashed in place of sensitive values, and whether it stands for the whole
        datom, of these transactions by (t, i)."""
        rows = self.snapshot.sealed(after, to)
        return {(t, i): (hash, bool(whole)) for t, i, _, hash, whole in rows}

    # ------------------------------------------------------------------------------ entities

    def resolve(self, names: Iterable[Any]) -> list[int | None]:
        """The ids that ids, idents and lookup refs name, None where nothing is found.

        Raises:
            QueryError: something that cannot name an entity.
        """
        found: list[int | None] = []
        keys: dict[tuple[int, int, Payload], list[int]] = {}
        for place, name in enumerate(names):
            found.append(name if type(name) is int else None)
            if type(name) is not int and (key := self._key(name)) is not None:
                keys.setdefault(key, []).append(place)
        for e, a, k, payload in self.value_rows(list(keys)) if keys else ():
            for place in keys[a, k, payload]:
                found[place] = e
        return found

    def _key(self, name: Any) -> tuple[int, int, Payload] | None:
        """The (a, k, payload) whose entity is meant; None if no fact can have it."""
        if isinstance(name, Keyword):
            attribute, value = self.schema[IDENT], name
        elif isinstance(name, tuple | list) and len(name) == 2:
            attribute, value = self.schema[_attribute_name(name[0])], name[1]
            if attribute.unique is None and attribute.ident is not IDENT:
                raise QueryError(
                    f"a lookup ref needs a unique attribute, {attribute.ident} is none",
                    hint="declare it with :db/unique :db.unique/identity",
                    attribute=attribute.ident,
                )
        else:
            raise QueryError(
                f"{name!r} cannot name an entity",
                hint='give an id, an ident or a lookup ref such as [:user/email "a@b"]',
                entity=name,
            )
        number = self.number(attribute.ident)
        value = self.target(attribute, value)
        if number is None or value is None:
            return None
        key = to_columns(value)
        if self.footprints is not None:
            self.footprints.add(None, attribute.ident, key)
        return (number, *key)

    def target(self, attribute: Attribute, value: Any) -> Any:
        """*value*, or the entity that it names where the attribute is a reference."""
        if not attribute.ref or type(value) is int:
            return value
        return self.resolve([value])[0]

    # ---------------------------------------------------------------------------------- rows

    def entity_rows(
        self, entities: Iterable[int], numbers: Iterable[int] | None, most: int | None = None
    ) -> list[Row]:
        """The rows of *entities* in the attributes *numbers*, or in all.

        *most* is how many values of one cell matter; a cell may give more, but no row is lost
        that sorts among its first *most*.
        """
        ids = sorted(entities)
        chosen = None if numbers is None else tuple(sorted(numbers))
        self._note_cells(ids, chosen)
        asked = Asked(numbers=chosen, flags=self._flags(chosen), by="entities", most=most)
        rows = self._rows(asked, {"ids": self.dialect.ids(ids)})
        if self.view.overlay is not None:
            wanted, every = set(ids), chosen is None
            rows += [
                row
                for row in self._added()
                if row[0] in wanted and (every or row[1] in chosen)  # type: ignore[operator]
            ]
        if ids and ids[-1] > TX0 and (chosen is None or _INSTANT_NUMBER in chosen):
            rows += self._instants(e for e in ids if is_tx_entity(e))
        return rows

    def sheet(
        self,
        entities: Iterable[int],
        single: Sequence[int],
        links: Sequence[tuple[int, int | None]],
        *,
        kinds: bool = False,
    ) -> Sheet | None:
        """The values of the attributes *single* and the targets of the references *links* (each
        with its limit) of each of *entities*, side by side: one row an entity, because one a fact
        would be several times slower to fetch.

        Without *kinds*, those of attributes with a declared type are left out, and a text payload
        with \x1f in it may be that of an interned value. None means that they do not fit in this
        form.
        """
        if self.view.overlay is not None or self.form.ancestors:
            return None
        if not 1 <= len(single) + len(links) <= _COLUMNS:
            return None
        ids = sorted(entities)
        if ids and ids[-1] > TX0:
            return None
        self._note_cells(ids, (*single, *(number for number, _ in links)))
        known = tuple(None if kinds else self._kind(number) for number in single)
        flags = tuple(self._flags((number,)) for number in (*single, *(n for n, _ in links)))
        make: Any = sheet
        sql, names = make(self.dialect, self.form, tuple(single), known, tuple(links), flags)
        given = {"ids": self.dialect.ids(ids)}
        parameters = [given[name] if name in given else self._parameter(name) for name in names]
        rows = self.snapshot.rows(sql, parameters)
        targets = [lists([row[-place] for row in rows]) for place in range(len(links), 0, -1)]
        if None in known and len(self.dialect.payload) > 1:
            rows = [self._narrowed(row, known) for row in rows]
        return Sheet(rows, known, targets)

    def _kind(self, number: int) -> int | None:
        """The kind of every value of an attribute, if its type tells."""
        found = self._kinds.get(number, 0)
        if found == 0:
            types = VALUE_TYPES.get(self.attribute(number).value_type or IDENT, frozenset())
            single = len(types) == 1 and types <= _TELLING
            found = self._kinds[number] = next(iter(types)) if single else None
        return found

    def _narrowed(self, row: tuple[Any, ...], known: tuple[int | None, ...]) -> tuple[Any, ...]:
        """*row* with one payload a cell, where the engine has several columns for it."""
        cells = iter(row)
        narrow = [next(cells)]
        for kind in known:
            if kind is None:
                k, parts = next(cells), [next(cells) for _ in self.dialect.payload]
                narrow += (k, None if k is None else self.dialect.payload_of(k, parts))
            else:
                narrow.append(next(cells))
        return (*narrow, *cells)

    def cell_rows(self, e: int, number: int) -> list[Row]:
        """The rows of one attribute of one entity."""
        if number == _INSTANT_NUMBER and is_tx_entity(e):
            return self._instants((e,))
        asked = Asked(attribute=number, flags=self._flags((number,)), by="cell")
        rows = self._rows(asked, {"e": e})
        if self.view.overlay is not None:
            rows += [row for row in self._added() if row[0] == e and row[1] == number]
        return rows

    def reverse_rows(
        self, number: int, targets: Iterable[int], most: int | None = None
    ) -> list[Row]:
        """The rows of one reference attribute that point at *targets*; see `entity_rows`."""
        ids = sorted(targets)
        if self.footprints is not None:
            ident = self.db.source.ident(number)
            self.footprints.values.update((ident, _INT, target) for target in ids)
        asked = Asked(
            attribute=number,
            flags=self._flags((number,)),
            indexed=self.attribute(number).indexed,
            by="targets",
            most=most,
        )
        rows = self._rows(asked, {"ids": self.dialect.ids(ids)})
        if self.view.overlay is not None:
            wanted = set(ids)
            rows += [
                row
                for row in self._added()
                if row[1] == number and row[2] == _INT and row[3] in wanted
            ]
        return rows

    def value_rows(self, keys: Sequence[tuple[int, int, Payload]]) -> list[Row]:
        """The rows that hold one of these (a, k, payload)."""
        dialect = self.dialect
        numbers = tuple(sorted({a for a, _, _ in keys}))
        asked = Asked(
            flags=self._flags(numbers),
            indexed=all(self.attribute(a).indexed for a in numbers),
            by="values",
        )
        table = [(a, k, *dialect.split(k, payload).values()) for a, k, payload in keys]
        arrays = dialect.arrays(value_columns(dialect), table)
        given = {f"values {place}": array for place, array in enumerate(arrays)}
        rows = self._rows(asked, given)
        if self.view.overlay is not None:
            wanted = set(keys)
            rows += [row for row in self._added() if row[1:4] in wanted]
        return rows

    def spans(self, number: int | None, by: str = "", **given: Any) -> list[Span]:
        """The rows of one attribute, or of all, with their times; a reader of ranges only.

        *by* narrows them to the entities from `first` to `last` ("range"), to one value `k` and
        `payload` ("value"), or to values of kind `k` from `low` to `high` ("low", "high",
        "low high"; long values come anyway).
        """
        if self.footprints is not None:
            self._note_spans(self.footprints, number, by, given)
        flags = self._flags(None if number is None else (number,))
        asked = Asked(attribute=number, flags=flags, by=by, spans=True)
        if "payload" in given:
            parts = self.dialect.split(given["k"], given["payload"])
            given |= {f"payload {part}": value for part, value in parts.items()}
        for end in ("low", "high"):
            if end in given:
                part = self.dialect.parts(given["k"])[0]
                given[end] = self.dialect.split(given["k"], given[end])[part]
                asked = attrs.evolve(asked, kind=given["k"])
        return self._rows(asked, given)

    def nearest(self, number: int | None, e: int, *, backwards: bool = False) -> int | None:
        """The next entity from *e* on that has, or had, facts (of one attribute)."""
        test = "" if number is None else f" AND a = {number}"
        if self.footprints is not None:
            self._note_spans(self.footprints, number, "", {})
        best, order = ("max", "<=") if backwards else ("min", ">=")
        arms = ", ".join(
            f"(SELECT {best}(e) FROM fact WHERE seg = {3 * branch + segment}"
            f"{test} AND e {order} {self.dialect.parameter(1, 'i')})"
            for branch in (self.view.branch, *(branch for branch, _ in self.view.ancestors))
            for segment in range(3)
        )
        found = [value for value in self.snapshot.rows(f"SELECT {arms}", (e,))[0] if value]
        for _, a, other, *_ in self.view.overlay.rows if self.view.overlay else ():
            if (other <= e if backwards else other >= e) and number in (None, a):
                found.append(other)
        return (max if backwards else min)(found, default=None)

    def added_spans(self, keep: Callable[[Span], bool]) -> list[Span]:
        """The rectangles of a speculation that the view shows at some instant."""
        return [row for row in self._added_spans() if keep(row)]

    # ----------------------------------------------------------------------------- footprints

    def _note_cells(self, entities: Sequence[int], numbers: Sequence[int] | None) -> None:
        if self.footprints is not None:
            ident = self.db.source.ident
            idents = None if numbers is None else [ident(number) for number in numbers]
            self.footprints.cells_of(entities, idents)

    def _note_spans(
        self, footprints: Footprints, number: int | None, by: str, given: dict[str, Any]
    ) -> None:
        ident = None if number is None else self.db.source.ident(number)
        if by == "value":
            footprints.add(None, ident, (given["k"], given["payload"]))
        elif by == "range" and given["first"] == given["last"]:
            footprints.add(given["first"], ident)
        else:
            footprints.add(None, ident)

    # ----------------------------------------------------------------------------- statements

    def _rows(self, asked: Asked, given: dict[str, Any]) -> list[Any]:
        if not self.form.ancestors:
            return self._rows_of(self.form, asked, given)
        # Keys drive each branch of the line alone: a union of them would be read whole.
        each = (attrs.evolve(self.form, only=at) for at in range(1 + len(self.form.ancestors)))
        return [row for form in each for row in self._rows_of(form, asked, given)]

    def _rows_of(self, form: scope.View, asked: Asked, given: dict[str, Any]) -> list[Any]:
        if self.view.overlay is not None:
            asked = attrs.evolve(asked, most=None, spans=True)
        dialect: Any = self.dialect
        sql, names = statement(dialect, form, attrs.evolve(asked, most=None))
        parameters = [given[name] if name in given else self._parameter(name) for name in names]
        if asked.most is None:
            rows = self._read(sql, parameters)
            return self._stored(rows) if self.view.overlay is not None else rows
        rows = self._read(f"{sql} LIMIT {_AT_ONCE + 1}", parameters)
        if len(rows) > _AT_ONCE:
            rows = self._read(limited(self.dialect, sql, asked), parameters)
        return rows

    def _parameter(self, name: str) -> Any:
        view = self.view
        if name == "t":
            return self.basis
        if name == "i":
            return view.instant
        if name == "x":
            return view.since
        if name in ("lo", "hi"):
            return -FOREVER - 1 if name == "lo" else FOREVER
        if name == "path i":
            return self.dialect.integers(path(view.instant))
        if name == "path t":
            return self.dialect.integers(path(self.basis))
        if name.startswith("path "):
            return self.dialect.integers(path(int(name.removeprefix("path "))))
        return int(name.removeprefix("attribute "))

    def _read(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        rows = self.snapshot.rows(sql, parameters)
        if len(self.dialect.payload) == 1:
            return rows
        payload_of = self.dialect.payload_of
        return [
            (e, a, k, n if k in INTEGERS else payload_of(k, (n, s)), *rest)
            for e, a, k, n, s, *rest in rows
        ]

    def _flags(self, numbers: Iterable[int] | None) -> int:
        """Which segments may hold rows of these attributes; None: of any."""
        if numbers is None or self.form.form == scope.AS_OF:
            return scope.ALL  # what came after the basis may not be known here yet
        flags, of = 0, self.db.source.flags
        for number in numbers:
            flags |= of(number)
        return flags

    # ---------------------------------------------------------------------------- speculation

    def _stored(self, rows: list[Any]) -> list[Any]:
        """*rows* without those that a speculation cuts."""
        hidden = self.view.overlay.hidden if self.view.overlay is not None else frozenset()
        kept = [row for row in rows if row[:5] not in hidden]
        return kept if self.form.between or self.form.history else [row[:4] for row in kept]

    def _added(self) -> Iterator[Row]:
        instant = self.view.instant
        for e, a, k, payload, _, _, vf, vt in self._added_spans():
            if vf <= instant < vt:
                yield e, a, k, payload

    def _added_spans(self) -> Iterator[Span]:
        """The rectangles that a speculation added, as far as the view shows them."""
        overlay, view = self.view.overlay, self.view
        for seg, a, e, k, payload, vf, vt, t0, t1, _, _ in overlay.rows if overlay else ():
            since = view.since is None or t0 > view.since
            if since and seg // 3 == view.branch and t0 <= view.basis < t1:
                yield e, a, k, payload, t0, 1, vf, vt

    def _instants(self, entities: Iterable[int]) -> list[Row]:
        """:db/txInstant of transactions, which stands in the transaction itself."""
        asked = [e - TX0 for e in entities if e - TX0 <= self.view.basis]
        number: int = _INSTANT_NUMBER
        times = self.times(asked).items()
        return [(tx_entity(t), number, _INST, time) for t, time in times]

    def on_line(self, after: int, to: int) -> set[int]:
        """The transactions with after < t <= to that this value's line of branches holds."""
        first, last = self.dialect.parameter(1, "i"), self.dialect.parameter(2, "i")
        line = scope.on_line("tx", self.form)
        sql = f"SELECT tx.t FROM tx WHERE tx.t > {first} AND tx.t <= {last} AND {line}"
        return {t for (t,) in self.snapshot.rows(sql, (after, to))}

    def times(self, ts: Iterable[int]) -> dict[int, int]:
        """The instants of these transactions, speculative ones included."""
        asked = sorted(ts)
        overlay = self.view.overlay
        source = self.dialect.listed(self.dialect.parameter(1, list_type(self.dialect)))
        sql = f"SELECT tx.t, tx.time FROM {source} JOIN tx ON tx.t = w.value"
        found = dict(self.snapshot.rows(sql, (self.dialect.ids(asked),)))
        if overlay is not None:
            found |= {t: overlay.times[t] for t in asked if t in overlay.times}
        return found


def _attribute_name(name: Any) -> Keyword:
    if not isinstance(name, str | Keyword):
        raise QueryError(f"{name!r} is no attribute of a lookup ref", attribute=name)
    return keyword(name)
