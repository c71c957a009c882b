"""Functions that are effects: wrapped once, called with a run, checked on both sides."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

import attrs

from persistence.effects.call import Call
from persistence.effects.handler import Terminal
from persistence.errors import InputError
from persistence.specs import conform
from persistence.values import Keyword, keyword

P = ParamSpec("P")
R = TypeVar("R")


class Performer(Protocol):
    """Whatever performs: a run that waits, or one that awaits."""

    def perform(self, op: Any, /, **args: Any) -> Any: ...


@attrs.frozen(eq=False)
class Effect(Generic[R]):
    """An operation and the function that performs it; made by :func:`effect`.

    Called with a run and arguments it performs the operation through the run's handlers; its own
    function is what `functions` puts at the end of them.
    """

    op: Keyword
    function: Callable[..., R]
    args: Any = None
    result: Any = None
    key: str | None = None
    _signature: inspect.Signature = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        signature = inspect.signature(self.function)
        if self.key is not None:
            kept = [each for each in signature.parameters.values() if each.name != self.key]
            if len(kept) == len(signature.parameters):
                raise InputError(
                    f"{self.op}: its function has no parameter {self.key!r} for the key",
                    hint="name one of its parameters",
                )
            signature = signature.replace(parameters=kept)
        object.__setattr__(self, "_signature", signature)

    def __call__(self, run: Performer, /, *args: Any, **named: Any) -> R:
        """Performs the operation in *run*; a run that awaits gives something to await.

        Raises:
            InputError: *run* is none, or the function takes other arguments.
        """
        if not hasattr(run, "perform"):
            raise InputError(
                f"{self.op} was called with {type(run).__name__} in place of a run",
                hint=f"it is called as {self.op.local}(run, …) with {self._signature}",
                operation=self.op,
            )
        return run.perform(self, **self._bound(args, named))  # type: ignore[no-any-return]

    def _bound(self, args: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        try:
            bound = self._signature.bind(*args, **named)
        except TypeError as error:
            raise InputError(
                f"{self.op} was called with other arguments than it takes: {error}",
                hint=f"it is called as {self.op.local}(run, …) with {self._signature}",
                operation=self.op,
            ) from error
        bound.apply_defaults()
        return dict(bound.arguments)

    def taken(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """*args*, once they conform and the function takes them."""
        bound = self._bound((), args)
        if self.args is not None:
            conform(self.args, bound)
        return bound

    def given(self, result: Any) -> R:
        """*result*, as the spec of the result makes it."""
        return result if self.result is None else conform(self.result, result)  # type: ignore[no-any-return]

    def performed(self) -> Callable[[Call], Any]:
        """The function, with what it gives held against the spec and turned into data."""
        function, key = self.function, self.key

        def arguments(call: Call) -> Mapping[str, Any]:
            return call.args if key is None else {**call.args, key: call.key}

        if inspect.iscoroutinefunction(function):

            async def awaited(call: Call) -> Any:
                return self._checked(await function(**arguments(call)))

            return awaited
        return lambda call: self._checked(function(**arguments(call)))

    def _checked(self, value: Any) -> Any:
        data = plain(value)
        self.given(data)
        return data


def effect(
    op: Keyword | str, *, args: Any = None, result: Any = None, key: str | None = None
) -> Callable[[Callable[..., R]], Effect[R]]:
    """Makes an effect of a function: the operation *op*, performed by it.

    *args* and *result* are specs that the arguments, as a map, and the result conform to. *key*
    names the parameter that gets the idempotency key of the call, a UUID that is the same when the
    same call is performed again after a crash.

    >>> from persistence.effects import Run, functions
    >>> @effect("tool/double", result=int)
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with Run("sum", [functions(double)]) as run:
    ...     print(double(run, 21))
    42
    """
    return lambda function: Effect(keyword(op), function, args, result, key)


def functions(*effects: Effect[Any], name: str = "functions") -> Terminal:
    """The terminal handler that performs *effects*, each by its own function."""
    return Terminal(name, {each.op: each.performed() for each in effects}, takes_call=True)


def plain(value: Any) -> Any:
    """*value* as data: instances of attrs classes become maps, at any depth.

    >>> @attrs.frozen
    ... class Seat:
    ...     row: int
    >>> plain([Seat(3)])
    [{'row': 3}]
    """
    if attrs.has(type(value)):
        return {
            each.name: plain(getattr(value, each.name))
            for each in attrs.fields(type(value))
            if not each.name.startswith("_")
        }
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if type(value) is tuple:
        return tuple(plain(item) for item in value)
    return value
