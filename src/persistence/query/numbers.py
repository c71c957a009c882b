"""Arithmetic on EDN's numbers, exact unless a float takes part.

Ints stay ints of any size, decimals stay decimals, and a quotient that is no whole number is a
ratio; one float makes the answer a float, as in Clojure. SQL engines overflow, round and divide
each in its own way, so these functions are the reference that compiled queries must agree with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any, Final, TypeAlias

from persistence.errors import LimitExceeded
from persistence.values import LIMITS

Number: TypeAlias = int | float | Decimal | Fraction

NUMBERS: Final = frozenset((int, float, Decimal, Fraction))

# A result that needs rounding is refused: the precision is what a value may have at most.
_EXACT = Context(
    prec=LIMITS.number_digits, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero]
)
_BITS: Final = int(LIMITS.number_digits * math.log2(10))


def number(value: Any) -> Any:
    """*value*, if it is a number. A boolean is none.

    Raises:
        TypeError: it is something else.
    """
    if type(value) not in NUMBERS:
        raise TypeError(f"{value!r} is not a number")
    return value


def fit(value: Any) -> Any:
    """*value* in its plainest form: a ratio that is whole is an int.

    Raises:
        LimitExceeded: it has more digits than a value may have.
    """
    if type(value) is Fraction and value.denominator == 1:
        value = value.numerator
    if type(value) is int and value.bit_length() > _BITS:
        raise LimitExceeded(
            f"a number has at most {LIMITS.number_digits} digits",
            limit="number_digits",
            allowed=LIMITS.number_digits,
            found=int(value.bit_length() * math.log10(2)) + 1,
        )
    return value


def decimal_of(value: Fraction) -> Decimal | None:
    """The decimal that equals *value*, or None where its expansion does not end.

    >>> decimal_of(Fraction(1, 8)), decimal_of(Fraction(1, 3))
    (Decimal('0.125'), None)
    """
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return None
    return _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _both(
    a: Any,
    b: Any,
    decimals: Callable[[Decimal, Decimal], Decimal],
    plain: Callable[[Any, Any], Any],
) -> Any:
    kinds = {type(number(a)), type(number(b))}
    if float in kinds:
        return plain(float(a), float(b))
    if Decimal not in kinds:
        return fit(plain(a, b))
    if Fraction in kinds:
        exact = plain(Fraction(a), Fraction(b))
        found = decimal_of(exact)
        return fit(exact) if found is None else found
    return decimals(Decimal(a), Decimal(b))


def add(*terms: Any) -> Any:
    """The sum.

    >>> add(1, 2), add(1, 0.5), add(Decimal("1.10"), 1), add(Fraction(1, 2), Fraction(1, 2))
    (3, 1.5, Decimal('2.10'), 1)
    """
    total: Any = 0
    for index, term in enumerate(terms):
        total = number(term) if index == 0 else _both(total, term, _EXACT.add, lambda a, b: a + b)
    return total


def subtract(first: Any, *rest: Any) -> Any:
    """The difference; of one number, its negation."""
    if not rest:
        return -number(first) if type(first) is not Decimal else first.copy_negate()
    for term in rest:
        first = _both(first, term, _EXACT.subtract, lambda a, b: a - b)
    return first


def multiply(*factors: Any) -> Any:
    """The product."""
    product: Any = 1
    for index, factor in enumerate(factors):
        product = (
            number(factor)
            if index == 0
            else _both(product, factor, _EXACT.multiply, lambda a, b: a * b)
        )
    return product


def divide(first: Any, *rest: Any) -> Any:
    """The exact quotient; of one number, its reciprocal.

    >>> divide(6, 3), divide(1, 3), divide(1, 4.0), divide(Decimal("1.0"), 4)
    (2, Fraction(1, 3), 0.25, Decimal('0.25'))

    Raises:
        ZeroDivisionError: a divisor is zero.
    """
    if not rest:
        return divide(1, first)
    for divisor in rest:
        first = _quotient(first, divisor)
    return first


def _quotient(a: Any, b: Any) -> Any:
    if number(b) == 0:
        raise ZeroDivisionError("it divides by zero")
    if type(number(a)) is float or type(b) is float:
        return float(a) / float(b)
    exact = Fraction(a) / Fraction(b)
    if Decimal in (type(a), type(b)):
        found = decimal_of(exact)
        if found is not None:
            return found
    return fit(exact)


def _like(a: Any, b: Any, whole: Fraction | int) -> Any:
    """*whole* as the kind of number that *a* and *b* make together."""
    if float in (type(a), type(b)):
        return float(whole)
    if Decimal in (type(a), type(b)):
        found = decimal_of(Fraction(whole))
        return fit(whole) if found is None else found
    return fit(whole)


def _truncated(a: Any, b: Any) -> tuple[Fraction, Fraction, int]:
    if number(b) == 0:
        raise ZeroDivisionError("it divides by zero")
    dividend, divisor = Fraction(number(a)), Fraction(b)
    return dividend, divisor, math.trunc(dividend / divisor)


def quot(a: Any, b: Any) -> Any:
    """The quotient without its fraction, cut towards zero.

    >>> quot(7, 2), quot(-7, 2), quot(7.5, 2)
    (3, -3, 3.0)
    """
    return _like(a, b, _truncated(a, b)[2])


def rem(a: Any, b: Any) -> Any:
    """What `quot` leaves; it has the sign of *a*.

    >>> rem(-7, 2), mod(-7, 2)
    (-1, 1)
    """
    dividend, divisor, whole = _truncated(a, b)
    return _like(a, b, dividend - divisor * whole)


def mod(a: Any, b: Any) -> Any:
    """The remainder with the sign of *b*."""
    dividend, divisor, whole = _truncated(a, b)
    rest = dividend - divisor * whole
    return _like(a, b, rest + divisor if rest and (rest < 0) != (divisor < 0) else rest)


def whole(value: Any) -> int:
    """*value*, if it is an int.

    Raises:
        TypeError: it is something else.
    """
    if type(value) is not int:
        raise TypeError(f"{value!r} is not an integer")
    return value
