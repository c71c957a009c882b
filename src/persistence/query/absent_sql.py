"""`missing?` and `get-else` as SQL: patterns that may match nothing."""

from __future__ import annotations

from typing import Any

from persistence.query.ast import BindVar, Blank, Const, Function, Pattern, Predicate, Source, Var
from persistence.query.body import Body, Key, NotSql
from persistence.query.cells import Cell, selected, static, widened
from persistence.query.compile import Compiler
from persistence.query.patterns import add_pattern, places, value_kind
from persistence.values import Keyword


def _pattern(clause: Predicate | Function, last: Any) -> Pattern:
    """`(missing? $ ?e :attribute)` and `(get-else $ ?e :attribute …)` as the pattern they mean."""
    args = clause.args
    if len(args) < 3 or type(args[0]) is not Source or type(args[2]) is not Const:
        raise NotSql(f"{clause!r} is evaluated in Python")
    source, attribute = args[0].name, args[2].value
    e: Any = args[1]
    if type(attribute) is not Keyword or type(e) is Source:
        raise NotSql(f"{clause!r} is evaluated in Python")
    if attribute.local.startswith("_"):
        space = f"{attribute.namespace}/" if attribute.namespace else ""
        forward = Keyword(space + attribute.local[1:])
        return Pattern(source, (last, Const(forward), e))
    return Pattern(source, (e, args[2], last))


def missing(compiler: Compiler, body: Body, clause: Predicate) -> str:
    """The condition that an entity has no value of an attribute."""
    pattern = _pattern(clause, Blank())
    if compiler.facts.get(pattern.source) is None:
        raise NotSql(f"{pattern.source} is a collection")
    inner = Body(dict(body.env))
    add_pattern(compiler, inner, pattern)
    return f"NOT {inner.exists(compiler.dialect)}"


def get_else(compiler: Compiler, body: Body, clause: Function) -> None:
    """The value of an attribute, or a default where there is none."""
    if len(clause.args) != 4 or type(clause.binding) is not BindVar:
        raise NotSql(f"{clause!r} is evaluated in Python")
    var = clause.binding.var
    own = Var(f"{var.name}~else")
    pattern = _pattern(clause, own)
    found = places(compiler, pattern)
    view = compiler.facts[pattern.source].scope.view
    if found.attribute.many or type(found.v) is not Var or not view.one_instant or view.overlay:
        raise NotSql(f"{clause!r} may have several values")
    default = compiler.argument(body, clause.args[3])
    if found.absent:
        compiler.bind(body, var, default)
        return
    inner = Body(dict(body.env))
    add_pattern(compiler, inner, pattern)
    if len(inner.from_) != 1:
        raise NotSql(f"{clause!r} is evaluated in Python")
    value = inner.env[own]
    (table,) = inner.from_
    known = body.where
    where = [condition for condition in inner.where if condition not in known]
    if " LEFT JOIN " in table:  # the segments are outer joins already
        body.from_.append(table)
        where = [condition for condition in where if not condition.endswith(" IS NOT NULL")]
        body.where += where
    else:
        if not body.from_:
            body.from_.append("(SELECT 1 AS one) AS o")
        body.from_[-1] += f" LEFT JOIN {table} ON {' AND '.join(where) or '1 = 1'}"
    kind = value_kind(compiler, pattern.source, found.attribute)
    if kind is None or kind != default.kind:
        value, default = widened(compiler.dialect, value), widened(compiler.dialect, default)
    parts = [
        f"coalesce({one}, {other})"
        for one, other in zip(selected(value), selected(default), strict=True)
    ]
    if value.kind is None:
        cell = Cell(None, parts[0], tuple(parts[1:]))
    else:
        cell = static(value.kind, *parts)
    compiler.bind(body, var, cell)
    needed = frozenset(arg for arg in clause.args if type(arg) is Var)
    body.keys.append(Key((needed,), frozenset((var,))))
