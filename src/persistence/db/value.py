"""The database as a value: immutable, cheap to keep, the same answers for ever.

A `Db` is a few coordinates on the two time axes. Taking one, or moving it along an axis, reads
nothing and copies nothing; only questions go to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from persistence import query
from persistence.datoms import Datom, InstantLike, Interval, Schema, instant, interval, moment
from persistence.datoms.view import Overlay, View
from persistence.db.entity import Entity
from persistence.db.report import Report
from persistence.db.source import Source
from persistence.errors import IntervalError, QueryError
from persistence.ids import tx_entity
from persistence.query import fetch
from persistence.query.footprint import Footprints
from persistence.values import Keyword, keyword


@attrs.frozen(repr=False)
class Db:
    """A database value: what was known at a basis, and what held in the world at an instant.

    >>> question = "[:find ?name . :where [_ :user/name ?name]]"
    >>> db.q(question), db.as_of(t1).valid_at("9999-01-01").q(question)
    ('Ada Lovelace', 'Ada')
    """

    source: Source = attrs.field(eq=id)
    view: View
    footprints: Footprints | None = attrs.field(default=None, eq=False)  # where reads are noted

    # ------------------------------------------------------------ coordinates

    @property
    def branch(self) -> int:
        """The branch this value reads."""
        return self.view.branch

    @property
    def basis(self) -> int:
        """The t up to which this value sees."""
        return self.view.basis

    @property
    def instant(self) -> int:
        """The valid instant, in microseconds."""
        return self.view.instant

    @property
    def since_t(self) -> int | None:
        """Only facts of later transactions are seen; None for all."""
        return self.view.since

    @property
    def is_history(self) -> bool:
        """Whether asserts and retracts of all times are seen."""
        return self.view.history

    @property
    def between(self) -> Interval | None:
        """The range of valid time that is seen, instead of one instant."""
        return self.view.between

    @property
    def overlay(self) -> Overlay | None:
        """What speculations added, if this value is one."""
        return self.view.overlay

    @property
    def schema(self) -> Schema:
        """The attributes as declared at the basis."""
        return self.source.schema_at(self.view.basis)

    # ------------------------------------------------------------------ views

    def as_of(self, x: int | bytes | InstantLike) -> Db:
        """The database as it was known at *x*: a t, a transaction, or an instant. Inclusive.

        A later `as_of` never widens: the earlier basis of the two counts.

        Raises:
            UnknownBasis: *x* is a t or a transaction that the log does not hold.
        """
        return self._view(basis=min(self.view.basis, self.source.resolve_basis(x)))

    def valid_at(self, i: InstantLike) -> Db:
        """What held in the world at *i*, as far as it is known at the basis.

        Raises:
            IntervalError: *i* is no instant, or this value shows ranges of valid time.
        """
        return self._view(instant=instant(i), pinned=True)

    def at(self, i: InstantLike) -> Db:
        """The rewind: what was known at *i* about what held at *i*."""
        return self.as_of(i).valid_at(i)

    def since(self, x: int | bytes | InstantLike) -> Db:
        """Only what was recorded after *x* and still holds."""
        start = self.source.resolve_basis(x)
        earlier = self.view.since
        return self._view(since=start if earlier is None else max(start, earlier))

    def history(self) -> Db:
        """Every assert and retract up to the basis; patterns see `?op`, `?from` and `?to`."""
        return self._view(history=True)

    def valid_between(self, i: InstantLike, j: InstantLike) -> Db:
        """Facts that hold at some instant of ``[i, j)``; patterns see their `?from` and `?to`.

        Raises:
            IntervalError: the range is empty, or a valid instant was asked for before.
        """
        wanted = interval(instant(i), instant(j))
        old = self.view.between
        if old is not None:
            wanted = interval(max(wanted[0], old[0]), min(wanted[1], old[1]))
        return self._view(between=wanted)

    def _view(self, **changes: Any) -> Db:
        view, source = attrs.evolve(self.view, **changes), self.source
        if view.ancestors:
            view = view.as_of(view.basis)
            if view.branch != self.view.branch:
                source = source.on(view.branch)  # before the branch began
        if view.overlay is not None and view.basis <= view.overlay.base:
            view = attrs.evolve(view, overlay=None)  # before the speculation began
        if view.pinned and (view.between is not None or view.history):
            shown = "history()" if view.history else "valid_between()"
            raise IntervalError(
                f"valid_at() asks for one instant and {shown} for all of a range",
                hint="keep one of them; ?from and ?to are visible to the query",
            )
        footprints = self.footprints
        if footprints is not None and view.basis < footprints.basis:
            footprints = None  # the past never changes
        return Db(source, view, footprints)

    # -------------------------------------------------------------- questions

    def q(self, text: Any, *inputs: Any, **options: Any) -> Any:
        """The answer to a Datalog query; this value is its `$`.

        Options: `seconds` and `rows` bound the work; see `persistence.query.run`.

        Raises:
            QueryError: the query cannot be run; UnboundVariable names variables.
            BudgetExceeded: it took longer, or gave more, than allowed.
        """
        return query.run(text, (self, *inputs), **options)

    def explain(self, text: Any, *inputs: Any) -> Any:
        """The SQL that `q` would run, and the engine's plan for it."""
        return query.explain(text, (self, *inputs))

    def pull(self, pattern: Any, e: Any) -> Any:
        """One entity, in the shape of *pattern*; None when it is not there."""
        return query.pull(self, pattern, e)

    def pull_many(self, pattern: Any, es: Iterable[Any]) -> list[Any]:
        """Several entities, in one statement per level of *pattern*."""
        return query.pull_many(self, pattern, es)

    def entity(self, e: Any) -> Entity | None:
        """A lazy view of an entity; None when *e* names nothing."""
        known = self.entid(e)
        return None if known is None else Entity(self, known)

    def get(self, e: Any, attribute: Keyword | str, default: Any = None) -> Any:
        """The value of one attribute, a list of values when it has cardinality many."""
        known = self.entid(e)
        if known is None:
            return default
        ident = keyword(attribute)
        values = fetch.values(self, known, ident)
        if not values:
            return default
        return values if self.schema[ident].many else values[0]

    def entid(self, e: Any) -> int | None:
        """The id of the entity that an id, an ident or a lookup ref names."""
        if type(e) is int:
            return e
        return fetch.entid(self, e)

    def datoms(self, index: Keyword | str, *components: Any) -> Iterator[Datom]:
        """The datoms that match *components*, in the order of *index* (eavt aevt avet vaet)."""
        return fetch.datoms(self, index, components)

    def seek_datoms(self, index: Keyword | str, *components: Any) -> Iterator[Datom]:
        """The datoms from *components* on, in the order of *index*."""
        return fetch.seek_datoms(self, index, components)

    def rseek_datoms(self, index: Keyword | str, *components: Any) -> Iterator[Datom]:
        """The datoms from *components* backwards, in the reverse order of *index*."""
        return fetch.rseek_datoms(self, index, components)

    def index_range(
        self, attribute: Keyword | str, start: Any = None, end: Any = None
    ) -> Iterator[Datom]:
        """The datoms of an indexed attribute with values from *start* to *end*, both inclusive."""
        return fetch.index_range(self, attribute, start, end)

    def log(self, start: Any = 0, end: Any = None) -> Iterator[Datom]:
        """The datoms as they were recorded, from transaction *start* to *end*, both inclusive.

        Raises:
            QueryError: this value is a speculation, of which nothing is recorded.
        """
        if self.view.overlay is not None:
            raise QueryError(
                "a speculation is in no log",
                hint="its datoms are the report's tx_data; the rest is in the log of "
                f"db.as_of({self.view.overlay.base})",
            )
        first = self.source.resolve_basis(start) if start else 0
        last = self.view.basis if end is None else self.source.resolve_basis(end)
        return fetch.log(self, max(first, 1), min(last, self.view.basis))

    # ------------------------------------------------------------- speculation

    def with_(
        self,
        forms: Any,
        *,
        valid_from: InstantLike | None = None,
        valid_to: InstantLike | None = None,
        meta: Mapping[Any, Any] | None = None,
    ) -> Report:
        """What transacting *forms* on top of this value would give. Nothing is written.

        Raises:
            QueryError: this value shows history or a range, on which nothing can be transacted.
            TransactionError, SchemaError: as `transact` would.
        """
        view = self.view
        if view.history or view.between is not None or view.since is not None:
            raise QueryError(
                "a transaction needs one state to start from, and this value shows a range",
                hint="speculate on db, db.as_of(…) or db.at(…)",
            )
        options = {"valid_from": valid_from, "valid_to": valid_to, "meta": meta}
        report: Report = self.source.speculate(self, forms, options)
        return report

    # ------------------------------------------------------------------- looks

    @property
    def tx(self) -> int:
        """The entity of the basis transaction."""
        return tx_entity(self.view.basis)

    def __repr__(self) -> str:
        view = self.view
        parts = [f"basis={view.basis}"]
        if view.history:
            parts.append("history")
        elif view.between is not None:
            parts.append(f"valid_between={_shown(view.between)}")
        else:
            parts.append(f"valid_at={moment(view.instant).isoformat()}")
        if view.since is not None:
            parts.append(f"since={view.since}")
        if view.overlay is not None:
            parts.append(f"speculative on {view.overlay.base}")
        return f"<Db {' '.join(parts)}>"


def _shown(span: Sequence[int]) -> str:
    return f"[{moment(span[0]).isoformat()} {moment(span[1]).isoformat()})"
