"""What every run is made of: calls that get a place, answers from the record, steps that are kept.

Runs that wait (`run`) and runs that await (`awaited`) differ in how they perform; what is recorded,
and what is answered, is the same.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self, TypeVar
from uuid import UUID, uuid4

import attrs

from persistence.clock import Clock, SystemClock
from persistence.db import Db
from persistence.effects.answers import Answers
from persistence.effects.call import Call, Scope
from persistence.effects.handler import Around, Handler, Handlers, matching
from persistence.effects.hiding import Hiding
from persistence.effects.leash import Leash
from persistence.effects.ledger import Ledger, Memory, Recorder
from persistence.effects.outcome import ended, error_of, failure
from persistence.effects.step import BEGUN, Step
from persistence.effects.trace import RUNNING, Trace
from persistence.effects.words import DONE, FAILED, STOPPED, TRANSACT
from persistence.errors import InputError, PlanStopped, UnhandledEffect, ValueRefused
from persistence.values import Keyword, Map, Value, encode, freeze, in_order, keyword

T = TypeVar("T")

_RESULT: Final = Keyword("run/result")  # what redacting handlers are told that it is
_ERROR: Final = Keyword("run/error")

Reading = Callable[[Map], Db]


@attrs.define(eq=False)
class Asked:
    """A call on its way, and what it is recorded as."""

    call: Call
    args: Map
    asked: bytes
    at: int
    n: int | None = None


class RunBase:
    """What runs that wait and runs that await have in common."""

    def __init__(
        self,
        name: str,
        handlers: Iterable[Handler] = (),
        *,
        id: UUID | None = None,
        clock: Clock | None = None,
        recorder: Recorder | None = None,
        answers: Answers | None = None,
        write_ahead: Iterable[Keyword | str] = (),
        reading: Reading | None = None,
        origin: Trace | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = name
        self.id = id or uuid4()
        self.handlers = handlers if isinstance(handlers, Handlers) else Handlers(handlers)
        self.result: Value = None
        self.status = RUNNING
        self.error: Map | None = None
        self._told: Value = None  # the result as it is recorded
        around = [each for each in self.handlers if isinstance(each, Around)]
        self._hiding = Hiding(self.handlers)
        self._seen = [each.seen for each in around if each.seen is not None]
        self._clock = clock or SystemClock()
        self._origin = Trace(self.id, name, ()) if origin is None else origin
        self._ledger = Ledger(recorder or Memory(), self._origin.steps)
        self._answers = answers
        self._ahead = matching(write_ahead)
        self._reading = reading
        self._sleep = sleep
        self._scope: Scope = ()
        self._to: str | None = None
        self._masked: tuple[str, ...] = ()
        self._main: Any = self
        self._leashes: tuple[Leash[Asked], ...] = ()

    # ------------------------------------------------------------------- views

    def named(self, name: str) -> Self:
        """This run, with operations going to the terminal handler *name*.

        The handlers around it are passed as ever.
        """
        return self._view(_to=name)

    def mask(self, name: str) -> Self:
        """This run, with operations passing by the first handler *name*, once for each mask.

        Raises:
            PolicyError: it is a guard, such as a policy or a budget; or there is none.
        """
        self.handlers.maskable(name)
        return self._view(_masked=(*self._masked, name))

    def scope(self, label: Value) -> Self:
        """This run, with places of its own: for work whose order beside others is not settled.

        The same label again, in the same scope, opens another one.
        """
        return self._view(_scope=self._ledger.child(self._scope, freeze(label)))

    def _view(self, **changes: Any) -> Self:
        view = copy.copy(self)
        for name, value in changes.items():
            setattr(view, name, value)
        return view

    # ------------------------------------------------------------------ record

    @property
    def trace(self) -> Trace:
        """What has been recorded so far."""
        main = self._main
        return attrs.evolve(
            self._origin,
            steps=tuple(self._ledger.steps),
            status=main.status,
            result=main._told,
            error=main.error,
        )

    def check(self, ops: Iterable[Keyword | str]) -> None:
        """Makes sure that every operation among *ops* reaches a terminal handler.

        Raises:
            UnhandledEffect: names those that do not.
        """
        holes = self.handlers.check(ops)
        if holes:
            raise UnhandledEffect(
                f"no handler performs {', '.join(map(str, holes))}",
                hint="add a terminal handler for each of them",
                operation=holes[0],
                operations=holes,
            )

    def __repr__(self) -> str:
        return f"<run {self.name!r} {self.id}: {self._main.status.name}>"

    # ---------------------------------------------------------------- the steps

    def _begin(self, op: Keyword | str, args: Mapping[str, Any]) -> Asked:
        named = keyword(op)
        if self._main.status is not RUNNING:
            raise InputError(
                f"{named} cannot be performed: run {self.name!r} is over, {self._main.status.name}",
                hint="perform it inside of `with`; what has ended is left as it is",
                operation=named,
            )
        given = {name: _frozen(named, name, value) for name, value in args.items()}
        recorded, hide = self._hiding.args(named, given)
        asked = encode((named, recorded))
        place, occurrence = self._ledger.ask(self._scope, asked)
        call = Call(
            op=named,
            args=given,
            scope=self._scope,
            place=place,
            occurrence=occurrence,
            run=self.id,
            to=self._to,
            masked=self._masked,
            hide=hide,
        )
        began = Asked(call, recorded, asked, self._clock.now())
        if named is TRANSACT:  # its step is written in the transaction it is about
            call.notes["step"] = lambda result: self._step(began, result=result)
        return began

    def _answered(self, asked: Asked) -> Step | None:
        """The recorded step that answers; where another call shall be made, it is put in place."""
        if self._answers is None:
            return None
        found = self._answers.answer(asked.call, asked.asked)
        if isinstance(found, Call):
            given = {name: freeze(value) for name, value in found.args.items()}
            asked.args, hide = self._hiding.args(found.op, given)
            asked.asked = encode((found.op, asked.args))
            asked.call = attrs.evolve(found, args=given, hide=hide)
            return None
        if found is not None:
            if not self._answers.stored:
                n = self._ledger.number()
                found = found if found.n == n else attrs.evolve(found, n=n)
                self._ledger.add(found)
            for seen in self._seen:
                seen(found)
        return found

    def _write_ahead(self, asked: Asked) -> None:
        if self._ahead(asked.call.op):
            asked.n = self._ledger.number()
            self._ledger.recorder.ahead(self._step(asked, status=BEGUN))

    def _keep(self, asked: Asked, value: Any) -> Step:
        """The step of a call that gave *value*, recorded."""
        try:
            result = freeze(value)
        except ValueRefused as refused:
            refused.hint = "let it give EDN data, or wrap it with @effect(result=…)"
            raise self._lose(asked, refused)  # noqa: B904  its cause is set
        kept = asked.call.notes.pop("kept", None)
        step = self._step(asked, result=result) if kept is None else kept
        self._ledger.add(step, kept=kept is not None)
        return step

    def _lose(self, asked: Asked, error: BaseException) -> BaseException:
        """The error to raise for a call that gave none; the step is recorded."""
        status, told, raised = failure(asked.call, error)
        self._ledger.add(self._step(asked, status=status, error=told))
        return raised

    def _step(self, asked: Asked, **outcome: Any) -> Step:
        call = asked.call
        if asked.n is None:
            asked.n = self._ledger.number()
        if outcome.get("result") is not None:
            outcome["result"] = in_order(call.hide(outcome["result"]))  # as a replay gives it
        return Step(
            op=call.op,
            args=asked.args,
            n=asked.n,
            verdict=call.hide(freeze(call.notes.get("verdict"))),
            cost=freeze(call.notes["cost"]) if "cost" in call.notes else None,
            scope=call.scope,
            place=call.place,
            occurrence=call.occurrence,
            at=asked.at,
            took=max(0, self._clock.now() - asked.at),
            asked=asked.asked,
            **outcome,
        )

    def _read(self, step: Step) -> Db:
        assert self._reading is not None and isinstance(step.result, Map)
        db = self._reading(step.result)
        return db if self._answers is None else self._answers.database(db, step.place)

    def _end(self, error: BaseException | None) -> None:
        """Ends the run, done or because of *error*, and records how; a view ends nothing."""
        main = self._main
        if main is not self or main.status is not RUNNING:
            return
        if error is not None:
            main.error = ended(error, partial(self._hiding.value, _ERROR))
        main.result = freeze(main.result)
        main._told = self._hiding.value(_RESULT, main.result)
        if error is None:
            main.status = DONE
        else:
            main.status = STOPPED if isinstance(error, PlanStopped) else FAILED
        self._ledger.recorder.end(main.status, main._told, main.error)


def some(options: Sequence[T]) -> Sequence[T]:
    """
    Raises:
        InputError: *options* are none.
    """
    if not options:
        raise InputError("there is nothing to choose from", hint="give at least one option")
    return options


def _frozen(op: Keyword, name: str, value: Any) -> Value:
    try:
        return freeze(value)
    except ValueRefused as refused:
        raise ValueRefused(
            f"{op}, argument {name!r}: {refused.message}",
            hint=refused.hint or "give it as EDN data",
            **{**refused.data, "operation": op, "argument": name},
        ) from refused


def given(step: Step) -> Step:
    """*step*, if it is done; else what it came to is raised."""
    error = error_of(step)
    if error is not None:
        raise error
    return step
