"""What stands between an agent and the world: an ordered list of handlers, outermost first.

A handler is a generator, because then one and the same serves programs that wait and programs that
await: what it yields is done for it by the driver (`drive`), and what it returns is the answer.
Which handlers an operation meets is settled before any of them runs, so the check that can be made
before a run and what the run does cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from persistence.effects.call import Call
from persistence.effects.step import Step
from persistence.errors import PolicyError, UnhandledEffect
from persistence.suggestions import meant
from persistence.values import Keyword, Value, keyword


@attrs.frozen
class Wait:
    """Yielded by a handler: go on after so many seconds."""

    seconds: float


@attrs.frozen
class Within:
    """Yielded by a handler: perform *call* further inside, in so many seconds at most."""

    call: Call
    seconds: float


@attrs.frozen
class Invoke:
    """Yielded by a handler: call *function* with *args* and give its answer; in a run that awaits
    it may be a coroutine function."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()


Asked: TypeAlias = Call | Wait | Within | Invoke
Handle: TypeAlias = Callable[[Call], Generator[Asked, Any, Any]]


def _every(op: Keyword) -> bool:
    return True


def matching(patterns: Iterable[Keyword | str] | Keyword | str) -> Callable[[Keyword], bool]:
    """Whether an operation is among *patterns*: names, or namespaces as in "tool/*"; "*" is all.

    >>> tools = matching(["tool/*", "clock/now"])
    >>> tools(Keyword("tool/search")), tools(Keyword("model/chat"))
    (True, False)
    """
    given = [patterns] if isinstance(patterns, str | Keyword) else [*patterns]
    names = {str(keyword(each)).removeprefix(":") for each in given}
    if "*" in names:
        return _every
    spaces = {name[:-2] for name in names if name.endswith("/*")}
    return lambda op: op.name in names or op.namespace in spaces


@attrs.frozen(eq=False)
class Around:
    """A handler that lets calls through, changed or not, and may answer some itself.

    *handle* is called with each `Call` of the operations that *ops* accepts and gives a generator.
    ``result = yield call`` sends a call further inside and gives its result, or raises what was
    raised there; a handler may do so any number of times. ``yield Wait(seconds)`` waits,
    ``yield Within(call, seconds)`` bounds the time, ``yield Invoke(function, args)`` calls a
    function that may have to be awaited. A *guard* cannot be masked. *redact* changes what is
    recorded of arguments, results and errors; *secrets* gives the texts that it takes out of a
    value, and what stands in their place: they are taken out of all that is recorded of the call.
    *seen* is told of steps that are answered from a record, and so were not performed.

    >>> def shouting(call):
    ...     result = yield call
    ...     return result.upper()
    >>> Around("shouting", shouting)
    <handler shouting>
    """

    name: str
    handle: Handle | None = None
    ops: Callable[[Keyword], bool] = _every
    guard: bool = False
    redact: Callable[[Keyword, Value], Value] | None = None
    secrets: Callable[[Keyword, Value], Mapping[str, str]] | None = None
    seen: Callable[[Step], None] | None = None

    def __repr__(self) -> str:
        return f"<handler {self.name}>"


def _by_keyword(given: Mapping[Any, Callable[..., Any]]) -> dict[Keyword, Callable[..., Any]]:
    return {keyword(op): function for op, function in given.items()}


@attrs.frozen(eq=False)
class Terminal:
    """A handler where operations end: each is performed by a function, called with the arguments,
    or, with *takes_call*, with the `Call` alone.

    >>> Terminal("tools", {"tool/search": lambda query: [query]})
    <terminal tools: :tool/search>
    """

    name: str
    functions: Mapping[Keyword, Callable[..., Any]] = attrs.field(converter=_by_keyword)
    takes_call: bool = False

    def performing(self, op: Keyword) -> Callable[[Call], Any]:
        """What performs a call of *op*."""
        function = self.functions[op]
        return function if self.takes_call else lambda call: function(**call.args)

    def __repr__(self) -> str:
        return f"<terminal {self.name}: {', '.join(str(op) for op in self.functions)}>"


Handler: TypeAlias = Around | Terminal


def named(name: str, handler: Handler) -> Handler:
    """*handler* under another name, by which `Run.named` and `Run.mask` find it."""
    return attrs.evolve(handler, name=name)


@attrs.frozen(eq=False)
class Chain:
    """The handlers that one operation meets, outermost first, and the function where it ends."""

    around: tuple[Handle, ...]
    function: Callable[[Call], Any]


class Handlers:
    """An ordered list of handlers, outermost first. It never changes.

    >>> handlers = Handlers([Terminal("tools", {"tool/search": lambda query: []})])
    >>> handlers.check(["tool/search", "tool/book"])
    [Keyword('tool/book')]
    """

    def __init__(self, handlers: Iterable[Handler] = ()) -> None:
        self._all = tuple(_checked(handler) for handler in listed(handlers))
        self._chains: dict[tuple[Keyword, str | None, tuple[str, ...]], Chain | None] = {}

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._all)

    def __repr__(self) -> str:
        return f"<handlers {' > '.join(each.name for each in self._all)}>"

    def check(self, ops: Iterable[Keyword | str] | Keyword | str) -> list[Keyword]:
        """The operations among *ops*, one or several, that would reach no terminal handler.

        What it says holds for `perform`, which settles the way of an operation in the same words
        before anything runs.
        """
        asked = [ops] if isinstance(ops, str | Keyword) else ops
        return [op for op in map(keyword, asked) if self._chain(op, None, ()) is None]

    def maskable(self, name: str) -> None:
        """
        Raises:
            PolicyError: a handler *name* is a guard, or there is none.
        """
        found = [each for each in self._all if each.name == name]
        if any(isinstance(each, Around) and each.guard for each in found):
            raise PolicyError(
                f"{name} is a guard, and cannot be masked",
                hint="leave the mask out, or open a run without this handler",
            )
        if not found:
            raise PolicyError(f"there is no handler {name!r} to mask", hint=repr(self))

    def chain(self, op: Keyword, to: str | None = None, masked: tuple[str, ...] = ()) -> Chain:
        """The way of *op*; see :meth:`Run.named` for *to* and :meth:`Run.mask` for *masked*.

        Raises:
            UnhandledEffect: no terminal handler performs it.
        """
        found = self._chain(op, to, masked)
        if found is None:
            raise _hole(op, to, self._all)
        return found

    def _chain(self, op: Keyword, to: str | None, masked: tuple[str, ...]) -> Chain | None:
        asked = (op, to, masked)
        if asked not in self._chains:
            self._chains[asked] = self._settled(op, to, [*masked])
        return self._chains[asked]

    def _settled(self, op: Keyword, to: str | None, masked: list[str]) -> Chain | None:
        around: list[Handle] = []
        for each in self._all:
            if isinstance(each, Around):
                if each.handle is None or not each.ops(op):
                    continue
                if each.name in masked:
                    masked.remove(each.name)
                else:
                    around.append(each.handle)
            elif op in each.functions and to in (None, each.name):
                if each.name in masked:
                    masked.remove(each.name)
                else:
                    return Chain(tuple(around), each.performing(op))
        return None


def listed(handlers: Iterable[Handler]) -> list[Handler]:
    """*handlers* as a list.

    Raises:
        UnhandledEffect: they are none; one handler alone is no list of one.
    """
    if not isinstance(handlers, Iterable):
        raise UnhandledEffect(
            f"handlers are a list, outermost first, and this is {handlers!r}",
            hint="put it in brackets: [handler]",
            operation=None,
        )
    return [*handlers]


def _checked(handler: Any) -> Handler:
    if not isinstance(handler, Around | Terminal):
        raise UnhandledEffect(
            f"{handler!r} is no handler",
            hint="use Around(name, generator) or Terminal(name, {operation: function}), or one of "
            "the handlers in persistence.effects",
            operation=None,
        )
    return handler


def _hole(op: Keyword, to: str | None, handlers: Iterable[Handler]) -> UnhandledEffect:
    known = [each for each in handlers if isinstance(each, Terminal)]
    if to is not None:
        names = ", ".join(each.name for each in known if op in each.functions) or "none"
        why = f"no terminal handler named {to!r} performs {op}"
        return UnhandledEffect(why, hint=f"those that perform it: {names}", operation=op)
    there = sorted(str(name) for each in known for name in each.functions)
    return UnhandledEffect(
        f"no handler performs {op}; what can be performed: {', '.join(there) or 'nothing'}",
        hint=meant(str(op), there) or "add a terminal handler for it",
        operation=op,
    )
