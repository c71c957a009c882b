"""Allen's relations between half-open intervals.

Exactly one of the thirteen holds between any two intervals. An interval is given by its two
ends, in sequence or as a pair: `(before? ?f1 ?t1 ?f2 ?t2)` and `(before? ?a ?b)` mean the same.
An end is an instant or microseconds since the epoch; nil as the later end means that it is open.

Source: J. F. Allen, "Maintaining Knowledge about Temporal Intervals", CACM 26 (1983).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from persistence.values import FOREVER, micros


def _end(value: Any, later: bool) -> int:
    if value is None and later:
        return FOREVER
    if isinstance(value, datetime):
        return micros(value)
    if type(value) is int:
        return value
    raise TypeError(f"{value!r} is no end of an interval")


def ends(*given: Any) -> tuple[int, int, int, int]:
    """The four ends of two intervals in microseconds.

    Raises:
        TypeError: neither four ends nor two pairs.
        ValueError: an interval is empty or reversed.
    """
    if len(given) == 2 and all(isinstance(pair, tuple | list) for pair in given):
        given = (*given[0], *given[1])
    if len(given) != 4:
        raise TypeError("it takes two intervals: four ends, or two pairs of ends")
    a, b, c, d = (_end(value, bool(index % 2)) for index, value in enumerate(given))
    if a >= b or c >= d:
        raise ValueError("an interval ends before it starts, or is empty")
    return a, b, c, d


_RELATIONS: dict[str, Callable[[int, int, int, int], bool]] = {
    "before?": lambda a, b, c, d: b < c,
    "meets?": lambda a, b, c, d: b == c,
    "overlaps?": lambda a, b, c, d: a < c < b < d,
    "starts?": lambda a, b, c, d: a == c and b < d,
    "during?": lambda a, b, c, d: c < a and b < d,
    "finishes?": lambda a, b, c, d: c < a and b == d,
    "equals?": lambda a, b, c, d: a == c and b == d,
    "after?": lambda a, b, c, d: d < a,
    "met-by?": lambda a, b, c, d: d == a,
    "overlapped-by?": lambda a, b, c, d: c < a < d < b,
    "started-by?": lambda a, b, c, d: a == c and d < b,
    "contains-interval?": lambda a, b, c, d: a < c and d < b,
    "finished-by?": lambda a, b, c, d: a < c and b == d,
}


def _taking_ends(holds: Callable[[int, int, int, int], bool]) -> Callable[..., bool]:
    return lambda *given: holds(*ends(*given))


ALLEN: Final[Mapping[str, Callable[..., bool]]] = MappingProxyType(
    {name: _taking_ends(holds) for name, holds in _RELATIONS.items()}
)


def intersects(*given: Any) -> bool:
    """Whether some instant lies in both: any relation but before, meets, met by and after.

    >>> intersects(0, 10, 9, None), intersects((0, 10), (10, 20))
    (True, False)
    """
    a, b, c, d = ends(*given)
    return a < d and c < b
