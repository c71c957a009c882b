"""The query as a tree: what `parse` makes and everything after it reads.

Every node is frozen and hashable, keeps no text, and prints as the clause that was written, so
that an error can name its clause.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import attrs

from persistence.values import Keyword, Symbol, freeze, identity

DEFAULT: Final = "$"  # the source of a clause that names none


@attrs.frozen(slots=True, repr=False)
class Var:
    """A logic variable, `?name`; one that is local to a part of the query is `?name~7`."""

    name: str

    def __repr__(self) -> str:
        return self.name.partition("~")[0]


@attrs.frozen(slots=True, repr=False, eq=False)
class Const:
    """A value written in the query. Two are the same when their values are."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return type(other) is Const and identity(other.value) == identity(self.value)

    def __hash__(self) -> int:
        return hash(identity(self.value))

    def __repr__(self) -> str:
        return shown(self.value)


@attrs.frozen(slots=True, repr=False)
class Blank:
    """`_`: anything, and forgotten."""

    def __repr__(self) -> str:
        return "_"


@attrs.frozen(slots=True, repr=False)
class Source:
    """A database or collection given as an argument, `$` or `$name`."""

    name: str

    def __repr__(self) -> str:
        return self.name


Term: TypeAlias = Var | Const | Blank
Argument: TypeAlias = Var | Const | Source


# Bindings: what takes the value of an input or of a function apart.


@attrs.frozen(slots=True, repr=False)
class BindVar:
    """One value, one variable."""

    var: Var

    def __repr__(self) -> str:
        return repr(self.var)


@attrs.frozen(slots=True, repr=False)
class BindNone:
    """`_`: the value is not wanted."""

    def __repr__(self) -> str:
        return "_"


@attrs.frozen(slots=True, repr=False)
class BindTuple:
    """`[?a _ ?b]`: the first elements of a sequence."""

    parts: tuple[Binding, ...]

    def __repr__(self) -> str:
        return _vector(self.parts)


@attrs.frozen(slots=True, repr=False)
class BindEach:
    """`[?a ...]` or `[[?a ?b]]`: every element of a collection."""

    part: Binding

    def __repr__(self) -> str:
        return f"[{self.part!r} ...]"


Binding: TypeAlias = BindVar | BindNone | BindTuple | BindEach


@attrs.frozen(slots=True, repr=False)
class BindSource:
    """`$name` in `:in`."""

    name: str

    def __repr__(self) -> str:
        return self.name


@attrs.frozen(slots=True, repr=False)
class BindRules:
    """`%` in `:in`."""

    def __repr__(self) -> str:
        return "%"


Input: TypeAlias = Binding | BindSource | BindRules


# Clauses.


@attrs.frozen(slots=True, repr=False)
class Pattern:
    """`[?e ?a ?v ?tx ?op ?from ?to]`, one to seven places of one source."""

    source: str
    terms: tuple[Term, ...]

    def __repr__(self) -> str:
        return _vector((*_explicit(self.source), *self.terms))


@attrs.frozen(slots=True, repr=False)
class Predicate:
    """`[(f ?a 1)]`: keeps what f says yes to. `f` is a name, or a variable that holds it."""

    f: str | Var
    args: tuple[Argument, ...]

    def __repr__(self) -> str:
        return f"[{_call(self.f, self.args)}]"


@attrs.frozen(slots=True, repr=False)
class Function:
    """`[(f ?a 1) ?b]`: binds what f answers."""

    f: str | Var
    args: tuple[Argument, ...]
    binding: Binding

    def __repr__(self) -> str:
        return f"[{_call(self.f, self.args)} {self.binding!r}]"


@attrs.frozen(slots=True, repr=False)
class Not:
    """`(not …)`; `join` holds the variables of a `not-join`, None for a plain `not`."""

    join: tuple[Var, ...] | None
    clauses: tuple[Clause, ...]

    def __repr__(self) -> str:
        head = "not" if self.join is None else f"not-join {_vector(self.join)}"
        return f"({head} {' '.join(map(repr, self.clauses))})"


@attrs.frozen(slots=True, repr=False)
class Or:
    """`(or …)`. `required` must be bound before, `free` may be; `join` tells an `or-join`."""

    join: bool
    required: tuple[Var, ...]
    free: tuple[Var, ...]
    branches: tuple[tuple[Clause, ...], ...]

    def __repr__(self) -> str:
        head = "or"
        if self.join:
            required = (_vector(self.required),) if self.required else ()
            head = f"or-join {_vector((*required, *self.free))}"
        return f"({head} {' '.join(_branch(branch) for branch in self.branches)})"


@attrs.frozen(slots=True, repr=False)
class Call:
    """`(rule ?a 1)`, evaluated over `source`."""

    source: str
    name: str
    args: tuple[Term, ...]

    def __repr__(self) -> str:
        return f"({' '.join(map(str, (*_explicit(self.source), self.name, *self.args)))})"


Clause: TypeAlias = Pattern | Predicate | Function | Not | Or | Call
Clauses: TypeAlias = tuple[Clause, ...]


@attrs.frozen(slots=True, repr=False)
class Branch:
    """One definition of a rule: its head's variables and its body."""

    required: tuple[Var, ...]
    free: tuple[Var, ...]
    body: Clauses

    @property
    def head(self) -> tuple[Var, ...]:
        return self.required + self.free


Rules: TypeAlias = dict[str, tuple[Branch, ...]]


# What is asked for.


@attrs.frozen(slots=True, repr=False)
class FindVar:
    """`?a`"""

    var: Var

    def __repr__(self) -> str:
        return repr(self.var)


@attrs.frozen(slots=True, repr=False)
class FindAggregate:
    """`(max 3 ?a)`: the last argument is what is aggregated."""

    f: str | Var
    args: tuple[Var | Const, ...]
    var: Var

    def __repr__(self) -> str:
        return _call(self.f, (*self.args, self.var))


@attrs.frozen(slots=True, repr=False)
class FindPull:
    """`(pull ?e [:name])`; the pattern is a value, or the name of an input that holds it."""

    source: str
    var: Var
    pattern: Const | Var

    def __repr__(self) -> str:
        return _call("pull", (*_explicit(self.source), self.var, self.pattern))


Found: TypeAlias = FindVar | FindAggregate | FindPull


@attrs.frozen(slots=True)
class Order:
    """One column of `:order-by`: its place in `:find`, and the direction."""

    place: int
    descending: bool


RELATION: Final = "relation"
COLLECTION: Final = "collection"
TUPLE: Final = "tuple"
SCALAR: Final = "scalar"


@attrs.frozen(eq=False)
class Query:
    """A whole query, checked by itself; inputs and rules are checked against it later.

    One text parses to one object, so that plans can be kept by identity.
    """

    shape: str
    find: tuple[Found, ...]
    keys: tuple[Keyword | str | Symbol, ...] | None
    with_: tuple[Var, ...]
    inputs: tuple[Input, ...]
    where: Clauses
    order: tuple[Order, ...]
    limit: int | Var | None
    offset: int | Var | None
    timeout: float | None

    @property
    def aggregates(self) -> bool:
        return any(type(found) is FindAggregate for found in self.find)


# Variables.


def variables(node: Any) -> Iterator[Var]:
    """Every variable that a clause, term or binding shows to its surroundings, with repeats.

    >>> list(variables(Not((Var("?e"),), (Pattern("$", (Var("?e"), Const(1), Var("?x"))),))))
    [?e]
    """
    kind = type(node)
    if kind is Var:
        yield node
    elif kind is Pattern:
        yield from (term for term in node.terms if type(term) is Var)
    elif kind is Predicate or kind is Function:
        yield from (term for term in (node.f, *node.args) if type(term) is Var)
        if kind is Function:
            yield from variables(node.binding)
    elif kind is Call:
        yield from (term for term in node.args if type(term) is Var)
    elif kind is Not:
        if node.join is not None:
            yield from node.join
        else:
            for clause in node.clauses:
                yield from variables(clause)
    elif kind is Or:
        yield from node.required
        yield from node.free
    elif kind is BindVar:
        yield node.var
    elif kind is BindTuple:
        for part in node.parts:
            yield from variables(part)
    elif kind is BindEach:
        yield from variables(node.part)


def shown(value: Any) -> str:
    """A value as EDN would write it; for messages, not for storing."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "nil"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, tuple):
        inside = " ".join(map(shown, value))
        return f"[{inside}]" if type(value) is tuple else f"({inside})"
    return str(value)


def const(value: Any) -> Const:
    """A constant of a Python or EDN value."""
    return Const(freeze(value))


def _vector(parts: tuple[Any, ...]) -> str:
    return f"[{' '.join(map(str, parts))}]"


def _call(f: object, args: tuple[Any, ...]) -> str:
    return f"({' '.join(map(str, (f, *args)))})"


def _branch(clauses: Clauses) -> str:
    if len(clauses) == 1:
        return repr(clauses[0])
    return f"(and {' '.join(map(repr, clauses))})"


def _explicit(source: str) -> tuple[str, ...]:
    return () if source == DEFAULT else (source,)
