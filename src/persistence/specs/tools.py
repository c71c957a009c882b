"""What a model is told of a Python function, and how the arguments it gives are checked.

The signature says it all: names, types, defaults, and in the docstring's first line what it is for.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from persistence.errors import InputError
from persistence.specs.compiling import compiled
from persistence.specs.conforming import conform
from persistence.specs.fields import Field, Fields
from persistence.specs.records import Keys, first_line
from persistence.specs.registry import EMPTY
from persistence.specs.schemas import bare_schema
from persistence.specs.spec import MISSING, Json, Spec


@attrs.frozen(eq=False)
class Tool:
    """A function as a model sees it; *parameters* is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Json
    spec: Spec = attrs.field(repr=False)
    function: Callable[..., Any] = attrs.field(repr=False)
    registry: Mapping[str, Spec] = attrs.field(repr=False, default=EMPTY)

    def conform(self, arguments: Any) -> dict[str, Any]:
        """*arguments* parsed; those left out stay out.

        Raises:
            SpecError: they do not conform.
        """
        found: dict[str, Any] = conform(self.spec, arguments, registry=self.registry)
        return found

    def call(self, arguments: Any, **given: Any) -> Any:
        """The function called with *arguments* parsed, and with what is *given* besides.

        Raises:
            SpecError: they do not conform; the function was not called.
        """
        return self.function(**self.conform(arguments), **given)


def tool(
    function: Callable[..., Any],
    *,
    skip: Collection[str] = (),
    registry: Mapping[str, Spec] = EMPTY,
) -> Tool:
    """Name, description and parameters of *function*; *skip* names those that no model gives.

    >>> def weather(city: str, days: int = 1) -> str:
    ...     "The forecast for a city."
    ...     return f"{city}: {days} days of sun"
    >>> found = tool(weather)
    >>> found.name, found.description, found.parameters["required"]
    ('weather', 'The forecast for a city.', ['city'])
    >>> found.call({"city": "Bergen"})
    'Bergen: 1 days of sun'

    Raises:
        InputError: it takes arguments without names, or the annotations cannot be read.
    """
    fields, closed = _fields(function, frozenset(skip))
    spec = Keys(Fields.of(fields, closed))
    return Tool(
        function.__name__,
        first_line(inspect.getdoc(function)),
        bare_schema(spec, registry),
        spec,
        function,
        registry,
    )


def parameters_schema(
    function: Callable[..., Any],
    *,
    skip: Collection[str] = (),
    registry: Mapping[str, Spec] = EMPTY,
) -> Json:
    """Name, description and parameters of *function* as one JSON object.

    >>> def now() -> str:
    ...     "The time."
    ...     return "12:00"
    >>> parameters_schema(now)["parameters"]
    {'type': 'object', 'properties': {}, 'additionalProperties': False}

    Raises:
        InputError: it takes arguments without names, or the annotations cannot be read.
    """
    found = tool(function, skip=skip, registry=registry)
    return {
        "name": found.name,
        "description": found.description,
        "parameters": found.parameters,
    }


def _fields(function: Callable[..., Any], skip: frozenset[str]) -> tuple[list[Field], bool]:
    hints, parameters = _signature(function)
    _check_skipped(skip, parameters)
    closed = True
    found: list[Field] = []
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            closed = False
        elif name not in skip:
            found.append(_field(name, parameter, hints.get(name, Any), function))
    return found, closed


def _field(
    name: str, parameter: inspect.Parameter, hint: Any, function: Callable[..., Any]
) -> Field:
    if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
        raise InputError(
            f"{function.__name__} takes {name} by its position",
            hint="a model names its arguments: let the function take it by name",
        )
    required = parameter.default is parameter.empty
    default = MISSING if required else parameter.default
    return Field(name, name, compiled(hint), required, default=default)


def _signature(
    function: Callable[..., Any],
) -> tuple[dict[str, Any], Mapping[str, inspect.Parameter]]:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
        return hints, inspect.signature(function).parameters
    except Exception as error:
        raise InputError(
            f"the signature of {function!r} cannot be read: {error}",
            hint="give a function whose annotations name what its module knows",
        ) from None


def _check_skipped(skip: frozenset[str], parameters: Mapping[str, Any]) -> None:
    unknown = sorted(skip - set(parameters))
    if unknown:
        raise InputError(f"there is no parameter {unknown[0]!r} to skip", parameters=[*parameters])
