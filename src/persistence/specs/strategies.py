"""Specs as Hypothesis strategies, so that a test draws exactly what a boundary lets in.

Hypothesis is an optional extra of whoever writes tests, and is imported when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from persistence.errors import InputError
from persistence.specs.compiling import compiled
from persistence.specs.registry import EMPTY
from persistence.specs.spec import Spec


@attrs.define(eq=False)
class _Draws:
    """Hypothesis, and the strategies of classes and named specs, each built once."""

    hypothesis: Any
    st: Any
    registry: Mapping[str, Spec]
    made: dict[Any, Any] = attrs.field(factory=dict)

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            built: list[Any] = []  # it may hold itself, so it is there before it is made
            self.made[key] = self.st.deferred(lambda: built[0])
            built.append(make())
        return self.made[key]

    def reject(self) -> Any:
        return self.hypothesis.reject()


def strategy(spec: Any, *, registry: Mapping[str, Spec] = EMPTY) -> Any:
    """A Hypothesis strategy of values as *spec* parses them; `as_json` gives their JSON form.

    >>> from hypothesis import find
    >>> find(strategy(dict[bool, None]), lambda value: True in value and False not in value)
    {True: None}

    Raises:
        InputError: Hypothesis is not installed, the spec is none, or it refers to a name that
            nobody defined.
    """
    try:
        import hypothesis  # noqa: PLC0415  an optional extra
        import hypothesis.strategies as st  # noqa: PLC0415  an optional extra
    except ImportError:
        raise InputError(
            "Hypothesis is not installed", hint="pip install hypothesis", package="hypothesis"
        ) from None
    return compiled(spec).strategy(_Draws(hypothesis, st, registry))
