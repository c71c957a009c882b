"""`s.plan`: plans that are kept in a store, and their runs, which stop and go on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import attrs

from persistence.branches import MAIN
from persistence.connection import Connection
from persistence.db import Db
from persistence.effects import Effects, Trace
from persistence.errors import TraceError
from persistence.plans import edit as editing
from persistence.plans.branching import branching
from persistence.plans.diff import Change
from persistence.plans.node import Node
from persistence.plans.plan import Plan
from persistence.plans.plays import MARK
from persistence.plans.problems import Path, Problem, refused
from persistence.plans.running import STORE, Player, Ran, Settings, Tools, bindings, done_in
from persistence.plans.stored import Library, Version
from persistence.values import Keyword, Map, Value

__all__ = ["Plans"]

_ID, _PARAMS = Keyword("plan/id"), Keyword("plan/params")
_NAME: Final = Keyword("name")
_SETTINGS: Final = {field.name for field in attrs.fields(Settings)}

Conforms = Callable[[Keyword, Value], object]


class Plans:
    """Plans on one branch of a store.

    >>> plan = s.plan.save("double", Plan("[:tool-call {:tool :double :args {:n 4}}]"))
    >>> s.plan.run("double", {"double": lambda n: 2 * n}).value
    8

    *specs* holds the values of `:verify` steps against specs by name, unless a run brings its own.
    """

    def __init__(
        self,
        connection: Connection,
        effect: Effects,
        *,
        branch: int = 0,
        line: str = MAIN,
        specs: Conforms | None = None,
    ) -> None:
        self._library = Library(connection, branch)
        self._connection, self._effect, self._line, self._specs = connection, effect, line, specs

    def parse(self, source: str | Node | Plan | Sequence[Any]) -> Plan:
        """The plan that *source* is the text or the form of; see :class:`Plan`.

        Raises:
            PlanError: it is none.
        """
        return Plan(source)

    # ------------------------------------------------------------------- plans by name

    def save(self, name: str, plan: Plan | str, *, expected: Plan | None = None) -> Plan:
        """Lets *name* stand for *plan*. A name that stands for another plan already is moved only
        from the plan that is *expected* there.

        Raises:
            PlanError: *plan* is none, or the name is taken and nothing was expected.
            CasFailed: the name stands for something else by now.
        """
        made = Plan(plan)
        if name in self._library.names() and expected is None:
            if self._library.root(name) == made.id:
                return made
            reason = f"{name!r} stands for another plan already"
            fix = "give that plan as expected=, or edit it"
            raise refused([Problem((), reason, fix)], title="nothing was saved")
        self._library.name(name, made.root, None if expected is None else expected.id)
        return made

    def load(self, name: str | bytes, *, db: Db | None = None) -> Plan:
        """The plan of a name, or of an id; with *db*, what the name stood for then.

        Raises:
            PlanError: there is none.
        """
        id = self._library.root(name, db) if isinstance(name, str) else name
        return Plan(self._library.load(id))

    def names(self) -> list[str]:
        """The names of the plans there are, sorted."""
        return self._library.names()

    def history(self, name: str) -> list[Version]:
        """What the name stood for, the earliest first; `load` takes the id of each.

        Raises:
            PlanError: there is no such name.
        """
        return self._library.versions(name)

    def edit(
        self,
        name: str,
        path: Sequence[int],
        change: editing.Change,
        *,
        done: UUID | str | None = None,
        expected: Plan | None = None,
    ) -> Plan:
        """Edits the plan of a name in one transaction; see :meth:`Plan.edit`.

        With *done*, a run, an edit of work that the run has done is refused. With *expected*, the
        plan that the caller has seen, nothing is written if there is another one by now.

        Raises:
            PlanError: there is no such plan or step, the result is none, or the step is done.
            CasFailed: somebody else has edited the plan since.
        """
        return self._edited(name, lambda p, d: p.edit(path, change, done=d), done, expected)

    def insert_before(
        self,
        name: str,
        path: Sequence[int],
        step: str | Node,
        *,
        done: UUID | str | None = None,
        expected: Plan | None = None,
    ) -> Plan:
        """As :meth:`edit`, with :meth:`Plan.insert_before`."""
        return self._edited(name, lambda p, d: p.insert_before(path, step, done=d), done, expected)

    def insert_after(
        self,
        name: str,
        path: Sequence[int],
        step: str | Node,
        *,
        done: UUID | str | None = None,
        expected: Plan | None = None,
    ) -> Plan:
        """As :meth:`edit`, with :meth:`Plan.insert_after`."""
        return self._edited(name, lambda p, d: p.insert_after(path, step, done=d), done, expected)

    def delete(
        self,
        name: str,
        path: Sequence[int],
        *,
        done: UUID | str | None = None,
        expected: Plan | None = None,
    ) -> Plan:
        """As :meth:`edit`, with :meth:`Plan.delete`."""
        return self._edited(name, lambda p, d: p.delete(path, done=d), done, expected)

    def apply(
        self,
        name: str,
        changes: Iterable[Change],
        *,
        done: UUID | str | None = None,
        expected: Plan | None = None,
    ) -> Plan:
        """As :meth:`edit`, with :meth:`Plan.apply`: all changes in one transaction."""
        return self._edited(name, lambda p, d: p.apply(changes, done=d), done, expected)

    def _edited(
        self,
        name: str,
        change: Callable[[Plan, Collection[Path]], Plan],
        done: UUID | str | None,
        expected: Plan | None,
    ) -> Plan:
        old = self.load(name) if expected is None else expected
        new = change(old, () if done is None else self.done(done))
        self._library.name(name, new.root, old.id)
        return new

    # ------------------------------------------------------------------- runs

    def run(
        self,
        plan: Plan | str,
        tools: Tools = (),
        *,
        params: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Ran:
        """Runs a plan, given itself or by its name, as a recorded run.

        Options are the settings of :meth:`Plan.run` and those of `s.effect.run`. Skills are plans
        by their names, unless *skills* are given.

        Raises:
            PlanError: there is no such plan, nothing performs one of its effects, or a value of
                *params* is missing; nothing was done.
            PlanStopped: it was told to stop; `run` in its data is the id to go on with.
            EffectError: an effect, or a condition, failed; the run can be rewound to before it.
        """
        found = self.load(plan) if isinstance(plan, str) else plan
        player, others = self._player(found.root, tools, options)
        bound = bindings(found.root, params)
        self._library.keep(found.root)
        meta = {**others.pop("meta", {}), _ID: found.id, _PARAMS: _form(params)}
        name = others.pop("name", plan if isinstance(plan, str) else "plan")
        run = self._effect.run(name, player.handlers, meta=meta, **others)
        return player.play(run, bound)

    def resume(
        self, run: UUID | str, tools: Tools = (), *, plan: Plan | None = None, **options: Any
    ) -> Ran:
        """Goes on with a run that was stopped or lost its process: what is on record answers, the
        rest is performed. With *plan*, it goes on with an edited plan.

        A failure is on record like any result. To try again what failed, rewind to before it.

        Raises:
            PlanError: *plan* changes work that is done.
            TraceError: there is no such run of a plan, or it is done.
        """
        trace = self._effect.trace(run)
        root, params = self._of(trace)
        if plan is not None:
            changes = Plan(root).diff(plan)
            root = Plan(root).apply(changes, done=done_in(trace)).root
        player, others = self._player(root, tools, options)
        bound = bindings(root, params)
        taken_up = self._effect.resume(trace.id, player.handlers, **others)
        if plan is not None:
            self._library.assign(trace.id, root)
        return player.play(taken_up, bound)

    def rewind(
        self,
        run: UUID | str,
        tools: Tools = (),
        *,
        upto: int | str,
        plan: Plan | None = None,
        **options: Any,
    ) -> Ran:
        """Begins a new run that has the first *upto* effects of another in common with it, or
        those up to the checkpoint of that name. With *plan*, the rest is done by another plan.

        Raises:
            PlanError: *plan* changes work that is kept.
            TraceError: there is no such run of a plan, or no such checkpoint in it.
        """
        trace = self._effect.trace(run)
        root, params = self._of(trace)
        count = upto if isinstance(upto, int) else _checkpoint(trace, upto)
        if plan is not None:
            kept = attrs.evolve(trace, steps=tuple(step for step in trace if step.n < count))
            root = Plan(root).apply(Plan(root).diff(plan), done=done_in(kept)).root
        player, others = self._player(root, tools, options)
        bound = bindings(root, params)
        new = self._effect.resume(trace.id, player.handlers, upto=count, **others)
        self._library.assign(new.id, root)
        return player.play(new, bound)

    def done(self, run: UUID | str) -> list[Path]:
        """The paths of the steps of a run's plan that have performed an effect.

        Raises:
            TraceError: there is no such run.
        """
        return done_in(self._effect.trace(run))

    def _player(
        self, root: Node, tools: Tools, options: Mapping[str, Any]
    ) -> tuple[Player, dict[str, Any]]:
        """What runs the plan, and the options that are for the run itself."""
        given = {name: value for name, value in options.items() if name in _SETTINGS}
        others = {name: value for name, value in options.items() if name not in _SETTINGS}
        defaults = {"skills": self._skill, "specs": self._specs}
        store = branching(self._connection, self._line)
        player = Player.of(root, tools, Settings(**{**defaults, **given}), store)
        player.check(STORE)
        return player, others

    def _skill(self, skill: Keyword) -> Plan:
        return self.load(skill.name)

    def _of(self, trace: Trace) -> tuple[Node, Mapping[str, Any]]:
        """The plan and the values of the names that a run was given."""
        id = self._library.of_run(trace.id) or trace.meta.get(_ID)
        if id is None:
            raise TraceError(
                f"run {trace.id} is none of a plan", hint="go on with it by s.effect.resume"
            )
        params = {key.name: value for key, value in trace.meta.get(_PARAMS, {}).items()}
        return self._library.load(id), params


def _form(params: Mapping[str, Any] | None) -> Map:
    return Map({Keyword(name): value for name, value in (params or {}).items()})


def _checkpoint(trace: Trace, name: str) -> int:
    """How many effects there are up to the checkpoint *name*, the last if there are several."""
    marks = {step.args[_NAME]: step.n for step in trace if step.op is MARK}
    if name not in marks:
        listed = ", ".join(marks) or "none"
        raise TraceError(
            f"run {trace.id} passed no checkpoint {name!r}", hint=f"it passed {listed}"
        )
    return int(marks[name]) + 1
