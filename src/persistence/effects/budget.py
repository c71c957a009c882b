"""How much a run may use of what is paid for: tokens, money, calls and time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from decimal import Decimal
from typing import Any, Final

import attrs

from persistence.effects.call import Call
from persistence.effects.handler import Around, Asked, Within, matching
from persistence.effects.step import BEGUN, DENIED, Step
from persistence.effects.usage import NOTHING, Cost, cost_of, money_of, usage
from persistence.effects.verdict import denial, for_nothing, judge
from persistence.effects.world import OWN
from persistence.errors import BudgetSpent, EffectDenied, EffectTimedOut, InputError
from persistence.values import Keyword

Costing = Callable[[Call, Any], Any]
Expecting = Callable[[Call], Any]

_ONE: Final = Cost(calls=1)


@attrs.frozen
class Spent:
    """What is spent of a budget."""

    tokens: int = 0
    money: Decimal = Decimal(0)
    calls: int = 0
    seconds: float = 0.0


class Budget:
    """What a run may use, and what it has used: of tokens, money, calls and seconds.

    What is None is not limited. The seconds begin with the first call; *now* is a clock that
    never goes back. Several runs may share a budget, and so may threads.

    >>> Budget(tokens=10_000, money=Decimal("0.50"), seconds=60)
    <budget: tokens 0 of 10000, money 0 of 0.50, seconds 0 of 60>

    Raises:
        InputError: a limit that is none.
    """

    def __init__(
        self,
        *,
        tokens: int | None = None,
        money: Decimal | int | None = None,
        calls: int | None = None,
        seconds: float | None = None,
        name: str = "budget",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        for what, limit in (("tokens", tokens), ("calls", calls)):
            if limit is not None and (type(limit) is not int or limit < 0):
                raise InputError(f"{what}={limit!r} is no limit", hint="give a number from 0")
        if isinstance(money, float):
            raise InputError(f"money={money!r} is not exact", hint='give Decimal("0.50")')
        if seconds is not None and not seconds > 0:
            raise InputError(f"seconds={seconds!r} is no time", hint="give more than 0")
        self.name = name
        self.tokens, self.calls, self.seconds = tokens, calls, seconds
        self.money = None if money is None else money_of(money)
        self._now = now
        self._lock = threading.Lock()
        self._calls = 0
        self._spent = NOTHING  # tokens and money
        self._held = NOTHING  # what calls under way are expected to cost
        self._before = 0.0  # seconds that steps on record took
        self._began: float | None = None

    @property
    def spent(self) -> Spent:
        """What is spent by now, calls under way included."""
        with self._lock:
            found = self._spent
            return Spent(found.tokens, found.money, self._calls, self._elapsed())

    def _elapsed(self) -> float:
        return self._before + (0.0 if self._began is None else self._now() - self._began)

    def take(self, expected: Cost) -> Cost:
        """Takes a call out, and sets aside what it is *expected* to cost; gives what was taken.

        Raises:
            BudgetSpent: there is not that much left.
        """
        with self._lock:
            if self._began is None:
                self._began = self._now()
            there = self._spent if self._held is NOTHING else self._spent + self._held
            if self.calls is not None:
                self._need("calls", self.calls, self._calls, 1)
            if self.tokens is not None:
                self._need("tokens", self.tokens, there.tokens, expected.tokens)
            if self.money is not None:
                self._need("money", self.money, there.money, expected.money)
            if self.seconds is not None:
                self._need("seconds", self.seconds, self._elapsed(), 0)
            self._calls += 1
            if expected is not NOTHING:
                self._held = self._held + expected
        return expected

    def _need(self, what: str, allowed: Any, spent: Any, needed: Any) -> None:
        if spent < allowed and spent + needed <= allowed:
            return
        more = f", and this call may take {needed}" if what != "calls" and needed else ""
        raise BudgetSpent(
            f"{_shown(spent)} of {_shown(allowed)} {what} of {self.name} are spent{more}",
            hint="this refusal is on record; to go on with a larger budget, resume the run with "
            "upto= the number of this step",
            budget=self.name,
            what=what,
            allowed=allowed,
            spent=spent,
        )

    def settle(self, taken: Cost, cost: Cost | None) -> None:
        """Gives back what was set aside, and takes the true *cost*; None if nothing was done."""
        with self._lock:
            if taken is not NOTHING:
                self._held = self._held - taken
            if cost is None:
                self._calls -= 1
            elif cost is not NOTHING:
                self._spent = self._spent + cost

    def left(self) -> float | None:
        """The seconds that are left; None if they are not limited."""
        return None if self.seconds is None else max(0.0, self.seconds - self.spent.seconds)

    def seen(self, step: Step) -> None:
        """Takes into account a step that is on record, of an earlier part of the run."""
        if step.status in (DENIED, BEGUN) or for_nothing(step.verdict):
            return
        cost = cost_of(step.cost)
        with self._lock:
            self._spent = self._spent + cost
            self._calls += cost.calls or 1
            self._before += step.took / 1_000_000

    def __repr__(self) -> str:
        spent = self.spent
        told = [
            f"{what} {_shown(getattr(spent, what))} of {_shown(getattr(self, what))}"
            for what in ("tokens", "money", "calls", "seconds")
            if getattr(self, what) is not None
        ]
        return f"<{self.name}: {', '.join(told) or 'no limits'}>"


def _shown(number: Any) -> str:
    return f"{number:.3g}" if isinstance(number, float) else str(number)


def budget(
    limits: Budget,
    *,
    cost: Costing = usage,
    expect: Expecting | None = None,
    ops: Iterable[Keyword | str] | Keyword | str = "*",
) -> Around:
    """A guard that lets calls through while *limits* are not used up, and counts what they cost.

    *cost* gives what a call cost, ``{"tokens": …, "money": …}``, from the call and its result; by
    default from the usage that a model's answer tells (`usage`). It is recorded with the step.
    Nobody knows the tokens of a call before it is made, so the last one may go beyond the limit;
    unless *expect* gives from the call the most that it can cost, which is then set aside first.
    The number of calls is never exceeded. When seconds are limited, a call gets no more of them
    than are left.

    What is denied further inside, a dry run and an answer from a cache cost nothing, nor does what
    a run asks of its own clock, chance and store. Steps that a resumed run finds on record count:
    give it a new `Budget`.

    >>> from persistence.effects import Run, Terminal
    >>> limits = Budget(calls=1)
    >>> run = Run("ask", [budget(limits), Terminal("t", {"tool/search": lambda: "tea"})])
    >>> run.perform("tool/search"), limits.spent.calls
    ('tea', 1)
    >>> run.perform("tool/search")
    Traceback (most recent call last):
    ...
    persistence.errors.BudgetSpent: :tool/search was refused: 1 of 1 calls of budget are spent
    """
    chosen = matching(ops)

    def mine(op: Keyword) -> bool:
        return op not in OWN and chosen(op)

    def handle(call: Call) -> Generator[Asked, Any, Any]:
        taken = _taken(limits, call, NOTHING if expect is None else cost_of(expect(call)))
        spent: Cost | None = NOTHING
        try:
            left = limits.left()
            result = yield call if left is None else Within(call, left)
            spent = None if for_nothing(call.notes.get("verdict")) else cost_of(cost(call, result))
            return result
        except (EffectDenied, BudgetSpent):  # nothing was done
            spent = None
            raise
        except EffectTimedOut:
            if limits.left() == 0:
                judge(call, denial(limits.name, "seconds", allowed=limits.seconds))
            raise
        finally:
            limits.settle(taken, spent)
            if spent is not None:
                _record(call, limits, spent)

    def seen(step: Step) -> None:
        if mine(step.op):
            limits.seen(step)

    return Around(limits.name, handle, ops=mine, guard=True, seen=seen)


def _taken(limits: Budget, call: Call, expected: Cost) -> Cost:
    try:
        return limits.take(expected)
    except BudgetSpent as refused:
        told = {key: refused.data[key] for key in ("allowed", "spent")}
        said = denial(limits.name, refused.data["what"], **told)
        judge(call, said)
        raise BudgetSpent(
            f"{call.op} was refused: {refused.message}",
            hint=refused.hint,
            operation=call.op,
            place=call.place,
            verdict=said,
            **refused.data,
        ) from None


def _record(call: Call, limits: Budget, spent: Cost) -> None:
    """Notes what the call cost in all; a handler further out may make it several times."""
    earlier = call.notes.get(limits)
    total = spent + _ONE if earlier is None else earlier + spent + _ONE
    call.notes[limits] = total
    form = total.form
    if form is not None:
        call.notes["cost"] = form
