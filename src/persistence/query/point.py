"""The point read: one attribute of one entity, the most frequent read of all.

It is what `Reader.cell_rows` does, for the views that need nothing else, with everything decided
once per attribute: a statement from a cache, three parameters, no objects in between.
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
    given = {"e": e, "i": view.instant, "t": view.basis}
    with source.snapshot() as snapshot:
        if view.basis == snapshot.head().t:
            form, flags = NOW, source.flags(number)
        else:  # what came after the basis may not be known to the source yet
            form, flags = AS_OF, ALL
        sql, names = _statement(dialect, view.branch, view.ancestors, form, number, flags)
        rows = snapshot.rows(sql, [given[name] for name in names])
    if len(dialect.payload) == 1:
        return [row[2:4] for row in rows]
    return [(row[2], dialect.payload_of(row[2], row[3:])) for row in rows]


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
    return statement(dialect, view, Asked(attribute=number, flags=flags, by="cell"))
