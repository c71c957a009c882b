"""Which clauses can run when: the check that every variable is bound, and by what.

Clauses hold together in any order, so the written order is never an error: a clause waits until
what it needs is bound. What waits for ever is reported, with the variables it waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import NoReturn

import attrs

from persistence.errors import UnboundVariable
from persistence.query.ast import (
    Call,
    Clause,
    Const,
    Function,
    Not,
    Or,
    Pattern,
    Predicate,
    Var,
    variables,
)
from persistence.query.rules import Program


def binds(clause: Clause) -> Iterator[Var]:
    """The variables that are bound once *clause* has run."""
    if type(clause) is Not or type(clause) is Predicate:
        return iter(())
    if type(clause) is Function:
        return variables(clause.binding)
    if type(clause) is Or:
        return iter(clause.free)
    return variables(clause)


@attrs.frozen
class Modes:
    """Answers what a clause still waits for."""

    program: Program
    _feasible: dict[tuple[str, tuple[bool, ...]], bool] = attrs.field(factory=dict, init=False)

    def missing(
        self, clause: Clause, bound: AbstractSet[Var], others: Iterable[Clause]
    ) -> list[Var]:
        """The variables that *clause* needs and *bound* lacks; empty when it can run.

        *others* are the clauses that hold together with it: a `not` waits for the variables that
        they bind, and takes the rest for its own.
        """
        if type(clause) is Pattern:
            return []
        if type(clause) is Predicate:
            return [each for each in variables(clause) if each not in bound]
        if type(clause) is Function:
            needed = (each for each in (clause.f, *clause.args) if type(each) is Var)
            return [each for each in needed if each not in bound]
        if type(clause) is Not:
            return self._missing_of_not(clause, bound, others)
        if type(clause) is Or:
            lacking = [each for each in clause.required if each not in bound]
            if lacking:
                return lacking
            inside = set(bound)
            return [each for branch in clause.branches for each in self.stuck(branch, inside)]
        assert type(clause) is Call
        return self._missing_of_call(clause, bound)

    def _missing_of_not(
        self, clause: Not, bound: AbstractSet[Var], others: Iterable[Clause]
    ) -> list[Var]:
        shown = dict.fromkeys(variables(clause))
        if clause.join is None:
            elsewhere = {each for other in others if other is not clause for each in binds(other)}
            needed = [each for each in shown if each in elsewhere or each in bound]
            if shown and not needed:
                return list(shown)
        else:
            needed = list(shown)
        lacking = [each for each in needed if each not in bound]
        return lacking or self.stuck(clause.clauses, set(needed))

    def _missing_of_call(self, call: Call, bound: AbstractSet[Var]) -> list[Var]:
        branches = self.program.branches(call)
        needed = call.args[: len(branches[0].required)]
        lacking = [each for each in needed if type(each) is Var and each not in bound]
        if lacking:
            return lacking
        known = tuple(type(each) is Const or each in bound for each in call.args)
        if self._can_run(call.name, known):
            return []
        return [each for each in call.args if type(each) is Var and each not in bound]

    def _can_run(self, name: str, known: tuple[bool, ...]) -> bool:
        found = self._feasible.get((name, known))
        if found is None:
            self._feasible[name, known] = True  # a recursive call can run when the rest can
            found = True
            for branch in self.program.rules[name]:
                bound = {
                    each for each, is_known in zip(branch.head, known, strict=True) if is_known
                }
                found = found and not self.stuck(branch.body, bound)
            self._feasible[name, known] = found
        return found

    def stuck(self, clauses: tuple[Clause, ...], bound: set[Var]) -> list[Var]:
        """The variables for which some of *clauses* would wait for ever."""
        waiting = self.waiting(clauses, set(bound))
        return [] if not waiting else waiting[0][1]

    def waiting(
        self, clauses: tuple[Clause, ...], bound: set[Var]
    ) -> list[tuple[Clause, list[Var]]]:
        """The clauses that never can run, each with what it waits for; *bound* grows."""
        rest = list(clauses)
        while rest:
            lacking = [(clause, self.missing(clause, bound, clauses)) for clause in rest]
            ready = [clause for clause, variables in lacking if not variables]
            if not ready:
                return lacking
            for clause in ready:
                bound.update(binds(clause))
            rest = [clause for clause, variables in lacking if variables]
        return []


def check(
    clauses: tuple[Clause, ...], bound: Iterable[Var], wanted: Iterable[Var], modes: Modes
) -> None:
    """Raise unless *clauses* can all run and bind what is *wanted*.

    Raises:
        UnboundVariable: names the clause and the variables.
        QueryError: a rule that does not exist is called.
    """
    known = set(bound)
    waiting = modes.waiting(clauses, known)
    if waiting:
        _refuse(*waiting[0])
    lost = [each for each in dict.fromkeys(wanted) if each not in known]
    if lost:
        names = " ".join(map(repr, lost))
        raise UnboundVariable(
            f"nothing binds {names}",
            hint="a variable is bound by a pattern, a function's result, a rule or an input",
            variables=tuple(each.name for each in lost),
        )


def _refuse(clause: Clause, lacking: list[Var]) -> NoReturn:
    names = " ".join(dict.fromkeys(map(repr, lacking)))
    hint = "bind it by a pattern, a function's result, a rule or an input"
    if type(clause) is Or and not clause.join and set(lacking) <= set(clause.required):
        hint = "every branch of an or uses the same variables; or-join names those that matter"
    elif type(clause) is Not:
        hint = "a not filters what other clauses bind; it binds nothing itself"
    raise UnboundVariable(
        f"{names} is not bound in {clause!r}",
        hint=hint,
        variables=tuple(dict.fromkeys(repr(each) for each in lacking)),
        clause=repr(clause),
    )
