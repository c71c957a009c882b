"""The point read: one attribute of one entity, the most frequent read of all.

It is what `Reader.cell_rows` does, for the views that need nothing else, with everything decided
once per attribute: a statement from a cache, a few parameters, no objects in between.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from persistence.datoms.view import Ancestor
from persistence.query.reads import Asked, statement
from persistence.query.scope import ALL, AS_OF, NOW, View
from persistence.values import Payload

_KEPT: Final = 4096  # statements, one for an attribute and a form of view


def plain(view: Any) -> bool:
    """Whether *view* is a point of both axes and nothing more."""
    return view.overlay is None and view.since is None and view.between is None and not view.history


def cell(db: Any, e: int, number: int) -> list[tuple[int, Payload]]:
    """The columns of every value that one attribute of one entity has in a plain view."""
    view, source = db.view, db.source
    dialect = source.dialect
    given = {"e": e, "i": view.instant, "t": view.basis, "head": view.basis}
    line = (view.branch, view.ancestors)
    sql, names = _statement(dialect, *line, NOW, number, source.flags(number))
    rows = source.read(sql, [given[name] for name in names])
    if rows[0][0] != view.basis:  # what came after the basis may not be known to the source yet
        sql, names = _statement(dialect, *line, AS_OF, number, ALL)
        rows = source.read(sql, [given[name] for name in names])
    found = [row for row in rows if row[1] is not None]
    if len(dialect.payload) == 1:
        return [row[1:] for row in found]
    return [(row[1], dialect.payload_of(row[1], row[2:])) for row in found]


@lru_cache(maxsize=_KEPT)
def _statement(
    dialect: Any,
    branch: int,
    ancestors: tuple[Ancestor, ...],
    form: str,
    number: int,
    flags: int,
) -> tuple[str, tuple[str, ...]]:
    view = View(branch, form, ancestors=ancestors)
    asked = Asked(attribute=number, flags=flags, by="cell")
    sql, names = statement(dialect, view, asked)
    payload = ", ".join(f"x.{part}" for part in dialect.payload)
    if form == AS_OF:
        return f"SELECT 0, x.k, {payload} FROM ({sql}) AS x", names
    # The head comes with the rows, so that one statement tells whether they are the present.
    head = "(SELECT max(t) AS t FROM tx) AS h"
    guard = f"h.t = {dialect.parameter(len(names) + 1, 'i')}"
    text = f"SELECT h.t, x.k, {payload} FROM {head} LEFT JOIN ({sql}) AS x ON {guard}"
    return text, (*names, "head")
