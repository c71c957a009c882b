"""Conditions of a policy's rules: a path into the arguments, an operator, a value.

The operators are few and closed, because a condition that runs code, or a regular expression that
almost says what was meant, is where policies fail. A condition that cannot be decided, such as
whether "12" is more than 100, is told apart from one that does not hold: rules take it for the
side on which nothing happens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeAlias
from uuid import UUID

import attrs

from persistence.errors import PolicyError, ValueRefused
from persistence.suggestions import meant
from persistence.values import Char, Keyword, List, Map, Set, Symbol, Value, compare, identity

Truth: TypeAlias = bool | None
"""True, False, or None where it cannot be decided."""

Path: TypeAlias = tuple[str | int, ...]

_MISSING: Final = object()
_NUMBERS: Final = (int, float, Decimal, Fraction)
_ORDERED: Final = (str, datetime, Keyword, Symbol, Char, UUID, bytes)
_MANY: Final = (tuple, List, Set)


@attrs.frozen
class Condition:
    """One condition; called with the arguments of a call it tells whether it holds.

    >>> condition(("amount", ">", 100))({"amount": 120})
    True
    """

    path: Path
    operator: str
    test: Callable[[Any], Truth]

    def __call__(self, args: Mapping[str, Value]) -> Truth:
        first, *rest = self.path
        found: Any = args.get(first, _MISSING) if isinstance(first, str) else _MISSING
        for step in rest:
            if found is _MISSING:
                break
            found = _below(found, step)
        if found is _TWO:
            return None
        return self.test(_MISSING if found is None else found)


_TWO: Final = object()


def _below(value: Any, step: str | int) -> Any:
    if isinstance(step, int):
        inside = isinstance(value, tuple) and -len(value) <= step < len(value)
        return value[step] if inside else _MISSING
    if type(value) is not Map:
        return _MISSING
    by_keyword, by_text = value.get(_key(step), _MISSING), value.get(step, _MISSING)
    if by_text is _MISSING:
        return by_keyword
    # With :amount and "amount" both there, nobody knows which of them will be used.
    return by_text if by_keyword is _MISSING else _TWO


def _key(step: str) -> Any:
    try:
        return Keyword(step)
    except ValueRefused:
        return step


# --------------------------------------------------------------------- the operators


def _equal(operand: Any) -> Callable[[Any], Truth]:
    same = identity(operand)
    return lambda found: found is not _MISSING and identity(found) == same


def _among(operand: Any) -> Callable[[Any], Truth]:
    _needs(isinstance(operand, _MANY), 'a vector or a set to be in, as #{"a" "b"}')
    known = frozenset(identity(each) for each in operand)
    return lambda found: found is not _MISSING and identity(found) in known


def _order(operand: Any, holds: Callable[[int], bool]) -> Callable[[Any], Truth]:
    kind = _kind(operand)
    _needs(kind is not None, "a number, a string or an instant to compare with")

    def test(found: Any) -> Truth:
        if found is _MISSING:
            return False
        return holds(_compared(found, operand)) if _kind(found) is kind else None

    return test


def _kind(value: Any) -> Any:
    """What values can be compared in order with *value*; None for those that have no order."""
    kind = type(value)
    if kind in _NUMBERS:
        return None if kind is float and math.isnan(value) else Decimal
    return kind if kind in _ORDERED else None


def _compared(a: Any, b: Any) -> int:
    if type(a) is type(b) is int:
        return int(a > b) - int(a < b)
    if type(a) not in _NUMBERS:
        return compare(a, b)
    if math.inf not in (a, b) and -math.inf not in (a, b):  # Python compares those with all others
        a, b = Fraction(a), Fraction(b)
    return int(a > b) - int(a < b)


def _contains(operand: Any) -> Callable[[Any], Truth]:
    same = identity(operand)

    def test(found: Any) -> Truth:
        if found is _MISSING:
            return False
        if isinstance(found, str):
            return operand in found if isinstance(operand, str) else None
        if isinstance(found, (*_MANY, Map)):
            return any(identity(each) == same for each in found)
        return None

    return test


def _starts(operand: Any) -> Callable[[Any], Truth]:
    _needs(isinstance(operand, str) and operand, "the text to start with")

    def test(found: Any) -> Truth:
        if found is _MISSING:
            return False
        return found.startswith(operand) if isinstance(found, str) else None

    return test


def _negated(make: Callable[[Any], Callable[[Any], Truth]]) -> Any:
    def negated(operand: Any) -> Callable[[Any], Truth]:
        test = make(operand)
        return lambda found: None if (truth := test(found)) is None else not truth

    return negated


_BINARY: Final[Mapping[str, Callable[[Any], Callable[[Any], Truth]]]] = {
    "=": _equal,
    "!=": _negated(_equal),
    "<": lambda operand: _order(operand, lambda sign: sign < 0),
    "<=": lambda operand: _order(operand, lambda sign: sign <= 0),
    ">": lambda operand: _order(operand, lambda sign: sign > 0),
    ">=": lambda operand: _order(operand, lambda sign: sign >= 0),
    "in": _among,
    "not-in": _negated(_among),
    "contains": _contains,
    "starts-with": _starts,
}
_UNARY: Final[Mapping[str, Callable[[Any], Truth]]] = {
    "present": lambda found: found is not _MISSING,
    "absent": lambda found: found is _MISSING,
}
_OPERATORS: Final = (*_BINARY, *_UNARY)


# ------------------------------------------------------------------------ reading


def condition(form: Value) -> Condition:
    """The condition that *form* says: [path operator value], or [path present].

    Raises:
        PolicyError: it says none.
    """
    size = len(form) if isinstance(form, tuple) else 0
    _needs(size in (2, 3), "a vector [path operator value], as [:amount > 100]")
    path, operator = _path(form[0]), _name(form[1])
    if operator not in _OPERATORS:
        raise PolicyError(
            f"there is no operator {operator!r}",
            hint=meant(operator, _OPERATORS) or f"there are {', '.join(_OPERATORS)}",
        )
    if operator in _UNARY:
        _needs(size == 2, f"nothing after {operator}")
        return Condition(path, operator, _UNARY[operator])
    _needs(size == 3, f"a value after {operator}")
    _needs(
        form[2] is not None, "a value that is not nil; [path absent] tells that nothing is there"
    )
    return Condition(path, operator, _BINARY[operator](form[2]))


def _path(form: Value) -> Path:
    steps = form if isinstance(form, tuple) else (form,)
    fine = all(isinstance(step, Keyword | str) or type(step) is int for step in steps)
    _needs(steps and fine, "a path first: the name of an argument, or a vector of names and places")
    path = tuple(step if type(step) is int else _name(step) for step in steps)
    _needs(isinstance(path[0], str), "the name of an argument at the beginning of a path")
    return path


def _name(form: Value) -> str:
    if isinstance(form, Keyword | Symbol):
        return form.name
    return form.removeprefix(":") if isinstance(form, str) else repr(form)


def _needs(fine: Any, what: str) -> None:
    if not fine:
        raise PolicyError("a condition cannot be read", hint=f"a condition has {what}")
