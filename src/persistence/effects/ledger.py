"""The steps of one run while it goes on: who is where, which call was made how often, what came."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Protocol

import attrs

from persistence.effects.call import Scope
from persistence.effects.step import Step
from persistence.errors import InputError
from persistence.values import Keyword, List, Map, Value, write


class Recorder(Protocol):
    """Where the steps of a run are kept; `waits` if that takes the time of a store."""

    waits: bool

    def ahead(self, step: Step) -> None:
        """Writes down that *step* is begun, before it is."""

    def add(self, step: Step) -> None:
        """Keeps a step that has ended."""

    def end(self, status: Keyword, result: Value, error: Map | None) -> None:
        """Keeps how the run ended, and whatever was not kept yet."""


class Memory:
    """A recorder that keeps nothing but what the run itself holds."""

    waits = False

    def ahead(self, step: Step) -> None:
        pass

    def add(self, step: Step) -> None:
        pass

    def end(self, status: Keyword, result: Value, error: Map | None) -> None:
        pass


@attrs.define
class _Line:
    """How far one scope is."""

    place: int = 0
    counts: dict[bytes, int] = attrs.field(factory=dict)


class Ledger:
    """The steps of a run by all its threads, in the order in which they ended."""

    def __init__(self, recorder: Recorder, steps: Iterable[Step] = ()) -> None:
        self.recorder = recorder
        self.steps = [*steps]
        self._next = 1 + max((step.n for step in self.steps), default=-1)
        self._lines: dict[Scope, _Line] = {}
        self._children: dict[tuple[Scope, Value], int] = {}
        self._lock = threading.Lock()

    def ask(self, scope: Scope, asked: bytes) -> tuple[int, int]:
        """The place and the occurrence of a call in *scope*."""
        with self._lock:
            line = self._lines.get(scope)
            if line is None:
                line = self._lines[scope] = _Line()
            place, occurrence = line.place, line.counts.get(asked, 0)
            line.place = place + 1
            line.counts[asked] = occurrence + 1
            return place, occurrence

    def child(self, scope: Scope, label: Value) -> Scope:
        """A scope inside of *scope*; one that is opened again under a label is another one.

        How often it was opened before stands behind the label as a list, which no label is: so no
        scope can be taken for one that was opened inside of another.

        Raises:
            InputError: *label* is a list.
        """
        if type(label) is List:
            raise InputError(
                f"{write(label):.80} cannot be the label of a scope", hint="use a vector or a text"
            )
        with self._lock:
            times = self._children.get((scope, label), 0)
            self._children[scope, label] = times + 1
        return (*scope, label, List((times,))) if times else (*scope, label)

    def number(self) -> int:
        """The number of the next step to end."""
        with self._lock:
            n = self._next
            self._next += 1
            return n

    def add(self, step: Step, *, kept: bool = False) -> None:
        """Takes in a step that has ended; *kept* if the recorder has it already."""
        self.steps.append(step)
        if not kept:
            self.recorder.add(step)
