"""What a staged query needs of the run it belongs to, and the statements it is given."""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from persistence.query.ast import Clauses, Var
from persistence.query.context import Arguments, Context, Depends
from persistence.query.functions import FunctionRegistry
from persistence.query.inputs import Inputs
from persistence.query.passed import Passed
from persistence.query.plan import Prepared
from persistence.query.select import Statement


@attrs.frozen(eq=False)
class Group:
    """A statement for some clauses of a staged query, and the clauses it leaves."""

    depends: Depends
    statement: Statement | None
    arguments: Arguments | None
    variables: tuple[Var, ...]
    left: Clauses


class Running(Protocol):
    """The run whose clauses are solved step by step."""

    budget: int
    dbs: dict[str, Any]
    inputs: Inputs
    prepared: Prepared
    registry: FunctionRegistry
    seconds: float

    def context(self, snapshot: Any, dbs: dict[str, Any]) -> Context:
        """A store's part in the run."""
        ...

    def fetch(
        self, context: Context, statement: Statement, arguments: Arguments, what: str
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement, told to the trace if there is one."""
        ...

    def group(self, context: Context, clauses: Clauses, given: Passed) -> Group:
        """A statement for as many of *clauses* as it can hold, with *given* passed in."""
        ...

    def step(self, what: str, rows: int) -> None:
        """Tell the trace of a step that Python took."""
        ...
