"""Joins of tables of values in Python, by value identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from persistence.errors import QueryError
from persistence.query.ast import Const, Pattern, Var
from persistence.query.inputs import Table, frozen, key_of
from persistence.values import Map

Row = tuple[Any, ...]


def projected(table: Table, wanted: Sequence[Var]) -> Table:
    """The distinct rows of some columns."""
    if tuple(wanted) == table.variables:
        return table
    places = [table.variables.index(var) for var in wanted]
    rows = [tuple([row[at] for at in places]) for row in table.rows]
    return Table(tuple(wanted), distinct(rows))


def distinct(rows: Iterable[Row]) -> list[Row]:
    """The rows, each once."""
    return list({tuple(map(key_of, row)): row for row in rows}.values())


def joined(a: Table, b: Table) -> Table:
    """The natural join."""
    if not a.variables and a.rows:
        return b
    shared = [var for var in b.variables if var in a.variables]
    new = [at for at, var in enumerate(b.variables) if var not in a.variables]
    columns = (*a.variables, *[b.variables[at] for at in new])
    places = [b.variables.index(var) for var in shared]
    index: dict[Any, list[Row]] = {}
    for row in b.rows:
        key = tuple([key_of(row[at]) for at in places])
        index.setdefault(key, []).append(tuple([row[at] for at in new]))
    mine = [a.variables.index(var) for var in shared]
    nothing: list[Row] = []
    return Table(
        columns,
        [
            row + rest
            for row in a.rows
            for rest in index.get(tuple([key_of(row[at]) for at in mine]), nothing)
        ],
    )


def without(a: Table, b: Table, shared: Sequence[Var]) -> Table:
    """The rows of *a* that agree with no row of *b*."""
    gone = {tuple(map(key_of, row)) for row in b.rows}
    places = [a.variables.index(var) for var in shared]
    return Table(
        a.variables,
        [row for row in a.rows if tuple([key_of(row[at]) for at in places]) not in gone],
    )


def rows_of(source: Any, pattern: Pattern) -> list[Row]:
    """The elements of a collection that is used as a source.

    Raises:
        QueryError: it is no collection of sequences.
    """
    items: Iterable[Any]
    if isinstance(source, Map | Mapping):
        items = source.items()
    elif isinstance(source, tuple | list | AbstractSet):
        items = source
    else:
        raise QueryError(
            f"{pattern.source} is neither a database nor a collection, used in {pattern!r}",
            clause=repr(pattern),
        )
    rows = []
    for item in items:
        if not isinstance(item, tuple | list):
            raise QueryError(f"{item!r} of {pattern.source} is no tuple", clause=repr(pattern))
        rows.append(tuple(map(frozen, item)))
    return rows


def matched(rows: Sequence[Row], pattern: Pattern, constants: Mapping[Var, Any]) -> Table:
    """The rows of a collection that a pattern matches by position, as its variables.

    >>> from persistence.values import Keyword
    >>> pattern = Pattern("$", (Var("?e"), Const(Keyword("b"))))
    >>> matched([(1, Keyword("a")), (2, Keyword("b"))], pattern, {})
    Table(variables=(?e,), rows=[(2,)])
    """
    first: dict[Var, int] = {}
    fixed: list[tuple[int, Any]] = []
    equal: list[tuple[int, int]] = []
    for at, term in enumerate(pattern.terms):
        if type(term) is Const:
            fixed.append((at, key_of(term.value)))
        elif type(term) is Var:
            if term in first:
                equal.append((first[term], at))
            else:
                first[term] = at
                if term in constants:
                    fixed.append((at, key_of(constants[term])))
    width = len(pattern.terms)
    places = list(first.values())
    found = [
        tuple([row[at] for at in places])
        for row in rows
        if len(row) >= width
        and all(key_of(row[at]) == key for at, key in fixed)
        and all(key_of(row[one]) == key_of(row[other]) for one, other in equal)
    ]
    return Table(tuple(first), distinct(found))
