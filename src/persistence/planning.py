"""`s.plan`: plans in a store, the search for better ones, and those that became skills."""

from __future__ import annotations

from persistence.connection import Connection
from persistence.effects import Effects
from persistence.plans import Plans
from persistence.search import Searches
from persistence.specs import Specs


class Planning(Plans):
    """Plans on one branch of a store; `search` looks for better ones.

    >>> _ = s.plan.save("greet", '[:tool-call {:tool :tool/greet :args {:name "Ada"}}]')
    >>> s.plan.run("greet", {"tool/greet": lambda name: f"Hi {name}"}).value
    'Hi Ada'
    """

    def __init__(
        self, connection: Connection, effect: Effects, specs: Specs, *, branch: int, line: str
    ) -> None:
        def conforms(name: object, value: object) -> object:
            return specs.conform(getattr(name, "name", name), value)

        super().__init__(connection, effect, branch=branch, line=line, specs=conforms)
        self.search = Searches(connection, branch=branch)
