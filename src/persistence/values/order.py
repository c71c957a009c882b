"""One total order over all values, as text: `sort_key(a) < sort_key(b)` says that a sorts first.

Databases compare text by code point and know no EDN, so the order itself is put into the text. A
key also holds its value exactly, and is read back by `from_sort_key`: so vectors are stored.

Classes sort as nil, booleans, numbers, instants, characters, strings, keywords, symbols, UUIDs,
bytes, vectors, lists, maps, sets, tagged. Numbers of every kind are compared by exact value: each
is written as its continued fraction, the one finite notation that integers, floats, decimals and
ratios share and that can be compared term by term. Equal numbers are told apart by kind, then by
the number of places (`1M` before `1.0M`). Vectors and lists compare element by element, a prefix
first; maps, sets and tagged values by their canonical bytes.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from persistence.errors import ValueRefused
from persistence.values.canonical import encode
from persistence.values.decoding import decode
from persistence.values.instants import from_micros, micros
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.refuse import FAILURES, Refused, refusal
from persistence.values.types import List, Map, Set, Tagged, Value

__all__ = ["compare", "from_sort_key", "sort_key"]

# Codes of natural numbers: a length, then hexadecimal digits. No code is the beginning of another,
# and all are made of this alphabet, so that mirroring every character reverses their order.
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MIRROR: Final = str.maketrans(_ALPHABET, _ALPHABET[::-1])
_LONG: Final = 35  # digits that one character of length no longer counts
# After the last term of a continued fraction comes infinity: greatest, or mirrored least.
_HIGH, _LOW = "~", "!"
_END: Final = " "  # below every character that can stand where it stands
_STRING_END: Final = "\x01\x01"  # the same for strings, whose \x00 and \x01 are escaped


def sort_key(value: Value) -> str:
    """Text that sorts, code point by code point, as *value* does among all values.

    >>> sorted([2, "a", 1.5, None, [1], True], key=sort_key)
    [None, True, 1.5, 2, 'a', [1]]

    Raises:
        ValueRefused, LimitExceeded: as `encode` does.
    """
    try:
        return _KEYS[type(value)](value, 0)
    except FAILURES:
        raise refusal(value) from None


def compare(a: Value, b: Value) -> int:
    """Negative, zero or positive as *a* sorts before, is, or sorts after *b*; zero is identity.

    >>> compare(1, 1.5), compare(1, 1), compare(1.0, 1), compare("b", "a")
    (-1, 0, 1, 1)

    Raises:
        ValueRefused, LimitExceeded: as `encode` does.
    """
    kind = type(a)
    if kind is type(b) and (kind is int or kind is str):
        return int(a > b) - int(a < b)
    one, other = sort_key(a), sort_key(b)
    return (one > other) - (one < other)


def natural(n: int) -> str:
    """The code of *n* ≥ 0."""
    digits = f"{n:X}"
    size = len(digits)
    return (_ALPHABET[size] if size < _LONG else f"Z{size:05d}") + digits


def _read_natural(text: str, at: int) -> tuple[int, int]:
    size = _ALPHABET.index(text[at])
    at += 1
    if size == _LONG:
        size = int(text[at : at + 5])
        at += 5
    return int(text[at : at + size], 16), at + size


def signed(n: int) -> str:
    """The code of any integer *n*."""
    return natural(n) if n >= 0 else "-" + natural(-n).translate(_MIRROR)


def _read_mirrored(text: str, at: int) -> tuple[int, int]:
    size = _ALPHABET.index(text[at].translate(_MIRROR))
    width = size + 1 if size < _LONG else 6 + int(text[at + 1 : at + 6].translate(_MIRROR))
    return _read_natural(text[at : at + width].translate(_MIRROR), 0)[0], at + width


def read_signed(text: str, at: int) -> tuple[int, int]:
    """The integer whose code begins at *at*, and where the code ends."""
    if text[at] != "-":
        return _read_natural(text, at)
    n, end = _read_mirrored(text, at + 1)
    return -n, end


def rational(numerator: int, denominator: int) -> str:
    """The code of a fraction: the terms of its continued fraction, every second one mirrored."""
    whole, rest = divmod(numerator, denominator)
    codes = [signed(whole)]
    mirrored = True
    while rest:
        numerator, denominator = denominator, rest
        term, rest = divmod(numerator, denominator)
        codes.append(natural(term).translate(_MIRROR) if mirrored else natural(term))
        mirrored = not mirrored
    codes.append(_LOW if mirrored else _HIGH)
    return "".join(codes)


def read_rational(text: str, at: int) -> tuple[int, int, int]:
    """The numerator and denominator whose code begins at *at*, and where the code ends."""
    whole, at = read_signed(text, at)
    # The convergents h/k of the terms read so far, and the ones before.
    h, k, h0, k0 = whole, 1, 1, 0
    mirrored = True
    while text[at] != (_LOW if mirrored else _HIGH):
        term, at = (_read_mirrored if mirrored else _read_natural)(text, at)
        h, k, h0, k0 = term * h + h0, term * k + k0, h, k
        mirrored = not mirrored
    return h, k, at + 1


def decimal_key(value: Decimal) -> str:
    """The code of a decimal: its value, then its places; negative zeros come first."""
    sign, _, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Refused
    zero = "!" if sign and not value else ""
    return f"{rational(*value.as_integer_ratio())}{zero}{signed(-exponent)}"


def read_decimal(text: str, at: int) -> tuple[Decimal, int]:
    """The decimal whose code begins at *at*, and where the code ends."""
    numerator, denominator, at = read_rational(text, at)
    negative_zero = text[at] == "!"
    places, at = read_signed(text, at + negative_zero)
    if places >= 0:
        mantissa = numerator * 10**places // denominator
    else:
        mantissa = numerator // 10**-places
    digits = tuple(map(int, str(abs(mantissa))))
    return Decimal((int(negative_zero or mantissa < 0), digits, -places)), at


def escape(text: str) -> str:
    """*text* without U+0000, which Postgres cannot keep, in an order-preserving way.

    >>> escape("a\\x00b\\x01") == "a\\x01\\x02b\\x01\\x03"
    True
    """
    if "\x00" in text or "\x01" in text:
        return text.replace("\x01", "\x01\x03").replace("\x00", "\x01\x02")
    return text


def unescape(text: str) -> str:
    """What `escape` was given."""
    if "\x01" in text:
        return text.replace("\x01\x02", "\x00").replace("\x01\x03", "\x01")
    return text


def _float_key(value: float, depth: int) -> str:
    if value != value:
        return "c~24"
    if value in (float("inf"), float("-inf")):
        return "c~14" if value > 0 else "c!4"
    negative_zero = value == 0 and str(value)[0] == "-"
    return f"c{rational(*value.as_integer_ratio())}4{'!' if negative_zero else ''}1"


def _int_key(value: int, depth: int) -> str:
    return f"c{signed(value)}!{2 if -(2**63) <= value < 2**63 else 3}"


def _fraction_key(value: Fraction, depth: int) -> str:
    if value.denominator == 1:
        return _int_key(value.numerator, depth)
    return f"c{rational(value.numerator, value.denominator)}6"


def _decimal_key(value: Decimal, depth: int) -> str:
    encode(value)  # refuses what is past the limits, before the long division
    key = decimal_key(value)
    numbers_end = read_rational(key, 0)[2]
    return f"c{key[:numbers_end]}5{key[numbers_end:]}"


def _string_key(value: str, depth: int) -> str:
    value.encode()  # refuses lone surrogates
    return f"f{escape(value)}{_STRING_END}"


def _sequence_key(value: Any, depth: int) -> str:
    return f"{'l' if type(value) is List else 'k'}{elements_key(value, depth)}{_END}"


def elements_key(value: Any, depth: int = 0) -> str:
    """The codes of the elements one after the other: a vector without its brackets."""
    if depth >= LIMITS.nesting:
        raise Refused
    depth += 1
    parts = []
    for item in value:
        parts.append(_KEYS[type(item)](item, depth))
    return "".join(parts)


def _encoded_key(rank: str) -> Callable[[Any, int], str]:
    return lambda value, depth: f"{rank}{encode(value).hex()}{_END}"


_KEYS: dict[type, Callable[[Any, int], str]] = {
    type(None): lambda value, depth: "a",
    bool: lambda value, depth: "b1" if value else "b0",
    int: _int_key,
    float: _float_key,
    Decimal: _decimal_key,
    Fraction: _fraction_key,
    dt.datetime: lambda value, depth: "d" + signed(micros(value)),
    Char: lambda value, depth: "e" + natural(ord(value.text)),
    str: _string_key,
    Keyword: lambda value, depth: f"g{value.name}{_END}",
    Symbol: lambda value, depth: f"h{value.name}{_END}",
    uuid.UUID: lambda value, depth: "i" + value.hex,
    bytes: lambda value, depth: f"j{value.hex()}{_END}",
    tuple: _sequence_key,
    list: _sequence_key,
    List: _sequence_key,
    Map: _encoded_key("m"),
    dict: _encoded_key("m"),
    Set: _encoded_key("n"),
    set: _encoded_key("n"),
    frozenset: _encoded_key("n"),
    Tagged: _encoded_key("o"),
}


def from_sort_key(key: str) -> Value:
    """The value that `sort_key` made *key* of.

    >>> from_sort_key(sort_key([1, 0.1, "x", {"a": 2}]))
    (1, 0.1, 'x', Map({'a': 2}))

    Raises:
        ValueRefused: *key* is none.
    """
    items = read_elements(key)
    if len(items) != 1:
        raise ValueRefused(f"{key!r} is no sort key")
    return items[0]


def read_elements(text: str) -> tuple[Value, ...]:
    """The elements whose codes follow each other in *text*."""
    # Open sequences: each collects its items, and says whether it is a list.
    stack: list[tuple[list[Any], bool]] = [([], False)]
    at = 0
    try:
        while at < len(text):
            rank = text[at]
            at += 1
            if rank == _END:
                items, is_list = stack.pop()
                stack[-1][0].append(List(items) if is_list else tuple(items))
            elif rank in "kl":
                stack.append(([], rank == "l"))
            else:
                value, at = _READERS[rank](text, at)
                stack[-1][0].append(value)
    except (KeyError, IndexError, ValueError, ArithmeticError):
        raise ValueRefused(f"no order-preserving text, at character {at}") from None
    if len(stack) != 1:
        raise ValueRefused("the order-preserving text ends too early")
    return tuple(stack[0][0])


def _read_number(text: str, at: int) -> tuple[Any, int]:
    if text[at] in "!~":
        name, width = {"!": ("-inf", 2), "~1": ("inf", 3), "~2": ("nan", 3)}[
            text[at : at + 1 + (text[at] == "~")]
        ]
        return float(name), at + width
    start = at
    numerator, denominator, at = read_rational(text, at)
    kind = text[at]
    if kind in "23":
        return numerator, at + 1
    if kind == "6":
        return Fraction(numerator, denominator), at + 1
    if kind == "4":
        if text[at + 1] == "!":
            return -0.0, at + 3
        return numerator / denominator, at + 2
    number = text[start:at]
    value, end = read_decimal(number + text[at + 1 :], 0)
    return value, start + end + 1


def _read_until(end: str, build: Callable[[str], Any]) -> Callable[[str, int], tuple[Any, int]]:
    def read(text: str, at: int) -> tuple[Any, int]:
        stop = text.index(end, at)
        return build(text[at:stop]), stop + len(end)

    return read


def _read_coded(
    code: Callable[[str, int], tuple[int, int]], build: Callable[[int], Any]
) -> Callable[[str, int], tuple[Any, int]]:
    def read(text: str, at: int) -> tuple[Any, int]:
        n, end = code(text, at)
        return build(n), end

    return read


_READERS: dict[str, Callable[[str, int], tuple[Any, int]]] = {
    "a": lambda text, at: (None, at),
    "b": lambda text, at: (text[at] == "1", at + 1),
    "c": _read_number,
    "d": _read_coded(read_signed, from_micros),
    "e": _read_coded(_read_natural, lambda code: Char(chr(code))),
    "f": _read_until(_STRING_END, unescape),
    "g": _read_until(_END, Keyword),
    "h": _read_until(_END, Symbol),
    "i": lambda text, at: (uuid.UUID(text[at : at + 32]), at + 32),
    "j": _read_until(_END, bytes.fromhex),
    "m": _read_until(_END, lambda code: decode(bytes.fromhex(code))),
    "n": _read_until(_END, lambda code: decode(bytes.fromhex(code))),
    "o": _read_until(_END, lambda code: decode(bytes.fromhex(code))),
}
