"""What an agent asks of the outside world, before anything is done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid5

import attrs

from persistence.values import Keyword, Map, Value, encode

Scope: TypeAlias = tuple[Value, ...]

_NO_RUN: Final = UUID(int=0)


def form(args: Mapping[str, Value]) -> Map:
    """Arguments by name as they stand in a record: a map with keywords."""
    return Map({Keyword(name): value for name, value in args.items()})


def as_it_is(value: Value) -> Value:
    """*value*: nothing has to be taken out of it."""
    return value


@attrs.frozen(eq=False)
class Call:
    """One operation with its arguments, on its way through the handlers.

    `scope` and `place` tell where in the run it was asked for: the place counts the calls of its
    scope. `occurrence` counts the equal calls of the scope before it. `key` is the same whenever
    this very call is performed again, after a crash too: hand it to the outside, so that it can
    tell. Handlers leave in `notes` what shall be recorded beside the result: a "verdict", a "cost".
    `to` and `masked` are the names that the call was sent to and past. `hide` takes out of a value
    what must not be recorded: whatever a handler tells of a call passes through it.

    >>> call = Call(Keyword("tool/search"), {"query": "tea"})
    >>> attrs.evolve(call, args={"query": "coffee"})
    <call :tool/search {:query "coffee"}>
    """

    op: Keyword
    args: Mapping[str, Value]
    scope: Scope = ()
    place: int = 0
    occurrence: int = 0
    run: UUID = _NO_RUN
    notes: dict[Any, Any] = attrs.field(factory=dict)
    to: str | None = None
    masked: tuple[str, ...] = ()
    hide: Callable[[Value], Value] = as_it_is

    @property
    def form(self) -> Map:
        """The arguments as an EDN map with keywords."""
        return form(self.args)

    @property
    def key(self) -> UUID:
        """The idempotency key: of this place in this run."""
        asked = encode((self.scope, self.op, self.form, self.occurrence))
        return uuid5(self.run, asked.hex())

    def __repr__(self) -> str:
        return f"<call {self.op} {_shown(self.hide(self.form))}>"


def _shown(args: Map) -> str:
    words = [f"{name} {_short(value)}" for name, value in args.items()]
    return "{" + ", ".join(words) + "}"


def _short(value: Value) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"
