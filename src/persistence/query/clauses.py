"""Parses `:where`: one function per kind of clause, and the error that names it.

The source in force is passed down, so that every pattern and every call of the tree names its
own source and nothing later has to remember what surrounds it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final, NoReturn

from persistence.errors import QueryError
from persistence.query.ast import (
    Argument,
    BindEach,
    Binding,
    BindNone,
    BindTuple,
    BindVar,
    Blank,
    Branch,
    Call,
    Clause,
    Clauses,
    Const,
    Function,
    Not,
    Or,
    Pattern,
    Predicate,
    Rules,
    Source,
    Term,
    Var,
    shown,
    variables,
)
from persistence.values import List, Map, Symbol, freeze

PLACES: Final = 7  # e a v tx op from to


def refuse(problem: str, form: Any, hint: str | None = None) -> NoReturn:
    """Raise the error that names the clause it is about."""
    text = form if isinstance(form, str) else shown(form)
    raise QueryError(f"{problem} in {text}", hint=hint, clause=text)


def name_of(form: Any) -> str | None:
    """The text of a symbol, or None."""
    return form.name if type(form) is Symbol else None


def is_var(form: Any) -> bool:
    return type(form) is Symbol and form.name[0] == "?" and len(form.name) > 1


def is_source(form: Any) -> bool:
    return type(form) is Symbol and form.name[0] == "$"


def var(form: Any, where: Any) -> Var:
    """The variable that *form* must be."""
    if not is_var(form):
        refuse(f"{shown(form)} is no variable", where, "a variable is written ?name")
    return Var(form.name)


def term(form: Any) -> Term:
    """A place of a pattern, or an argument of a rule."""
    if type(form) is Symbol:
        if form.name == "_":
            return Blank()
        if is_var(form):
            return Var(form.name)
    return Const(form)


def argument(form: Any) -> Argument:
    """An argument of a predicate or function."""
    if is_source(form):
        return Source(form.name)
    if is_var(form):
        return Var(form.name)
    return Const(form)


def clauses(forms: Any, source: str) -> Clauses:
    """The clauses of a body; an `and` stands for what it holds."""
    parsed: list[Clause] = []
    for form in forms:
        if type(form) is List and form and name_of(form[0]) == "and":
            parsed.extend(clauses(form[1:], source))
        else:
            parsed.append(clause(form, source))
    return tuple(parsed)


def clause(form: Any, source: str) -> Clause:
    """One clause.

    >>> from persistence.values import read
    >>> clause(read('(not [?e :name "Ivan"])'), "$")
    (not [?e :name "Ivan"])

    Raises:
        QueryError: it is none; names it.
    """
    if type(form) is List:
        return _listed(form, source)
    if not isinstance(form, tuple) or not form:
        refuse("no clause", form, "a clause is a pattern, (not …), (or …), [(f …)] or (rule …)")
    if type(form[0]) is List:
        return _computed(form)
    return _pattern(form, source)


def _pattern(form: tuple[Any, ...], source: str) -> Pattern:
    places = form
    if is_source(form[0]):
        source, places = form[0].name, form[1:]
    if not 1 <= len(places) <= PLACES:
        refuse(
            f"{len(places)} places",
            form,
            "a pattern has one to seven places: e, a, v, tx, op, from, to",
        )
    return Pattern(source, tuple(term(place) for place in places))


def _listed(form: List, source: str) -> Clause:
    if not form:
        refuse("an empty list is no clause", form)
    head, rest = form[0], form[1:]
    if is_source(head):
        if not rest:
            refuse("a source without a clause", form)
        source, head, rest = head.name, rest[0], rest[1:]
    name = name_of(head)
    if name is None or is_var(head):
        refuse(f"{shown(head)} is no rule name", form, "a call is written (rule ?a ?b)")
    special = _SPECIAL.get(name)
    if special is not None:
        return special(form, rest, source)
    if not rest:
        refuse("a rule without arguments", form, "a rule takes at least one argument")
    return Call(source, name, tuple(term(each) for each in rest))


def _not(form: Any, rest: tuple[Any, ...], source: str) -> Not:
    inner = clauses(rest, source)
    if not inner:
        refuse("a not without clauses", form)
    return Not(None, inner)


def _not_join(form: Any, rest: tuple[Any, ...], source: str) -> Not:
    if len(rest) < 2 or type(rest[0]) is not tuple or not rest[0]:
        refuse("a not-join without variables or clauses", form, "(not-join [?e] [?e :name])")
    join = tuple(var(each, form) for each in rest[0])
    inner = clauses(rest[1:], source)
    unused = [each for each in join if each not in shown_by(inner)]
    if unused:
        refuse(f"{unused[0]} is joined but not used", form)
    return Not(join, local(inner, join))


def _or(form: Any, rest: tuple[Any, ...], source: str) -> Or:
    branches = tuple(clauses((branch,), source) for branch in rest)
    if not branches:
        refuse("an or without branches", form)
    return _either(False, (), shown_by(sum(branches, ())), branches)


def _or_join(form: Any, rest: tuple[Any, ...], source: str) -> Or:
    if len(rest) < 2 or type(rest[0]) is not tuple or not rest[0]:
        refuse("an or-join without variables or branches", form, "(or-join [?e] [?e :name])")
    required, free = head(rest[0], form)
    join = required + free
    branches = tuple(local(clauses((branch,), source), join) for branch in rest[1:])
    return _either(True, required, free, branches)


def _either(
    join: bool, required: tuple[Var, ...], free: tuple[Var, ...], branches: tuple[Clauses, ...]
) -> Or:
    """What some branch leaves alone must be bound by something else."""
    everywhere = set.intersection(*(set(shown_by(branch)) for branch in branches))
    required += tuple(each for each in free if each not in everywhere)
    return Or(join, required, tuple(each for each in free if each in everywhere), branches)


_numbers = itertools.count(1)


def fresh(like: Var) -> Var:
    """A variable that no query holds yet, shown as *like*."""
    return Var(f"{like.name.partition('~')[0]}~{next(_numbers)}")


def local(body: Clauses, join: tuple[Var, ...]) -> Clauses:
    """The same clauses, with the variables other than *join* told apart from all others."""
    shown = {each for each in shown_by(body) if each not in join}
    return _each(body, {each: fresh(each) for each in shown})


def head(forms: tuple[Any, ...], where: Any) -> tuple[tuple[Var, ...], tuple[Var, ...]]:
    """The variables of a rule's head or an or-join: those to be bound before, and the others."""
    required: tuple[Any, ...] = ()
    if forms and type(forms[0]) in (tuple, List):
        required, forms = forms[0], forms[1:]
        if not required:
            refuse("an empty list of required variables", where)
    first = tuple(var(each, where) for each in required)
    others = tuple(var(each, where) for each in forms)
    if len({*first, *others}) != len(first) + len(others):
        refuse("a variable stands twice in the head", where)
    if not first and not others:
        refuse("no variables in the head", where)
    return first, others


def shown_by(body: Clauses) -> tuple[Var, ...]:
    """The variables of some clauses, in the order they occur."""
    return tuple(dict.fromkeys(each for part in body for each in variables(part)))


def _and(form: Any, rest: tuple[Any, ...], source: str) -> NoReturn:
    refuse("an and outside of an or", form, "clauses of :where hold together as they are")


_SPECIAL: Final[dict[str, Callable[[Any, tuple[Any, ...], str], Clause]]] = {
    "not": _not,
    "not-join": _not_join,
    "or": _or,
    "or-join": _or_join,
    "and": _and,
}


def _computed(form: tuple[Any, ...]) -> Clause:
    call = form[0]
    if not call:
        refuse("an empty call", form)
    if is_var(call[0]):
        f: str | Var = Var(call[0].name)
    else:
        name = name_of(call[0])
        if name is None:
            refuse(f"{shown(call[0])} is no function", form)
        f = name
    args = tuple(argument(each) for each in call[1:])
    if len(form) == 1:
        return Predicate(f, args)
    if len(form) > 2:
        refuse("more than one binding", form, "a function is written [(f ?a ?b) ?result]")
    return Function(f, args, binding(form[1], form))


def binding(form: Any, where: Any) -> Binding:
    """`?a`, `_`, `[?a ?b]`, `[?a ...]` or `[[?a ?b]]`.

    >>> from persistence.values import read
    >>> binding(read("[[?k [?a _]] ...]"), "")
    [[?k [?a _]] ...]
    """
    if type(form) is Symbol:
        return BindNone() if form.name == "_" else BindVar(var(form, where))
    if type(form) is not tuple or not form:
        refuse(f"{shown(form)} is no binding", where, "?a, [?a ?b], [?a ...] or [[?a ?b]]")
    if len(form) == 2 and name_of(form[1]) == "...":
        return BindEach(binding(form[0], where))
    if len(form) == 1 and type(form[0]) is tuple:
        return BindEach(binding(form[0], where))
    return BindTuple(tuple(binding(each, where) for each in form))


def rules(form: Any) -> Rules:
    """The rules that *form* defines, by name, in the order of their definitions.

    >>> from persistence.values import read
    >>> rules(read("[[(adult ?e) [?e :age ?a] [(>= ?a 18)]]]"))["adult"][0].body
    ([?e :age ?a], [(>= ?a 18)])

    Raises:
        QueryError: a definition is malformed, or definitions of one rule differ in arity.
    """
    if type(form) not in (tuple, List):
        refuse("rules are no vector", form, "[[(rule ?a) [?a :name]] …]")
    found: dict[str, list[Branch]] = {}
    for definition in form:
        if type(definition) not in (tuple, List) or len(definition) < 2:
            refuse("no rule definition", definition, "[(rule ?a) clause …]")
        called = definition[0]
        name = name_of(called[0]) if type(called) in (tuple, List) and called else None
        if name is None or is_var(called[0]) or is_source(called[0]):
            refuse("a rule without a name", definition, "[(rule ?a) clause …]")
        required, free = head(called[1:], definition)
        branch = Branch(required, free, clauses(definition[1:], "$"))
        unused = [each for each in free if each not in shown_by(branch.body)]
        if unused:
            refuse(f"{unused[0]} of the head is not used", definition)
        others = found.setdefault(name, [])
        if others and (len(others[0].required), len(others[0].free)) != (len(required), len(free)):
            refuse(f"the definitions of {name} differ in their arguments", definition)
        others.append(branch)
    return {name: tuple(branches) for name, branches in found.items()}


def substituted(node: Any, terms: dict[Var, Term]) -> Any:
    """A clause, argument or binding with variables replaced."""
    kind = type(node)
    if kind is Var:
        return terms.get(node, node)
    if kind is Pattern:
        return Pattern(node.source, _each(node.terms, terms))
    if kind is Predicate:
        return Predicate(substituted(node.f, terms), _each(node.args, terms))
    if kind is Function:
        return Function(
            substituted(node.f, terms), _each(node.args, terms), substituted(node.binding, terms)
        )
    if kind is Call:
        return Call(node.source, node.name, _each(node.args, terms))
    if kind is Not:
        join = None if node.join is None else _vars(node.join, terms)
        return Not(join, _each(node.clauses, terms))
    if kind is Or:
        branches = tuple(_each(branch, terms) for branch in node.branches)
        return Or(node.join, _vars(node.required, terms), _vars(node.free, terms), branches)
    if kind is BindVar:
        return BindVar(substituted(node.var, terms))
    if kind is BindTuple:
        return BindTuple(_each(node.parts, terms))
    if kind is BindEach:
        return BindEach(substituted(node.part, terms))
    return node


def _vars(nodes: tuple[Var, ...], terms: dict[Var, Term]) -> tuple[Var, ...]:
    replaced = (terms.get(node, node) for node in nodes)
    return tuple(dict.fromkeys(node for node in replaced if type(node) is Var))


def _each(nodes: tuple[Any, ...], terms: dict[Var, Term]) -> tuple[Any, ...]:
    return tuple(substituted(node, terms) for node in nodes)


def form_of(data: Any) -> Any:
    """Query data given as Python values, with maps and vectors made EDN ones."""
    return data if type(data) in (tuple, List, Map) else freeze(data)
