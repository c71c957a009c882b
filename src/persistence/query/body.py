"""One SELECT while clauses are added to it, and what it is known to hold.

A body is text in pieces: FROM items, conditions, and the cell of each variable. Beside them stand
keys, from which it follows whether two rows can be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from persistence.query.ast import Clause, Clauses, Predicate, Var
from persistence.query.cells import INT, Cell, static
from persistence.store.dialect import Column, Dialect


class NotSql(Exception):
    """A clause that this statement cannot hold; the text says why."""


@attrs.frozen(slots=True)
class Relation:
    """Rows from outside: an input, or what an earlier statement answered."""

    place: int
    name: str
    variables: tuple[Var, ...]
    kinds: tuple[int | None, ...]
    size: int

    def columns(self, dialect: Dialect) -> list[Column]:
        return relation_columns(dialect, self.kinds)


@attrs.frozen(slots=True)
class Key:
    """What determines a row of one FROM item: any of `options`, and the variables it shows."""

    options: tuple[frozenset[Var], ...]
    shows: frozenset[Var]


@attrs.define
class Body:
    """One SELECT without its column list, while clauses are added to it."""

    env: dict[Var, Cell]
    from_: list[str] = attrs.field(factory=list)
    where: list[str] = attrs.field(factory=list)
    keys: list[Key] = attrs.field(factory=list)
    left: list[Clause] = attrs.field(factory=list)
    ranged: frozenset[Var] = frozenset()  # variables that a comparison bounds
    distinct_unknown: bool = False  # some FROM item may repeat a row

    def text(self, columns: Sequence[str], dialect: Dialect) -> str:
        """The SELECT of *columns*."""
        sql = f"SELECT {', '.join(columns) or '1'}"
        if self.from_:
            sql += f" FROM {joined(self.from_, dialect)}"
        return sql + (f" WHERE {' AND '.join(self.where)}" if self.where else "")

    def exists(self, dialect: Dialect) -> str:
        """The condition that some row is there."""
        if self.from_:
            return f"EXISTS ({self.text((), dialect)})"
        return f"({' AND '.join(self.where) or '1 = 1'})"

    def distinct(self, shown: Iterable[Var]) -> bool:
        """Whether no two rows agree on *shown*, by the keys of the schema alone."""
        if self.distinct_unknown:
            return False
        known = {*shown, *fixed(self.env)}
        rest = list(self.keys)
        while rest:
            found = [key for key in rest if any(option <= known for option in key.options)]
            if not found:
                return False
            for key in found:
                known |= key.shows
            rest = [key for key in rest if key not in found]
        return True


def joined(items: Sequence[str], dialect: Dialect) -> str:
    """FROM items side by side, in their order where the engine keeps it."""
    return " CROSS JOIN ".join(items)


def relation_columns(dialect: Dialect, kinds: Sequence[int | None]) -> list[Column]:
    """The columns of a relation whose values have these kinds."""
    columns = []
    for index, kind in enumerate(kinds):
        if kind is None:
            columns.append(Column(f"c{index}k", "k"))
        columns += [Column(f"c{index}{part}", part, kind) for part in dialect.parts(kind)]
    return columns


def ranged(clauses: Clauses) -> frozenset[Var]:
    """The variables that some clause compares with something else by order."""
    return frozenset(
        arg
        for each in clauses
        if type(each) is Predicate and each.f in ("<", "<=", ">", ">=")
        for arg in each.args
        if type(arg) is Var
    )


def fixed(env: Mapping[Var, Cell]) -> dict[Var, Cell]:
    """What is bound to the same value in every row."""
    return {var: cell for var, cell in env.items() if cell.fixed}


def shown_of(env: Mapping[Var, Cell], shown: Iterable[Var]) -> dict[Var, Cell]:
    """What is bound of *shown*, with the entities that they name (see `patterns.entity`)."""
    names = {var.name for var in shown}
    return {var: cell for var, cell in env.items() if var.name.partition("@")[0] in names}


def columns_text(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns) or "c"


NOTHING: Final = static(INT, "0")
