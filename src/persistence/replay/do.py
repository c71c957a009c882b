"""The interventions: what would have happened if this one thing had been another.

>>> from persistence.replay import do
>>> do.observation(3, {"price": 12}).form
Map({Keyword('step'): 3, Keyword('observation'): Map({'price': 12})})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from persistence.datoms import InstantLike
from persistence.db import Db
from persistence.effects import Call, Step, Trace
from persistence.effects.call import form as args_form
from persistence.effects.step import error_form
from persistence.effects.words import BASIS, TRANSACT
from persistence.errors import InputError
from persistence.replay.intervention import At, Intervention, Outcome, step_at
from persistence.values import Keyword, Map, Value, freeze, from_micros, keyword, write

_STEP: Final = Keyword("step")
_STATE: Final = (BASIS, TRANSACT)
_MODEL: Final = "model"  # the namespace of the operations that are models


@attrs.frozen
class Observation(Intervention):
    """See `observation` and `output`."""

    at: At
    value: Value = attrs.field(converter=freeze)
    output: bool = False

    def point(self, trace: Trace) -> Step:
        step = step_at(trace, self.at)
        if step.op in _STATE:
            raise InputError(
                f"step {step.n} is {step.op}, whose result is no observation",
                hint="do.fact changes what the run sees of the store, do.action what it writes",
            )
        if self.output and step.op.namespace != _MODEL:
            raise InputError(
                f"step {step.n} is {step.op}, and no output of a model",
                hint="do.observation changes the result of any other step",
            )
        return step

    def answers(self, call: Call) -> Outcome:
        return Outcome(self.value)

    @property
    def form(self) -> Value:
        return _form(self.at, "output" if self.output else "observation", self.value)


@attrs.frozen
class Failure(Intervention):
    """See `failure`."""

    at: At
    kind: str
    message: str = ""

    def point(self, trace: Trace) -> Step:
        return step_at(trace, self.at)

    def answers(self, call: Call) -> Outcome:
        return Outcome(error=error_form(self.kind, self.message))

    @property
    def form(self) -> Value:
        return _form(self.at, "failure", (self.kind, self.message))


@attrs.frozen
class Action(Intervention):
    """See `action`."""

    at: At
    op: Keyword | None
    args: Mapping[str, Value]

    def point(self, trace: Trace) -> Step:
        return step_at(trace, self.at)

    def asks(self, call: Call) -> Call:
        if self.op is None:
            return attrs.evolve(call, args={**call.args, **self.args})
        return attrs.evolve(call, op=self.op, args=self.args)

    @property
    def form(self) -> Value:
        return _form(self.at, "action", (self.op, args_form(self.args)))


@attrs.frozen
class Fact(Intervention):
    """See `fact`."""

    forms: Value = attrs.field(converter=freeze)
    valid_from: Any = None
    valid_to: Any = None
    at: At | None = None

    @property
    def state(self) -> bool:
        return True

    def point(self, trace: Trace) -> Step | None:
        if self.at is not None:
            return step_at(trace, self.at)
        return next((step for step in trace if step.op in _STATE), None)  # none is earlier

    def shows(self, db: Db) -> Db:
        start = from_micros(db.instant) if self.valid_from is None else self.valid_from
        told = db.with_(self.forms, valid_from=start, valid_to=self.valid_to)
        return told.db_after

    @property
    def form(self) -> Value:
        given = {"fact": self.forms, "valid-from": self.valid_from, "valid-to": self.valid_to}
        kept = {Keyword(name): freeze(v) for name, v in given.items() if v is not None}
        return Map(kept if self.at is None else {_STEP: _address(self.at), **kept})


def observation(step: At, value: Any) -> Observation:
    """The step comes to *value* instead of what was recorded; the call itself stays the same.

    >>> from persistence.effects import Run, Terminal
    >>> from persistence.replay import do, replay
    >>> def agent(run):
    ...     price = run.perform("tool/price", of="tea")
    ...     return "buy" if price < 10 else "wait"
    >>> with Run("shop", [Terminal("t", {"tool/price": lambda of: 12})]) as run:
    ...     run.result = agent(run)
    >>> replay(run.trace, agent, do=[do.observation(0, 9)]).value
    'buy'
    """
    return Observation(step, value)


def output(step: At, value: Any) -> Observation:
    """The model says *value* at this step, whose operation is one of ``model/*``.

    >>> output(("model/chat", 0), "no").output
    True
    """
    return Observation(step, value, output=True)


def failure(step: At, kind: str, message: str = "") -> Failure:
    """The step fails: the agent meets an `EffectFailed` of this *kind*.

    >>> failure(2, "TimeoutError", "the line is dead").kind
    'TimeoutError'
    """
    return Failure(step, kind, message)


def action(step: At, op: Keyword | str | None = None, /, **args: Any) -> Action:
    """Another call is made at this step: *op* with *args*; without *op* the same one with these
    arguments changed.

    What it comes to is what the record holds for that call in the same scope; else the handlers
    perform it, if that is allowed; an `observation` at the same step says it instead.

    >>> action(1, query="coffee").args["query"]
    'coffee'
    """
    given = {name: freeze(value) for name, value in args.items()}
    return Action(step, None if op is None else keyword(op), given)


def fact(
    forms: Any,
    *,
    valid_from: InstantLike | None = None,
    valid_to: InstantLike | None = None,
    at: At | None = None,
) -> Fact:
    """From the step *at* on, or from the beginning, `run.db()` shows what transacting *forms*
    would have given. Nothing is written. They hold from the instant of that database value on,
    unless *valid_from* says otherwise.

    >>> fact([{"item/sku": "tea", "item/price": 9}]).at is None
    True
    """
    return Fact(forms, valid_from, valid_to, at)


def read(form: Any) -> Intervention:
    """The intervention that *form* describes: one of

    ``{:step 3 :observation v}``, ``{:step 3 :output v}``, ``{:step 3 :failure ["Kind" "words"]}``,
    ``{:step 3 :action [:tool/search {:query "tea"}]}``, where the operation may be nil, and
    ``{:fact [forms]}``, which takes a ``:step``, ``:valid-from`` and ``:valid-to`` too.
    A step is a number or ``[:operation occurrence]``.

    >>> import persistence
    >>> read(persistence.read('{:step [:model/chat 0] :output "no"}'))
    Observation(at=(Keyword('model/chat'), 0), value='no', output=True)

    Raises:
        InputError: it describes none.
    """
    given = form if isinstance(form, Map) else Map({})
    at = given.get(_STEP)
    known = {name.name: value for name, value in given.items() if isinstance(name, Keyword)}
    known.pop("step", None)
    match known:
        case {"observation": value, **rest} if not rest and _is_step(at):
            return Observation(at, value)
        case {"output": value, **rest} if not rest and _is_step(at):
            return Observation(at, value, output=True)
        case {"failure": (str(kind), str(message)), **rest} if not rest and _is_step(at):
            return Failure(at, kind, message)
        case {"action": (None | Keyword() as op, Map() as args), **rest} if not rest and _is_step(
            at
        ):
            return Action(at, op, {keyword(name).name: value for name, value in args.items()})
        case {"fact": forms, **rest} if rest.keys() <= {"valid-from", "valid-to"} and (
            at is None or _is_step(at)
        ):
            return Fact(forms, rest.get("valid-from"), rest.get("valid-to"), at)
    raise InputError(
        f"{write(form)} is no intervention",
        hint="one of {:step 3 :observation v} {:step 3 :output v} {:step 3 :action [op {args}]} "
        "{:step 3 :failure [kind message]} {:fact [forms]}",
    )


def _is_step(at: Any) -> bool:
    if type(at) is tuple:
        return len(at) == 2 and isinstance(at[0], Keyword) and type(at[1]) is int
    return type(at) is int


def _address(at: At) -> Value:
    if isinstance(at, Step):
        return at.n
    return (keyword(at[0]), at[1]) if isinstance(at, tuple) else at


def _form(at: At, what: str, value: Value) -> Map:
    return Map({_STEP: _address(at), Keyword(what): value})
