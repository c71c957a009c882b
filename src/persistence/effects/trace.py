"""The recorded effects of one run, as one value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final
from uuid import UUID

import attrs

from persistence.effects.call import Scope
from persistence.effects.step import Step
from persistence.values import Keyword, Map, Value, digest, encode, sort_key

RUNNING: Final = Keyword("running")
FORMAT: Final = 1  # of what is recorded; a reader refuses what it does not know


@attrs.frozen
class Trace:
    """The steps of one run in the order in which they were recorded, and how it ended.

    `status` is :running, :done, :failed or :stopped. Two traces say the same if they are `encoded`
    alike: the steps in the order of scope and place, without times, and the end of the run.

    >>> trace = Trace(UUID(int=0), "nothing", ())
    >>> len(trace), trace.status, len(trace.digest)
    (0, Keyword('running'), 32)
    """

    id: UUID
    name: str
    steps: tuple[Step, ...]
    status: Keyword = RUNNING
    result: Value = None
    error: Map | None = None
    meta: Mapping[Keyword, Value] = attrs.field(factory=dict)
    parent: UUID | None = None
    upto: int | None = None
    code: str | None = None
    started: int = 0

    @property
    def encoded(self) -> bytes:
        """The canonical bytes of what the run did: equal if and only if two runs did the same."""
        ends = (FORMAT, self.name, self.status, self.result, self.error)
        return encode(ends) + b"".join(encode(step.said) for step in self.ordered)

    @property
    def digest(self) -> bytes:
        """The content id of what the run did, made from the ids of its steps."""
        ends = encode((FORMAT, self.name, self.status, self.result, self.error))
        return digest("trace", ends + b"".join(step.id for step in self.ordered))

    @cached_property
    def ordered(self) -> tuple[Step, ...]:
        """The steps by scope and place: the same order however parallel scopes interleaved."""
        return tuple(sorted(self.steps, key=_place))

    @cached_property
    def by_key(self) -> Mapping[tuple[Scope, bytes, int], Step]:
        """The steps by scope, operation with arguments, and occurrence."""
        return {step.key: step for step in self.steps}

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, n: int) -> Step:
        return self.steps[n]

    def __repr__(self) -> str:
        return f"<trace {self.name!r} {self.id}: {len(self.steps)} steps, {self.status.name}>"


def _place(step: Step) -> tuple[str, int]:
    return (sort_key(step.scope) if step.scope else "", step.place)
