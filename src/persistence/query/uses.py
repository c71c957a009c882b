"""What a tree of clauses refers to: sources, rules, functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from persistence.query.ast import Call, Clause, Function, Not, Or, Pattern, Predicate, Source


def walk(clauses: Iterable[Clause]) -> Iterator[Clause]:
    """Every clause, with those inside of not and or."""
    for clause in clauses:
        yield clause
        if type(clause) is Not:
            yield from walk(clause.clauses)
        elif type(clause) is Or:
            for branch in clause.branches:
                yield from walk(branch)


def sources_of(clauses: Iterable[Clause], *, calls: bool = True) -> Iterator[str]:
    """The names of the sources that are read, with repeats.

    A rule may read through the source it is called with; without *calls* it is not counted.
    """
    for clause in walk(clauses):
        if type(clause) is Pattern or (calls and type(clause) is Call):
            yield clause.source
        elif type(clause) is Predicate or type(clause) is Function:
            yield from (arg.name for arg in clause.args if type(arg) is Source)


def uses_rules(clauses: Iterable[Clause]) -> bool:
    return any(type(clause) is Call for clause in walk(clauses))
