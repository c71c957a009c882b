"""A spec held against a value: the parsed value, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from persistence.specs.compiling import compiled
from persistence.specs.problems import PROBLEMS, Bad, Problem, spec_error
from persistence.specs.registry import EMPTY
from persistence.specs.spec import Spec, Walk, too_deep


def attempt(spec: Any, value: Any, registry: Mapping[str, Spec]) -> Any:
    """The parsed value, or a `Bad`.

    Raises:
        InputError: the spec is none, or refers to a name that nobody defined.
    """
    made = compiled(spec)
    try:
        return made.parse(value, 0, Walk(registry))
    except RecursionError:  # the caller has used up the call stack, or a ref names only itself
        return too_deep()


def conform(spec: Any, value: Any, *, registry: Mapping[str, Spec] = EMPTY) -> Any:
    """*value* parsed by *spec*: instances of classes, instants, exact numbers.

    >>> conform(dict[str, float], {"tea": 10})
    {'tea': 10.0}

    Raises:
        SpecError: it does not conform; `data["problems"]` lists path, reason and fix of each.
        InputError: the spec is none, or refers to a name that nobody defined.
    """
    found = attempt(spec, value, registry)
    if type(found) is Bad:
        raise spec_error(found)
    return found


def explain(spec: Any, value: Any, *, registry: Mapping[str, Spec] = EMPTY) -> list[Problem]:
    """What is wrong with *value*, at most 32 problems; nothing if it conforms.

    >>> for problem in explain(dict[str, float], {"tea": "ten"}):
    ...     print(problem)
    $.tea: expected a number, found "ten" - give a number such as 10.5, without quotes

    Raises:
        InputError: the spec is none, or refers to a name that nobody defined.
    """
    found = attempt(spec, value, registry)
    return found.problems[:PROBLEMS] if type(found) is Bad else []


def is_valid(spec: Any, value: Any, *, registry: Mapping[str, Spec] = EMPTY) -> bool:
    """Whether *value* conforms.

    >>> is_valid(int, True), is_valid(int | None, None)
    (False, True)

    Raises:
        InputError: the spec is none, or refers to a name that nobody defined.
    """
    return type(attempt(spec, value, registry)) is not Bad
