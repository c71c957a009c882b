"""One effect as it is recorded, and the address of what it says."""

from __future__ import annotations

from typing import Any, Final

import attrs

from persistence.effects.call import Scope
from persistence.values import Keyword, Map, Value, digest, encode

DONE: Final = Keyword("done")
DENIED: Final = Keyword("denied")
FAILED: Final = Keyword("failed")
TIMED_OUT: Final = Keyword("timed-out")
ABORTED: Final = Keyword("aborted")
BEGUN: Final = Keyword("begun")  # written ahead, and not ended yet

STATUSES: Final = (DONE, DENIED, FAILED, TIMED_OUT, ABORTED, BEGUN)


@attrs.frozen
class Step:
    """One effect of a run: what was asked for, where in the run, and what came of it.

    `n` is its number in the order in which the run recorded its effects. `scope`, `place` and
    `occurrence` are those of the `Call`. `status` is one of :done, :denied, :failed, :timed-out
    and :aborted; `result` is there if it is done, `error` (:kind, :message) if it is not.
    `verdict` names the rule that denied or allowed it, `cost` what it cost. `at` is the instant
    it began, in microseconds, and `took` how many it took.

    >>> step = Step(Keyword("tool/add"), Map({Keyword("x"): 1}), 0, result=2)
    >>> step.status, len(step.id), step.id == attrs.evolve(step, took=7).id
    (Keyword('done'), 32, True)
    """

    op: Keyword
    args: Map
    n: int
    status: Keyword = DONE
    result: Value = None
    error: Map | None = None
    verdict: Value = None
    cost: Map | None = None
    scope: Scope = ()
    place: int = 0
    occurrence: int = 0
    at: int = 0
    took: int = 0
    _asked: bytes | None = attrs.field(default=None, eq=False, repr=False, alias="asked")
    _id: bytes | None = attrs.field(default=None, eq=False, repr=False, init=False)

    @property
    def asked(self) -> bytes:
        """The canonical bytes of operation and arguments: equal calls have equal ones."""
        if self._asked is None:
            object.__setattr__(self, "_asked", encode((self.op, self.args)))
        assert self._asked is not None
        return self._asked

    @property
    def key(self) -> tuple[Scope, bytes, int]:
        """What a replay finds it by: scope, operation with arguments, and occurrence."""
        return self.scope, self.asked, self.occurrence

    @property
    def said(self) -> tuple[Value, ...]:
        """What it says, times and costs left out: the same again in every faithful replay."""
        return (
            self.scope,
            self.place,
            self.occurrence,
            self.op,
            self.args,
            self.status,
            self.result,
            self.error,
        )

    @property
    def id(self) -> bytes:
        """The content id of what it says."""
        if self._id is None:
            object.__setattr__(self, "_id", digest("trace", encode(self.said)))
        assert self._id is not None
        return self._id

    def __str__(self) -> str:
        return f"{self.n} {self.op} {self.status.name}"


def error_form(kind: str, message: str, **data: Any) -> Map:
    """An error as it is recorded."""
    return Map(
        {Keyword("kind"): kind, Keyword("message"): message[:2_000]}
        | {Keyword(name.replace("_", "-")): value for name, value in data.items()}
    )
