"""What is known of a query before it sees data, and the statements that were made for it.

A `Prepared` query has its rules expanded and its variables checked. It is kept by identity, like
the statements, so that the second run of a query compiles nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import attrs

from persistence.errors import QueryError
from persistence.query.analyze import Modes, check
from persistence.query.ast import (
    BindSource,
    BindTuple,
    BindVar,
    Blank,
    Call,
    Clause,
    Clauses,
    Const,
    FindAggregate,
    FindPull,
    Function,
    Not,
    Or,
    Pattern,
    Predicate,
    Query,
    Source,
    Var,
    variables,
)
from persistence.query.clauses import refuse, substituted
from persistence.query.functions import FunctionRegistry
from persistence.query.ground import grounded
from persistence.query.inputs import Table
from persistence.query.parse import check_given
from persistence.query.rules import Program
from persistence.query.uses import sources_of, walk
from persistence.values import Keyword, Symbol

# Functions that read a database: rewritten to patterns, or known to the compiler.
READING: Final = frozenset(("get-else", "get-some", "missing?", "-missing?", "fulltext"))


@attrs.frozen(eq=False)
class Prepared:
    """A checked query with its rules."""

    query: Query
    program: Program
    modes: Modes
    clauses: Clauses
    wanted: tuple[Var, ...]  # what the answer is made of
    attributes: tuple[Var, ...]  # variables that stand for attributes in some pattern
    functions: frozenset[str]
    calls: bool  # recursive rules are left
    ungrounded: Clauses  # the clauses without constant collections
    grounds: tuple[Table, ...]  # and these as inputs


@lru_cache(maxsize=512)
def prepared(query: Query, program: Program) -> Prepared:
    """A query with its rules expanded.

    Raises:
        QueryError: a rule is missing, a variable unbound, an argument not what it must be.
    """
    modes = Modes(program)
    bound = [var for each in query.inputs for var in variables(each)]
    # The check names the clause that was written, so it comes before rules are expanded.
    wanted = tuple(dict.fromkeys(_wanted(query)))
    check(query.where, bound, (var for var in wanted), modes)
    clauses = rewritten(program.expanded(query.where))
    every = list(walk(clauses))
    for name in program.group:
        for branch in program.rules[name]:
            every += walk(branch.body)
    given = {each.name for each in query.inputs if type(each) is BindSource}
    check_given(sources_of(clauses, calls=False), given, query.inputs)
    attributes = {
        each.terms[1]
        for each in every
        if type(each) is Pattern and len(each.terms) > 1 and type(each.terms[1]) is Var
    }
    named = frozenset(
        each.f for each in every if isinstance(each, Predicate | Function) and type(each.f) is str
    )
    ungrounded, grounds = grounded(clauses, bound)
    return Prepared(
        query,
        program,
        modes,
        clauses,
        wanted,
        tuple(sorted(attributes, key=lambda var: var.name)),
        named,
        any(type(each) is Call for each in every),
        ungrounded,
        tuple(grounds),
    )


def _wanted(query: Query) -> list[Var]:
    inputs = {var for each in query.inputs for var in variables(each)}
    found: list[Var] = []
    for each in query.find:
        found.append(each.var)
        if type(each) is FindAggregate:
            found += [arg for arg in (each.f, *each.args) if type(arg) is Var]
        if type(each) is FindPull and type(each.pattern) is Var and each.pattern in inputs:
            found.append(each.pattern)
    return [*found, *query.with_]


def check_functions(prepared: Prepared, registry: FunctionRegistry) -> None:
    """Raise for a function that nobody registered.

    Raises:
        QueryError: names the function and the clause.
    """
    for name in prepared.functions:
        if name in registry or name in READING:
            continue
        for each in walk(prepared.clauses):
            if isinstance(each, Predicate | Function) and each.f == name:
                what = "predicate" if type(each) is Predicate else "function"
                refuse(f"there is no {what} {name}", repr(each), "register it with the connection")
        raise QueryError(f"there is no function {name}", function=name)


def rewritten(clauses: Clauses) -> Clauses:
    """The clauses with `get-some` said in patterns, and defaults checked."""
    return tuple(_rewritten(clause) for clause in clauses)


def _rewritten(clause: Clause) -> Clause:
    if type(clause) is Not:
        return Not(clause.join, rewritten(clause.clauses))
    if type(clause) is Or:
        return attrs.evolve(clause, branches=tuple(rewritten(each) for each in clause.branches))
    if type(clause) is Function and clause.f == "get-else":
        if len(clause.args) != 4 or type(clause.args[0]) is not Source:
            refuse("get-else takes a source, entity, attribute and default", repr(clause))
        if clause.args[3] == Const(None):
            refuse("nil is no default", repr(clause), "use missing? to find what is not there")
    if type(clause) is Function and clause.f == "get-some":
        return _get_some(clause)
    return clause


def _get_some(clause: Function) -> Clause:
    """`[(get-some $ ?e :a :b) [?attribute ?value]]`: the first attribute that is there."""
    args = clause.args
    if len(args) < 3 or type(args[0]) is not Source or type(args[1]) is Source:
        refuse("get-some takes a source, an entity and attributes", repr(clause))
    binding = clause.binding
    parts = binding.parts if type(binding) is BindTuple else ()
    if len(parts) != 2 or not all(type(part) is BindVar for part in parts):
        refuse("get-some answers [?attribute ?value]", repr(clause))
    attribute, value = (part.var for part in parts if type(part) is BindVar)
    source = args[0].name
    e: Any = args[1]
    branches = []
    absent: list[Clause] = []
    for name in args[2:]:
        if type(name) is not Const or type(name.value) is not Keyword:
            refuse("the attributes of get-some are keywords", repr(clause))
        pattern = Pattern(source, (e, name, value))
        ground = Function("ground", (name,), BindVar(attribute))
        branches.append((*absent, pattern, ground))
        joined = (e,) if type(e) is Var else None
        absent.append(Not(joined, (Pattern(source, (e, name, Blank())),)))
    required = (e,) if type(e) is Var else ()
    return Or(True, required, (attribute, value), tuple(branches))


def or_else(clause: Function) -> Or:
    """`get-else` said in patterns, for where an outer join will not do."""
    source, e, name, default = clause.args
    assert type(source) is Source and type(clause.binding) is BindVar
    value = clause.binding.var
    there = (Pattern(source.name, (e, name, value)),)  # type: ignore[arg-type]
    joined = (e,) if type(e) is Var else None
    absent = Not(joined, (Pattern(source.name, (e, name, Blank())),))  # type: ignore[arg-type]
    required = tuple(arg for arg in (e, default) if type(arg) is Var)
    ground = Function("ground", (default,), BindVar(value))
    return Or(True, required, (value,), (there, (absent, ground)))


def missing_of(clause: Predicate) -> Not:
    """`missing?` said in patterns."""
    source, e, name = clause.args
    assert type(source) is Source and type(name) is Const
    keyword = name.value
    pattern: tuple[Any, ...] = (e, name, Blank())
    if keyword.local.startswith("_"):
        space = f"{keyword.namespace}/" if keyword.namespace else ""
        pattern = (Blank(), Const(Keyword(space + keyword.local[1:])), e)
    return Not((e,) if type(e) is Var else None, (Pattern(source.name, pattern),))


def with_attributes(clauses: Clauses, values: dict[Var, Any]) -> Clauses:
    """The clauses with attributes that were given as inputs put in their place."""
    return tuple(_with_attributes(clause, values) for clause in clauses)


def _with_attributes(clause: Clause, values: dict[Var, Any]) -> Clause:
    if type(clause) is Pattern:
        if len(clause.terms) > 1 and clause.terms[1] in values:
            place = substituted(clause.terms[1], {v: Const(x) for v, x in values.items()})
            return Pattern(clause.source, (clause.terms[0], place, *clause.terms[2:]))
        return clause
    if type(clause) is Not:
        return Not(clause.join, with_attributes(clause.clauses, values))
    if type(clause) is Or:
        branches = tuple(with_attributes(each, values) for each in clause.branches)
        return attrs.evolve(clause, branches=branches)
    return clause


V = TypeVar("V")


class Cache(Generic[V]):
    """The most recently used entries; safe to share between threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[Hashable, V] = {}

    def get(self, key: Hashable) -> V | None:
        return self._held.get(key)

    def put(self, key: Hashable, value: V) -> None:
        held = self._held
        while len(held) >= self._size:
            # Oldest first. A hit does not move an entry: writing on every read costs more than
            # compiling a statement again now and then.
            held.pop(next(iter(held)), None)
        held[key] = value

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        self._held.clear()


def called(value: Any) -> str | None:
    """The name of a function that a value names."""
    return value.name if isinstance(value, Symbol | Keyword) else None
