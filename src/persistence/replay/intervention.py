"""What is changed in a run that is replayed: the extension point, and how steps are addressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from persistence.db import Db
from persistence.effects import Call, Step, Trace
from persistence.errors import TraceError
from persistence.values import Keyword, Map, Value, keyword

At: TypeAlias = int | tuple[Keyword | str, int] | Step
Body: TypeAlias = Callable[[Any], Any]


@attrs.frozen
class Outcome:
    """What a step comes to: a result, or an error (:kind, :message)."""

    result: Value = None
    error: Map | None = None


class Intervention:
    """A change of one thing in a recorded run. Everything before its `point` must be as recorded;
    everything after it is derived again.

    Override what is needed. `Replay` asks for the point first; calls at that place go through
    `asks` and then `answers`; from the point on, database values go through `shows`; `changes` may
    put another program in place of the body.

    >>> class Louder(Intervention):
    ...     def point(self, trace): return step_at(trace, 0)
    ...     def asks(self, call): return attrs.evolve(call, args={"q": call.args["q"].upper()})
    """

    def point(self, trace: Trace) -> Step | None:
        """The first step that may differ; None if that is so from the beginning.

        Raises:
            TraceError: *trace* has no such step.
        """
        raise NotImplementedError

    def asks(self, call: Call) -> Call:
        """The call to be made in place of *call*, which the program made at the point."""
        return call

    def answers(self, call: Call) -> Outcome | None:
        """What *call*, at the point, comes to; None leaves that to the record or the handlers."""
        return None

    @property
    def state(self) -> bool:
        """Whether it changes what `run.db()` shows; then `shows` is asked, once."""
        return False

    def shows(self, db: Db) -> Db:
        """The database value that the run sees at the point in place of *db*."""
        return db

    def changes(self, body: Body) -> Body:
        """The program to be run in place of *body*."""
        return body

    @property
    def form(self) -> Value:
        """What it does, as data, for the record."""
        return repr(self)


def step_at(trace: Trace, at: At) -> Step:
    """The step of *trace* at *at*: a number n; an operation and how many of it come before; or a
    step of the trace itself.

    >>> from persistence.effects import Run, Terminal
    >>> with Run("shop", [Terminal("t", {"tool/find": lambda q: [q]})]) as run:
    ...     _ = [run.perform("tool/find", q=q) for q in ("tea", "coffee")]
    >>> step_at(run.trace, ("tool/find", 1)).n
    1

    Raises:
        TraceError: there is none.
    """
    if isinstance(at, Step):
        found = [s for s in trace if s.n == at.n and s.id == at.id]
    elif isinstance(at, tuple):
        op, times = keyword(at[0]), at[1]
        found = [s for s in trace if s.op == op][times:] if times >= 0 else []
    else:
        found = [s for s in trace if s.n == at]
    if not found:
        raise TraceError(
            f"run {trace.id} has no step {_named(at)}; it has {len(trace)} steps",
            hint="name a step by its number, by (operation, occurrence), or by itself",
            run=trace.id,
        )
    return found[0]


def _named(at: At) -> str:
    if isinstance(at, Step):
        return f"{at.n} ({at.op})"
    return f"{keyword(at[0])} number {at[1]}" if isinstance(at, tuple) else str(at)
