"""The statements by which facts are read without a query: by entity, by value, by reference.

The view enters through `scope`, as it does for queries. A statement is made once for its shape;
ids and values are parameters, which it names in order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import attrs

from persistence.query import scope
from persistence.store.dialect import Column, Dialect
from persistence.values import INTERNED, Kind

__all__ = [
    "INTEGERS",
    "Asked",
    "limited",
    "list_type",
    "sheet",
    "statement",
    "value_columns",
]

_INT: Final = int(Kind.INT)
# Kinds whose payload is an integer on every engine.
INTEGERS: Final = frozenset((int(Kind.BOOL), _INT, int(Kind.INST), int(Kind.CHAR)))
_SPAN: Final = ("tx", "op", "vf", "vt")


@attrs.frozen
class Asked:
    """The shape of a statement: which facts, beside the view. Ids and values are parameters."""

    attribute: int | None = None
    numbers: tuple[int, ...] | None = None  # of these attributes only
    flags: int = scope.ALL
    indexed: bool = False
    by: str = ""  # what is known: see `_ties`
    most: int | None = None  # how many rows of one cell
    spans: bool = False  # tx, op, vf and vt too
    kind: int | None = None  # of a range of values


def list_type(dialect: Dialect) -> str:
    return "json" if dialect.name == "sqlite" else "bigint[]"


def _literal(dialect: Dialect, numbers: tuple[int, ...]) -> str:
    """A table `m` with one column `value` of these numbers."""
    listed = ", ".join(map(str, numbers))
    if dialect.name == "sqlite":
        return f"json_each('[{listed}]') AS m"
    return f"unnest(ARRAY[{listed}]::bigint[]) AS m (value)"


def value_columns(dialect: Dialect) -> list[Column]:
    heads = [Column("a", "k", _INT), Column("k", "k", _INT)]
    return heads + [Column(part, part) for part in dialect.payload]


@lru_cache(maxsize=1024)
def statement(dialect: Any, view: scope.View, asked: Asked) -> tuple[str, tuple[str, ...]]:
    """The statement for *asked*, and the names of its parameters in order."""
    names: dict[str, str] = {}

    def parameter(name: str, type: str = "i") -> str:
        if name.startswith("path "):
            type = list_type(dialect)
        return names.setdefault(name, dialect.parameter(len(names) + 1, type))

    driver, ties = _ties(dialect, asked, parameter)
    lookup = asked.by in ("cell", "entities", "targets", "values", "value")
    rows = scope.Scope(view, dialect, parameter).facts(
        "f",
        asked.attribute,
        asked.flags,
        equal=(),
        lookup=lookup,
        indexed=asked.indexed,
        intervals=False,
    )
    columns = ["e", "a", "k", *(_SPAN if asked.spans else ())]
    selected = [rows.columns[column] for column in columns]
    selected[3:3] = [f"f.{part}" for part in dialect.payload]
    where = [*rows.where, *ties]
    sql = f"SELECT {', '.join(selected)} FROM {driver}{rows.from_}"
    return sql + (f" WHERE {' AND '.join(where)}" if where else ""), tuple(names)


@lru_cache(maxsize=1024)
def sheet(
    dialect: Any,
    view: scope.View,
    single: tuple[int, ...],
    kinds: tuple[int | None, ...],
    links: tuple[tuple[int, int | None], ...],
    flags: tuple[int, ...],
) -> tuple[str, tuple[str, ...]]:
    """The statement of `Reader.sheet`, and the names of its parameters in order."""
    names: dict[str, str] = {}

    def parameter(name: str, type: str = "i") -> str:
        return names.setdefault(name, dialect.parameter(len(names) + 1, type))

    def facts(alias: str, number: int, flags: int) -> tuple[str, str]:
        rows = scope.Scope(view, dialect, parameter).facts(
            alias, number, flags, equal=(), lookup=True, indexed=False, intervals=False
        )
        return rows.from_, " AND ".join((*rows.where, f"{alias}.e = w.value"))

    source = dialect.listed(parameter("ids", list_type(dialect)))
    columns = ["w.value"]  # then what Sheet says
    for place, (number, kind) in enumerate(zip(single, kinds, strict=True)):
        table, on = facts(f"t{place}", number, flags[place])
        source += f" LEFT JOIN {table} ON {on}"
        parts = (*(("k",) if kind is None else ()), *dialect.parts(kind))
        columns += [f"t{place}.{part}" for part in parts]
    gather = "json_group_array" if dialect.name == "sqlite" else "array_agg"
    (target,) = dialect.parts(_INT)
    for place, (number, most) in enumerate(links, start=len(single)):
        table, test = facts("f", number, flags[place])
        # Open facts stand in this very order in their table, so that nothing is sorted.
        order = f"f.{target}" if flags[place] else f"f.vt, f.k, f.{target}"
        limit = f" ORDER BY {order}" + ("" if most is None else f" LIMIT {most}")
        inner = f"SELECT f.{target} AS target FROM {table} WHERE {test}{limit}"
        columns.append(f"(SELECT {gather}(x.target) FROM ({inner}) AS x)")
    return f"SELECT {', '.join(columns)} FROM {source}", tuple(names)


def _ties(dialect: Dialect, asked: Asked, parameter: Any) -> tuple[str, list[str]]:
    """What a statement is driven by, and what ties a fact to it."""
    if asked.by == "cell":
        return "", [f"f.e = {parameter('e')}"]
    if asked.by == "range":
        return "", [f"f.e >= {parameter('first')}", f"f.e <= {parameter('last')}"]
    if asked.by == "value":
        parts = [f"f.{part} = {parameter(f'payload {part}', part)}" for part in dialect.payload]
        return "", [f"f.k = {parameter('k')}", *parts]
    if asked.kind is not None:
        (part,) = dialect.parts(asked.kind)
        ends = {"low": ">=", "high": "<="}
        tests = [f"f.{part} {ends[end]} {parameter(end, part)}" for end in asked.by.split()]
        inline = f"f.k = {asked.kind} AND {' AND '.join(tests)}"
        return "", [f"({inline} OR f.k = {asked.kind + INTERNED})"]
    if asked.by in ("entities", "targets"):
        driver = dialect.listed(parameter("ids", list_type(dialect)))
        tie = "f.e = w.value"
        if asked.numbers is not None:
            # By attribute first: facts are kept in that order.
            driver = f"{_literal(dialect, asked.numbers)} CROSS JOIN {driver}"
            tie += " AND f.a = m.value"
        if asked.by == "targets":
            tie = f"f.k = {_INT} AND f.{dialect.parts(_INT)[0]} = w.value"
        return f"{driver} CROSS JOIN ", [tie]
    if asked.by == "values":
        columns = value_columns(dialect)
        given = [
            parameter(f"values {place}", type)
            for place, type in enumerate(dialect.relation_parameters(columns))
        ]
        heads = ", ".join(("a", "k", *dialect.payload))
        inner = f"WITH x ({heads}) AS ({dialect.relation(columns, given)}) SELECT * FROM x"
        ties = [f"f.{name} = w.{name}" for name in ("a", "k", *dialect.payload)]
        return f"({inner}) AS w CROSS JOIN ", ties
    return "", []


def limited(dialect: Dialect, sql: str, asked: Asked) -> str:
    """*sql* with at most so many rows of each cell as asked, the first in the order of values."""
    payload = ", ".join(dialect.payload)
    cell = f"a, k, {payload}" if asked.by == "targets" else "e, a"
    return (
        f"SELECT e, a, k, {payload} FROM (SELECT x.*, row_number() OVER"
        f" (PARTITION BY {cell} ORDER BY k, {payload}, e) AS place FROM ({sql}) AS x) AS y"
        f" WHERE place <= {asked.most}"
    )
