"""Rows that travel into a statement: their kinds, the entities they name, their columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from persistence.query.ast import Clauses, Const, Function, Pattern, Predicate, Source, Var
from persistence.query.body import Relation, relation_columns
from persistence.query.context import Context
from persistence.query.inputs import Table
from persistence.query.uses import walk
from persistence.store.dialect import Dialect
from persistence.values import Keyword, to_columns

NIL_KIND: Final = 0  # of a nil among values that are passed in: it equals no fact
_INT: Final = 2


@attrs.frozen
class Passed:
    """The rows of a table with the kind of each column."""

    variables: tuple[Var, ...]
    rows: Sequence[tuple[Any, ...]]
    kinds: tuple[int | None, ...]

    def relation(self, place: int) -> Relation:
        """The rows as a clause of a statement."""
        return Relation(place, f"i{place}", self.variables, self.kinds, len(self.rows))

    def arguments(self, dialect: Dialect) -> list[Any]:
        """The parameters that carry the rows."""
        columns = relation_columns(dialect, self.kinds)
        return dialect.arrays(columns, self._columns(dialect))

    def _columns(self, dialect: Dialect) -> Sequence[tuple[Any, ...]]:
        if all(kind == _INT for kind in self.kinds):
            return self.rows
        return [
            tuple(
                part
                for value, kind in zip(row, self.kinds, strict=True)
                for part in _parts(dialect, value, kind)
            )
            for row in self.rows
        ]


def _parts(dialect: Dialect, value: Any, kind: int | None) -> Iterator[Any]:
    k, payload = (NIL_KIND, 0) if value is None else to_columns(value)
    parts = dialect.split(k or _INT, payload)
    if kind is None:
        yield k
    for part in dialect.parts(kind):
        yield parts[part]


def passed(context: Context, clauses: Clauses, table: Table) -> Passed:
    """*table* made ready for a statement of *clauses*.

    A variable that stands for entities may hold idents and lookup refs. They stay what they are
    in the answer; beside them goes a column, named after the source, with the entities they name.
    """
    variables, rows = list(table.variables), table.rows
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in variables]
    for var, source in uses(context, clauses):
        if var not in table.variables:
            continue
        given = columns[table.variables.index(var)]
        if any(type(value) is Keyword or isinstance(value, tuple) for value in given):
            variables.append(Var(f"{var.name}@{source}"))
            columns.append([context.entity(source, value, strict=False) for value in given])
    kinds = tuple(kind_of(column) for column in columns)
    if len(columns) > len(table.variables):
        rows = list(zip(*columns, strict=True))
    return Passed(tuple(variables), rows, kinds)


def uses(context: Context, clauses: Clauses) -> Iterable[tuple[Var, str]]:
    """Which variables stand for entities, and of which sources."""
    found: dict[tuple[Var, str], None] = {}
    for each in walk(clauses):
        if type(each) is Pattern and each.source in context.dbs:
            terms = each.terms
            if type(terms[0]) is Var:
                found[terms[0], each.source] = None
            if len(terms) > 2 and type(terms[2]) is Var and type(terms[1]) is Const:
                name = terms[1].value
                if type(name) is Keyword and context.dbs[each.source].schema[name].ref:
                    found[terms[2], each.source] = None
        elif isinstance(each, Function | Predicate) and len(each.args) > 1:
            source, e = each.args[0], each.args[1]
            if isinstance(source, Source) and isinstance(e, Var) and source.name in context.dbs:
                found[e, source.name] = None
    return found


def kind_of(values: Iterable[Any]) -> int | None:
    """The kind that all of *values* have, or None."""
    kinds = {NIL_KIND if value is None else to_columns(value)[0] for value in values}
    return (kinds.pop() or None) if len(kinds) == 1 else None
