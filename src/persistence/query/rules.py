"""Rules: which call which, which recur, and what a call that does not recur stands for.

A rule that does not reach itself is only an abbreviation, so its calls are replaced by an or-join
of its bodies and the compiler never sees them. What remains are the groups of rules that recur
together; negation inside such a group has no meaning and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from persistence.errors import QueryError
from persistence.query.ast import (
    DEFAULT,
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
)
from persistence.query.clauses import fresh, shown_by, substituted
from persistence.query.uses import walk

NO_RULES: Final[Rules] = {}
_DEEPEST: Final = 64  # rules that call rules; a chain this long in one query is a mistake


@attrs.frozen(eq=False)
class Program:
    """The rules of a query, and what is known about their recursion.

    `group` maps every recursive rule to the rules that recur with it.
    """

    rules: Rules
    group: dict[str, frozenset[str]]

    def recursive(self, name: str) -> bool:
        return name in self.group

    def branches(self, call: Call) -> tuple[Branch, ...]:
        """The definitions that *call* means.

        Raises:
            QueryError: there is no such rule, or it takes another number of arguments.
        """
        found = self.rules.get(call.name)
        if found is None:
            raise QueryError(
                f"there is no rule {call.name}, called in {call!r}",
                hint=f"the rules are {', '.join(sorted(self.rules)) or 'none'}",
                rule=call.name,
                clause=repr(call),
            )
        if len(found[0].head) != len(call.args):
            raise QueryError(
                f"the rule {call.name} takes {len(found[0].head)} arguments,"
                f" not {len(call.args)} as in {call!r}",
                rule=call.name,
                clause=repr(call),
            )
        return found

    def body(self, branch: Branch, call: Call) -> Clauses:
        """The body of a definition as *call* means it: arguments, source and fresh locals in."""
        terms: dict[Var, Term] = {
            each: fresh(each) for each in shown_by(branch.body) if each not in branch.head
        }
        for each, term in zip(branch.head, call.args, strict=True):
            terms[each] = fresh(each) if type(term) is Blank else term
        return tuple(
            part
            for clause in branch.body
            for part in _rebound(substituted(_sourced(clause, call.source), terms))
        )

    def expanded(self, clauses: Iterable[Clause], depth: int = 0) -> Clauses:
        """The clauses with every call of a rule that does not recur replaced by its bodies."""
        return tuple(part for clause in clauses for part in self._expand(clause, depth))

    def _expand(self, clause: Clause, depth: int) -> Iterator[Clause]:
        if type(clause) is Call:
            branches = self.branches(clause)
            if clause.name in self.group:
                yield clause
                return
            if depth > _DEEPEST:
                raise QueryError(f"rules are nested more than {_DEEPEST} deep at {clause!r}")
            bodies = [self.expanded(self.body(each, clause), depth + 1) for each in branches]
            if len(bodies) == 1:
                yield from bodies[0]
                return
            needed = len(branches[0].required)
            yield Or(True, _vars(clause.args[:needed]), _vars(clause.args[needed:]), tuple(bodies))
        elif type(clause) is Not:
            yield Not(clause.join, self.expanded(clause.clauses, depth))
        elif type(clause) is Or:
            bodies = [self.expanded(branch, depth) for branch in clause.branches]
            yield attrs.evolve(clause, branches=tuple(bodies))
        else:
            yield clause


def program(rules: Rules) -> Program:
    """What *rules* mean together.

    Raises:
        QueryError: a rule depends on its own negation.
    """
    calls = {
        name: {call.name for branch in branches for call in _calls(branch.body)}
        for name, branches in rules.items()
    }
    reach = {name: _reachable(name, calls) for name in rules}
    group = {
        name: frozenset(other for other in reach[name] if other in reach and name in reach[other])
        for name in rules
        if name in reach[name]
    }
    for name, together in group.items():
        for branch in rules[name]:
            for clause in walk(branch.body):
                if type(clause) is Not:
                    for call in _calls(clause.clauses):
                        if call.name in together:
                            raise QueryError(
                                f"the rule {name} depends on its own negation in {clause!r}",
                                hint="negate a rule only from rules that it does not reach",
                                rule=name,
                                clause=repr(clause),
                            )
    return Program(rules, group)


def _calls(clauses: Iterable[Clause]) -> Iterator[Call]:
    return (clause for clause in walk(clauses) if type(clause) is Call)


def _reachable(name: str, calls: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        for other in calls.get(waiting.pop(), ()):
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached


def _vars(terms: Iterable[Term]) -> tuple[Var, ...]:
    return tuple(dict.fromkeys(term for term in terms if type(term) is Var))


def _sourced(clause: Clause, source: str) -> Clause:
    """A clause of a rule read through the source that the rule was called with."""
    if source == DEFAULT:
        return clause
    if type(clause) is Pattern or type(clause) is Call:
        return attrs.evolve(clause, source=source) if clause.source == DEFAULT else clause
    if type(clause) is Predicate or type(clause) is Function:
        named = (type(arg) is Source and arg.name == DEFAULT for arg in clause.args)
        args = tuple(
            Source(source) if is_default else arg
            for arg, is_default in zip(clause.args, named, strict=True)
        )
        return attrs.evolve(clause, args=args)
    if type(clause) is Not:
        return Not(clause.join, tuple(_sourced(each, source) for each in clause.clauses))
    if type(clause) is Or:
        branches = tuple(tuple(_sourced(e, source) for e in b) for b in clause.branches)
        return attrs.evolve(clause, branches=branches)
    return clause


def _rebound(clause: Clause) -> Iterator[Clause]:
    """A function whose result variable was replaced by a constant compares with it instead."""
    if type(clause) is Function and type(clause.binding) is BindVar:
        wanted: Any = clause.binding.var
        if type(wanted) is Const:
            result = fresh(Var("?result"))
            yield attrs.evolve(clause, binding=BindVar(result))
            yield Predicate("=", (result, wanted))
            return
    yield clause
