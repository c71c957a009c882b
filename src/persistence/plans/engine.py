"""Runs the steps of a plan: who is next, what it sees, and how its effects are performed.

A step is a generator that yields the children it wants run, so that a plan may nest deeper than
Python's calls, and so that one place sees every step begin: there a run is stopped.

Every effect is performed in a scope that is the path of its step. So the record tells which step
made which call, and does not depend on which of several arms was faster.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import attrs

from persistence.effects import Run
from persistence.errors import EffectFailed, EffectTimedOut
from persistence.plans.expressions import LAST, evaluate
from persistence.plans.functions import Misuse
from persistence.plans.node import Node
from persistence.plans.problems import Path, Problem, shown
from persistence.values import Keyword, Symbol, Value

__all__ = ["Arm", "Child", "Context", "Engine", "Halt", "Play", "Step", "Where", "failure"]

Bindings: TypeAlias = Mapping[Symbol, Value]
Play: TypeAlias = "Generator[Child, Value, Value]"
Arm: TypeAlias = Callable[[], Value]
Where: TypeAlias = tuple[Path, ...]
"""The path of a step, behind those of the calls that led into its plan."""


class Halt(BaseException):
    """Ends a step that shall go no further: because the run is stopped, or because a race around
    it is *lost*.

    No effect that it passes through takes it for its own failure: what it interrupts is performed
    again when the run goes on.
    """

    def __init__(self, path: Path, *, lost: bool) -> None:
        super().__init__(path)
        self.path, self.lost = path, lost


def failure(step: Step, kind: str, reason: str, fix: str) -> EffectFailed:
    """The error of a step that has no value."""
    return EffectFailed(
        f"at {shown(step.path)} {step.node.tag}: {reason}", hint=fix, kind=kind, path=step.path
    )


@attrs.frozen(eq=False)
class Context:
    """What the steps of one plan, or of one arm of it, have in common."""

    run: Run
    stop: Callable[[Path], bool]
    lost: Callable[[], bool] = lambda: False  # whether a race around has its winner
    calls: Where = ()  # the steps that called the plan
    branch: str | None = None  # where facts are written
    allowed: Counter[Where] | None = None  # effects that a race has on record, and no other


@attrs.frozen(eq=False)
class Child:
    """What a step yields: the child to be run next, what it sees, and where it belongs."""

    index: int
    bindings: Bindings
    context: Context


@attrs.frozen(eq=False)
class Step:
    """One step while it runs."""

    engine: Engine
    context: Context
    node: Node
    path: Path
    bindings: Bindings

    @property
    def last(self) -> Value:
        """The value of the step before."""
        return self.bindings[LAST]

    @property
    def where(self) -> Where:
        return (*self.context.calls, self.path)

    def value(self, form: Value) -> Value:
        """The value of an expression.

        Raises:
            EffectFailed: it has none.
        """
        try:
            return evaluate(form, self.bindings)
        except Misuse as error:
            raise failure(self, "expression", error.reason, error.fix) from None

    def arguments(self, name: str) -> dict[str, Value]:
        """The map of expressions under *name*, by the names of its keys."""
        return {key.name: self.value(form) for key, form in self.node.get(name, {}).items()}

    def child(self, index: int, last: Value, name: Symbol = LAST, value: Value = None) -> Child:
        """The child to be run next, which sees *last* as $, and *value* as *name*."""
        return Child(index, {**self.bindings, name: value, LAST: last}, self.context)

    def seeing(self, last: Value) -> Step:
        """The same step, when *last* is what $ stands for."""
        return attrs.evolve(self, bindings={**self.bindings, LAST: last})

    def arm(self, index: int, context: Context) -> Arm:
        """The child number *index*, to be run beside others."""
        child, path = self.node.children[index], (*self.path, index)
        return partial(self.engine.play, context, child, path, self.bindings)

    def perform(self, op: Keyword | str, /, **args: Value) -> Value:
        """Performs an effect, again when it fails and the step says so."""
        scope = self.context.run.scope(self.path)
        for left in range(self.node.get("retries", 0), -1, -1):
            try:
                return self._performed(scope, op, args)
            except (EffectFailed, EffectTimedOut) as error:
                error.data.setdefault("path", self.path)
                if not left:
                    raise
        raise AssertionError("a step is tried at least once")

    def _performed(self, scope: Run, op: Keyword | str, args: Mapping[str, Value]) -> Value:
        allowed = self.context.allowed
        if allowed is not None:
            if not allowed[self.where]:
                raise Halt(self.path, lost=True)
            allowed[self.where] -= 1
        return scope.perform(op, **args)


@attrs.frozen(eq=False)
class Engine:
    """What one run of a plan needs beside the plan: what runs each kind of step, what tells which
    effects of a plan nobody performs, and threads for arms (by default new ones)."""

    plays: Mapping[Keyword, Callable[[Step], Play]]
    holes: Callable[[Node], list[Problem]]
    executor: Executor | None = None
    races: dict[Where, Callable[[], Value]] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def play(self, context: Context, node: Node, path: Path, bindings: Bindings) -> Value:
        """The value of the step *node*.

        Raises:
            EffectError: it has none, because an effect or a condition failed.
            Halt: it was told to stop.
        """
        stack: list[tuple[Play, Step]] = []
        opening: Step | None = Step(self, context, node, path, bindings)
        value: Value = None
        error: BaseException | None = None
        while True:
            inside = False
            try:
                if opening is not None:
                    step, opening = opening, None
                    if step.context.stop(step.path):
                        raise Halt(step.path, lost=False)
                    if step.context.lost():
                        raise Halt(step.path, lost=True)
                    stack.append((self.plays[step.node.tag](step), step))
                    value = None
                play, parent = stack[-1]
                inside = True
                if error is None:
                    asked = play.send(value)
                else:
                    thrown, error = error, None
                    asked = play.throw(thrown)
                inside = False
                below, place = parent.node.children[asked.index], (*parent.path, asked.index)
                opening = Step(self, asked.context, below, place, asked.bindings)
            except StopIteration as ended:
                stack.pop()
                if not stack:
                    return ended.value
                value = ended.value
            except BaseException as raised:
                if inside:
                    stack.pop()
                if not stack:
                    raise
                error = raised

    def together(self, arms: Sequence[Arm], most: int | None = None) -> list[Value | BaseException]:
        """What each of *arms* gave or raised; at most so many run at once.

        On an executor that was given, the calling thread runs arms too: a plan whose arms have
        arms of their own then goes on when every thread is taken.
        """
        found: list[Value | BaseException] = [None] * len(arms)
        pending = iter(range(len(arms)))
        workers = min(len(arms), most or len(arms))

        def work() -> None:
            while True:
                with self._lock:
                    index = next(pending, None)
                if index is None:
                    return
                try:
                    found[index] = arms[index]()
                except BaseException as error:
                    found[index] = error

        if self.executor is None:
            # Threads of their own: arms within arms then never use up one thread's call stack.
            with ThreadPoolExecutor(workers, "persistence plan") as pool:
                for _ in range(workers):
                    pool.submit(work)
            return found
        helpers = [self.executor.submit(work) for _ in range(workers - 1)]
        work()
        for helper in helpers:
            if not helper.cancel():  # what has not begun has nothing left to do
                helper.result()
        return found

    def launch(self, arms: Sequence[Callable[[], None]], over: Callable[[], bool]) -> None:
        """Begins every one of *arms*, which raise nothing, and waits for none.

        On an executor that was given, the calling thread runs arms too, until it is *over*.
        """
        if self.executor is None:
            for arm in arms:  # daemons: what was given up must not keep the program from ending
                threading.Thread(target=arm, name="persistence race", daemon=True).start()
            return
        pending = iter(arms)

        def work() -> None:
            while not over():
                with self._lock:
                    arm = next(pending, None)
                if arm is None:
                    return
                arm()

        for _ in arms[1:]:
            self.executor.submit(work)
        work()
