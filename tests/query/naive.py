"""A Datalog evaluator that is too simple to be wrong: nested loops over lists of facts.

It takes a query as data, knows no index, no SQL and no order of clauses but "first what can run".
Values are the same when `identity` says so. It is the law that the engine is held against.

    find   a tuple of variables and aggregates `(name, constant…, variable)`
    where  patterns of 1 to 7 places, `((f, args…), binding?)`, not, not-join, or, or-join, and,
           and rule calls, as EDN data: Symbols, tuples (vectors) and Lists
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from persistence.query.aggregates import AGGREGATES
from persistence.query.functions import FUNCTIONS, PREDICATES, truthy
from persistence.values import List, Symbol, identity

Env = dict[Symbol, Any]
Facts = Sequence[tuple[Any, ...]]
BLANK = Symbol("_")


class Waits(Exception):
    """A clause cannot run yet: a variable that it needs is not bound."""


def is_var(term: Any) -> bool:
    return isinstance(term, Symbol) and term.name.startswith("?")


def answer(
    find: Sequence[Any],
    where: Sequence[Any],
    facts: Facts,
    *,
    rules: Sequence[Any] = (),
    given: Mapping[Symbol, Any] | None = None,
    with_: Sequence[Symbol] = (),
) -> list[tuple[Any, ...]]:
    """Every row of the answer, each once."""
    known = fixpoint(rules, facts)
    envs = solve(list(where), [dict(given or {})], facts, known)
    groups = [term for term in find if is_var(term)]
    wanted = [*(term if is_var(term) else term[-1] for term in find), *with_]
    rows = unique(tuple(env[var] for var in wanted) for env in envs)
    if len(groups) == len(find):
        return (
            unique(row[: len(find)] for row in rows)
            if not with_
            else [row[: len(find)] for row in rows]
        )
    return list(_aggregated(find, rows))


def unique(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list({tuple(map(identity, row)): row for row in rows}.values())


def _aggregated(find: Sequence[Any], rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    grouped: dict[Any, list[tuple[Any, ...]]] = {}
    for row in rows:
        key = tuple(identity(value) for term, value in zip(find, row, strict=False) if is_var(term))
        grouped.setdefault(key, []).append(row)
    for members in grouped.values():
        yield tuple(
            members[0][place]
            if is_var(term)
            else AGGREGATES[term[0].name](*term[1:-1], [row[place] for row in members])
            for place, term in enumerate(find)
        )


# ------------------------------------------------------------------------------------- clauses


def solve(clauses: list[Any], envs: list[Env], facts: Facts, known: Mapping[str, Any]) -> list[Env]:
    """Every way to make all clauses true, from every one of *envs*."""
    left = list(clauses)
    while left:
        for clause in left:
            others = [each for each in left if each is not clause]
            try:
                found = _run(clause, others, envs, facts, known)
            except Waits:
                continue
            envs, left = _distinct(found), others
            break
        else:
            raise Waits(left)
    return envs


def _distinct(envs: Iterable[Env]) -> list[Env]:
    held = {}
    for env in envs:
        held[frozenset((var, identity(value)) for var, value in env.items())] = env
    return list(held.values())


def _run(
    clause: Any, others: list[Any], envs: list[Env], facts: Facts, known: Mapping[str, Any]
) -> list[Env]:
    if isinstance(clause, List):
        name = clause[0].name
        if name == "and":
            return solve(list(clause[1:]), envs, facts, known)
        if name in ("not", "not-join"):
            return _not(clause, others, envs, facts, known)
        if name in ("or", "or-join"):
            return _or(clause, envs, facts, known)
        return [new for env in envs for row in known[name] for new in _match(clause[1:], row, env)]
    if isinstance(clause[0], List):
        return _call(clause, envs)
    return [new for env in envs for fact in facts for new in _match(clause, fact, env)]


def _match(terms: Sequence[Any], row: Sequence[Any], env: Env) -> Iterator[Env]:
    """*env* with the variables of *terms* bound to *row*, if that agrees."""
    new = env
    for term, value in zip(terms, row, strict=False):
        if term == BLANK:
            continue
        if not is_var(term):
            if identity(term) != identity(value):
                return
        elif term not in new:
            new = {**new, term: value}
        elif identity(new[term]) != identity(value):
            return
    yield new


def _call(clause: Any, envs: list[Env]) -> list[Env]:
    head, *bindings = clause
    name, arguments = head[0].name, head[1:]
    found = []
    for env in envs:
        if any(is_var(argument) and argument not in env for argument in arguments):
            raise Waits(clause)
        value = FUNCTIONS[name](*(env[a] if is_var(a) else a for a in arguments))
        if not bindings:
            assert name in PREDICATES
            found += [env] if truthy(value) else []
        elif value is not None:
            found += list(_match(bindings, (value,), env))
    return found


def _not(
    clause: Any, others: list[Any], envs: list[Env], facts: Facts, known: Mapping[str, Any]
) -> list[Env]:
    joined = clause[0].name == "not-join"
    body = list(clause[2:] if joined else clause[1:])
    shared = set(clause[1]) if joined else set(_variables(body))
    outside = set(_variables(others))
    found = []
    for env in envs:
        if any(var not in env and (joined or var in outside) for var in shared):
            raise Waits(clause)
        inner = {var: value for var, value in env.items() if var in shared}
        if not solve(body, [inner], facts, known):
            found.append(env)
    return found


def _or(clause: Any, envs: list[Env], facts: Facts, known: Mapping[str, Any]) -> list[Env]:
    joined = clause[0].name == "or-join"
    branches = clause[2:] if joined else clause[1:]
    shared = set(clause[1]) if joined else set(_variables(branches))
    found = []
    for env in envs:
        inner = {var: value for var, value in env.items() if var in shared}
        for branch in branches:
            for new in solve([branch], [inner], facts, known):
                found.append({**env, **{var: new[var] for var in shared}})
    return found


def _variables(form: Any) -> Iterator[Symbol]:
    """The variables of a form, as its surroundings see them."""
    if is_var(form):
        yield form
    elif isinstance(form, List) and form and isinstance(form[0], Symbol):
        if form[0].name in ("not-join", "or-join"):
            yield from form[1]
        else:
            for part in form[1:]:
                yield from _variables(part)
    elif isinstance(form, tuple | list):
        for part in form:
            yield from _variables(part)


# --------------------------------------------------------------------------------------- rules


def fixpoint(rules: Sequence[Any], facts: Facts) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every rule: all are run again until none finds anything new."""
    known: dict[str, list[tuple[Any, ...]]] = {rule[0][0].name: [] for rule in rules}
    while True:
        size = sum(map(len, known.values()))
        for head, *body in rules:
            rows = [tuple(env[var] for var in head[1:]) for env in solve(body, [{}], facts, known)]
            known[head[0].name] = unique([*known[head[0].name], *rows])
        if sum(map(len, known.values())) == size:
            return known
