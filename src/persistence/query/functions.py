"""The functions and predicates that a query may call by name.

They are DataScript's built-ins over our values, plus text, instants and Allen's relations. All
are deterministic (there is no `rand`: one database value gives one answer). Functions of one's
own come in a registry that is passed along as a value.

    FUNCTIONS            every built-in by name
    PREDICATES           the names whose answer is a boolean
    FunctionRegistry     the built-ins and one's own
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from persistence.errors import PersistenceError, QueryError
from persistence.query import collections, numbers, regex, text
from persistence.query.allen import ALLEN, intersects
from persistence.values import FOREVER, Keyword, Symbol, compare, identity, micros

__all__ = ["FUNCTIONS", "PREDICATES", "FunctionRegistry", "truthy"]

Function = Callable[..., Any]


def truthy(value: Any) -> bool:
    """Whether *value* counts as true: anything but nil and false, also 0 and "".

    >>> truthy(0), truthy(""), truthy(None), truthy(False)
    (True, True, False, False)
    """
    return value is not None and value is not False


def _chain(holds: Callable[[int], bool]) -> Function:
    """A comparison of any number of values, each with the next, in the order of all values."""

    def compared(first: Any, *rest: Any) -> bool:
        for value in rest:
            if not holds(compare(first, value)):
                return False
            first = value
        return True

    return compared


def _same(first: Any, *rest: Any) -> bool:
    known = identity(first)
    return all(identity(value) == known for value in rest)


def _equal_numbers(first: Any, *rest: Any) -> bool:
    numbers.number(first)
    return all(numbers.number(value) == first for value in rest)


def _extreme(sign: int) -> Function:
    def extreme(first: Any, *rest: Any) -> Any:
        for value in rest:
            if compare(value, first) * sign > 0:
                first = value
        return first

    return extreme


def _differ(*values: Any) -> bool:
    half = len(values) // 2
    return len(values) % 2 == 1 or not _same(values[:half], values[half:])


def _and(*values: Any) -> Any:
    return next((value for value in values if not truthy(value)), values[-1] if values else True)


def _or(*values: Any) -> Any:
    return next((value for value in values if truthy(value)), values[-1] if values else None)


def _complement(function: Any) -> Function:
    if not callable(function):
        raise TypeError(f"{function!r} is not a function")
    return lambda *values: not truthy(function(*values))


def _identity(value: Any) -> Any:
    return value


def _instant(value: Any) -> int:
    if value is None:
        return FOREVER
    return micros(value)


_COMPARISONS: dict[str, Function] = {
    "=": _same,
    "not=": lambda *values: not _same(*values),
    "!=": lambda *values: not _same(*values),
    "identical?": lambda a, b: _same(a, b),
    "-differ?": _differ,
    "==": _equal_numbers,
    "<": _chain(lambda order: order < 0),
    "<=": _chain(lambda order: order <= 0),
    ">": _chain(lambda order: order > 0),
    ">=": _chain(lambda order: order >= 0),
    "true?": lambda value: value is True,
    "false?": lambda value: value is False,
    "nil?": lambda value: value is None,
    "some?": lambda value: value is not None,
    "not": lambda value: not truthy(value),
    "zero?": lambda value: numbers.number(value) == 0,
    "pos?": lambda value: numbers.number(value) > 0,
    "neg?": lambda value: numbers.number(value) < 0,
    "even?": lambda value: numbers.whole(value) % 2 == 0,
    "odd?": lambda value: numbers.whole(value) % 2 == 1,
    "empty?": collections.empty,
    "contains?": collections.contains,
    "blank?": text.blank,
    "includes?": text.includes,
    "starts-with?": text.starts_with,
    "ends-with?": text.ends_with,
    "intersects?": intersects,
    **ALLEN,
}

_OTHERS: dict[str, Function] = {
    "+": numbers.add,
    "-": numbers.subtract,
    "*": numbers.multiply,
    "/": numbers.divide,
    "quot": numbers.quot,
    "rem": numbers.rem,
    "mod": numbers.mod,
    "inc": lambda value: numbers.add(value, 1),
    "dec": lambda value: numbers.subtract(value, 1),
    "max": _extreme(1),
    "min": _extreme(-1),
    "compare": compare,
    "and": _and,
    "or": _or,
    "complement": _complement,
    "identity": _identity,
    "-identity": _identity,
    "ground": _identity,
    "untuple": _identity,
    "tuple": collections.vector,
    "vector": collections.vector,
    "list": collections.listed,
    "set": collections.as_set,
    "hash-map": collections.mapped,
    "array-map": collections.mapped,
    "count": collections.count,
    "range": collections.span,
    "not-empty": collections.not_empty,
    "get": collections.get,
    "keyword": text.keyword,
    "name": text.name,
    "namespace": text.namespace,
    "type": text.kind,
    "str": text.joined,
    "pr-str": text.printed,
    "print-str": text.shown,
    "subs": text.subs,
    "upper-case": text.upper,
    "lower-case": text.lower,
    "re-pattern": regex.pattern,
    "re-find": regex.find,
    "re-matches": regex.matches,
    "re-seq": regex.every,
    "inst-ms": lambda instant: _instant(instant) // 1000,
    "inst-us": _instant,
}

# The names under which Clojure's own library has some of them.
_ALIASES = {
    f"clojure.string/{name}": name
    for name in ("blank?", "includes?", "starts-with?", "ends-with?", "upper-case", "lower-case")
}


_SHOWN: Final = 200  # characters of the arguments; the error's data holds all of them


def _said(name: str, function: Function) -> Function:
    """*function*, whose failures are query errors that name it and its arguments."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except PersistenceError:
            raise
        except Exception as error:
            given = text.printed(*arguments)
            given = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}…"
            raise QueryError(
                f"({name} {given}): {_reason(function, arguments, error)}",
                function=name,
                arguments=arguments,
            ) from error

    call.__name__ = name
    call.__doc__ = function.__doc__
    return call


def _reason(function: Function, arguments: tuple[Any, ...], error: Exception) -> str:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return f"it does not take {len(arguments)} argument{'s' * (len(arguments) != 1)}"
    except ValueError:
        pass  # a callable whose signature Python does not know
    return str(error) or type(error).__name__


FUNCTIONS: Final[Mapping[str, Function]] = MappingProxyType(
    {name: _said(name, function) for name, function in (_COMPARISONS | _OTHERS).items()}
    | {alias: _said(alias, (_COMPARISONS | _OTHERS)[name]) for alias, name in _ALIASES.items()}
)

PREDICATES: Final = frozenset(_COMPARISONS) | {
    alias for alias, name in _ALIASES.items() if name in _COMPARISONS
}


def _named(name: Any) -> str:
    if isinstance(name, Symbol | Keyword):
        return name.name
    if isinstance(name, str):
        return Symbol(name).name
    raise QueryError(f"{name!r} does not name a function", name=name)


@attrs.frozen(repr=False)
class FunctionRegistry:
    """The functions that queries may call: the built-ins and one's own. A value; never changes.

    >>> registry = FunctionRegistry().with_function("shout", lambda text: text + "!")
    >>> registry["shout"]("hey"), "shout" in FunctionRegistry()
    ('hey!', False)
    """

    own: Mapping[str, Function] = attrs.field(factory=lambda: MappingProxyType({}))
    aggregates: Mapping[str, Function] = attrs.field(factory=lambda: MappingProxyType({}))

    def with_function(self, name: str | Symbol | Keyword, function: Function) -> FunctionRegistry:
        """This registry and *function*, which replaces one of the same name.

        It gets EDN values and gives one; in a predicate's place nil and false mean no. Queries
        call it in any order and any number of times, so it must depend on its arguments alone.

        Raises:
            QueryError: *function* cannot be called.
        """
        return attrs.evolve(self, own=self._with(self.own, name, function))

    def with_aggregate(self, name: str | Symbol | Keyword, function: Function) -> FunctionRegistry:
        """This registry and an aggregate: a function from the list of a group's values to one.

        Constant arguments of the query come before the list. The list has no order.
        """
        return attrs.evolve(self, aggregates=self._with(self.aggregates, name, function))

    @staticmethod
    def _with(held: Mapping[str, Function], name: Any, function: Any) -> Mapping[str, Function]:
        key = _named(name)
        if not callable(function):
            raise QueryError(f"{function!r}, given for {key}, cannot be called", name=key)
        return MappingProxyType({**held, key: _said(key, function)})

    def get(self, name: str) -> Function | None:
        """The function called *name*, one's own before a built-in, or None."""
        return self.own.get(name) or FUNCTIONS.get(name)

    def __getitem__(self, name: str) -> Function:
        found = self.get(name)
        if found is None:
            raise QueryError(
                f"there is no function {name}",
                hint="register it: FunctionRegistry.with_function",
                function=name,
            )
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in FUNCTIONS

    def __repr__(self) -> str:
        return f"<FunctionRegistry of {len(FUNCTIONS)} built-ins and {sorted(self.own)}>"
