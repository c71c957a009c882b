"""The last steps in Python: aggregates the engine cannot make, order, limit, and pulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from persistence.errors import QueryError
from persistence.query.aggregates import Aggregate
from persistence.query.ast import Const, FindAggregate, FindPull, Query, Var
from persistence.query.inputs import Table, key_of
from persistence.query.project import ordered, shaped
from persistence.query.pull import pull_many

Row = tuple[Any, ...]
Pull = Callable[[Any, Any, Sequence[Any]], list[Any]]


def answer(
    query: Query,
    table: Table,
    constants: Mapping[Var, Any],
    sources: Mapping[str, Any],
    aggregate: Callable[[str], Aggregate | None],
    functions: Any,
    *,
    limits: tuple[int | None, int],
) -> Any:
    """The answer to *query* from the rows of all its clauses.

    Raises:
        QueryError: an aggregate does not exist, or cannot take the values.
    """
    shown = Lookup(table.variables, constants)
    if query.aggregates:
        rows = _grouped(query, table, shown, aggregate)
    else:
        rows = _found(query, table, shown)
    return concluded(query, rows, sources, functions, constants, limits, table)


def concluded(
    query: Query,
    rows: list[Row],
    sources: Mapping[str, Any],
    functions: Any,
    constants: Mapping[Var, Any],
    limits: tuple[int | None, int] | None,
    table: Table | None = None,
) -> Any:
    """Rows of `:find` in order, cut, with pulls made, in the shape asked for."""
    if limits is not None:
        rows = ordered(query, rows)
        limit, offset = limits
        if offset or limit is not None:
            rows = rows[offset : None if limit is None else offset + limit]
    if any(type(each) is FindPull for each in query.find):
        rows = _pulled(query, rows, sources, functions, constants)
    return shaped(query, rows)


class Lookup:
    """Where the values of variables are: in a column, or the same for every row."""

    def __init__(self, columns: Sequence[Var], constants: Mapping[Var, Any]) -> None:
        self._places = {var: at for at, var in enumerate(columns)}
        self._constants = constants

    def column(self, var: Var, rows: Sequence[Row]) -> list[Any]:
        """The values of *var*, one for each row."""
        at = self._places.get(var)
        if at is None:
            return [self._constants[var]] * len(rows)
        return [row[at] for row in rows]


def _found(query: Query, table: Table, shown: Lookup) -> list[Row]:
    columns = [shown.column(each.var, table.rows) for each in query.find]
    patterns = [
        shown.column(each.pattern, table.rows)
        for each in query.find
        if type(each) is FindPull and type(each.pattern) is Var and each.pattern in shown._places
    ]
    rows = list(zip(*columns, strict=True))
    if query.with_:
        return rows
    keys = zip(*columns, *patterns, strict=True)
    return list(
        {tuple(map(key_of, key)): row for key, row in zip(keys, rows, strict=True)}.values()
    )


def _grouped(
    query: Query, table: Table, shown: Lookup, aggregate: Callable[[str], Aggregate | None]
) -> list[Row]:
    plain = [(at, each) for at, each in enumerate(query.find) if type(each) is not FindAggregate]
    keys = [shown.column(each.var, table.rows) for _, each in plain]
    groups: dict[Any, list[int]] = {}
    for index in range(len(table.rows)):
        key = tuple(key_of(column[index]) for column in keys)
        groups.setdefault(key, []).append(index)
    rows: list[list[Any]] = [[None] * len(query.find) for _ in groups]
    for (at, _), column in zip(plain, keys, strict=True):
        for row, members in zip(rows, groups.values(), strict=True):
            row[at] = column[members[0]]
    for at, each in enumerate(query.find):
        if type(each) is not FindAggregate:
            continue
        column = shown.column(each.var, table.rows)
        arguments = [
            [arg.value] * len(table.rows)
            if isinstance(arg, Const)
            else shown.column(arg, table.rows)
            for arg in each.args
        ]
        for row, members in zip(rows, groups.values(), strict=True):
            first = members[0]
            call = _aggregate(each, shown, table.rows[first : first + 1], aggregate)
            given = [argument[first] for argument in arguments]
            row[at] = call(*given, [column[index] for index in members])
    return [tuple(row) for row in rows]


def _aggregate(
    found: FindAggregate,
    shown: Lookup,
    row: Sequence[Row],
    aggregate: Callable[[str], Aggregate | None],
) -> Callable[..., Any]:
    name = found.f
    if isinstance(name, Var):
        given = shown.column(name, row)[0]
        if callable(given):
            return given  # type: ignore[no-any-return]
        name = getattr(given, "name", str(given))
    known = aggregate(name)
    if known is None:
        raise QueryError(
            f"there is no aggregate {name} in {found!r}",
            hint="register it with the connection",
            aggregate=name,
        )
    return known


def _pulled(
    query: Query,
    rows: list[Row],
    sources: Mapping[str, Any],
    functions: Any,
    constants: Mapping[Var, Any],
) -> list[Row]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    for at, each in enumerate(query.find):
        if type(each) is not FindPull or not rows:
            continue
        db = sources[each.source]
        pattern = each.pattern
        given = pattern.value if isinstance(pattern, Const) else _pattern(pattern, constants)
        columns[at] = list(pull_many(db, given, columns[at], functions=functions))
    return list(zip(*columns, strict=True)) if rows else rows


def _pattern(name: Var, constants: Mapping[Var, Any]) -> Any:
    for var in (name, Var("?" + name.name)):
        if var in constants:
            return constants[var]
    raise QueryError(
        f"the pull pattern {name} is no single input",
        hint="give it through :in",
        pattern=name.name,
    )
