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

from persistence.datoms.schema import BOUNDED, CLOSED
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

Parameter = Callable[[str], str]  # "t", "i", "x", "lo", "hi", "path i", "path t", "added t"


@attrs.frozen(slots=True)
class View:
    """How a database value looks at its store, without the numbers: a part of every cache key."""

    branch: int
    form: str
    history: bool = False
    since: bool = False
    between: bool = False
    overlay: bool = False

    @property
    def one_instant(self) -> bool:
        """Whether every fact is seen once, so that keys of the schema hold."""
        return not self.history and not self.between


@attrs.frozen
class Scope:
    """One source of a query: its view, and how the statement names the view's parameters."""

    view: View
    dialect: Dialect
    parameter: Parameter
    overlay: tuple[str, str] = ("", "")  # names of the hidden and the added rows
    attributes: str = "attr"  # the table of attributes by number, or a SELECT in parentheses

    def segments(self, flags: int) -> list[int]:
        """Which kinds of segments can hold visible facts."""
        found = [OPEN_SEGMENT]
        if flags & BOUNDED:
            found.append(BOUNDED_SEGMENT)
        if flags & CLOSED and (self.view.form == AS_OF or self.view.history):
            found.append(CLOSED_SEGMENT)
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
        segments = self.segments(flags)
        coalesce = intervals and (len(segments) > 1 or self.view.overlay)
        # Postgres takes no condition of a join into a UNION or below a window: it goes inside.
        lateral = lookup and bool(joined) and not self.dialect.ordered
        inside, outside = ([*base, *joined], ()) if lateral else (base, joined)
        derived = Derived(alias, self.dialect, tuple(outside), wanted, lateral)
        if self.view.history:
            arms = self._history(inside, segments, op)
            return derived.coalesced(arms, history=True) if coalesce else derived.plain(arms)
        if op is False:
            return derived.plain([NO_ROWS])
        if coalesce:
            arms = self._arms(inside, segments, instant=False)
            return derived.coalesced(arms, self._holds("min(vf)", "max(vt)"))
        several = self.view.overlay or len(segments) > 1
        if several and lookup and self.dialect.ordered and (equal or joined):
            return self._side_by_side(alias, [*base, *joined], segments, single)
        if self.view.overlay or (several and not lookup):
            arms = self._arms(inside, segments, scan=not lookup, ranged=ranged is not None)
            return derived.plain(arms)
        base += joined
        where = [_segment(alias, self.view.branch, segments)]
        where += [f"{alias}.{column} = {expression}" for column, expression in base]
        where += self._seen(alias, segments)
        columns = {name: f"{alias}.{name}" for name in (*_STORED, *self.dialect.payload)}
        columns |= {"tx": f"{alias}.t0", "op": "1"}
        return Rows(f"fact AS {alias}", tuple(where), columns)

    def _seen(self, alias: str, segments: Sequence[int], instant: bool = True) -> list[str]:
        """The conditions of time under which a row of these segments is visible."""
        view, closed = self.view, CLOSED_SEGMENT in segments
        ends = closed or BOUNDED_SEGMENT in segments
        where = []
        if view.form == AS_OF:
            t = self.parameter("t")
            where.append(f"{alias}.t0 <= {t}")
            if closed:
                where.append(f"{alias}.t1 > {t}")
        if view.since:
            where.append(f"{alias}.t0 > {self.parameter('x')}")
        if instant:
            where += self._holds(f"{alias}.vf", f"{alias}.vt" if ends else None)
        return where

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
        segments: Sequence[int],
        *,
        instant: bool = True,
        scan: bool = False,
        ranged: bool = False,
    ) -> list[Arm]:
        """One SELECT for each segment, and one for the rows that an overlay adds."""
        arms = []
        for segment in segments:
            where = [_segment("f", self.view.branch, [segment])]
            stabbed = scan and segment != OPEN_SEGMENT and not self.view.between
            # Found by node, a row need not be where the index of values would have it.
            needless = ("k", "ix") if ranged else ("ix",)
            wanted = [each for each in base if not (stabbed and each[0] in needless)]
            where += [f"f.{column} = {expression}" for column, expression in wanted]
            if stabbed:
                axis = "path i" if segment == BOUNDED_SEGMENT else "path t"
                where.append(self.dialect.member("f.node", self.parameter(axis)))
            where += self._seen("f", [segment], instant)
            if self.view.overlay:
                where.append(self._not_hidden("f"))
            arms.append(Arm("fact AS f", where))
        if self.view.overlay:
            where = [f"f.{column} = {expression}" for column, expression in base if column != "ix"]
            where += self._added("f", instant)
            arms.append(Arm(f"{self.overlay[1]} AS f", where))
        return arms

    def _history(
        self, base: Sequence[Equal], segments: Sequence[int], op: bool | None
    ) -> list[Arm]:
        """Every assertion, and every retraction: the end of a row in system time."""
        arms = []
        equal = [f"f.{column} = {expression}" for column, expression in base]
        t, since = self.parameter("t"), []
        for wanted, tx, read in ((True, "t0", segments), (False, "t1", [CLOSED_SEGMENT])):
            stored = wanted or CLOSED_SEGMENT in segments or self.view.overlay
            if op is (not wanted) or not stored:
                continue
            where = [_segment("f", self.view.branch, read), *equal, f"f.{tx} <= {t}"]
            since = [f"f.{tx} > {self.parameter('x')}"] if self.view.since else []
            if self.view.between:
                where += self._holds("f.vf", "f.vt")
            if self.view.overlay:
                added = [*equal, f"f.{tx} <= {self.parameter('added t')}", *since]
                added = [condition for condition in added if not condition.startswith("f.ix")]
                arms.append(Arm(f"{self.overlay[1]} AS f", added, f"f.{tx}", str(int(wanted))))
                where.append(self._not_hidden("f"))
            arms.append(Arm("fact AS f", where + since, f"f.{tx}", str(int(wanted))))
        return arms or [NO_ROWS]

    def _added(self, alias: str, instant: bool = True) -> list[str]:
        """The conditions under which a row that an overlay adds is visible."""
        t = self.parameter("added t")
        where = [f"{alias}.t0 <= {t}", f"{alias}.t1 > {t}"]
        if self.view.since:
            where.append(f"{alias}.t0 > {self.parameter('x')}")
        return where + (self._holds(f"{alias}.vf", f"{alias}.vt") if instant else [])

    def _not_hidden(self, alias: str) -> str:
        key = ("e", "a", "k", *self.dialect.payload, "t0")
        same = " AND ".join(f"h.{column} = {alias}.{column}" for column in key)
        same += f" AND {alias}.t1 > h.base"
        return f"NOT EXISTS (SELECT 1 FROM {self.overlay[0]} AS h WHERE {same})"

    def _side_by_side(
        self, alias: str, base: Sequence[Equal], segments: Sequence[int], single: bool
    ) -> Rows:
        """Each segment, and the rows that an overlay adds, through a cursor of its own.

        One cursor that jumps between segments descends the tree anew for every row, three times
        slower than one that moves on. A UNION ALL inside of a join would be read whole. So the
        segments are outer joins, of which one at a time is given a key that is not NULL; where
        there can be only one row, a segment is tried when those before it had none.
        """
        sides = [f"{alias}s{number}" for number in range(len(segments) + self.view.overlay)]
        driver = f"{alias}w"
        joins = []
        for at, side in enumerate(sides):
            before = "".join(f" AND {earlier}.e IS NULL" for earlier in sides[:at])
            turn = f"WHEN {driver}.side = {at}" if not single else f"WHEN 1{before}"
            if at < len(segments):
                number = SEGMENTS * self.view.branch + segments[at]
                table, where = "fact", self._seen(side, [segments[at]])
                where.insert(0, f"{side}.seg = CASE {turn} THEN {number} END")
                if self.view.overlay:
                    where.append(self._not_hidden(side))
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


def _segment(alias: str, branch: int, kinds: Sequence[int]) -> str:
    numbers = [str(SEGMENTS * branch + kind) for kind in kinds]
    if len(numbers) == 1:
        return f"{alias}.seg = {numbers[0]}"
    return f"{alias}.seg IN ({', '.join(numbers)})"
