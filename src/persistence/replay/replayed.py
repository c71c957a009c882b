"""What came of a replay."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import attrs

from persistence.effects import Trace
from persistence.replay.divergence import Divergence
from persistence.replay.intervention import Intervention
from persistence.values import encode


@attrs.frozen(eq=False)
class Replayed:
    """A run that was replayed.

    `trace` is what it did this time, `record` what it did then; `value` is what the body gave,
    `error` what it raised. `divergence` is the first place where the program left the record, other
    than by an intervention. Of its steps, `hits` were answered from the record, `misses` were
    performed anew, and `changed` were answered by an intervention or by the state that one changed.
    `prefix` counts the steps of the record, from the first on, that are the same here.
    `idle` are interventions that never came to bear.
    """

    trace: Trace
    record: Trace
    value: Any
    error: BaseException | None
    divergence: Divergence | None
    hits: int
    misses: int
    changed: int
    prefix: int
    idle: tuple[Intervention, ...] = ()

    @cached_property
    def same(self) -> bool:
        """Whether the replay did, byte for byte, what the record says: equal `Trace.encoded`."""
        return alike(self.record, self.trace)

    def check(self) -> Self:
        """This, if the program is the one that was recorded.

        Raises:
            Diverged: it is not; tells the first place.
        """
        if self.divergence is not None:
            raise self.divergence.error()
        return self

    def __repr__(self) -> str:
        end = "diverged" if self.divergence else "same" if self.same else self.trace.status.name
        return f"<replayed {self.trace.name!r}: {len(self.trace)} steps, {end}>"


def alike(a: Trace, b: Trace) -> bool:
    """Whether `encoded` is the same for *a* and *b*, without making it of steps that they share."""
    ends = [encode((each.name, each.status, each.result, each.error)) for each in (a, b)]
    if ends[0] != ends[1] or len(a) != len(b):
        return False
    return all(
        one is other or one.id == other.id for one, other in zip(a.ordered, b.ordered, strict=True)
    )


def prefix(a: Trace, b: Trace) -> int:
    """How many steps of *a*, from the first on, stand in *b* at the same place and say the same.

    >>> from persistence.effects import Run, Terminal
    >>> def shop(*found):
    ...     with Run("shop", [Terminal("t", {"tool/find": lambda q: q})]) as run:
    ...         _ = [run.perform("tool/find", q=q) for q in found]
    ...     return run.trace
    >>> prefix(shop("tea", "coffee"), shop("tea", "milk"))
    1
    """
    there = {(step.scope, step.place): step for step in b}
    for n, step in enumerate(a):
        other = there.get((step.scope, step.place))
        if other is not step and (other is None or other.id != step.id):
            return n
    return len(a)
