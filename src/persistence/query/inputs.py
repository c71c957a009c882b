"""Matches `:in` with what was given: sources, rules, single values and relations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from persistence.errors import InputError, QueryError
from persistence.query.ast import (
    BindEach,
    Binding,
    BindNone,
    BindRules,
    BindSource,
    BindTuple,
    BindVar,
    Query,
    Var,
    variables,
)
from persistence.query.parse import parse_rules
from persistence.query.rules import NO_RULES, Program, program
from persistence.values import Map, freeze, identity

NO_PROGRAM = program(NO_RULES)


@attrs.frozen
class Table:
    """Rows of values under variables; no row comes twice."""

    variables: tuple[Var, ...]
    rows: list[tuple[Any, ...]]


@attrs.frozen
class Inputs:
    """What a query was given, by what it is."""

    sources: dict[str, Any]
    program: Program
    scalars: dict[Var, Any]
    tables: list[Table]


def bind(query: Query, given: Sequence[Any]) -> Inputs:
    """The inputs of *query*.

    Raises:
        QueryError: too few or too many, or one that its binding cannot take apart.
    """
    expected = query.inputs
    if len(expected) != len(given):
        what = "few" if len(given) < len(expected) else "many"
        raise QueryError(
            f"too {what} inputs: {len(expected)} are expected, {len(given)} are given",
            hint=f":in {' '.join(map(repr, expected))}",
            expected=len(expected),
            given=len(given),
        )
    sources: dict[str, Any] = {}
    rules = NO_PROGRAM
    scalars: dict[Var, Any] = {}
    tables: list[Table] = []
    for form, value in zip(expected, given, strict=True):
        kind = type(form)
        if kind is BindSource:
            sources[form.name] = value  # type: ignore[union-attr]
        elif kind is BindRules:
            rules = parse_rules(value)
        elif kind is BindVar and form.var not in scalars:  # type: ignore[union-attr]
            scalars[form.var] = frozen(value)  # type: ignore[union-attr]
        else:
            _take(form, value, scalars, tables)  # type: ignore[arg-type]
    return Inputs(sources, rules, scalars, tables)


def _take(form: Binding, value: Any, scalars: dict[Var, Any], tables: list[Table]) -> None:
    shown = tuple(dict.fromkeys(variables(form)))
    rows = taken(form, value, shown)
    if not _several(form) and not any(var in scalars for var in shown):
        scalars.update(zip(shown, rows[0], strict=True))
    elif shown or not rows:
        tables.append(Table(shown, rows))


def _several(form: Binding) -> bool:
    if type(form) is BindEach:
        return True
    return type(form) is BindTuple and any(_several(part) for part in form.parts)


def frozen(value: Any) -> Any:
    """*value* as an EDN value; a function, a database or a compiled thing stays what it is."""
    try:
        return freeze(value)
    except InputError:
        if callable(value) or hasattr(value, "source"):
            return value
        raise


def taken(form: Binding, value: Any, shown: tuple[Var, ...]) -> list[tuple[Any, ...]]:
    """The distinct rows of *shown* that a binding makes of a value.

    >>> from persistence.query.clauses import binding
    >>> from persistence.values import read
    >>> form = binding(read("[[?a _ ?b]]"), "")
    >>> taken(form, [[1, 2, 3], [4, 5, 6]], tuple(variables(form)))
    [(1, 3), (4, 6)]
    """
    found: dict[Any, tuple[Any, ...]] = {}
    for known in _rows(form, value):
        row = tuple(known[var] for var in shown)
        found.setdefault(tuple(map(key_of, row)), row)
    return list(found.values())


def key_of(value: Any) -> Any:
    """What makes a value the same as another, also for what is no EDN value."""
    try:
        return identity(value)
    except InputError:
        return (id(value),)


def _rows(form: Binding, value: Any) -> Iterable[dict[Var, Any]]:
    if type(form) is BindVar:
        return [{form.var: frozen(value)}]
    if type(form) is BindNone:
        return [{}]
    if type(form) is BindEach:
        items = _items(value)
        if items is None:
            raise QueryError(f"{value!r} is no collection, as {form!r} expects", binding=repr(form))
        return [row for item in items for row in _rows(form.part, item)]
    assert type(form) is BindTuple
    items = _items(value)
    if items is None:
        raise QueryError(f"{value!r} is no sequence, as {form!r} expects", binding=repr(form))
    items = list(items)
    if len(items) < len(form.parts):
        raise QueryError(
            f"{value!r} has {len(items)} elements, fewer than {form!r} expects",
            binding=repr(form),
        )
    rows: list[dict[Var, Any]] = [{}]
    for part, item in zip(form.parts, items, strict=False):
        rows = [
            joined
            for row in rows
            for new in _rows(part, item)
            if (joined := _merge(row, new)) is not None
        ]
    return rows


def _merge(row: dict[Var, Any], new: dict[Var, Any]) -> dict[Var, Any] | None:
    for var, value in new.items():
        if var in row and key_of(row[var]) != key_of(value):
            return None
    return {**row, **new}


def _items(value: Any) -> Iterable[Any] | None:
    """The elements of a collection; the entries of a map."""
    if isinstance(value, Map | Mapping):
        return value.items()
    if isinstance(value, tuple | list | AbstractSet):
        return value
    if value is None:
        return ()
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return None
    return value  # type: ignore[no-any-return]
