"""Solves a query in steps: statements for what SQL can say, Python for the rest.

The state is one table of values. Each step takes the clauses that can go next: a function or
predicate over the rows that are there, a collection to match, or as many clauses over one store
as its SQL can hold, with the table passed in as a relation. What holds clauses of its own (not,
or, a recursive rule) is solved for the distinct values of its variables and joined back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from persistence.errors import BudgetExceeded, QueryError
from persistence.query.ast import (
    BindEach,
    Call,
    Clause,
    Clauses,
    Function,
    Not,
    Or,
    Pattern,
    Predicate,
    Var,
    variables,
)
from persistence.query.call import UNIT, Calls, depends
from persistence.query.clauses import fresh
from persistence.query.context import Context, store_of
from persistence.query.group import Running
from persistence.query.inputs import Table
from persistence.query.match import joined, matched, projected, rows_of, without
from persistence.query.passed import passed
from persistence.query.plan import READING, missing_of, or_else, rewritten
from persistence.query.recursion import Tables
from persistence.query.search import search_parts
from persistence.query.uses import sources_of
from persistence.store.words import words


class Solver:
    """One staged run. Used as a context manager, because it holds snapshots."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.constants: Mapping[Var, Any] = running.inputs.scalars
        self._sources: Mapping[str, Any] = running.inputs.sources
        self._modes = running.prepared.modes
        self.program = self._modes.program
        self._stack = ExitStack()
        self._stores = {name: id(store_of(db)) for name, db in running.dbs.items()}
        self._contexts: dict[int, Context] = {}
        self._until = time.monotonic() + running.seconds
        self._remembered: dict[Any, tuple[Table, Clauses] | None] = {}
        self._collections: dict[str, list[tuple[Any, ...]]] = {}
        self._calls = Calls(
            running.registry, running.inputs.scalars, running.inputs.sources, self._check
        )
        self._rules = Tables(self)

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    # ------------------------------------------------------------------ whole

    def whole(self, clauses: Clauses, tables: Sequence[Table], wanted: tuple[Var, ...]) -> Table:
        """The distinct values of *wanted* and of what it takes to tell rows apart."""
        start = UNIT
        for table in tables:
            start = joined(start, table)
            self._check(len(start.rows))
        found = self.solve(start, clauses, set(wanted))
        return projected(found, [var for var in wanted if var in found.variables])

    def solve(self, table: Table, clauses: Clauses, wanted: set[Var]) -> Table:
        """*table* joined with all of *clauses*; columns that nothing needs may be gone."""
        rest = clauses
        while rest:
            if not table.rows:
                return _nothing(table, rest)
            table, rest = self._step(table, rest, clauses)
            needed = wanted | {var for each in rest for var in variables(each)}
            table = projected(table, [var for var in table.variables if var in needed])
            self._check(len(table.rows))
        return table

    def _check(self, rows: int) -> None:
        if time.monotonic() > self._until:
            raise BudgetExceeded(
                "the query ran longer than its time budget",
                hint="give it more time, or bind more of its variables",
                budget="seconds",
            )
        if rows > self._running.budget:
            raise BudgetExceeded(
                f"the query has more than {self._running.budget} rows on its way",
                hint="bind more of its variables, or allow more with rows=…",
                budget="rows",
                allowed=self._running.budget,
            )

    def _bound(self, table: Table) -> set[Var]:
        return {*table.variables, *self.constants}

    def _step(self, table: Table, rest: Clauses, every: Clauses) -> tuple[Table, Clauses]:
        bound = self._bound(table)
        ready = [each for each in rest if not self._modes.missing(each, bound, every)]
        computed = [
            each
            for each in ready
            if isinstance(each, Predicate | Function) and each.f not in READING
        ]
        # A statement takes predicates along, so they are worth nothing before the first.
        if table.variables or not any(self._reads(each) for each in rest):
            for kind in (Predicate, Function):
                for call in computed:
                    if type(call) is kind and not _multiplies(table, call):
                        return self._done(self._calls.applied(table, call), call, rest)
        for each in ready:
            if type(each) is Pattern and each.source not in self._stores:
                return self._done(self._matched(table, each), each, rest)
        answered = self._statement(table, rest)
        if answered is not None:
            return answered
        if computed:
            return self._done(self._calls.applied(table, computed[0]), computed[0], rest)
        for each in ready:
            return self._done(self._nested(table, each), each, rest)
        raise QueryError(f"nothing binds what {rest[0]!r} needs", clause=repr(rest[0]))

    def _done(self, table: Table, each: Clause, rest: Clauses) -> tuple[Table, Clauses]:
        """A step that Python took."""
        self._running.step(f"Python: {each!r}", len(table.rows))
        at = rest.index(each)
        return table, rest[:at] + rest[at + 1 :]

    def _reads(self, each: Clause) -> bool:
        return any(name in self._stores for name in sources_of((each,)))

    # -------------------------------------------------------------- statements

    def _statement(self, table: Table, rest: Clauses) -> tuple[Table, Clauses] | None:
        """As many clauses as one statement can hold, or None if it can hold none."""
        for store in dict.fromkeys(self._stores.values()):
            names = {name for name, each in self._stores.items() if each == store}
            group = tuple(
                each for each in rest if all(name in names for name in sources_of((each,)))
            )
            if not any(self._reads(each) for each in group):
                continue
            found = self._answered(store, names, table, group)
            if found is not None:
                result, left = found
                return joined(table, result), tuple(
                    each for each in rest if each not in group or each in left
                )
        return None

    def _answered(
        self, store: int, names: set[str], table: Table, group: Clauses
    ) -> tuple[Table, Clauses] | None:
        shown = {var for each in group for var in variables(each)}
        sent = projected(table, [var for var in table.variables if var in shown])
        key = (store, group) if not sent.variables else None
        if key is not None and key in self._remembered:
            return self._remembered[key]
        context = self._context(store, names)
        ready = passed(context, group, sent)
        made = self._running.group(context, group, ready)
        found = None
        if made.statement is not None and made.arguments is not None:
            context.tables = [ready.arguments(context.dialect)]
            done = " ".join(repr(each) for each in group if each not in made.left)
            fetched = self._running.fetch(context, made.statement, made.arguments, done)
            result = Table(made.variables, fetched)
            found = result, made.left
        if key is not None:
            self._remembered[key] = found
        return found

    def _context(self, store: int, names: set[str]) -> Context:
        context = self._contexts.get(store)
        if context is None:
            dbs = {name: self._running.dbs[name] for name in names}
            source = next(iter(dbs.values())).source
            self._stack.enter_context(source.deadline(self._running.seconds))
            snapshot = self._stack.enter_context(source.snapshot())
            context = self._contexts[store] = self._running.context(snapshot, dbs)
            context.look()
        return context

    # ------------------------------------------------------------- collections

    def _matched(self, table: Table, pattern: Pattern) -> Table:
        rows = self._collections.get(pattern.source)
        if rows is None:
            source = self._sources[pattern.source]
            rows = self._collections[pattern.source] = rows_of(source, pattern)
        return joined(table, matched(rows, pattern, self.constants))

    # ------------------------------------------------------------------ nested

    def _nested(self, table: Table, each: Clause) -> Table:
        """A clause that holds others or stands for others, or a pattern that nothing leads to."""
        if type(each) is Pattern:
            store = self._stores[each.source]
            names = {name for name, other in self._stores.items() if other == store}
            found = self._answered(store, names, UNIT, (each,))
            if found is not None:
                return joined(table, found[0])
        if type(each) is Predicate and each.f in READING:
            return self._nested(table, missing_of(each))
        if type(each) is Function and each.f == "get-else":
            return self._nested(table, rewritten((or_else(each),))[0])
        if type(each) is Function and each.f == "fulltext":
            return self._searched(table, each)
        if type(each) is Not:
            return self._without(table, each)
        if type(each) is Or:
            return self._either(table, each)
        if type(each) is Call:
            return joined(table, self._rules.answers(table, each))
        raise QueryError(f"{each!r} cannot be evaluated", clause=repr(each))

    def _searched(self, table: Table, each: Function) -> Table:
        """Full text by reading every text of the attribute."""
        source, attribute, text, (e, v, tx) = search_parts(each)
        value = v if type(v) is Var else fresh(Var("?text"))
        pattern = Pattern(source, (e, attribute, value, tx))
        needed = {*table.variables, *variables(pattern)}
        found = self.solve(table, (pattern,), needed)
        get, held = self._calls.argument(text, found), self._calls.argument(value, found)
        rows = []
        for row in found.rows:
            wanted, given = get(row), held(row)
            if type(wanted) is str and type(given) is str:
                sought = set(words(wanted))
                if sought and sought <= set(words(given)):
                    rows.append(row)
        return Table(found.variables, rows)

    def _without(self, table: Table, each: Not) -> Table:
        shown = [var for var in dict.fromkeys(variables(each)) if var in table.variables]
        given = projected(table, shown)
        rules, self._rules = self._rules, Tables(self)  # what is negated is complete
        try:
            found = self.solve(given, each.clauses, set(shown))
        finally:
            self._rules = rules
        return without(table, projected(found, shown), shown)

    def _either(self, table: Table, each: Or) -> Table:
        join = (*each.required, *each.free)
        known = [var for var in join if var in table.variables]
        given = projected(table, known)
        columns = tuple(
            dict.fromkeys((*known, *(var for var in each.free if var not in self.constants)))
        )
        rows: list[tuple[Any, ...]] = []
        for branch in each.branches:
            found = self.solve(given, branch, set(columns))
            rows += projected(found, columns).rows
        return joined(table, projected(Table(columns, rows), columns))


def _multiplies(table: Table, each: Predicate | Function) -> bool:
    """Whether each row would come once for every element of one and the same collection.

    Such a call waits for statements that may bind what it gives.
    """
    return (
        isinstance(each, Function)
        and type(each.binding) is BindEach
        and not depends(table, each)
        and not any(var in table.variables for var in variables(each.binding))
    )


def _nothing(table: Table, rest: Iterable[Clause]) -> Table:
    new = dict.fromkeys(var for each in rest for var in variables(each))
    return Table((*table.variables, *(var for var in new if var not in table.variables)), [])
