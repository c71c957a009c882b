"""Records the runs of a test the first time, and answers them from the file ever after."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import NAMESPACE_URL, uuid5

from persistence.clock import SystemClock
from persistence.effects import AsyncRun, Handler, Run, Trace, drawing, telling
from persistence.effects.base import RunBase
from persistence.errors import Diverged, InputError
from persistence.replay.cassette import Cassette
from persistence.replay.divergence import Divergence
from persistence.replay.replaying import AsyncReplayRun, Begun, ReplayRun, begin, finished

R = TypeVar("R", bound=RunBase)

RECORD: Final = "record"
REPLAY: Final = "replay"
LIVE: Final = "live"
MODES: Final = (RECORD, REPLAY, LIVE)


class EffectRecorder:
    """The runs of one test, kept in the file *path*.

    *mode* is "record", which performs and keeps; "replay", which answers from the file and performs
    nothing; "live", which performs and keeps nothing; or None: replay if the file is there, else
    record. *name* tells the test from others: the ids of its runs and their chance follow from it.

    >>> from pathlib import Path
    >>> from persistence.effects import Terminal
    >>> for price in (12, 99):
    ...     effects = EffectRecorder(Path("shop.edn"), "test_shop")
    ...     with effects.run("shop", [Terminal("t", {"tool/price": lambda: price})]) as run:
    ...         print(effects.mode, run.perform("tool/price"))
    ...     effects.finish()
    record 12
    replay 12

    Raises:
        InputError: *mode* is none.
        TraceError: there is no file to replay, or it cannot be read.
    """

    def __init__(self, path: Path, name: str, mode: str | None = None) -> None:
        if mode not in (None, *MODES):
            raise InputError(
                f"effects cannot be handled as {mode!r}", hint=f"one of {', '.join(MODES)}"
            )
        self.path, self.name = path, name
        self.mode = mode or (REPLAY if path.exists() else RECORD)
        self._made: list[RunBase] = []
        self._begun: list[tuple[Begun, Trace]] = []
        self._recorded = Cassette.load(path).runs if self.mode == REPLAY else ()

    def run(self, name: str, handlers: Iterable[Handler] = ()) -> Run:
        """Begins a run, as `persistence.effects.Run` does, with a clock and chance of its own.

        *handlers* perform where the mode is record or live; those that redact do so in each.

        Raises:
            Diverged: the file holds another run here, or none.
        """
        return self._open(Run, ReplayRun, name, handlers)

    def arun(self, name: str, handlers: Iterable[Handler] = ()) -> AsyncRun:
        """As :meth:`run`, for a run that awaits."""
        return self._open(AsyncRun, AsyncReplayRun, name, handlers)

    def _open(
        self,
        performing: type[R],
        answering: Any,
        name: str,
        handlers: Iterable[Handler],
    ) -> R:
        n = len(self._made)
        if self.mode == REPLAY:
            trace = self._expected(n, name)
            begun = begin(answering, trace, live=handlers)
            self._begun.append((begun, trace))
            run: R = begun.run
        else:
            id = uuid5(NAMESPACE_URL, f"{self.name}#{n}")
            around = [*handlers, telling(SystemClock()), drawing(id.int)]
            run = performing(name, around, id=id)
        self._made.append(run)
        return run

    def _expected(self, n: int, name: str) -> Trace:
        held = self._recorded[n].name if n < len(self._recorded) else None
        if held != name:
            raise Diverged(
                f"run {n} is {name!r}, and {self.path} holds "
                + ("nothing more" if held is None else repr(held)),
                hint="the test has changed: record it anew with pytest --effects=record",
                operation=None,
                place=n,
                expected=held,
                found=name,
            )
        return self._recorded[n]

    @property
    def divergence(self) -> Divergence | None:
        """The first place where one of the runs so far asked for what is not in the file."""
        found = (begun.run.record.divergence for begun, _ in self._begun)
        return next((each for each in found if each is not None), None)

    def finish(self) -> None:
        """Ends the test: writes the file, or makes sure that it was followed to its end.

        Raises:
            Diverged: the runs are not those of the file.
        """
        if self.mode == RECORD:
            if self._made:
                Cassette(tuple(run.trace for run in self._made)).save(self.path)
            return
        if self.mode == REPLAY:
            for begun, trace in self._begun:
                found = finished(begun, trace).divergence
                if found is not None:
                    raise found.error("if it is meant, record it anew: pytest --effects=record")
            if len(self._made) < len(self._recorded):
                missing = self._recorded[len(self._made)].name
                raise Diverged(
                    f"{self.path} holds {len(self._recorded)} runs, and the test made "
                    f"{len(self._made)}: {missing!r} is missing",
                    hint="the test has changed: record it anew with pytest --effects=record",
                    operation=None,
                    place=len(self._made),
                    expected=missing,
                    found=None,
                )
