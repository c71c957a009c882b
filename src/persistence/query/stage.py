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
from typing import Any, Final

from persistence.errors import BudgetExceeded, LimitExceeded, PersistenceError, QueryError
from persistence.query.ast import (
    BindEach,
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
    Term,
    Var,
    variables,
)
from persistence.query.clauses import fresh
from persistence.query.context import Context, store_of
from persistence.query.functions import truthy
from persistence.query.functions_sql import search_parts
from persistence.query.group import Running
from persistence.query.inputs import Table, key_of, taken
from persistence.query.match import joined, matched, projected, rows_of, without
from persistence.query.passed import passed
from persistence.query.plan import READING, called, missing_of, or_else, rewritten
from persistence.query.uses import sources_of
from persistence.store.words import words
from persistence.values import LIMITS

_UNIT: Final = Table((), [()])


class Solver:
    """One staged run. Used as a context manager, because it holds snapshots."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._constants: Mapping[Var, Any] = running.inputs.scalars
        self._sources: Mapping[str, Any] = running.inputs.sources
        self._modes = running.prepared.modes
        self._stack = ExitStack()
        self._stores = {name: id(store_of(db)) for name, db in running.dbs.items()}
        self._contexts: dict[int, Context] = {}
        self._until = time.monotonic() + running.seconds
        self._remembered: dict[Any, tuple[Table, Clauses] | None] = {}
        self._collections: dict[str, list[tuple[Any, ...]]] = {}
        self._rules = Tables(self)

    def __enter__(self) -> Solver:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    # ------------------------------------------------------------------ whole

    def whole(self, clauses: Clauses, tables: Sequence[Table], wanted: tuple[Var, ...]) -> Table:
        """The distinct values of *wanted* and of what it takes to tell rows apart."""
        start = _UNIT
        for table in tables:
            start = joined(start, table)
            self._check(start)
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
            self._check(table)
        return table

    def _check(self, table: Table) -> None:
        if time.monotonic() > self._until:
            raise BudgetExceeded(
                "the query ran longer than its time budget",
                hint="give it more time, or bind more of its variables",
                budget="seconds",
            )
        if len(table.rows) > self._running.budget:
            raise BudgetExceeded(
                f"the query has more than {self._running.budget} rows on its way",
                hint="bind more of its variables, or allow more with rows=…",
                budget="rows",
                allowed=self._running.budget,
            )

    def _bound(self, table: Table) -> set[Var]:
        return {*table.variables, *self._constants}

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
                        return self._done(self._apply(table, call), call, rest)
        for each in ready:
            if type(each) is Pattern and each.source not in self._stores:
                return self._done(self._matched(table, each), each, rest)
        answered = self._statement(table, rest)
        if answered is not None:
            return answered
        if computed:
            return self._done(self._apply(table, computed[0]), computed[0], rest)
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
        return joined(table, matched(rows, pattern, self._constants))

    # --------------------------------------------------------------- functions

    def _apply(self, table: Table, each: Predicate | Function) -> Table:
        function = self._function(each, table)
        arguments = [self._argument(arg, table) for arg in each.args]
        if isinstance(each, Predicate):
            kept = [
                row for row in table.rows if truthy(function(row)(*[get(row) for get in arguments]))
            ]
            return Table(table.variables, kept)
        shown = tuple(dict.fromkeys(variables(each.binding)))
        if table.variables and not _depends(table, each):
            return joined(table, self._apply(_UNIT, each))  # one call serves every row
        new = tuple(var for var in shown if var not in table.variables)
        at = {var: index for index, var in enumerate(table.variables)}
        rows = []
        for row in table.rows:
            result = function(row)(*[get(row) for get in arguments])
            if result is None:
                continue
            for found in taken(each.binding, result, shown):
                values = dict(zip(shown, found, strict=True))
                if all(
                    key_of(value) == key_of(self._known(var, row, at))
                    for var, value in values.items()
                    if var in at or var in self._constants
                ):
                    rows.append((*row, *[values[var] for var in new]))
            if len(rows) > self._running.budget:
                self._check(Table((), rows))
        return Table((*table.variables, *new), rows)

    def _known(self, var: Var, row: tuple[Any, ...], at: Mapping[Var, int]) -> Any:
        return row[at[var]] if var in at else self._constants[var]

    def _function(self, each: Predicate | Function, table: Table) -> Any:
        """What to call for a row."""
        registry = self._running.registry
        if isinstance(each.f, str):
            found = registry[each.f]
            return lambda row: found
        get = self._argument(each.f, table)

        def look(row: tuple[Any, ...]) -> Any:
            value = get(row)
            if callable(value):
                return _guarded(value, each)
            name = called(value)
            if name is None:
                raise QueryError(f"{value!r} cannot be called in {each!r}", clause=repr(each))
            return registry[name]

        return look

    def _argument(self, arg: Any, table: Table) -> Any:
        if type(arg) is Const:
            return lambda row: arg.value
        if type(arg) is Source:
            return lambda row: self._sources[arg.name]
        if arg in table.variables:
            at = table.variables.index(arg)
            return lambda row: row[at]
        return lambda row: self._constants[arg]

    # ------------------------------------------------------------------ nested

    def _nested(self, table: Table, each: Clause) -> Table:
        """A clause that holds others or stands for others, or a pattern that nothing leads to."""
        if type(each) is Pattern:
            store = self._stores[each.source]
            names = {name for name, other in self._stores.items() if other == store}
            found = self._answered(store, names, _UNIT, (each,))
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
        get, held = self._argument(text, found), self._argument(value, found)
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
            dict.fromkeys((*known, *(var for var in each.free if var not in self._constants)))
        )
        rows: list[tuple[Any, ...]] = []
        for branch in each.branches:
            found = self.solve(given, branch, set(columns))
            rows += projected(found, columns).rows
        return joined(table, projected(Table(columns, rows), columns))


def _guarded(function: Any, each: Predicate | Function) -> Any:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except PersistenceError:
            raise
        except Exception as error:
            raise QueryError(
                f"{each!r} failed: {str(error) or type(error).__name__}", clause=repr(each)
            ) from error

    return call


def _depends(table: Table, each: Predicate | Function) -> bool:
    return any(arg in table.variables for arg in (each.f, *each.args))


def _multiplies(table: Table, each: Predicate | Function) -> bool:
    """Whether each row would come once for every element of one and the same collection.

    Such a call waits for statements that may bind what it gives.
    """
    return (
        isinstance(each, Function)
        and type(each.binding) is BindEach
        and not _depends(table, each)
        and not any(var in table.variables for var in variables(each.binding))
    )


def _nothing(table: Table, rest: Iterable[Clause]) -> Table:
    new = dict.fromkeys(var for each in rest for var in variables(each))
    return Table((*table.variables, *(var for var in new if var not in table.variables)), [])


class Tables:
    """The answers of recursive rules, by rule and by which arguments are known.

    A call asks for the answers to its known arguments. All questions and all answers grow until
    nothing new comes: every answer follows from finitely many others.
    """

    def __init__(self, solver: Solver) -> None:
        self._solver = solver
        self._asked: dict[Any, dict[Any, tuple[Any, ...]]] = {}
        self._found: dict[Any, dict[Any, tuple[Any, ...]]] = {}
        self._running = False
        self._grew = False

    def answers(self, table: Table, call: Call) -> Table:
        """What the rule says for the arguments that *table* binds."""
        known = [self._bound(arg, table) for arg in call.args]
        shown = [arg for arg in dict.fromkeys(call.args) if type(arg) is Var]
        given = projected(table, [var for var in shown if var in table.variables])
        key = (call.source, call.name, tuple(known))
        lookup = {var: at for at, var in enumerate(given.variables)}
        questions = [
            tuple(
                self._value(arg, row, lookup)
                for arg, is_known in zip(call.args, known, strict=True)
                if is_known
            )
            for row in given.rows
        ]
        found = self._ask(key, questions, len(call.args))
        return matched(found, Pattern(call.source, call.args), self._solver._constants)

    def _bound(self, arg: Term, table: Table) -> bool:
        if type(arg) is Blank:
            return False
        return type(arg) is Const or arg in table.variables or arg in self._solver._constants

    def _value(self, arg: Term, row: tuple[Any, ...], at: Mapping[Var, int]) -> Any:
        if type(arg) is Const:
            return arg.value
        assert type(arg) is Var
        return row[at[arg]] if arg in at else self._solver._constants[arg]

    def _ask(
        self, key: Any, questions: Iterable[tuple[Any, ...]], width: int
    ) -> list[tuple[Any, ...]]:
        asked = self._asked.setdefault(key, {})
        found = self._found.setdefault(key, {})
        for question in questions:
            same = tuple(map(key_of, question))
            if same not in asked:
                asked[same] = question
                self._grew = True
        if not self._running:
            self._running = True
            try:
                self._complete()
            finally:
                self._running = False
        return list(found.values())

    def _complete(self) -> None:
        for _ in range(LIMITS.rule_iterations):
            self._grew = False
            for key in list(self._asked):
                self._evaluate(key)
            if not self._grew:
                return
        raise LimitExceeded(
            f"rules still find new answers after {LIMITS.rule_iterations} rounds",
            hint="a rule that counts needs an end",
            limit="rule_iterations",
            allowed=LIMITS.rule_iterations,
        )

    def _evaluate(self, key: Any) -> None:
        source, name, known = key
        program = self._solver._modes.program
        found = self._found[key]
        for branch in program.rules[name]:
            head = tuple(map(fresh, branch.head))  # the query's own variables mean something else
            body = rewritten(program.expanded(program.body(branch, Call(source, name, head))))
            given = tuple(var for var, is_known in zip(head, known, strict=True) if is_known)
            start = Table(given, list(self._asked[key].values()))
            solved = self._solver.solve(start, body, set(head))
            for row in projected(solved, head).rows:
                same = tuple(map(key_of, row))
                if same not in found:
                    found[same] = row
                    self._grew = True
