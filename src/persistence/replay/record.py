"""Answers the calls of a replay from the record, and says where the program leaves it.

Up to the first intervention a call is answered by the step at its place, if that asks for the same;
anything else is a divergence. After it, a call is answered by the step that asks the same question,
wherever that stands in its scope. What no step answers is a miss: it goes outside if its operation
is allowed and a handler performs it, and diverges if not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias
from uuid import UUID

import attrs

from persistence.db import Db
from persistence.effects import Around, Call, Handlers, Step, Trace
from persistence.effects.call import Scope, form
from persistence.effects.handler import matching
from persistence.effects.step import BEGUN, DONE, FAILED
from persistence.effects.words import BASIS, DRAW, NOW, TRANSACT
from persistence.replay.divergence import Divergence, asked_otherwise
from persistence.replay.intervention import Intervention, Outcome
from persistence.replay.state import SPECULATED, State
from persistence.values import Keyword, Map, Value, encode, in_order, sort_key

Patterns: TypeAlias = Iterable[Keyword | str] | Keyword | str

_STATE: Final = (BASIS, TRANSACT)
_KEPT: Final = (NOW, DRAW, BASIS, TRANSACT)  # by "*": the world's noise, and the state's own
_START: Final = -1
_NEVER: Final = float("inf")
_ANEW: Final = "allow= its operation, and give live= handlers, to have it performed anew"


class Record:
    """The `Answers` of one replay."""

    stored = False

    def __init__(
        self,
        trace: Trace,
        handlers: Handlers,
        state: State,
        *,
        id: UUID,
        do: Sequence[Intervention] = (),
        allow: Patterns = (),
        fresh: Patterns = (),
        strict: bool = True,
    ) -> None:
        self._trace, self._handlers, self._state, self._id = trace, handlers, state, id
        self._allow, self._fresh = matching(allow), _refreshed(fresh)
        self._redact = [each.redact for each in handlers if isinstance(each, Around)]
        self._at = {(s.scope, s.place): s for s in trace if s.status is not BEGUN}
        self._changes: dict[tuple[Scope, int], list[Intervention]] = defaultdict(list)
        self._facts: list[tuple[float, Intervention]] = []
        self._first: float = _NEVER if strict else _START
        for each in do:
            self._place(each)
        self._reached = self._first == _START
        self._left: dict[Scope, Divergence] = {}  # where calls were refused
        self._noted: list[Divergence] = []  # where they were performed
        self.idle = [each for each in do if each.state or each.point(trace) is not None]
        self.changed: list[Step] = []
        self.missed: list[Call] = []

    def _place(self, change: Intervention) -> None:
        point = change.point(self._trace)
        n = _START if point is None else point.n
        self._first = min(self._first, n)
        if point is not None:
            self._changes[point.scope, point.place].append(change)
        if change.state:
            self._facts.append((n, change))

    # ------------------------------------------------------------------ answers

    def answer(self, call: Call, asked: bytes) -> Step | Call | None:
        if self._left and call.scope in self._left:
            raise self._left[call.scope].error()  # it was told, and goes on nevertheless
        expected = self._at.get((call.scope, call.place))
        if expected is not None and expected.n < self._first:
            if expected.asked != asked:
                return self._miss(call, asked, expected)
            return self._stated(call, asked, expected) if expected.op in _STATE else expected
        changes = self._changes.get((call.scope, call.place)) if self._changes else None
        if changes and expected is not None:
            return self._intervene(call, asked, expected, changes)
        return self._later(call, asked, expected)

    def database(self, db: Db, place: int) -> Db:
        return db  # the state has seen to it

    def _stated(self, call: Call, asked: bytes, expected: Step) -> Step:
        """The step *expected*, a read or a write; what was a speculation is made one again."""
        if expected.verdict is SPECULATED:
            step = self._state.answer(call, asked, expected, ())
            return expected if step is None or step.id != expected.id else step
        if expected.op is BASIS:
            self._state.passed(expected)
        return expected

    def _intervene(
        self, call: Call, asked: bytes, expected: Step, changes: Sequence[Intervention]
    ) -> Step | Call | None:
        made = call
        for change in changes:
            made = change.asks(made)
        said = asked if made is call else encode((made.op, self._args(made)))
        if expected.asked not in (asked, said):
            if not self._reached:
                return self._miss(call, asked, expected)
            if expected.op != call.op:  # another step has come to this place
                return self._later(call, asked, expected)
        self._reached = True
        self.idle = [each for each in self.idle if each not in changes]
        outcomes = (change.answers(made) for change in changes)
        outcome = next((each for each in outcomes if each is not None), None)
        if outcome is not None:
            return self._told(made, said, expected, outcome)
        if made is call or expected.asked != said:
            return self._later(made, said, expected, again=made is not call)
        return expected

    def _told(self, call: Call, asked: bytes, expected: Step, outcome: Outcome) -> Step:
        """The step of *call* that comes to *outcome*, because an intervention says so."""
        step = attrs.evolve(
            expected,
            op=call.op,
            args=expected.args if expected.asked == asked else self._args(call),
            occurrence=call.occurrence,
            status=DONE if outcome.error is None else FAILED,
            result=in_order(self._redacted(call.op, outcome.result)),
            error=outcome.error,
            asked=asked,
        )
        self.changed.append(step)
        return step

    def _later(
        self, call: Call, asked: bytes, expected: Step | None, *, again: bool = False
    ) -> Step | Call | None:
        """Answers a call that need not stand where the record has it."""
        if not self._reached and (expected is None or expected.asked != asked):
            return self._miss(call, asked, expected)
        occurrence = self._before(call, asked) if again else call.occurrence
        found = self._trace.by_key.get((call.scope, asked, occurrence))
        if found is not None and found.status is BEGUN:
            found = None
        if call.op in _STATE and not self._performs(call.op):
            step = self._state.answer(call, asked, found, self._due(expected))
            if step is not None:
                self.changed.append(step)
                return step
        if found is None or self._fresh(call.op):
            return self._miss(call, asked, expected)
        if found.op is BASIS:
            self._state.passed(found)
        same = (found.place, found.occurrence) == (call.place, call.occurrence)
        return found if same else attrs.evolve(found, place=call.place, occurrence=call.occurrence)

    def _before(self, call: Call, asked: bytes) -> int:
        """How many steps before the place of *call* ask for the same, in its scope."""
        scope, place = call.scope, call.place
        return sum(s.scope == scope and s.place < place and s.asked == asked for s in self._trace)

    def _due(self, expected: Step | None) -> list[Intervention]:
        """The changes of facts that are in force at the step *expected*, and new to the state."""
        now = _START if expected is None else expected.n
        due = [each for each in self._facts if each[0] <= now or each[1] not in self.idle]
        self._facts = [each for each in self._facts if each not in due]
        changes = [change for _, change in due]
        self.idle = [each for each in self.idle if each not in changes]
        return changes

    # -------------------------------------------------------------------- misses

    def _performs(self, op: Keyword) -> bool:
        """Whether *op* may go outside, and something there performs it."""
        return self._allow(op) and not self._handlers.check([op])

    def _miss(self, call: Call, asked: bytes, expected: Step | None) -> Call:
        """The call to perform, which has a key of its own outside.

        Raises:
            Diverged: it must not be performed.
        """
        performs = self._performs(call.op)
        drifted = not self._reached and (expected is None or expected.asked != asked)
        if drifted or not performs:
            elsewhere = self._trace.by_key.get((call.scope, asked, call.occurrence))
            found = asked_otherwise(call, self._args(call), expected, elsewhere)
            if not performs:
                self._left[call.scope] = found
                raise found.error(self._hint(call.op))
            self._noted.append(found)
            self._first = min(self._first, _NEVER if expected is None else expected.n)
            self._reached = True
        self.missed.append(call)
        return attrs.evolve(call, run=self._id)

    def _hint(self, op: Keyword) -> str | None:
        if self._allow(op):
            return f"no handler of live= performs {op}"
        return _ANEW if self._reached else None

    @property
    def divergence(self) -> Divergence | None:
        """The first divergence in the order of the record; None if there was none."""
        found = [*self._noted, *self._left.values()]
        return min(found, key=lambda each: (each.n, sort_key(each.scope)), default=None)

    @property
    def first(self) -> float:
        """The number of the first step that need not be as it was recorded."""
        return self._first

    # ------------------------------------------------------------------- redaction

    def _args(self, call: Call) -> Map:
        args = self._redacted(call.op, form(call.args))
        assert isinstance(args, Map)
        return args

    def _redacted(self, op: Keyword, value: Value) -> Value:
        for redact in self._redact:
            if redact is not None:
                value = redact(op, value)
        return value


def _refreshed(patterns: Patterns) -> Callable[[Keyword], bool]:
    """Which operations are asked anew after an intervention; "*" leaves those in `_KEPT` out."""
    given = [patterns] if isinstance(patterns, str | Keyword) else [*patterns]
    rest = [each for each in given if str(each) != "*"]
    named = matching(rest)
    if len(rest) == len(given):
        return named
    return lambda op: op not in _KEPT or named(op)
