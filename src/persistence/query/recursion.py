"""Recursive rules in Python: questions and answers grow until nothing new comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from persistence.errors import LimitExceeded
from persistence.query.ast import Blank, Call, Clauses, Const, Pattern, Term, Var
from persistence.query.clauses import fresh
from persistence.query.inputs import Table, key_of
from persistence.query.match import matched, projected
from persistence.query.plan import rewritten
from persistence.query.rules import Program
from persistence.values import LIMITS


class Solves(Protocol):
    """What solves the bodies of rules."""

    @property
    def constants(self) -> Mapping[Var, Any]: ...

    @property
    def program(self) -> Program: ...

    def solve(self, table: Table, clauses: Clauses, wanted: set[Var]) -> Table:
        """*table* joined with all of *clauses*; columns that nothing needs may be gone."""
        ...


class Tables:
    """The answers of recursive rules, by rule and by which arguments are known.

    A call asks for the answers to its known arguments. All questions and all answers grow until
    nothing new comes: every answer follows from finitely many others.
    """

    def __init__(self, solver: Solves) -> None:
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
        return matched(found, Pattern(call.source, call.args), self._solver.constants)

    def _bound(self, arg: Term, table: Table) -> bool:
        if type(arg) is Blank:
            return False
        return type(arg) is Const or arg in table.variables or arg in self._solver.constants

    def _value(self, arg: Term, row: tuple[Any, ...], at: Mapping[Var, int]) -> Any:
        if type(arg) is Const:
            return arg.value
        assert type(arg) is Var
        return row[at[arg]] if arg in at else self._solver.constants[arg]

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
        program = self._solver.program
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
