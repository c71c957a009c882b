"""Answers a query: one statement where SQL can say it all, staged where it cannot.

The statement is kept with what it took for granted (declarations, flags, kinds of inputs, the form
of each view), so that asking again costs a few dictionary lookups beyond the engine's work.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

import attrs

from persistence.errors import BudgetExceeded, ConnectionLost, QueryError, StoreClosed, StoreError
from persistence.query import functions_sql
from persistence.query.aggregates import Aggregate, aggregate
from persistence.query.ast import Clauses, Query, Var, variables
from persistence.query.body import NotSql, Relation
from persistence.query.cells import Cell
from persistence.query.compile import Compiler
from persistence.query.compile_rules import add_call
from persistence.query.context import (
    Arguments,
    Context,
    Depends,
    bound,
    is_db,
    store_of,
)
from persistence.query.finish import answer, concluded
from persistence.query.functions import FunctionRegistry
from persistence.query.group import Group
from persistence.query.inputs import Inputs, Table, bind
from persistence.query.noted import note
from persistence.query.order import Costs
from persistence.query.params import Parameters
from persistence.query.parse import parse
from persistence.query.passed import Passed, passed
from persistence.query.patterns import add_pattern
from persistence.query.plan import Cache, check_functions, prepared, with_attributes
from persistence.query.select import Finished, Statement, finished, one_row, rows
from persistence.query.stage import Solver
from persistence.values import LIMITS, Keyword

_KEPT: Final = 1024  # statements; each is some kilobytes
_PLANS: Cache[Plan] = Cache(_KEPT)
_GROUPS: Cache[Group] = Cache(_KEPT)
_NO_FUNCTIONS: Final = FunctionRegistry()
_FINAL: Final = (BudgetExceeded, StoreClosed, ConnectionLost)  # nothing else is worth a try


@attrs.frozen
class Trace:
    """One step of a run, for `explain`: a statement, or what Python did."""

    what: str
    rows: int
    sql: str = ""
    params: tuple[Any, ...] = ()
    plan: str = ""


@attrs.define(eq=False)
class Plan:
    """How one shape of query is run: `finished` is None where it is staged."""

    registry: FunctionRegistry
    depends: Depends
    finished: Finished | None
    arguments: Arguments | None
    exact: bool = False  # the engine met a value that only Python handles


def run(
    query: Any,
    inputs: Sequence[Any] = (),
    *,
    functions: FunctionRegistry | None = None,
    seconds: float | None = None,
    rows: int | None = None,
    trace: Callable[[Trace], None] | None = None,
) -> Any:
    """The answer to *query*.

    *inputs* are what `:in` names, in order: database values, collections, rules, values. A
    relation comes as a list of tuples, each once; a collection as a list; a tuple or a scalar as
    itself, or None when nothing is found. *trace* is told of every step; see `explain`.

    Raises:
        QueryError: it cannot be run; names the clause. UnboundVariable names the variables.
        BudgetExceeded: it took longer than *seconds* or gave more than *rows*.
    """
    parsed = parse(query)
    return Run(parsed, bind(parsed, inputs), functions, seconds, rows, trace).answer()


class Run:
    """One execution."""

    def __init__(
        self,
        query: Query,
        inputs: Inputs,
        functions: FunctionRegistry | None,
        seconds: float | None,
        budget: int | None,
        trace: Callable[[Trace], None] | None,
    ) -> None:
        self.query = query
        self.inputs = inputs
        self.prepared = prepared(query, inputs.program)
        self.dbs = dbs = {name: each for name, each in inputs.sources.items() if is_db(each)}
        if functions is None:
            functions = _NO_FUNCTIONS
            for db in dbs.values():
                functions = db.source.functions or _NO_FUNCTIONS
                break
        self.registry = functions
        self.seconds = LIMITS.query_seconds if seconds is None else seconds
        if query.timeout is not None:
            self.seconds = min(self.seconds, query.timeout)
        self.budget = LIMITS.query_rows if budget is None else budget
        self.trace = trace
        self.names: Sequence[Var] = ()
        self.scalars: Sequence[tuple[int, Any]] = ()
        self.named: Sequence[Any] = ()
        if inputs.scalars:
            self.names, self.scalars, self.named = bound(inputs.scalars)
        self.limit = self._count(query.limit)
        self.offset = self._count(query.offset) or 0
        self.clauses, self.given = self.prepared.clauses, inputs.tables
        if self.prepared.grounds and "ground" not in self.registry.own:
            self.clauses = self.prepared.ungrounded
            self.given = [*inputs.tables, *self.prepared.grounds]
        self.specialised: tuple[Any, ...] = ()
        if self.prepared.attributes and inputs.scalars:
            self._specialise()
        self.exact = False
        self.tables: list[Passed] = []

    def _count(self, given: int | Var | None) -> int | None:
        if not isinstance(given, Var):
            return given
        value = self.inputs.scalars.get(given)
        if type(value) is not int or value < 0:
            raise QueryError(f"{given!r} is {value!r}, not a number of rows")
        return value

    def _specialise(self) -> None:
        """Attributes that are inputs are part of the shape of the query."""
        known = {
            var: self.inputs.scalars[var]
            for var in self.prepared.attributes
            if type(self.inputs.scalars.get(var)) is Keyword
        }
        if known:
            self.clauses = with_attributes(self.clauses, known)
            self.specialised = tuple(known.items())

    def aggregate(self, name: str) -> Aggregate | None:
        return aggregate(name, self.registry)

    # ---------------------------------------------------------------- running

    def answer(self) -> Any:
        """The result in its shape."""
        for name, db in self.dbs.items():
            if db.footprints is not None:
                note(name, db, self.clauses, self.inputs)
        if self._one_store():
            plan = self._answered()
            if not isinstance(plan, Plan):
                return plan[0]
            self.exact = plan.exact
        check_functions(self.prepared, self.registry)
        try:
            return self._staged()
        except _FINAL:
            raise
        except StoreError:
            if self.exact:
                raise
            self.exact = True
            return self._staged()

    def _one_store(self) -> bool:
        dbs = self.dbs
        if not dbs or len(dbs) != len(self.inputs.sources):
            return False
        if len(dbs) == 1:
            return True
        return len({id(store_of(db)) for db in dbs.values()}) == 1

    def _answered(self) -> tuple[Any] | Plan:
        """The answer of one statement, or the plan that says to stage.

        A statement is a snapshot by itself, and checks that the head is the one it was made for;
        so the usual case reads nothing else. Only when the head has moved is it looked up first.
        """
        source = next(iter(self.dbs.values())).source
        with source.deadline(self.seconds):
            reader = source.snapshot()
            if hasattr(reader, "rows"):
                context = self.context(reader, self.dbs)
                if context.guess():
                    plan = self._known(context)
                    if plan is not None:
                        if plan.finished is None:
                            return plan
                        try:
                            return (self._run(context, plan),)
                        except _FINAL:
                            raise
                        except StoreError:
                            pass  # the head has moved, or a value is only Python's
            with reader as snapshot:
                context = self.context(snapshot, self.dbs)
                context.look()
                plan = self._known(context) or self._make(context)
                if plan.finished is None:
                    return plan
                try:
                    return (self._run(context, plan),)
                except _FINAL:
                    raise
                except StoreError:
                    if not plan.finished.statement.traps:
                        raise
                    plan.exact, plan.finished = True, None
                    return plan

    def context(self, snapshot: Any, dbs: dict[str, Any]) -> Context:
        limit = self.limit
        if limit is None and one_row(self.query):
            limit = 1
        return Context(
            snapshot,
            next(iter(dbs.values())).source.dialect,
            dbs,
            self.scalars,
            self.named,
            limit,
            self.offset,
            self.budget,
        )

    def _key(self, context: Context) -> Hashable:
        if self.given and not self.tables:
            self.tables = [passed(context, self.clauses, table) for table in self.given]
        return (
            self.query,
            self.inputs.program,
            self.specialised,
            tuple([kind for kind, _ in self.scalars]),
            tuple([(passed.variables, passed.kinds) for passed in self.tables]),
            context.dialect.name,
            context.shape(),
        )

    def _known(self, context: Context) -> Plan | None:
        """The plan that was made before, if what it took for granted still holds."""
        plan = _PLANS.get(self._key(context))
        if plan is None or plan.registry is not self.registry or not context.holds(plan.depends):
            return None
        return plan

    def _make(self, context: Context) -> Plan:
        check_functions(self.prepared, self.registry)
        compiler = self.compiler(context)
        done: Finished | None = None
        arguments = None
        try:
            env = self.cells(compiler)
            body = compiler.body(self.clauses, env, relations=self._relations())
            if not body.left and all(var in body.env for var in self.prepared.wanted):
                done = finished(compiler, body, self.query, self.aggregate)
                arguments = Arguments(done.statement.meanings)
        except NotSql:
            done = None
        depends = Depends.of(compiler.facts)
        plan = Plan(self.registry, depends, done, arguments)
        _PLANS.put(self._key(context), plan)
        return plan

    def _run(self, context: Context, plan: Plan) -> Any:
        done, arguments = plan.finished, plan.arguments
        assert done is not None and arguments is not None
        if self.tables:
            context.tables = [passed.arguments(context.dialect) for passed in self.tables]
        fetched = self.fetch(context, done.statement, arguments, "one statement")
        if done.grouped:
            assert done.finish is not None
            fetched = [_combined(row, done.finish) for row in fetched]
        elif not done.distinct:
            return self._concluded(Table(done.columns, fetched))
        limits = None if done.ordered else (self.limit, self.offset)
        return concluded(
            self.query, fetched, self.inputs.sources, self.registry, self.inputs.scalars, limits
        )

    def fetch(
        self, context: Context, statement: Statement, arguments: Arguments, what: str
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement, told to the trace if there is one."""
        fetched = context.fetch(statement, arguments)
        if self.trace is not None:
            given = arguments.of(context)
            dialect = context.dialect
            plan = dialect.plan_text(context.snapshot.rows(dialect.plan(statement.sql), given))
            self.trace(Trace(what, len(fetched), statement.sql, tuple(given), plan))
        return fetched

    def step(self, what: str, rows: int) -> None:
        """Tell the trace of a step that Python took."""
        if self.trace is not None:
            self.trace(Trace(what, rows))

    def _staged(self) -> Any:
        with Solver(self) as solver:
            table = solver.whole(self.clauses, self.given, self.prepared.wanted)
        return self._concluded(table)

    def _concluded(self, table: Table) -> Any:
        return answer(
            self.query,
            table,
            self.inputs.scalars,
            self.inputs.sources,
            self.aggregate,
            self.registry,
            limits=(self.limit, self.offset),
        )

    # ------------------------------------------------------------- compilation

    def compiler(self, context: Context) -> Compiler:
        """A compiler for one statement."""
        parameters = Parameters(context.dialect)
        with_: dict[str, str] = {}
        compiler = Compiler(
            dialect=context.dialect,
            facts=context.facts(parameters, with_),
            modes=self.prepared.modes,
            parameters=parameters,
            cost=Costs(),
            patterns=add_pattern,
            functions=functions_sql,
            overridden=frozenset(self.registry.own),
            recursion=add_call,
            exact=self.exact,
        )
        compiler.with_ = with_

        def probe(text: str) -> int:
            if len(context.tables) < len(self.tables):
                context.tables = [passed.arguments(context.dialect) for passed in self.tables]
            sql = f"SELECT count(*) FROM ({text}) AS probed"
            if compiler.with_:
                tables = ", ".join(f"{head} AS ({body})" for head, body in compiler.with_.items())
                sql = f"WITH {tables} {sql}"
            numbered, meanings = parameters.number(sql)
            return int(context.snapshot.rows(numbered, Arguments(meanings).of(context))[0][0])

        compiler.cost = Costs(probe)
        return compiler

    def cells(self, compiler: Compiler) -> dict[Var, Cell]:
        """The single inputs as bound parameters."""
        return {
            var: compiler.scalar(place, kind)
            for place, (var, (kind, _)) in enumerate(zip(self.names, self.scalars, strict=True))
        }

    def group(self, context: Context, clauses: Clauses, given: Passed) -> Group:
        """A statement for as many of *clauses* as it can hold, with *given* passed in."""
        key = (
            clauses,
            given.variables,
            given.kinds,
            tuple([kind for kind, _ in self.scalars]),
            tuple(self.names),
            self.inputs.program,
            context.dialect.name,
            context.shape(),
            self.exact,
            frozenset(self.registry.own),
        )
        known = _GROUPS.get(key)
        if known is None or not context.holds(known.depends):
            known = self._make_group(context, clauses, given)
            _GROUPS.put(key, known)
        return known

    def _make_group(self, context: Context, clauses: Clauses, given: Passed) -> Group:
        self.tables, context.tables = [given], []
        compiler = self.compiler(context)
        relations = [given.relation(0)] if given.variables else []
        body = compiler.body(clauses, self.cells(compiler), relations=relations, connected=True)
        depends = Depends.of(compiler.facts)
        if len(body.left) == len(clauses):
            return Group(depends, None, None, (), clauses)
        shown = {var for each in clauses for var in variables(each)}
        wanted = tuple(var for var in body.env if var in shown and var not in self.inputs.scalars)
        statement = rows(compiler, body, wanted)
        return Group(depends, statement, Arguments(statement.meanings), wanted, tuple(body.left))

    def _relations(self) -> list[Relation]:
        return [passed.relation(place) for place, passed in enumerate(self.tables)]


def _combined(
    row: tuple[Any, ...], finish: Sequence[tuple[int, int, Callable[..., object] | None]]
) -> tuple[Any, ...]:
    return tuple(
        row[at] if combine is None else combine(*row[at : at + size])
        for at, size, combine in finish
    )
