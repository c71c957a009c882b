"""From a body to a statement: columns, DISTINCT, groups, order and limit.

DISTINCT is left out where the keys of the schema already say that no row comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from persistence.query.aggregates import Aggregate
from persistence.query.ast import SCALAR, TUPLE, FindAggregate, FindVar, Query, Var
from persistence.query.body import Body
from persistence.query.cells import INT, Cell, selected
from persistence.query.compile import Compiler
from persistence.query.params import Meaning, OfLimit, OfView
from persistence.values import Kind

# Kinds whose payloads sort as their values do on every engine.
SORTED: Final = frozenset(
    int(kind)
    for kind in (
        Kind.BOOL,
        Kind.INT,
        Kind.INST,
        Kind.CHAR,
        Kind.STRING,
        Kind.KEYWORD,
        Kind.SYMBOL,
        Kind.UUID,
        Kind.BYTES,
    )
)


# A number in GROUP BY or ORDER BY would mean the column at that place.
_LITERAL: Final = re.compile(r"-?\d+(?:::bigint)?\Z").match


@attrs.frozen
class Statement:
    """A finished statement. `kinds` tells how to read its columns: one entry for each value."""

    sql: str
    meanings: tuple[Meaning, ...]
    kinds: tuple[int | None, ...]
    traps: bool


@attrs.frozen
class Finished:
    """The statement that answers a query, and what is left to do with its rows."""

    statement: Statement
    columns: tuple[Var, ...]  # what the statement's values are, where nothing is aggregated
    finish: tuple[tuple[int, int, Callable[..., object] | None], ...] | None  # of aggregates
    grouped: bool
    ordered: bool  # order, offset and limit are done
    distinct: bool  # the rows are those of the answer, each once


def rows(compiler: Compiler, body: Body, wanted: Sequence[Var]) -> Statement:
    """The distinct values of *wanted*."""
    guarded = guard(compiler, body)
    cells = [body.env[var] for var in wanted]
    sql = _distinct(compiler, body, cells, wanted)
    return statement(compiler, sql + _limit(compiler, guarded), [cell.kind for cell in cells])


def statement(compiler: Compiler, sql: str, kinds: Sequence[int | None]) -> Statement:
    """*sql* with the tables it needs in front, and its parameters numbered."""
    if compiler.with_:
        tables = ", ".join(
            f"{head} AS {'' if head.startswith('rule') else 'MATERIALIZED '}({text})"
            for head, text in compiler.with_.items()
        )
        sql = f"WITH {'RECURSIVE ' if compiler.recursive else ''}{tables} {sql}"
    text, meanings = compiler.parameters.number(sql)
    return Statement(text, meanings, tuple(kinds), compiler.traps)


def guard(compiler: Compiler, body: Body) -> str:
    """Let the statement fail when the head is not the one that its views were chosen for.

    The check is made before the first row is read, even when there is none. It is a condition
    that mentions no table, or where the engine judges such a condition by row, a part of the
    limit, for which this gives a template. A FROM item in front of the others would make SQLite
    write down a whole union that it could read row by row.
    """
    source = next(iter(compiler.facts))
    head = compiler.parameters.add(OfView(source, "head"), "i")
    item, condition = compiler.dialect.guard(head)
    if item:
        # An empty log has no row to judge, and nothing that could be stale.
        return f"coalesce((SELECT {{0}} FROM {item} WHERE {condition}), {{0}})"
    body.where.insert(0, condition)
    return "({})"


def _limit(compiler: Compiler, guarded: str, *, applied: bool = False) -> str:
    most = compiler.parameters.add(OfLimit(applied), "i")
    return f" LIMIT {guarded.format(f'{most} + 0')}"


def finished(
    compiler: Compiler, body: Body, query: Query, aggregate: Callable[[str], Aggregate | None]
) -> Finished:
    """The statement that answers *query* from a body that holds all its clauses."""
    guarded = guard(compiler, body)
    if query.aggregates:
        grouped = _grouped(compiler, body, query, aggregate, guarded)
        if grouped is not None:
            return grouped
    shown = tuple(dict.fromkeys(_variables(query)))
    cells = [body.env[var] for var in shown]
    plain = not query.aggregates and not query.with_ and shown == _found(query)
    sql = _distinct(compiler, body, cells, shown)
    ordered = plain
    if plain and query.order:
        keys = [cells[order.place] for order in query.order]
        ordered = all(cell.kind in SORTED for cell in keys)
        if ordered:
            by = (
                f"{cell.payload[0]}{' DESC' if order.descending else ''}"
                for cell, order in zip(keys, query.order, strict=True)
                if not _LITERAL(cell.payload[0])
            )
            columns = ", ".join(by)
            sql += f" ORDER BY {columns}" if columns else ""
    sql += _limit(compiler, guarded, applied=ordered)
    if ordered and query.offset is not None:
        sql += f" OFFSET ({compiler.parameters.add(OfLimit(True, offset=True), 'i')} + 0)"
    made = statement(compiler, sql, [cell.kind for cell in cells])
    return Finished(made, shown, None, False, ordered, plain)


def _variables(query: Query) -> list[Var]:
    found = [each.var for each in query.find]
    extra = [
        arg
        for each in query.find
        if type(each) is FindAggregate
        for arg in (each.f, *each.args)
        if type(arg) is Var
    ]
    return [*found, *query.with_, *extra]


def _found(query: Query) -> tuple[Var, ...]:
    return tuple(each.var for each in query.find)


def _distinct(compiler: Compiler, body: Body, cells: Sequence[Cell], shown: Sequence[Var]) -> str:
    columns = [column for cell in cells for column in selected(cell)]
    text = body.text(columns, compiler.dialect)
    return text if body.distinct(shown) else text.replace("SELECT", "SELECT DISTINCT", 1)


def _grouped(
    compiler: Compiler,
    body: Body,
    query: Query,
    aggregate: Callable[[str], Aggregate | None],
    guarded: str,
) -> Finished | None:
    """Groups made by the engine, or None if an aggregate is not its business."""
    shown = tuple(dict.fromkeys(_variables(query)))
    cells = {var: body.env[var] for var in shown}
    picked: list[tuple[Aggregate, Cell] | Cell] = []
    for found in query.find:
        cell = cells[found.var]
        if type(found) is FindAggregate:
            known = aggregate(found.f) if type(found.f) is str else None
            if known is None or not known.sql or found.args:
                return None
            counting = known.sql == ("count",)
            if not counting and (cell.kind is None or cell.kind not in known.kinds):
                return None
            compiler.traps |= "sum" in known.sql  # which may pass 64 bits
            picked.append((known, cell))
        elif type(found) is FindVar:
            picked.append(cell)
        else:
            return None
    source, renamed = _inner(compiler, body, shown, cells)
    columns: list[str] = []
    names: list[str] = []
    kinds: list[int | None] = []
    finish: list[tuple[int, int, Callable[..., object] | None]] = []
    by: list[str] = []
    for found, each in zip(query.find, picked, strict=True):
        at = len(kinds)
        cell = renamed[found.var]
        if isinstance(each, tuple):
            known = each[0]
            for name in known.sql:
                columns.append(_aggregated(name, cell))
                names.append(name)
                kinds.append(INT if name in ("count", "count-distinct", "sum") else cell.kind)
            identity = len(known.sql) == 1 and known.sql[0] != "sum"
            finish.append((at, len(known.sql), None if identity else known.finish))
        else:
            columns += selected(cell)
            names += ["min"] * len(selected(cell))  # without groups these are all the same
            by += [part for part in selected(cell) if not _LITERAL(part)]
            kinds.append(cell.kind)
            finish.append((at, 1, None))
    parts = [] if by or renamed is not cells else _parts(compiler, body, columns, names)
    if parts:
        columns = [f"{_TOTALS[name]}(p{at})" for at, name in enumerate(names)]
        source = f"FROM ({' UNION ALL '.join(parts)}) AS parts"
    sql = f"SELECT {', '.join(columns)} {source}"
    some = "sum(rows_)" if parts else "count(*)"
    sql += f" GROUP BY {', '.join(by)}" if by else f" HAVING {some} > 0"
    sql += _limit(compiler, guarded)
    return Finished(statement(compiler, sql, kinds), (), tuple(finish), True, False, True)


def _inner(
    compiler: Compiler, body: Body, shown: Sequence[Var], cells: dict[Var, Cell]
) -> tuple[str, dict[Var, Cell]]:
    """FROM and WHERE of distinct rows, and the cells as they are called there."""
    if body.distinct(shown):
        text = body.text(("1",), compiler.dialect)
        return text.removeprefix("SELECT 1").lstrip(), cells
    columns: list[str] = []
    renamed: dict[Var, Cell] = {}
    for index, var in enumerate(shown):
        cell, name = cells[var], f"g.c{index}"
        parts = [f"{name}_{at}" for at in range(len(cell.payload))]
        kind = [f"{name}_k"] if cell.kind is None else []
        for expression, alias in zip(selected(cell), [*kind, *parts], strict=True):
            columns.append(f"{expression} AS {alias.removeprefix('g.')}")
        renamed[var] = Cell(cell.kind, kind[0] if kind else cell.k, tuple(parts))
    text = body.text(columns, compiler.dialect).replace("SELECT", "SELECT DISTINCT", 1)
    return f"FROM ({text}) AS g", renamed


# What makes one of the aggregates of the parts of a union.
_TOTALS: Final = {"sum": "sum", "count": "sum", "min": "min", "max": "max"}


def _parts(
    compiler: Compiler, body: Body, columns: Sequence[str], names: Sequence[str]
) -> list[str]:
    """The aggregates of each arm of a union that comes first, where totals follow from them.

    SQLite hands every row of a union on by itself; here it hands on one row for each arm.
    """
    apart = compiler.unions.get(body.from_[0], ()) if body.from_ else ()
    if not compiler.dialect.ordered or any(name not in _TOTALS for name in names):
        return []
    aliased = [f"{column} AS p{at}" for at, column in enumerate(columns)]
    return [
        attrs.evolve(body, from_=[item, *body.from_[1:]]).text(
            [*aliased, "count(*) AS rows_"], compiler.dialect
        )
        for item in apart
    ]


def _aggregated(name: str, cell: Cell) -> str:
    if name == "count":
        return "count(*)"
    payload = cell.payload[0]
    if name == "count-distinct":
        return f"count(DISTINCT {payload})"
    return f"{name}({payload})"


def one_row(query: Query) -> bool:
    """Whether one row of the answer is enough."""
    return query.shape in (SCALAR, TUPLE)
