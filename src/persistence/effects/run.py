"""One run of an agent: whatever it asks of the outside passes through here, and is recorded.

There is no ambient state: a run is an object that is handed on. Threads may share it; those whose
order is not settled use a `scope` each, so that the record does not depend on who was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from persistence.db import Db
from persistence.effects.base import Asked, RunBase, given, some
from persistence.effects.call import Call
from persistence.effects.drive import carry
from persistence.effects.leash import Leash, ending
from persistence.effects.step import Step
from persistence.effects.words import BASIS, DRAW, NOW, TRANSACT
from persistence.effects.wrapped import Effect
from persistence.errors import EffectAborted
from persistence.values import Keyword, Map

T = TypeVar("T")

_GIVEN_UP: Final = "given up"  # the note that tells by which leash


class Run(RunBase):
    """A run of an agent. `Effects.run` gives one that is recorded in a store; one that is made
    here keeps its trace in memory.

    >>> from persistence.effects import Terminal
    >>> with Run("greet", [Terminal("tools", {"tool/greet": lambda name: f"Hi {name}"})]) as run:
    ...     run.result = run.perform("tool/greet", name="Ada")
    >>> run.result, [str(step) for step in run.trace]
    ('Hi Ada', ['0 :tool/greet done'])
    """

    def perform(self, op: Keyword | str | Effect[Any], /, **args: Any) -> Any:
        """Performs the operation *op* through the handlers, records it, and gives its result.

        Arguments and result are EDN values; lists come back as tuples, dicts as `Map`s. An
        operation that was wrapped with `effect` may be given in place of its name; its specs are
        then held against arguments and result.

        Raises:
            UnhandledEffect: no handler performs it.
            EffectDenied, BudgetSpent, EffectTimedOut: a handler did not let it through.
            EffectFailed: what performs it raised; `kind` names the exception.
            SpecError: an argument or the result does not conform.
            Diverged: in a replay, the record does not hold it.
        """
        if isinstance(op, Effect):
            return op.given(self._perform(op.op, op.taken(args)).result)
        return self._perform(op, args).result

    def _perform(self, op: Keyword | str, args: Mapping[str, Any]) -> Step:
        asked = self._begin(op, args)
        step = self._answered(asked)
        for leash in self._leashes:
            leash.begin(asked, answered=step is not None)
        if step is not None:
            return given(step)
        if asked.call.op is TRANSACT:  # it records itself, so it is never given up half done
            with ending(self._leashes, asked):
                return self._performed(asked, ())
        return self._performed(asked, self._leashes)

    def _performed(self, asked: Asked, leashes: Sequence[Leash[Asked]]) -> Step:
        try:
            chain = self.handlers.chain(asked.call.op, self._to, self._masked)
            self._write_ahead(asked)
            value = carry(chain, asked.call, self._sleep)
        except BaseException as error:
            with ending(leashes, asked):
                raised = self._lose(asked, error)
            if raised is error:
                raise
            raise raised  # noqa: B904  its cause is set
        if not leashes:
            return self._keep(asked, value)
        with ending(leashes, asked):
            return self._keep(asked, value)

    def leashed(self) -> tuple[Self, Callable[[], list[Call]]]:
        """This run, and a function that gives up what is done with it, for good, and gives all
        calls that were made.

        What is under way then is recorded as aborted at once. Threads that are inside of it are
        left to themselves: when they come back, `GivenUp` is raised in them, and nothing of what
        they bring is recorded. A write to the store of the run is finished first.

        >>> import threading
        >>> from persistence.effects import GivenUp, Terminal
        >>> began, over = threading.Event(), threading.Event()
        >>> def slow():
        ...     began.set()
        ...     over.wait()
        >>> run = Run("race", [Terminal("t", {"tool/slow": slow})])
        >>> arm, give_up = run.scope("arm").leashed()
        >>> thread = threading.Thread(target=lambda: attempt(arm))
        >>> def attempt(arm):
        ...     try:
        ...         arm.perform("tool/slow")
        ...     except GivenUp:
        ...         print("nobody waits")
        >>> thread.start()
        >>> _ = began.wait()
        >>> give_up()
        [<call :tool/slow {}>]
        >>> [str(step) for step in run.trace]
        ['0 :tool/slow aborted']
        >>> over.set(); thread.join()
        nobody waits
        """
        leash: Leash[Asked] = Leash()

        def give_up() -> list[Call]:
            for asked in leash.cut():
                if asked.call.notes.setdefault(_GIVEN_UP, leash) is leash:
                    self._lose(asked, EffectAborted("it was given up, and nobody waits for it"))
            return [asked.call for asked in leash.calls]

        return self._view(_leashes=(*self._leashes, leash)), give_up

    def now(self) -> datetime:
        """The time, by the run's clock: recorded, so that a replay sees the same."""
        moment = self.perform(NOW)
        assert isinstance(moment, datetime)
        return moment

    def random(self) -> float:
        """A number from 0.0 up to 1.0, by the run's seed: recorded, like all effects."""
        return float(self.perform(DRAW))

    def choice(self, options: Sequence[T]) -> T:
        """One of *options*, drawn with :meth:`random`.

        Raises:
            InputError: there is none to choose.
        """
        return some(options)[int(self.random() * len(options))]

    def db(self) -> Db:
        """The database as it is now; a replay gets it as it was then.

        Raises:
            UnhandledEffect: the run has no store.
        """
        return self._read(self._perform(BASIS, {}))

    def transact(self, forms: Any, **options: Any) -> Mapping[str, int]:
        """Commits *forms* together with the record of this step; gives the ids of tempids.

        Options are those of :meth:`Facts.transact`. After a crash it is either both there or
        neither.

        Raises:
            UnhandledEffect: the run has no store.
            EffectFailed: the transaction was refused; nothing was written.
        """
        found: Map = self.perform(TRANSACT, forms=forms, **options)
        return {key.name: e for key, e in found.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(error)
