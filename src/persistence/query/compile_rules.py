"""Recursive rules as recursive common table expressions.

One table holds all rules that recur together, told apart by a tag. Where a recursive call passes
an argument on unchanged, and the call from outside fixes it, the table is computed for that value
alone. A definition that calls the group twice, or under a negation or a union, is left to staging.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from persistence.query.ast import Blank, Branch, Call, Clause, Const, Term, Var
from persistence.query.body import Body, NotSql, columns_text, relation_columns
from persistence.query.cells import Cell, merged, selected, widened
from persistence.query.compile import Compiler
from persistence.query.uses import walk

_ROUNDS: Final = 8  # kinds only ever widen, so this many rounds of inference always suffice


@attrs.frozen(slots=True)
class _Open:
    """A group of rules whose table is being written: what a call inside of it sees."""

    table: str
    group: frozenset[str]
    source: str
    tags: dict[str, int]
    kinds: tuple[int | None, ...]
    given: dict[int, Cell]


def add_call(compiler: Compiler, body: Body, call: Call) -> None:
    """Join what a recursive rule answers.

    Raises:
        NotSql: the recursion is not linear, or a definition is not all SQL.
    """
    opened = compiler.rules.get("open")
    if opened is not None and call.name in opened.group and call.source == opened.source:
        _inside(compiler, body, call, opened)
        return
    if opened is not None and any(
        each.name in opened.group for each in _reached(compiler, call.name)
    ):
        raise NotSql(f"{call!r} recurs through another group")
    given = _given(compiler, body, call)
    key = (call.name, call.source, tuple(sorted((at, repr(cell)) for at, cell in given.items())))
    made = compiler.rules.get(key)
    if made is None:
        made = compiler.rules[key] = _table(compiler, call, given)
    table, kinds, tag = made
    # The table may have been taken back together with a clause that failed.
    if not any(head.startswith(f"{table}(") for head in compiler.with_):
        made = compiler.rules[key] = _table(compiler, call, given)
        table, kinds, tag = made
    _bind(compiler, body, call, table, kinds, tag)


def _reached(compiler: Compiler, name: str) -> list[Call]:
    program = compiler.modes.program
    names = program.group.get(name, frozenset())
    bodies = [branch.body for each in names for branch in program.rules[each]]
    return [clause for body in bodies for clause in walk(body) if type(clause) is Call]


def _bind(
    compiler: Compiler,
    body: Body,
    call: Call,
    table: str,
    kinds: tuple[int | None, ...],
    tag: int | None,
) -> None:
    wanted: list[Var | Cell | None] = []
    for term in call.args:
        if type(term) is Const:
            wanted.append(compiler.constant(term.value))
        else:
            wanted.append(term if type(term) is Var else None)
    where = () if tag is None else (f"{{}}.tag = {tag}",)
    compiler.bind_table(body, table, wanted, kinds, where)


def _inside(compiler: Compiler, body: Body, call: Call, opened: _Open) -> None:
    for at, cell in opened.given.items():
        term = call.args[at]
        if not (type(term) is Var and body.env.get(term) == cell):
            raise NotSql(f"{call!r} changes an argument that was taken for constant")
    tag = opened.tags[call.name] if len(opened.tags) > 1 else None
    _bind(compiler, body, call, opened.table, opened.kinds, tag)


def _given(compiler: Compiler, body: Body, call: Call) -> dict[int, Cell]:
    """The arguments that are constant for the call and passed on unchanged by the recursion."""
    program = compiler.modes.program
    if program.group[call.name] != {call.name}:
        return {}
    found = {}
    for at, term in enumerate(call.args):
        cell = compiler.value(body, term) if type(term) is not Blank else None
        if cell is None or not cell.fixed:
            continue
        if all(
            inner.args[at] == branch.head[at]
            for branch in program.rules[call.name]
            for inner in walk(branch.body)
            if type(inner) is Call and inner.name == call.name
        ):
            found[at] = cell
    return found


def _table(
    compiler: Compiler, call: Call, given: dict[int, Cell]
) -> tuple[str, tuple[int | None, ...], int | None]:
    """Write the table of a group: its name, the kinds of its columns, and the tag of the call."""
    program = compiler.modes.program
    group = program.group[call.name]
    tags = {name: number for number, name in enumerate(sorted(group))}
    width = max(len(program.rules[name][0].head) for name in group)
    if len({len(program.rules[name][0].head) for name in group}) > 1:
        raise NotSql("rules of different width recur together")
    table = compiler.alias("rule")
    heads = {name: tuple(Var(f"?{table}.{at}") for at in range(width)) for name in group}
    base: list[tuple[str, Branch]] = []
    steps: list[tuple[str, Branch]] = []
    for name in sorted(group):
        for branch in program.rules[name]:
            inner = [
                each for each in walk(branch.body) if type(each) is Call and each.name in group
            ]
            if len(inner) > 1 or any(each not in branch.body for each in inner):
                raise NotSql(f"the recursion of {name} is not linear")
            (steps if inner else base).append((name, branch))
    if not base:
        raise NotSql(f"{call.name} never begins")
    previous = compiler.rules.get("open")
    kinds: tuple[int | None, ...] | None = None
    try:
        for _ in range(_ROUNDS):
            opened = _Open(table, group, call.source, tags, kinds or (), given)
            compiler.rules["open"] = opened
            rows = [_definition(compiler, each, call, heads, given) for each in base]
            if kinds is None:
                kinds = _kinds(rows)
                compiler.rules["open"] = attrs.evolve(opened, kinds=kinds)
            rows += [_definition(compiler, each, call, heads, given) for each in steps]
            wider = _kinds(rows)
            if wider == kinds:
                break
            kinds = wider
    finally:
        compiler.rules["open"] = previous
    assert kinds is not None
    tagged = len(tags) > 1
    selects = [
        _select(compiler, body, cells, kinds, tags[name] if tagged else None)
        for (name, _), (body, cells) in zip((*base, *steps), rows, strict=True)
    ]
    columns = columns_text(relation_columns(compiler.dialect, kinds))
    head = f"{table}({'tag, ' if tagged else ''}{columns})"
    compiler.with_[head] = _recursive(compiler, selects, len(base), table)
    compiler.recursive = True
    return table, kinds, tags[call.name] if tagged else None


def _recursive(compiler: Compiler, selects: Sequence[str], bases: int, table: str) -> str:
    steps = selects[bases:]
    if compiler.dialect.ordered or len(steps) < 2:
        return " UNION ".join(selects)
    # Postgres allows one reference to the table: the steps share it.
    shared = " UNION ALL ".join(
        step.replace(f"{table} AS ", f"(SELECT {table}_row.*) AS ") for step in steps
    )
    base = " UNION ".join(selects[:bases])
    return (
        f"({base}) UNION SELECT step.* FROM {table} AS {table}_row"
        f" CROSS JOIN LATERAL ({shared}) AS step"
    )


def _definition(
    compiler: Compiler,
    named: tuple[str, Branch],
    call: Call,
    heads: dict[str, tuple[Var, ...]],
    given: dict[int, Cell],
) -> tuple[Body, list[Cell]]:
    name, branch = named
    head = heads[name]
    args: tuple[Term, ...] = head
    inner = Call(call.source, name, args)
    program = compiler.modes.program
    clauses: tuple[Clause, ...] = program.expanded(program.body(branch, inner))
    body = compiler.whole(clauses, {head[at]: cell for at, cell in given.items()})
    missing = [var for var in head if var not in body.env]
    if missing:
        raise NotSql(f"{name} needs arguments that are bound")
    return body, [body.env[var] for var in head]


def _kinds(rows: Sequence[tuple[Body, list[Cell]]]) -> tuple[int | None, ...]:
    return tuple(merged(list(column)) for column in zip(*(cells for _, cells in rows), strict=True))


def _select(
    compiler: Compiler,
    body: Body,
    cells: Sequence[Cell],
    kinds: Sequence[int | None],
    tag: int | None,
) -> str:
    columns = [] if tag is None else [compiler.dialect.integer(tag)]
    for cell, kind in zip(cells, kinds, strict=True):
        columns += selected(widened(compiler.dialect, cell) if kind is None else cell)
    return body.text(columns, compiler.dialect)
