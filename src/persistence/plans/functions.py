"""The functions that expressions of plans may call: a closed set, pure, exact or refused.

Values are the same when their canonical bytes are: `(= 1 1.0)` is false. Arithmetic never rounds a
decimal and never makes a number, a text or a collection beyond the limits of a value.
"""

from __future__ import annotations

import decimal
import operator
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from typing import Any, Final

import attrs

from persistence.values import LIMITS, Char, List, Map, Set, Value, freeze, identity, write

__all__ = ["FUNCTIONS", "Function", "Misuse", "truth"]


class Misuse(Exception):
    """A function was given what it cannot take; *fix* tells what it can."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason, self.fix = reason, fix


@attrs.frozen
class Function:
    """One function: how it is written, how many arguments it takes, what it does."""

    usage: str
    doc: str
    least: int
    most: int | None  # None: any number
    call: Callable[..., Value]
    lazy: bool = False  # takes functions of no arguments, and calls those that it needs


def truth(value: Value) -> bool:
    """Whether a condition holds: anything but nil and false does.

    >>> truth(0), truth(None), truth(False)
    (True, False, False)
    """
    return value is not None and value is not False


def _equal(*values: Value) -> bool:
    first = identity(values[0])
    return all(identity(value) == first for value in values[1:])


_NUMBERS = (int, float, Decimal, Fraction)
_EXACT = decimal.Context(
    prec=LIMITS.number_digits,
    Emax=LIMITS.exponent,
    Emin=-LIMITS.exponent,
    traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow, decimal.Underflow],
)


def _number(name: str, value: Value) -> Any:
    if type(value) not in _NUMBERS:
        raise Misuse(f"{name} takes numbers and not {_shown(value)}", "compare or add numbers only")
    return value


def _shown(value: Value) -> str:
    text = write(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _ordered(name: str, holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    def compare(*values: Value) -> bool:
        exact = [_exact(_number(name, value)) for value in values]
        return all(holds(one, other) for one, other in pairwise(exact))

    return compare


def _exact(number: Any) -> Any:
    """The number as one that Python compares with every other."""
    return Fraction(number) if type(number) is Decimal else number


def _arithmetic(name: str, combine: Callable[[Any, Any], Any]) -> Callable[..., Value]:
    def two(one: Any, other: Any) -> Any:
        kinds = {type(one), type(other)}
        if Decimal in kinds and not kinds <= {Decimal, int}:
            raise Misuse(f"{name} cannot mix a decimal with a float or a ratio", "use one kind")
        try:
            if Decimal in kinds:
                return _small(_DECIMAL[name](Decimal(one), Decimal(other)))
            if name == "*" and kinds <= {int, Fraction} and _bits(one) + _bits(other) > _BITS:
                raise OverflowError
            return freeze(_small(combine(one, other)))
        except (OverflowError, decimal.DecimalException):
            raise Misuse(f"the result of {name} is too large", "use smaller numbers") from None

    def combined(*values: Value) -> Value:
        numbers = [_number(name, value) for value in values]
        return two(0, numbers[0]) if name == "-" and len(numbers) == 1 else reduce(two, numbers)

    return combined


_DECIMAL = {"+": _EXACT.add, "-": _EXACT.subtract, "*": _EXACT.multiply}
_BITS = LIMITS.number_digits * 3  # fewer than that many decimal digits have


def _bits(number: int | Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _small(number: Any) -> Any:
    """The number, unless no value may be as large."""
    if type(number) is Decimal:
        if abs(int(number.as_tuple().exponent)) > LIMITS.exponent:
            raise OverflowError
    elif type(number) is not float and _bits(number) > _BITS:
        raise OverflowError
    return number


def _get(value: Value, key: Value, default: Value = None) -> Value:
    kind = type(value)
    if kind is Map:
        return value.get(key, default)
    if kind is tuple or kind is List:
        if type(key) is not int:
            raise Misuse(f"a vector has no {_shown(key)}", "ask it for a place: (get v 0)")
        return value[key] if 0 <= key < len(value) else default
    if value is None:
        return default
    raise Misuse(f"get takes a map or a vector and not {_shown(value)}", "look at its parent")


def _get_in(value: Value, keys: Value, default: Value = None) -> Value:
    if type(keys) is not tuple:
        raise Misuse(f"get-in takes a vector of keys and not {_shown(keys)}", "write [:a :b]")
    missing = object()
    for key in keys:
        value = _get(value, key, missing)
        if value is missing:
            return default
    return value


def _count(value: Value) -> int:
    if value is None:
        return 0
    if type(value) not in (str, bytes, tuple, List, Map, Set):
        raise Misuse(f"{_shown(value)} has no size", "count a collection or a text")
    return len(value)


def _contains(value: Value, item: Value) -> bool:
    kind = type(value)
    if kind is Map or kind is Set:
        return item in value
    if kind is tuple or kind is List:
        return any(identity(one) == identity(item) for one in value)
    if value is None:
        return False
    if kind is str and type(item) is str:
        return item in value
    raise Misuse(
        f"contains? cannot look for {_shown(item)} in {_shown(value)}",
        "look for a key, an element, or a text in a text",
    )


def _str(*values: Value) -> str:
    texts = [_text(value) for value in values]
    if sum(map(len, texts)) > LIMITS.value_bytes // 4:  # a character may take four bytes
        raise Misuse("the text is too long", "keep a part of it only")
    return "".join(texts)


def _text(value: Value) -> str:
    if value is None:
        return ""
    return value if type(value) is str else value.text if type(value) is Char else write(value)


def _many(usage: str, doc: str, call: Callable[..., Value], least: int = 2) -> Function:
    return Function(usage, doc, least, None, call)


def _and(*arguments: Callable[[], Value]) -> Value:
    value: Value = True
    for argument in arguments:
        value = argument()
        if not truth(value):
            break
    return value


def _or(*arguments: Callable[[], Value]) -> Value:
    value: Value = None
    for argument in arguments:
        value = argument()
        if truth(value):
            break
    return value


def _not(value: Value) -> bool:
    return not truth(value)


def _not_equal(*values: Value) -> bool:
    return not _equal(*values)


def _empty(value: Value) -> bool:
    return _count(value) == 0


def _same(value: Value) -> Value:
    return value


_TABLE = [
    Function("(= a b)", "the same value; 1, 1.0 and true differ", 2, None, _equal),
    Function("(not= a b)", "not the same value", 2, None, _not_equal),
    Function("(< a b)", "numbers that rise", 2, None, _ordered("<", operator.lt)),
    Function("(<= a b)", "numbers that do not fall", 2, None, _ordered("<=", operator.le)),
    Function("(> a b)", "numbers that fall", 2, None, _ordered(">", operator.gt)),
    Function("(>= a b)", "numbers that do not rise", 2, None, _ordered(">=", operator.ge)),
    Function("(and a b)", "the first that is nil or false, or the last", 0, None, _and, lazy=True),
    Function("(or a b)", "the first that is neither, or the last", 0, None, _or, lazy=True),
    Function("(not a)", "whether it is nil or false", 1, 1, _not),
    Function("(get m :key default)", "of a map by key, of a vector by place", 2, 3, _get),
    Function("(get-in m [:a 0] default)", "`get` along a way", 2, 3, _get_in),
    Function("(count v)", "how many it holds; nil holds none", 1, 1, _count),
    Function("(empty? v)", "whether it holds none", 1, 1, _empty),
    Function("(contains? v x)", "a key, an element, or a text in a text", 2, 2, _contains),
    Function('(str "a" b)', "the texts in one; nil is none", 0, None, _str),
    Function("(+ a b)", "the sum", 1, None, _arithmetic("+", operator.add)),
    Function("(- a b)", "the difference; of one number, its negation", 1, None,
             _arithmetic("-", operator.sub)),
    Function("(* a b)", "the product", 1, None, _arithmetic("*", operator.mul)),
    Function("(quote x)", "x as it stands, be it a symbol or a list", 1, 1, _same, lazy=True),
]  # fmt: skip

FUNCTIONS: Final[dict[str, Function]] = {row.usage[1:].split(" ")[0]: row for row in _TABLE}
"""Every function by its name."""
