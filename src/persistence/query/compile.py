"""Compiles clauses that hold together into the FROM and WHERE of one SELECT.

A `Body` grows clause by clause. Each clause adds a FROM item or a condition and binds its
variables to cells; filters are added as soon as they can be, and of the clauses that bring rows
the cheapest comes next (`order.py`). On SQLite the join runs in exactly this order.

A clause that SQL cannot say raises `NotSql`; the caller decides what becomes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from persistence.datoms.schema import Attribute
from persistence.query.analyze import Modes
from persistence.query.ast import (
    Blank,
    Call,
    Clause,
    Clauses,
    Const,
    Function,
    Not,
    Or,
    Pattern,
    Predicate,
    Source,
    Var,
    variables,
)
from persistence.query.body import (
    Body,
    Key,
    NotSql,
    Relation,
    columns_text,
    fixed,
    ranged,
    relation_columns,
    shown_of,
)
from persistence.query.cells import (
    FALSE,
    INT,
    Cell,
    column_cell,
    merged,
    narrowed,
    same,
    selected,
    static,
    widened,
)
from persistence.query.params import Known, OfRelation, OfScalar, Parameters
from persistence.query.scope import Scope
from persistence.store.dialect import Dialect
from persistence.values import Keyword, to_columns


class Facts(Protocol):
    """A database among the sources, as far as it is known when compiling."""

    scope: Scope
    interned: bool  # some value of the store is interned, so that texts have two kinds

    def attribute(self, ident: Keyword) -> tuple[Attribute, int | None, int]:
        """Declaration, storage number (None: no fact ever), and flags."""
        ...


@attrs.define
class Compiler:
    """Everything that one statement shares while its bodies are compiled."""

    dialect: Dialect
    facts: Mapping[str, Facts]
    modes: Modes
    parameters: Parameters
    cost: Callable[[Compiler, Clause | Relation, Body], float]
    patterns: Callable[[Compiler, Body, Pattern], None]
    functions: Any  # functions_sql
    overridden: frozenset[str]  # names that mean a function of one's own
    recursion: Callable[[Compiler, Body, Call], None]
    with_: dict[str, str] = attrs.field(factory=dict)  # common table expressions, in order
    recursive: bool = False
    traps: bool = False  # the statement may fail on rare values, and be staged then
    exact: bool = False  # traps are not allowed
    unions: dict[str, tuple[str, ...]] = attrs.field(factory=dict)  # FROM items, arm by arm
    rules: dict[Any, Any] = attrs.field(factory=dict)  # see compile_rules
    _aliases: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def trap(self, expression: str) -> str:
        """An expression that fails, for a value that the engine would get wrong.

        Raises:
            NotSql: the statement must not fail.
        """
        if self.exact:
            raise NotSql("some values are evaluated in Python")
        self.traps = True
        return self.dialect.trap(expression)

    def real(self, payload: str) -> str:
        """The number that a payload of kind FLOAT is."""
        if self.exact:
            raise NotSql("some floats are evaluated in Python")
        self.traps = True
        return self.dialect.real(payload)

    def alias(self, letter: str) -> str:
        return f"{letter}{next(self._aliases)}"

    # ----------------------------------------------------------------- bodies

    def body(
        self,
        clauses: Clauses,
        env: Mapping[Var, Cell],
        *,
        relations: Sequence[Relation] = (),
        connected: bool = False,
    ) -> Body:
        """A body of as many of *clauses* as possible; the rest stands in `left`.

        With *connected*, clauses that share no variable with what is there are left as well.
        """
        body = Body(dict(env), ranged=ranged(clauses))
        waiting: list[Clause | Relation] = [*relations, *clauses]
        while waiting:
            filters = [each for each in waiting if self._filters(each, body, clauses)]
            if filters:
                for each in filters:
                    waiting.remove(each)
                    self._try(body, each)
                continue
            ready = [each for each in waiting if self._brings(each, body, clauses)]
            if connected and body.keys:
                ready = [each for each in ready if self._touches(each, body)]
            if not ready:
                break
            chosen = min(ready, key=lambda each: (self.cost(self, each, body), repr(each)))
            waiting.remove(chosen)
            self._try(body, chosen)
        body.left += [each for each in waiting if not isinstance(each, Relation)]
        return body

    def whole(self, clauses: Clauses, env: Mapping[Var, Cell]) -> Body:
        """A body of all of *clauses*.

        Raises:
            NotSql: one of them cannot be part of it.
        """
        body = self.body(clauses, env)
        if body.left:
            raise NotSql(f"{body.left[0]!r} is evaluated in Python")
        return body

    def _try(self, body: Body, each: Clause | Relation) -> None:
        before = attrs.evolve(
            body,
            env=dict(body.env),
            from_=[*body.from_],
            where=[*body.where],
            keys=[*body.keys],
            left=[],
        )
        traps, tables = self.traps, dict(self.with_)
        try:
            self.add(body, each)
        except NotSql:
            if isinstance(each, Relation):
                raise
            body.env, body.from_, body.where = before.env, before.from_, before.where
            body.keys, body.distinct_unknown = before.keys, before.distinct_unknown
            self.traps, self.with_ = traps, tables
            body.left.append(each)

    def _filters(self, each: Clause | Relation, body: Body, clauses: Clauses) -> bool:
        """Whether *each* can be added now and brings no rows of its own."""
        if isinstance(each, Relation | Pattern | Call):
            return False
        if self.modes.missing(each, body.env.keys(), clauses):
            return False
        if type(each) is Or:
            return len(each.branches) > 1 and all(var in body.env for var in each.free)
        return True

    def _brings(self, each: Clause | Relation, body: Body, clauses: Clauses) -> bool:
        if isinstance(each, Relation):
            return True
        if not isinstance(each, Pattern | Call | Or):
            return False
        return not self.modes.missing(each, body.env.keys(), clauses)

    def _touches(self, each: Clause | Relation, body: Body) -> bool:
        if isinstance(each, Relation):
            return True
        shown = set(variables(each))
        return not shown or any(var in body.env for var in shown)

    # ---------------------------------------------------------------- clauses

    def add(self, body: Body, each: Clause | Relation) -> None:
        """Add one clause whose requirements are met.

        Raises:
            NotSql: it cannot be said in SQL.
        """
        if isinstance(each, Relation):
            self._add_relation(body, each)
        elif type(each) is Pattern:
            self.patterns(self, body, each)
        elif type(each) is Predicate:
            body.where.append(self.functions.predicate(self, body, each))
        elif type(each) is Function:
            self.functions.function(self, body, each)
        elif type(each) is Not:
            body.where.append(f"NOT {self._nested(each.clauses, body, each).exists(self.dialect)}")
        elif type(each) is Or:
            self._add_or(body, each)
        elif type(each) is Call:
            self.recursion(self, body, each)

    def _nested(self, clauses: Clauses, body: Body, outer: Not | Or) -> Body:
        """A body that sees what is bound around it."""
        seen = body.env
        if (type(outer) is Not and outer.join is not None) or type(outer) is Or:
            seen = shown_of(body.env, variables(outer))
        return self.whole(clauses, seen)

    def _add_or(self, body: Body, clause: Or) -> None:
        if len(clause.branches) == 1:
            inner = self.body(clause.branches[0], body.env)
            if inner.left:
                raise NotSql(f"{inner.left[0]!r} is evaluated in Python")
            body.env, body.where = inner.env, body.where + inner.where
            body.from_, body.keys = body.from_ + inner.from_, body.keys + inner.keys
            body.distinct_unknown |= inner.distinct_unknown
        elif all(var in body.env for var in clause.free):
            branches = [self._nested(each, body, clause) for each in clause.branches]
            tests = [branch.exists(self.dialect) for branch in branches]
            body.where.append(f"({' OR '.join(tests)})")
        else:
            self._add_union(body, clause)

    def _add_union(self, body: Body, clause: Or) -> None:
        """The branches as one derived table. It sees only what is the same for every row."""
        env = fixed(body.env)
        loose = [var for var in clause.required if var not in env]
        if loose:
            raise NotSql(f"{clause!r} needs {loose[0]!r} of every row")
        wanted = tuple(clause.free)
        env = shown_of(env, (*clause.required, *clause.free))
        bodies = [self.whole(branch, env) for branch in clause.branches]
        kinds, selects = self.union(bodies, [[each.env[var] for var in wanted] for each in bodies])
        names = relation_columns(self.dialect, kinds)
        table = self.alias("u")
        self.with_[f"{table}({columns_text(names)})"] = " UNION ".join(selects)
        self.bind_table(body, table, wanted, kinds)

    def union(
        self, bodies: Sequence[Body], rows: Sequence[Sequence[Cell]]
    ) -> tuple[list[int | None], list[str]]:
        """SELECTs of the same columns: their kinds, and the text of each."""
        kinds = [merged(list(column)) for column in zip(*rows, strict=True)]
        selects = []
        for body, row in zip(bodies, rows, strict=True):
            cells = [
                widened(self.dialect, cell) if kind is None else cell
                for cell, kind in zip(row, kinds, strict=True)
            ]
            columns = [column for cell in cells for column in selected(cell)]
            selects.append(body.text(columns, self.dialect))
        return kinds, selects

    def bind_table(
        self,
        body: Body,
        table: str,
        wanted: Sequence[Var | Cell | None],
        kinds: Sequence[int | None],
        where: Sequence[str] = (),
    ) -> None:
        """Join a table of distinct rows whose columns hold these variables or values."""
        alias = self.alias("r")
        body.from_.append(f"{table} AS {alias}")
        body.where += [condition.format(alias) for condition in where]
        shows: set[Var] = set()
        for index, (each, kind) in enumerate(zip(wanted, kinds, strict=True)):
            cell = column_cell(self.dialect, alias, kind, f"c{index}")
            if each is None:
                shows.add(Var(f"_{alias}{index}"))
            elif isinstance(each, Cell):
                body.where += same(self.dialect, cell, each)
            else:
                shows.add(each)
                self.bind(body, each, cell)
        body.keys.append(Key((frozenset(shows),), frozenset(shows)))

    def _add_relation(self, body: Body, relation: Relation) -> None:
        table = self.relation_table(relation)
        self.bind_table(body, table, relation.variables, relation.kinds)

    def relation_table(self, relation: Relation) -> str:
        """The name under which a relation stands in the statement."""
        columns = relation.columns(self.dialect)
        head = f"{relation.name}({columns_text(columns)})"
        if head not in self.with_:
            types = self.dialect.relation_parameters(columns)
            marks = [
                self.parameters.add(OfRelation(relation.place, index), type)
                for index, type in enumerate(types)
            ]
            self.with_ = {head: self.dialect.relation(columns, marks), **self.with_}
        return relation.name

    # ------------------------------------------------------------------ cells

    def bind(self, body: Body, var: Var, cell: Cell) -> None:
        """Give *var* a cell, or demand that it equals the one it has."""
        known = body.env.get(var)
        if known is None:
            body.env[var] = cell
        else:
            body.where += same(self.dialect, cell, known)

    def constant(self, value: Any) -> Cell:
        """A value of the query as bound parameters."""
        if value is None:
            raise NotSql("nil is no value of a fact")
        kind, payload = to_columns(value)
        parts = self.dialect.split(kind, payload)
        marks = [self.parameters.add(Known(parts[part]), part) for part in self.dialect.parts(kind)]
        return static(kind, *marks, fixed=True)

    def scalar(self, place: int, kind: int) -> Cell:
        """An input of one value as bound parameters."""
        marks = [
            self.parameters.add(OfScalar(place, part), part) for part in self.dialect.parts(kind)
        ]
        return static(kind, *marks, fixed=True, scalar=place)

    def value(self, body: Body, term: Any) -> Cell | None:
        """The cell of a constant or of a bound variable; None for what is not bound."""
        if type(term) is Const:
            return self.constant(term.value)
        if type(term) is Blank:
            return None
        return body.env.get(term)

    def argument(self, body: Body, term: Any) -> Cell:
        """The cell of an argument.

        Raises:
            NotSql: it is a source, or not bound.
        """
        if type(term) is Source:
            raise NotSql("a source is no value")
        cell = self.value(body, term)
        if cell is None:
            raise NotSql(f"{term!r} is not bound")
        return cell

    def payload(self, cell: Cell, kind: int) -> tuple[str, ...]:
        """The payload of *cell* among values of *kind*."""
        return narrowed(self.dialect, cell, kind)

    def integer(self, body: Body, cell: Cell) -> str:
        """An expression for a cell that must be an int; a condition says so where it may not."""
        if cell.kind is None:
            body.where.append(f"{cell.k} = {INT}")
        elif cell.kind != INT:
            body.where.append(FALSE)
            return "0"
        return self.payload(cell, INT)[0]
