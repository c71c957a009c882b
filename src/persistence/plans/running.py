"""Runs a plan on a recorded run: checked before anything is done, and told apart when it stops."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any, Final, TypeAlias
from uuid import UUID

import attrs

from persistence.effects import Around, Call, Handlers, Run, Terminal, Trace
from persistence.errors import PlanStopped
from persistence.plans.code_step import run_code
from persistence.plans.engine import Context, Engine, Halt
from persistence.plans.expressions import LAST
from persistence.plans.node import Node, walk
from persistence.plans.plays import CODE, MARK, PLAYS, RACE, SKILL, SPEC, operation
from persistence.plans.problems import Path, Problem, refused, shown
from persistence.suggestions import meant
from persistence.values import Keyword, Symbol, Value, freeze, keyword

__all__ = ["STORE", "Player", "Ran", "Settings", "Tools", "bindings", "done_in"]

Tools: TypeAlias = "Terminal | Mapping[Any, Callable[..., Any]] | Iterable[Terminal | Around]"
"""Functions by the names of tools, or handlers, outermost first."""

STORE: Final = ("db/transact", "db/basis", "clock/now", "random/draw")


@attrs.frozen
class Ran:
    """What a run of a plan came to.

    `value` is that of the plan, `trace` the record of every effect. A step's scope in it begins
    with the path of the step in the plan.
    """

    value: Value
    trace: Trace

    @property
    def id(self) -> UUID:
        """The id of the run."""
        return self.trace.id

    @property
    def done(self) -> list[Path]:
        """The paths of the steps that have performed an effect."""
        return done_in(self.trace)


def done_in(trace: Trace) -> list[Path]:
    """The paths of the steps of a plan that have performed an effect in *trace*."""
    paths = {step.scope[0] for step in trace.steps if step.scope and type(step.scope[0]) is tuple}
    return sorted(paths)


def bindings(root: Node, params: Mapping[str, Any] | None) -> Mapping[Symbol, Value]:
    """What the names in `:params` of *root* stand for, and $.

    Raises:
        PlanError: a value is missing, or there is one too many.
    """
    given = dict(params or {})
    wanted = [name.name for name in root.get("params", ())]
    problems = [
        Problem((), f"the plan needs a value for {name}", f'give params={{"{name}": …}}')
        for name in wanted
        if name not in given
    ]
    problems += [
        Problem(
            (), f"the plan has no {name} among its :params", meant(name, wanted) or "leave it out"
        )
        for name in given
        if name not in wanted
    ]
    if problems:
        raise refused(problems, title="this plan cannot be run")
    return {LAST: None, **{Symbol(name): freeze(value) for name, value in given.items()}}


@attrs.frozen(kw_only=True, eq=False)
class Settings:
    """What a run of a plan is given beside its tools."""

    executor: Executor | None = None
    stop: Callable[[Path], bool] | None = None
    skills: Callable[[Keyword], Any] | Mapping[Any, Any] | None = None
    specs: Callable[[Keyword, Value], object] | None = None
    handlers: Iterable[Around | Terminal] = ()


@attrs.define(eq=False)
class Player:
    """Runs one plan once: its handlers are for the run, which then is given to `play`."""

    root: Node
    handlers: list[Around | Terminal]
    settings: Settings
    engine: Engine = attrs.field(init=False)

    @classmethod
    def of(
        cls, root: Node, tools: Tools, settings: Settings, store: Terminal | None = None
    ) -> Player:
        """A player with what a plan's run performs itself behind *tools*; *store* does branches."""
        own: dict[Keyword, Callable[[Call], Any]] = {
            CODE: run_code,
            MARK: lambda call: None,
            RACE: lambda call: player.raced(call),
        }
        if settings.skills is not None:
            own[SKILL] = lambda call: str(_found(settings.skills, call.args["skill"]))
        if settings.specs is not None:
            specs = settings.specs
            own[SPEC] = lambda call: _conforms(specs, call)
        behind = [Terminal("plan", own, takes_call=True), *([store] if store else [])]
        player = cls(root, [*settings.handlers, *_handlers(tools), *behind], settings)
        player.engine = Engine(PLAYS, player.holes, settings.executor)
        return player

    def raced(self, call: Call) -> Value:
        """Runs the arms of the race that performs *call*."""
        return self.engine.races[tuple(part for part in call.scope if type(part) is tuple)]()

    def check(self, known: Iterable[str] = ()) -> None:
        """Makes sure that something performs every effect of the plan; *known* are performed.

        Raises:
            PlanError: with the path of every step that nothing would perform.
        """
        problems = self.holes(self.root, known)
        if problems:
            raise refused(problems, title="this plan cannot be run")

    def holes(self, root: Node, known: Iterable[str] = STORE) -> list[Problem]:
        """A problem for every step of *root* that nothing would perform."""
        asked = [(path, op) for path, node in walk(root) if (op := operation(node)) is not None]
        there = {keyword(name) for name in known}
        missing = {*Handlers(self.handlers).check({op for _, op in asked} - there)}
        names = sorted(str(op) for op in {*self._tools(), *there})
        return [
            Problem(path, f"nothing performs {op}", _remedy(op, names))
            for path, op in asked
            if op in missing
        ]

    def _tools(self) -> Iterator[Keyword]:
        for handler in self.handlers:
            if isinstance(handler, Terminal) and handler.name != "plan":
                yield from handler.functions

    def play(self, run: Run, bound: Mapping[Symbol, Value]) -> Ran:
        """Runs the plan on *run*, which was made with the handlers, and ends the run.

        Raises:
            PlanStopped: it was told to stop.
            EffectError: an effect, or a step, failed.
        """
        with run:
            run.result = self._played(run, bound)
        return Ran(run.result, run.trace)

    def join(self, run: Run, bound: Mapping[Symbol, Value]) -> Value:
        """Runs the plan as a part of *run*, behind whose handlers its own come.

        Raises:
            UnhandledEffect: nothing performs one of its effects.
        """
        self.handlers = [*run.handlers, *self.handlers]
        view = copy.copy(run)
        view.handlers = Handlers(self.handlers)
        view.check(op for _, node in walk(self.root) if (op := operation(node)) is not None)
        return self._played(view, bound)

    def _played(self, run: Run, bound: Mapping[Symbol, Value]) -> Value:
        stop = self.settings.stop or (lambda path: False)
        try:
            return self.engine.play(Context(run, stop), self.root, (), bound)
        except Halt as halt:
            raise PlanStopped(
                f"run {run.id} was stopped before the step at {shown(halt.path)}",
                hint="go on with it by s.plan.resume",
                run=run.id,
                path=halt.path,
                trace=run.trace,
            ) from None


def _handlers(tools: Tools) -> list[Around | Terminal]:
    if isinstance(tools, Terminal):
        return [tools]
    return [Terminal("tools", tools)] if isinstance(tools, Mapping) else list(tools)


_REMEDIES: Final = {
    Keyword("model/chat"): "give a handler for :model/chat, which is called with messages=",
    SKILL: "give skills=, or run the plan by s.plan.run",
    SPEC: "give specs=, a function of the spec's name and the value",
    Keyword("plan/branch"): "run the plan on a store, by s.plan.run",
}


def _remedy(op: Keyword, names: list[str]) -> str:
    if op in _REMEDIES:
        return _REMEDIES[op]
    return meant(str(op), names) or f"there are {' '.join(names) or 'no tools at all'}"


def _found(skills: Any, skill: Keyword) -> Any:
    if callable(skills):
        return skills(skill)
    return {keyword(name): plan for name, plan in skills.items()}[skill]


def _conforms(specs: Callable[[Keyword, Value], object], call: Call) -> None:
    specs(call.args["spec"], call.args["value"])
