"""Aggregates: from the values of one group to one value.

Every answer depends only on which values there are, never on their order, because a group has
none. Exact numbers give exact answers: `avg`, `median` and `variance` of ints are ints where the
result is whole; otherwise, and with any float, they are floats. Decimals give decimals where the
result has a finite expansion. There is no `rand` and no `sample`: one database value must give
one answer.

An aggregate says under `sql` which SQL aggregates give all that is needed and under `kinds` for
which storage kinds the engines compute them exactly as here; `finish` makes the answer of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

import attrs

from persistence.errors import PersistenceError, QueryError
from persistence.query.functions import FunctionRegistry
from persistence.query.numbers import decimal_of, fit, number
from persistence.values import Set, identity, sort_key

__all__ = ["AGGREGATES", "Aggregate", "aggregate"]

_INT: Final = 2
_ORDERED_KINDS: Final = frozenset((1, 2, 7, 9, 10, 11, 12, 13))  # engine order is value order
_EVERY_KIND: Final = frozenset(range(64))


@attrs.frozen
class Aggregate:
    """An aggregate: `call` takes its constant arguments, then the values of the group."""

    name: str
    call: Callable[..., Any]
    constants: int = 0  # how many constant arguments it may have; -1: as many as it takes
    sql: tuple[str, ...] = ()
    kinds: frozenset[int] = frozenset()
    finish: Callable[..., Any] = lambda value: value

    def __call__(self, *arguments: Any) -> Any:
        """The answer for *arguments*, the last of which is the list of values.

        Raises:
            QueryError: the values are not what the aggregate is for.
        """
        if len(arguments) > self.constants + 1 and self.constants >= 0:
            raise QueryError(
                f"({self.name} …) takes {self.constants} constant arguments at most",
                function=self.name,
            )
        try:
            return self.call(*arguments)
        except PersistenceError:
            raise
        except Exception as error:
            raise QueryError(
                f"({self.name} …): {str(error) or type(error).__name__}", function=self.name
            ) from error


def _exact(values: Sequence[Any]) -> tuple[Any, type]:
    """The exact sum, and the widest type among the values: float, Decimal, or int."""
    kinds = {type(number(value)) for value in values}
    if float in kinds:
        if any(isinstance(v, float) and not math.isfinite(v) for v in values):
            return math.fsum(float(v) for v in values if isinstance(v, float)), float
        return sum(map(Fraction, values)), float
    return sum(map(Fraction, values)), Decimal if Decimal in kinds else int


def _as(result: Fraction | float, kind: type) -> Any:
    """*result* as that kind of number; what is not whole among ints is a float."""
    if kind is float or isinstance(result, float):
        return float(result)
    if kind is Decimal:
        found = decimal_of(result)
        return float(result) if found is None else found
    return fit(result) if result.denominator == 1 else float(result)


def _sum(values: Sequence[Any]) -> Any:
    if all(type(value) is int for value in values):
        return fit(sum(values))
    total, kind = _exact(values)
    return fit(total) if kind is int else _as(total, kind)


def _avg(values: Sequence[Any]) -> Any:
    total, kind = _exact(values)
    return _as(total / len(values), kind)


def _avg_of(total: Any, count: int) -> Any:
    return _as(Fraction(int(total), count), int)


def _median(values: Sequence[Any]) -> Any:
    ordered = sorted(values, key=sort_key)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else _avg(ordered[middle - 1 : middle + 1])


def _spread(values: Sequence[Any]) -> tuple[Any, type]:
    total, kind = _exact(values)
    if isinstance(total, float):
        return math.nan, float
    mean = total / len(values)
    return sum((Fraction(value) - mean) ** 2 for value in values) / len(values), kind


def _variance(values: Sequence[Any]) -> Any:
    return _as(*_spread(values))


def _stddev(values: Sequence[Any]) -> float:
    return math.sqrt(_spread(values)[0])


def _smallest(*arguments: Any) -> Any:
    *limit, values = arguments
    if not limit:
        return min(values, key=sort_key)
    return tuple(sorted(values, key=sort_key)[: _limit(*limit)])


def _largest(*arguments: Any) -> Any:
    *limit, values = arguments
    if not limit:
        return max(values, key=sort_key)
    ordered = sorted(values, key=sort_key)
    return tuple(ordered[max(0, len(ordered) - _limit(*limit)) :])


def _limit(count: Any) -> int:
    if type(count) is not int or count < 0:
        raise TypeError(f"{count!r} is no number of values")
    return count


def _count_distinct(values: Sequence[Any]) -> int:
    return len(set(map(identity, values)))


AGGREGATES: Final[Mapping[str, Aggregate]] = MappingProxyType(
    {
        found.name: found
        for found in (
            Aggregate("sum", _sum, sql=("sum",), kinds=frozenset((_INT,)), finish=int),
            Aggregate("avg", _avg, sql=("sum", "count"), kinds=frozenset((_INT,)), finish=_avg_of),
            Aggregate("min", _smallest, 1, sql=("min",), kinds=_ORDERED_KINDS),
            Aggregate("max", _largest, 1, sql=("max",), kinds=_ORDERED_KINDS),
            Aggregate("count", len, sql=("count",), kinds=_EVERY_KIND),
            Aggregate(
                "count-distinct", _count_distinct, sql=("count-distinct",), kinds=_EVERY_KIND
            ),
            Aggregate("distinct", Set),
            Aggregate("median", _median),
            Aggregate("variance", _variance),
            Aggregate("stddev", _stddev),
        )
    }
)


def aggregate(name: str, registry: FunctionRegistry | None = None) -> Aggregate | None:
    """The aggregate called *name*: one of the registry's own, a built-in, or a registered
    function of one list; None if there is none.

    >>> aggregate("sum")([1, 2, 3]), aggregate("avg")([1, 2]), aggregate("max")(2, [3, 1, 2])
    (6, 1.5, (2, 3))
    """
    own = registry.aggregates.get(name) if registry is not None else None
    if own is not None:
        return Aggregate(name, own, constants=-1)
    return AGGREGATES.get(name)
