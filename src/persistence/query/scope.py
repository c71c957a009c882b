"""What a database value sees, as SQL: time, history, ranges and overlays enter here, and only here.

A pattern asks for the facts of one attribute, or of all, and gets a FROM item with the columns
e, a, k, the payload, tx, op, vf and vt. Which of the three segments are read follows from the
attribute's flags: while it has neither bounded nor closed facts, the present is one index range.

A *lookup* (entity or indexed value known) reads all segments through one index and filters.
A *scan* takes bounded and closed facts through the interval tree, so that it costs what it
returns, however long the history behind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import attrs

from persistence.datoms.schema import BOUNDED, CLOSED, LINE_BITS, OPEN, OWNING
from persistence.datoms.view import Ancestor
from persistence.query.arms import NO_ROWS, Arm, Derived, Equal, Rows
from persistence.query.cells import KEYWORD
from persistence.store.dialect import Column, Dialect
from persistence.store.protocol import (
    BOUNDED_SEGMENT,
    CLOSED_SEGMENT,
    OPEN_SEGMENT,
    SEGMENTS,
)

NOW: Final = "now"  # the basis is the head of the store
AS_OF: Final = "as of"
ALL: Final = -1  # the flags of an attribute of which nothing is known: every bit is set

Parameter = Callable[[str], str]  # t, i, x, lo, hi, path i, path t, added t, path 9


@attrs.frozen(slots=True)
class View:
    """How a database value looks at its store, without the numbers: a part of every cache key."""

    branch: int
    form: str
    history: bool = False
    since: bool = False
    between: bool = False
    overlay: bool = False
    ancestors: tuple[Ancestor, ...] = ()
    only: int | None = None  # of the line of branches, this one alone

    @property
    def one_instant(self) -> bool:
        """Whether every fact is seen once, so that keys of the schema hold."""
        return not self.history and not self.between


@attrs.frozen(slots=True)
class Place:
    """Where visible facts can be: segments of one branch.

    Those of an ancestor are read as of the t *base*, but for facts that one of the nearer
    branches *owners* has made its own.
    """

    branch: int
    kinds: tuple[int, ...]
    base: int | None = None
    owners: tuple[int, ...] = ()

    def each(self) -> list[Place]:
        """One place for each segment."""
        return [attrs.evolve(self, kinds=(kind,)) for kind in self.kinds]


@attrs.frozen
class Scope:
    """One source of a query: its view, and how the statement names the view's parameters."""

    view: View
    dialect: Dialect
    parameter: Parameter
    overlay: tuple[str, str] = ("", "")  # names of the hidden and the added rows
    attributes: str = "attr"  # the table of attributes by number, or a SELECT in parentheses

    def places(self, flags: int) -> list[Place]:
        """Where facts of an attribute can be, nearest branch first."""
        view, found = self.view, []
        owners: tuple[int, ...] = ()
        line = ((view.branch, None), *view.ancestors)
        for at, (branch, base) in enumerate(line):
            own = flags >> LINE_BITS * at
            past = view.form == AS_OF or view.history or base is not None
            kinds = [OPEN_SEGMENT] if own & OPEN or not branch else []
            kinds += [BOUNDED_SEGMENT] if own & BOUNDED else []
            kinds += [CLOSED_SEGMENT] if own & CLOSED and past else []
            if kinds and view.only in (None, at):
                found.append(Place(branch, tuple(kinds), base, owners))
            if own & OWNING:
                owners += (branch,)
        return found

    def facts(
        self,
        alias: str,
        attribute: int | None,
        flags: int,
        *,
        equal: Sequence[Equal],
        joined: Sequence[Equal] = (),
        lookup: bool,
        indexed: bool,
        ranged: int | None = None,
        intervals: bool,
        op: bool | None = None,
        single: bool = False,
        wanted: Collection[str] | None = None,
    ) -> Rows:
        """The visible facts as FROM item *alias*.

        *indexed* says that they are found by value; *ranged* is the kind that all of them have,
        where a comparison shall be a range of the index. *equal* and *joined* are conditions on
        columns; those of *joined* mention other tables. Facts of one value whose times touch are
        made one when *intervals* are asked for. With *single* there is at most one fact for every
        row of the other tables. A lookup that is given no conditions is left to its caller, who
        adds them to columns of *alias*. A caller who reads a few columns only names them as
        *wanted*.
        """
        base = list(equal)
        if attribute is not None:
            base.append(("a", str(attribute)))
        if ranged is not None:
            base.append(("k", str(ranged)))
        if indexed or ranged is not None:
            base.append(("ix", "1"))
        places = self.places(flags)
        segments = [each for place in places for each in place.each()]
        several = self.view.overlay or len(segments) > 1
        coalesce = intervals and several
        # Postgres takes no condition of a join into a UNION or below a window: it goes inside.
        lateral = lookup and bool(joined) and not self.dialect.ordered
        inside, outside = ([*base, *joined], ()) if lateral else (base, joined)
        derived = Derived(alias, self.dialect, tuple(outside), wanted, lateral)
        if self.view.history:
            arms = self._history(inside, places, op)
            return derived.coalesced(arms, history=True) if coalesce else derived.plain(arms)
        if op is False or not (places or self.view.overlay):
            return derived.plain([NO_ROWS])
        if coalesce:
            arms = self._arms(inside, segments, instant=False)
            return derived.coalesced(arms, self._holds("min(vf)", "max(vt)"))
        if several and lookup and self.dialect.ordered and (equal or joined):
            return self._side_by_side(alias, [*base, *joined], segments, single)
        if self.view.overlay or len(places) > 1 or (several and not lookup):
            arms = self._arms(inside, segments, scan=not lookup, ranged=ranged is not None)
            return derived.plain(arms)
        base += joined
        where = [_segment(alias, places[0])]
        where += [f"{alias}.{column} = {expression}" for column, expression in base]
        where += self._seen(alias, places[0])
        columns = {name: f"{alias}.{name}" for name in (*_STORED, *self.dialect.payload)}
        columns |= {"tx": f"{alias}.t0", "op": "1"}
        return Rows(f"fact AS {alias}", tuple(where), columns)

    def _seen(
        self, alias: str, place: Place, instant: bool = True, scanned: str | None = None
    ) -> list[str]:
        """The conditions under which a row at *place* is visible; see `_not_owned`."""
        closed = CLOSED_SEGMENT in place.kinds
        ends = closed or BOUNDED_SEGMENT in place.kinds
        where = []
        if self.view.form == AS_OF or place.base is not None:
            t = self._t(place)
            where.append(f"{alias}.t0 <= {t}")
            if closed:
                where.append(f"{alias}.t1 > {t}")
        if self.view.since:
            where.append(f"{alias}.t0 > {self.parameter('x')}")
        if instant:
            where += self._holds(f"{alias}.vf", f"{alias}.vt" if ends else None)
        if place.owners:
            where.append(self._not_owned(alias, place, scanned))
        return where

    def _t(self, place: Place) -> str:
        """The t as of which *place* is read."""
        return self.parameter("t") if place.base is None else str(place.base)

    def _not_owned(self, alias: str, place: Place, scanned: str | None = None) -> str:
        """The condition that no nearer branch has made a row its own.

        Where a whole attribute is *scanned*, its entities with such facts are gathered first:
        they are few, and one look into them is cheaper than one into the table for every row.
        """
        owner = f"o.branch IN ({', '.join(map(str, place.owners))})"
        key = ("a", "e", "k", *self.dialect.payload)
        same = " AND ".join(f"o.{column} = {alias}.{column}" for column in key)
        none = f"NOT EXISTS (SELECT 1 FROM owned AS o WHERE {owner} AND {same})"
        if scanned is None:
            return none
        some = f"SELECT o.e FROM owned AS o WHERE o.a = {scanned} AND {owner}"
        return f"({alias}.e NOT IN ({some}) OR {none})"

    def _holds(self, vf: str, vt: str | None) -> list[str]:
        """The condition of valid time on an interval; no *vt* means that it is open."""
        if self.view.between:
            where = [f"{vf} < {self.parameter('hi')}"]
            return [*where, f"{vt} > {self.parameter('lo')}"] if vt else where
        instant = self.parameter("i")
        return [f"{vf} <= {instant}", *([f"{vt} > {instant}"] if vt else [])]

    def _arms(
        self,
        base: Sequence[Equal],
        segments: Sequence[Place],
        *,
        instant: bool = True,
        scan: bool = False,
        ranged: bool = False,
    ) -> list[Arm]:
        """One SELECT for each segment, and one for the rows that an overlay adds."""
        arms = []
        scanned = dict(base).get("a") if scan else None
        for place in segments:
            where = [_segment("f", place)]
            stabbed = scan and place.kinds != (OPEN_SEGMENT,) and not self.view.between
            # Found by node, a row need not be where the index of values would have it.
            needless = ("k", "ix") if ranged else ("ix",)
            wanted = [each for each in base if not (stabbed and each[0] in needless)]
            where += [f"f.{column} = {expression}" for column, expression in wanted]
            if stabbed:
                past = "path t" if place.base is None else f"path {place.base}"
                axis = "path i" if place.kinds == (BOUNDED_SEGMENT,) else past
                where.append(self.dialect.member("f.node", self.parameter(axis)))
            where += self._seen("f", place, instant, scanned)
            if self.view.overlay:
                where.append(self._not_hidden("f", place))
            arms.append(Arm("fact AS f", where))
        if self.view.overlay:
            where = [f"f.{column} = {expression}" for column, expression in base if column != "ix"]
            where += self._added("f", instant)
            arms.append(Arm(f"{self.overlay[1]} AS f", where))
        return arms

    def _history(
        self, base: Sequence[Equal], places: Sequence[Place], op: bool | None
    ) -> list[Arm]:
        """Every assertion, and every retraction: the end of a row in system time."""
        arms = []
        equal = [f"f.{column} = {expression}" for column, expression in base]
        for wanted, tx in ((True, "t0"), (False, "t1")):
            if op is (not wanted):
                continue
            mark = str(int(wanted))
            for place in places if wanted else _closed(places):
                where = [_segment("f", place), *equal, *self._told(place, tx)]
                arms.append(Arm("fact AS f", where, f"f.{tx}", mark))
            if self.view.overlay:
                added = [condition for condition in equal if not condition.startswith("f.ix")]
                added.append(f"f.{tx} <= {self.parameter('added t')}")
                if self.view.since:
                    added.append(f"f.{tx} > {self.parameter('x')}")
                arms.append(Arm(f"{self.overlay[1]} AS f", added, f"f.{tx}", mark))
        return arms or [NO_ROWS]

    def _told(self, place: Place, tx: str) -> list[str]:
        """The conditions under which a history shows the start or the end of a row."""
        where = [f"f.{tx} <= {self._t(place)}"]
        if self.view.since:
            where.append(f"f.{tx} > {self.parameter('x')}")
        if self.view.between:
            where += self._holds("f.vf", "f.vt")
        if self.view.overlay:
            where.append(self._not_hidden("f", place))
        if place.owners:  # what was closed before is not taken over
            where.append(f"(f.t1 <= {place.base} OR {self._not_owned('f', place)})")
        return where

    def _added(self, alias: str, instant: bool = True) -> list[str]:
        """The conditions under which a row that an overlay adds is visible."""
        t = self.parameter("added t")
        where = [f"{alias}.t0 <= {t}", f"{alias}.t1 > {t}"]
        if self.view.since:
            where.append(f"{alias}.t0 > {self.parameter('x')}")
        return where + (self._holds(f"{alias}.vf", f"{alias}.vt") if instant else [])

    def _not_hidden(self, alias: str, place: Place) -> str:
        key = ("e", "a", "k", *self.dialect.payload, "t0")
        same = " AND ".join(f"h.{column} = {alias}.{column}" for column in key)
        same += f" AND {alias}.t1 > {'h.base' if place.base is None else place.base}"
        return f"NOT EXISTS (SELECT 1 FROM {self.overlay[0]} AS h WHERE {same})"

    def _side_by_side(
        self, alias: str, base: Sequence[Equal], segments: Sequence[Place], single: bool
    ) -> Rows:
        """Each segment, and the rows that an overlay adds, through a cursor of its own.

        One cursor that jumps between segments descends the tree anew for every row, three times
        slower than one that moves on. A UNION ALL inside of a join would be read whole. So the
        segments are outer joins, of which one at a time is given a key that is not NULL; where
        there can be only one row, a segment is tried when those before it had none.
        """
        if single:  # most facts were never touched by a branch: the line it came from goes first
            segments = sorted(segments, key=lambda place: -len(place.owners))
        sides = [f"{alias}s{number}" for number in range(len(segments) + self.view.overlay)]
        driver = f"{alias}w"
        joins = []
        for at, side in enumerate(sides):
            before = "".join(f" AND {earlier}.e IS NULL" for earlier in sides[:at])
            turn = f"WHEN {driver}.side = {at}" if not single else f"WHEN 1{before}"
            if at < len(segments):
                (number,) = _numbers(segments[at])
                table, where = "fact", self._seen(side, segments[at])
                where.insert(0, f"{side}.seg = CASE {turn} THEN {number} END")
                if self.view.overlay:
                    where.append(self._not_hidden(side, segments[at]))
                wanted = list(base)
            else:
                table, where = self.overlay[1], self._added(side)
                where.insert(0, f"CASE {turn} THEN 1 END")
                wanted = [each for each in base if each[0] != "ix"]
            where += [f"{side}.{column} = {expression}" for column, expression in wanted]
            joins.append(f" LEFT JOIN {table} AS {side} ON {' AND '.join(where)}")
        turns = range(1 if single else len(sides))
        rows = " UNION ALL ".join(f"SELECT {turn} AS side" for turn in turns)
        names = (*_STORED, *self.dialect.payload)
        columns = {
            name: f"coalesce({', '.join(f'{side}.{name}' for side in sides)})" for name in names
        }
        from_ = f"({rows}) AS {driver}{''.join(joins)}"
        columns |= {"tx": columns["t0"], "op": "1"}
        return Rows(from_, (f"{columns['e']} IS NOT NULL",), columns)


_STORED: Final = ("e", "a", "k", "vf", "vt", "t0")


def overlay_columns(dialect: Dialect, part: str) -> list[Column]:
    """The columns in which a part of an overlay is passed; the payload comes last."""
    if part == "named":
        (ident,) = dialect.parts(KEYWORD)
        return [Column("id", "k"), Column("ident", ident, KEYWORD)]
    plain = [Column(name, "k") for name in OVERLAY[part]]
    return plain + [Column(name, name) for name in dialect.payload]


OVERLAY: Final = {
    "hidden": ("e", "a", "k", "t0", "base"),
    "added": ("e", "a", "k", "vf", "vt", "t0", "t1"),
    "named": (),
}


def on_line(alias: str, view: View) -> str:
    """The condition under which a row of `tx` belongs to the line of branches that is seen."""
    if not view.ancestors:
        return f"{alias}.branch = {view.branch}"
    past = (f"{alias}.branch = {branch} AND {alias}.t <= {base}" for branch, base in view.ancestors)
    return f"({alias}.branch = {view.branch} OR {' OR '.join(past)})"


def _closed(places: Sequence[Place]) -> list[Place]:
    """The segments of *places* that hold what is no longer believed."""
    found = [place for place in places if CLOSED_SEGMENT in place.kinds]
    return [attrs.evolve(place, kinds=(CLOSED_SEGMENT,)) for place in found]


def _numbers(place: Place) -> list[int]:
    return [SEGMENTS * place.branch + kind for kind in place.kinds]


def _segment(alias: str, place: Place) -> str:
    numbers = _numbers(place)
    if len(numbers) == 1:
        return f"{alias}.seg = {numbers[0]}"
    return f"{alias}.seg IN ({', '.join(map(str, numbers))})"
