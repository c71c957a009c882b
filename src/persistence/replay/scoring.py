"""The caller's own scoring: any function of a trace that gives a number."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import TypeAlias

from persistence.effects import Trace
from persistence.errors import SearchError

Score: TypeAlias = Callable[[Trace], float]


def scored(score: Score, trace: Trace) -> float:
    """What *score* gives for *trace*.

    >>> from persistence.effects import Run
    >>> scored(len, Run("nothing").trace)
    0.0

    Raises:
        SearchError: it is no finite number.
    """
    found: object = score(trace)
    if isinstance(found, Real):
        number = _float(found)
        if math.isfinite(number):
            return number
    raise SearchError(
        f"the score of {trace!r} is {found!r}, which is no finite number",
        hint="let the score function give a number for every run, those that failed included",
        run=trace.id,
        score=found,
    )


def _float(number: Real) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf
