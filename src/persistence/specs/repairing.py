"""The loop that lets a model mend what it gave: conform, explain, ask again, so many times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import attrs

from persistence.errors import InputError
from persistence.specs.conforming import attempt
from persistence.specs.problems import PROBLEMS, Bad, Problem, spec_error
from persistence.specs.registry import EMPTY
from persistence.specs.spec import Spec


@attrs.frozen
class Attempt:
    """One value that was tried, and what was wrong with it."""

    value: Any
    problems: tuple[Problem, ...]

    @property
    def text(self) -> str:
        """The problems, a line each."""
        return "\n".join(str(problem) for problem in self.problems)


@attrs.define(eq=False)
class _Repair:
    """The values tried so far; the loop itself is written twice, once for those who await."""

    spec: Any
    attempts: int
    registry: Mapping[str, Spec]
    tried: list[Attempt] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise InputError("attempts counts the values that are tried, and is at least 1")

    def judged(self, value: Any) -> Iterator[Any]:
        """The parsed value, or nothing if *value* has to be mended.

        Raises:
            SpecError: this was the last attempt.
        """
        found = attempt(self.spec, value, self.registry)
        if type(found) is not Bad:
            yield found
            return
        self.tried.append(Attempt(value, tuple(found.problems[:PROBLEMS])))
        if len(self.tried) >= self.attempts:
            raise spec_error(found, attempts=tuple(self.tried))


def repair(
    spec: Any,
    ask: Callable[[str, Any], Any],
    first: Any,
    *,
    attempts: int = 3,
    registry: Mapping[str, Spec] = EMPTY,
) -> Any:
    """*first* parsed by *spec*; while it does not conform, *ask* gives the next value to try.

    *ask* is given the problems as text, and the value that has them. At most *attempts* values
    are tried, the first included.

    >>> repair(int, lambda problems, value: int(value), "3")
    3

    Raises:
        SpecError: none conformed; `data["attempts"]` holds every value with its problems.
        InputError: the spec is none, or *attempts* is below 1.
    """
    state = _Repair(spec, attempts, registry)
    value = first
    while True:
        for found in state.judged(value):
            return found
        value = ask(state.tried[-1].text, value)


async def arepair(
    spec: Any,
    ask: Callable[[str, Any], Awaitable[Any]],
    first: Any,
    *,
    attempts: int = 3,
    registry: Mapping[str, Spec] = EMPTY,
) -> Any:
    """`repair` with an *ask* that is awaited.

    Raises:
        SpecError: none conformed; `data["attempts"]` holds every value with its problems.
        InputError: the spec is none, or *attempts* is below 1.
    """
    state = _Repair(spec, attempts, registry)
    value = first
    while True:
        for found in state.judged(value):
            return found
        value = await ask(state.tried[-1].text, value)
