"""Parses a query, from text or data, in vector or map form, and checks it as far as it goes alone.

Parsing is remembered by text, so that asking the same question again costs one dict lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from persistence.errors import LimitExceeded, QueryError, UnboundVariable
from persistence.query.ast import (
    COLLECTION,
    DEFAULT,
    RELATION,
    SCALAR,
    TUPLE,
    BindRules,
    BindSource,
    Const,
    FindAggregate,
    FindPull,
    FindVar,
    Found,
    Input,
    Order,
    Query,
    Var,
    variables,
)
from persistence.query.clauses import (
    binding,
    clauses,
    form_of,
    is_source,
    is_var,
    name_of,
    refuse,
    rules,
    var,
)
from persistence.query.rules import Program, program
from persistence.query.uses import sources_of, uses_rules
from persistence.values import LIMITS, Keyword, List, Map, Symbol, identity, read

PARTS: Final = (
    "find",
    "keys",
    "strs",
    "syms",
    "with",
    "in",
    "where",
    "order-by",
    "limit",
    "offset",
    "timeout",
)
_PARTS: Final = {Keyword(part): part for part in PARTS}
_REMEMBERED: Final = 512  # parsed texts; a program has tens of queries, a REPL session hundreds


def parse(query: Any) -> Query:
    """The query that *query* says: a text, a vector, or a map.

    >>> parse("[:find ?e . :where [?e :name]]").shape
    'scalar'

    Raises:
        EdnError: the text is not EDN.
        QueryError: it is no query; names the clause.
        UnboundVariable: a variable of `:find` or `:with` occurs nowhere else.
    """
    if isinstance(query, str):
        return _from_text(query)
    form = form_of(dict(query) if isinstance(query, Mapping) else query)
    return _from_form(_Same(form))


def parse_rules(given: Any) -> Program:
    """The rules that an input for `%` says, a text or data.

    Raises:
        QueryError: a definition is malformed, or a rule depends on its own negation.
    """
    if isinstance(given, str):
        return _rules_of_text(given)
    return _rules_of_form(_Same(form_of(given)))


class _Same:
    """Query data by value identity: to Python `[?e :a 1]` and `[?e :a true]` would be one."""

    __slots__ = ("_identity", "form")

    def __init__(self, form: Any) -> None:
        self.form = form
        self._identity = identity(form)

    def __eq__(self, other: object) -> bool:
        return type(other) is _Same and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)


@lru_cache(maxsize=_REMEMBERED)
def _from_text(text: str) -> Query:
    if len(text) > LIMITS.query_chars:
        raise LimitExceeded(
            f"the query has {len(text)} characters, more than {LIMITS.query_chars}",
            hint="pass data through :in",
            limit="query_chars",
            allowed=LIMITS.query_chars,
            found=len(text),
        )
    return _query(read(text))


@lru_cache(maxsize=_REMEMBERED)
def _from_form(same: _Same) -> Query:
    return _query(same.form)


@lru_cache(maxsize=_REMEMBERED)
def _rules_of_text(text: str) -> Program:
    return program(rules(read(text)))


@lru_cache(maxsize=_REMEMBERED)
def _rules_of_form(same: _Same) -> Program:
    return program(rules(same.form))


def _parts(form: Any) -> dict[str, tuple[Any, ...]]:
    """The parts of a query by name; those of the vector form run from keyword to keyword."""
    if isinstance(form, Map):
        parts = {}
        for key, value in form.items():
            if key not in _PARTS:
                refuse(f"no part of a query is called {key}", form, _one_of())
            single = type(value) not in (tuple, List)
            parts[_PARTS[key]] = (value,) if single else tuple(value)
        return parts
    if type(form) not in (tuple, List):
        raise QueryError(
            f"{type(form).__name__} is no query", hint="give a text, a vector or a map"
        )
    split: dict[str, list[Any]] = {}
    current: list[Any] | None = None
    for item in form:
        part = _PARTS.get(item) if type(item) is Keyword else None
        if part is not None and part not in split:
            current = split[part] = []
        elif current is None:
            refuse(f"{item} comes before any part", form, "a query begins with :find")
        elif type(item) is Keyword and item.name not in ("asc", "desc"):
            refuse(f"no part of a query is called {item}, or it comes twice", form, _one_of())
        else:
            current.append(item)
    return {part: tuple(items) for part, items in split.items()}


def _one_of() -> str:
    return "the parts are " + ", ".join(f":{part}" for part in PARTS)


def _query(form: Any) -> Query:
    parts = _parts(form)
    if not parts.get("find"):
        refuse("nothing to find", form, "a query begins with :find")
    shape, find = _find(parts["find"])
    where = clauses(parts.get("where", ()), DEFAULT)
    query = Query(
        shape,
        find,
        _keys(parts, shape, len(find)),
        tuple(var(each, f":with {each}") for each in parts.get("with", ())),
        _inputs(parts, where, find),
        where,
        _order(parts.get("order-by", ()), find),
        _count(parts, "limit"),
        _count(parts, "offset"),
        _seconds(parts),
    )
    _check_variables(query)
    _check_sources(query)
    return query


def _find(forms: tuple[Any, ...]) -> tuple[str, tuple[Found, ...]]:
    if len(forms) == 2 and name_of(forms[1]) == ".":
        return SCALAR, (_found(forms[0]),)
    if len(forms) == 1 and type(forms[0]) is tuple:
        inner = forms[0]
        if len(inner) == 2 and name_of(inner[1]) == "...":
            return COLLECTION, (_found(inner[0]),)
        if not inner:
            refuse("nothing to find", ":find []")
        return TUPLE, tuple(_found(each) for each in inner)
    return RELATION, tuple(_found(each) for each in forms)


def _found(form: Any) -> Found:
    where = form
    if is_var(form):
        return FindVar(Var(form.name))
    if type(form) is not List or len(form) < 2:
        refuse("no element of :find", where, "?a, (count ?a) or (pull ?e [:name])")
    name = name_of(form[0])
    if name == "pull":
        return _pull(form)
    rest = form[1:]
    f: str | Var
    if name == "aggregate":
        f, rest = var(form[1], where), form[2:]
    elif name is None or is_source(form[0]):
        refuse("no aggregate", where)
    else:
        f = Var(name) if is_var(form[0]) else name
    if not rest or not is_var(rest[-1]):
        refuse("the last argument of an aggregate is a variable", where, "(max 3 ?amount)")
    args = tuple(Var(each.name) if is_var(each) else Const(each) for each in rest[:-1])
    return FindAggregate(f, args, Var(rest[-1].name))


def _pull(form: List) -> FindPull:
    source, rest = DEFAULT, form[1:]
    if rest and is_source(rest[0]):
        source, rest = rest[0].name, rest[1:]
    if len(rest) != 2:
        refuse("a pull takes a variable and a pattern", form, "(pull ?e [:name])")
    pattern = rest[1]
    if type(pattern) is Symbol and pattern.name != "*":
        return FindPull(source, var(rest[0], form), Var(pattern.name))
    return FindPull(source, var(rest[0], form), Const(pattern))


def _keys(
    parts: dict[str, tuple[Any, ...]], shape: str, width: int
) -> tuple[Keyword | str | Symbol, ...] | None:
    given = [part for part in ("keys", "strs", "syms") if part in parts]
    if not given:
        return None
    if len(given) > 1:
        named = " ".join(f":{part}" for part in given)
        refuse("only one of :keys, :strs and :syms can be given", named)
    names = parts[given[0]]
    if shape not in (RELATION, TUPLE):
        refuse(f"a {shape} has no keys", f":{given[0]}")
    if len(names) != width:
        refuse(f"{len(names)} keys for {width} elements of :find", f":{given[0]}")
    if any(type(name) is not Symbol for name in names):
        refuse("a key that is no symbol", f":{given[0]}", "they are written plain: :keys name age")
    if given[0] == "keys":
        return tuple(Keyword(name.name) for name in names)
    return tuple(name.name for name in names) if given[0] == "strs" else tuple(names)


def _inputs(
    parts: dict[str, tuple[Any, ...]], where: Any, find: tuple[Found, ...]
) -> tuple[Input, ...]:
    if "in" in parts:
        found = tuple(_input(form) for form in parts["in"])
        names = [each.name for each in found if type(each) is BindSource]
        if len(set(names)) != len(names) or sum(type(each) is BindRules for each in found) > 1:
            refuse("a source or the rules come twice", ":in")
        return found
    pulls = any(type(each) is FindPull and each.source == DEFAULT for each in find)
    inputs: list[Input] = []
    if pulls or DEFAULT in sources_of(where):
        inputs.append(BindSource(DEFAULT))
    if uses_rules(where):
        inputs.append(BindRules())
    return tuple(inputs)


def _input(form: Any) -> Input:
    if is_source(form):
        return BindSource(form.name)
    name = name_of(form)
    if name == "%":
        return BindRules()
    if name is not None and name != "_" and not is_var(form):
        return binding(Symbol("?" + name), ":in")  # a plain symbol can name a pull pattern
    return binding(form, ":in")


def _order(forms: tuple[Any, ...], find: tuple[Found, ...]) -> tuple[Order, ...]:
    orders: list[Order] = []
    for form in forms:
        if type(form) is Keyword:
            if not orders or form.name not in ("asc", "desc"):
                refuse(f"{form} is no direction", ":order-by", "?x :desc")
            orders[-1] = Order(orders[-1].place, form.name == "desc")
        elif type(form) is tuple:
            orders.extend(_order(form, find))
        else:
            wanted = FindVar(Var(form.name)) if is_var(form) else _found(form)
            if wanted not in find:
                refuse(f"{wanted!r} is not in :find", ":order-by", "order by what is found")
            orders.append(Order(find.index(wanted), False))
    return tuple(orders)


def _count(parts: dict[str, tuple[Any, ...]], part: str) -> int | Var | None:
    given = parts.get(part)
    if given is None:
        return None
    if len(given) == 1 and is_var(given[0]):
        return Var(given[0].name)
    if len(given) != 1 or type(given[0]) is not int or given[0] < 0:
        refuse("one integer, zero or more, is expected", f":{part}")
    return given[0]


def _seconds(parts: dict[str, tuple[Any, ...]]) -> float | None:
    given = parts.get("timeout")
    if given is None:
        return None
    if len(given) != 1 or type(given[0]) is not int or given[0] <= 0:
        refuse("a number of milliseconds is expected", ":timeout")
    return given[0] / 1000


def _check_variables(query: Query) -> None:
    known = {each for part in (*query.where, *query.inputs) for each in variables(part)}
    wanted: dict[Var, None] = dict.fromkeys(query.with_)
    for found in query.find:
        wanted[found.var] = None
        if type(found) is FindAggregate:
            wanted.update((each, None) for each in (found.f, *found.args) if type(each) is Var)
        if type(found) is FindPull and type(found.pattern) is Var:
            name = found.pattern.name
            if found.pattern not in known:
                wanted[Var(name if name.startswith("?") else "?" + name)] = None
    for count in (query.limit, query.offset):
        if type(count) is Var:
            wanted[count] = None
    missing = [each for each in wanted if each not in known]
    if missing:
        names = " ".join(map(repr, missing))
        raise UnboundVariable(
            f"{names} is asked for but occurs neither in :where nor in :in",
            hint="check the spelling",
            variables=tuple(each.name for each in missing),
        )
    both = [each for each in query.with_ if FindVar(each) in query.find]
    if both:
        refuse(f"{both[0]} stands in :find and in :with", f":with {both[0]}")


def _check_sources(query: Query) -> None:
    given = {each.name for each in query.inputs if type(each) is BindSource}
    used = dict.fromkeys(sources_of(query.where, calls=False))
    used.update((each.source, None) for each in query.find if type(each) is FindPull)
    check_given(used, given, query.inputs)
    if uses_rules(query.where) and not any(type(each) is BindRules for each in query.inputs):
        raise QueryError("rules are used but % is not given in :in", hint=":in $ %")


def check_given(used: Iterable[str], given: Iterable[str], inputs: tuple[Input, ...]) -> None:
    """Raise for a source that is used but not among the inputs.

    Raises:
        QueryError: names the source.
    """
    unknown = [name for name in used if name not in given]
    if unknown:
        raise QueryError(
            f"the source {unknown[0]} is used but not given in :in",
            hint=f":in {' '.join(map(repr, inputs))} {unknown[0]}",
            source=unknown[0],
        )
