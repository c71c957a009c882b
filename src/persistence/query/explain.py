"""Shows how a query is run: its SQL, the engine's plan, and its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from persistence.query.run import Trace, run


@attrs.frozen(repr=False)
class Explanation:
    """What a run did. `stages` holds one line for each step; one statement is one stage.

    `sql`, `params` and `plan` are those of the first statement.
    """

    stages: tuple[Trace, ...]

    @property
    def sql(self) -> str:
        """The text of the first statement, or nothing if there was none."""
        return next((stage.sql for stage in self.stages if stage.sql), "")

    @property
    def params(self) -> tuple[Any, ...]:
        """The parameters of the first statement."""
        return next((stage.params for stage in self.stages if stage.sql), ())

    @property
    def plan(self) -> str:
        """The engine's plan of the first statement."""
        return next((stage.plan for stage in self.stages if stage.sql), "")

    @property
    def staged(self) -> bool:
        """Whether Python took part."""
        return any(not stage.sql for stage in self.stages) or len(self.stages) > 1

    def __repr__(self) -> str:
        shown = []
        for number, stage in enumerate(self.stages, 1):
            shown.append(f"{number}. {stage.what} ({stage.rows} rows)")
            for text in (stage.sql, stage.plan):
                shown += [f"   {line}" for line in text.splitlines()]
        return "\n".join(shown)


def explain(query: Any, inputs: Sequence[Any] = ()) -> Explanation:
    """Run *query* and tell how: every statement with its plan, every step in Python.

    Raises:
        QueryError, BudgetExceeded: as `run` does.
    """
    stages: list[Trace] = []
    run(query, inputs, trace=stages.append)
    return Explanation(tuple(stages))
