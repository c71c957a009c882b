"""The first place at which a program is not the one that was recorded."""

from __future__ import annotations

from typing import Any, Final

import attrs

from persistence.effects import Call, Step, Trace, diverged
from persistence.effects.call import Scope
from persistence.errors import Diverged
from persistence.replay.differing import Difference, differences
from persistence.values import Keyword, Map

OTHER: Final = "other"  # asks for something else
MORE: Final = "more"  # goes on where the record has ended
LESS: Final = "less"  # ends where the record goes on
END: Final = "end"  # the same steps, and another end

_STATUS: Final = Keyword("status")
_RESULT: Final = Keyword("result")
_ERROR: Final = Keyword("error")


@attrs.frozen
class Divergence:
    """Where a replay left its record.

    `kind` is "other" if another call was made than the record holds at `place` of `scope`, "more"
    if the record holds none there, "less" if the program ended before it, and "end" if all steps
    are the same and the run ended in another way. `differing` tells the places in the arguments,
    or in the end, that differ. `elsewhere` is the recorded step that asks for what was asked for
    here, if there is one: then the order is what has changed.

    >>> from persistence.effects import Run, Terminal
    >>> from persistence.replay import replay
    >>> with Run("shop", [Terminal("t", {"tool/find": lambda q: [q]})]) as run:
    ...     _ = run.perform("tool/find", q="tea")
    >>> print(replay(run.trace, lambda run: run.perform("tool/find", q="coffee")).divergence)
    step 0: the record holds :tool/find {:q "tea"}, and the program asks for :tool/find {:q
    "coffee"}; :q: "tea" became "coffee"
    """

    kind: str
    scope: Scope
    place: int
    expected: Step | None = None
    found: Call | None = None
    differing: tuple[Difference, ...] = ()
    elsewhere: Step | None = None

    @property
    def n(self) -> float:
        """Where in the record it is: the number of the step that was expected."""
        return float("inf") if self.expected is None else self.expected.n

    def error(self, hint: str | None = None) -> Diverged:
        """This divergence, to be raised."""
        if self.found is None:
            return Diverged(
                str(self),
                hint=hint or "the program has changed since the run was recorded",
                operation=None if self.expected is None else self.expected.op,
                place=self.place,
                scope=self.scope,
                expected=self.expected,
                found=None,
                divergence=self,
            )
        told = diverged(self.found, self.expected)
        return Diverged(str(self), hint=hint or told.hint, **told.data, divergence=self)

    def __str__(self) -> str:
        where = f"step {self.place}" + (f" of scope {list(self.scope)}" if self.scope else "")
        if self.found is not None:
            text = diverged(self.found, self.expected).message
            if self.elsewhere is not None:
                text += f"; the record asks for that at step {self.elsewhere.place}"
        elif self.expected is not None:
            text = f"{where}: the record holds {self.expected.op}, and the program has ended"
        else:
            text = "every step is as recorded, and the end is another"
        return "; ".join([text, *map(str, self.differing[:3])])


def asked_otherwise(
    call: Call, args: Map, expected: Step | None, elsewhere: Step | None
) -> Divergence:
    """The divergence of a *call*, recorded with *args*, where *expected* was to come."""
    if expected is None:
        return Divergence(MORE, call.scope, call.place, None, call, (), elsewhere)
    told = differences(expected.args, args) if expected.op == call.op else ()
    return Divergence(OTHER, call.scope, call.place, expected, call, told, elsewhere)


def ended_early(expected: Step) -> Divergence:
    """The divergence of a program that did not ask for *expected*."""
    return Divergence(LESS, expected.scope, expected.place, expected)


def ended_otherwise(record: Trace, trace: Trace) -> Divergence | None:
    """The divergence of a run with the steps of *record* and another end; None if it has none."""
    told = differences(end_of(record), end_of(trace))
    return Divergence(END, (), len(record), differing=told) if told else None


def end_of(trace: Trace) -> Map:
    """How *trace* ended, as data."""
    ends: dict[Any, Any] = {
        _STATUS: trace.status,
        _RESULT: trace.result,
        _ERROR: trace.error,
    }
    return Map(ends)
