"""One EDN token to one value: numbers, names, characters, strings and the built-in tags.

The rules here are those of the EDN specification. Four extensions of Clojure are read besides,
because values could not be written without them: ratios `1/2`, `##NaN ##Inf ##-Inf`, `\\uXXXX`
inside strings, and `#bytes` with base64 text.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from persistence.errors import LimitExceeded, ValueRefused
from persistence.values.limits import Limits
from persistence.values.names import Char, Keyword, Symbol

_INT = r"[+-]?+(?:0|[1-9][0-9]*+)"
_NUMBER = re.compile(
    rf"({_INT})(?:(N)|/(0|[1-9][0-9]*+)|((?:\.[0-9]++)?+(?:[eE]([+-]?+[0-9]++))?+)(M)?+)?+\Z"
).match
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.(\d+))?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)\Z",
    re.ASCII,
).match
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z").match

_CONSTANTS = {"nil": None, "true": True, "false": False}
SPECIAL_FLOATS = {"##NaN": float("nan"), "##Inf": float("inf"), "##-Inf": float("-inf")}
NAMED_CHARS = {
    "newline": "\n",
    "return": "\r",
    "space": " ",
    "tab": "\t",
    "formfeed": "\f",
    "backspace": "\b",
}
_CODE = re.compile(r"u[0-9a-fA-F]{4}\Z").match
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"'}
_SURROGATE = re.compile("[\ud800-\udfff]")


def atom(token: str, limits: Limits) -> Any:
    """The number, keyword, symbol, character or constant that *token* spells.

    Raises:
        ValueRefused: it spells none.
        LimitExceeded: a number past the limits; seen before the number is made.
    """
    first = token[0]
    if first == ":":
        return Keyword(token[1:]) if token[1:2] != ":" else _no(token)
    if first in "0123456789" or (first in "+-" and token[1:2].isdecimal()):
        return _number(token, limits)
    if first == "\\":
        return character(token)
    if token in _CONSTANTS:
        return _CONSTANTS[token]
    return Symbol(token)


def _no(token: str) -> Any:
    raise ValueRefused(f"{token!r} is no EDN keyword")


def _number(token: str, limits: Limits) -> Any:
    if len(token) > limits.number_digits:
        digits = max(sum(map(str.isdecimal, part)) for part in re.split("[/eE]", token))
        if digits > limits.number_digits:
            raise LimitExceeded(
                f"a number has at most {limits.number_digits} digits, this one {digits}",
                limit="number_digits",
                allowed=limits.number_digits,
                found=digits,
            )
    match = _NUMBER(token)
    if match is None:
        raise ValueRefused(f"{token!r} is no EDN number", hint=_number_hint(token))
    whole, _, denominator, tail, exponent, exact = match.groups()
    if denominator is not None:
        return _ratio(whole, denominator)
    if exact:
        return _decimal(token[:-1], exponent, limits)
    if tail:
        value = float(token)
        if value in (SPECIAL_FLOATS["##Inf"], SPECIAL_FLOATS["##-Inf"]):
            raise ValueRefused(f"{token} is too large for a float", hint="write a decimal: add M")
        return value
    return int(whole)


def _number_hint(token: str) -> str | None:
    digits = token.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdecimal():
        return "a number has no leading zeros"
    if digits.endswith("."):
        return "a digit must follow the point"
    return None


def _ratio(numerator: str, denominator: str) -> int | Fraction:
    if denominator == "0":
        raise ValueRefused("the denominator is zero")
    ratio = Fraction(int(numerator), int(denominator))
    return ratio.numerator if ratio.denominator == 1 else ratio


def _decimal(text: str, exponent: str | None, limits: Limits) -> Decimal:
    if exponent is not None and len(exponent.lstrip("+-0")) > 5:
        raise _exponent_limit(limits, text)
    value = Decimal(text)
    stored = value.as_tuple().exponent
    if not isinstance(stored, int) or abs(stored) > limits.exponent:
        raise _exponent_limit(limits, text)
    return value


def _exponent_limit(limits: Limits, text: str) -> LimitExceeded:
    return LimitExceeded(
        f"a decimal's exponent is at most {limits.exponent} either way: {text[:40]}M",
        limit="exponent",
        allowed=limits.exponent,
    )


def character(token: str) -> Char:
    """The character that *token*, with its backslash, spells."""
    text = token[1:]
    if len(text) == 1:
        return Char(text)
    if text in NAMED_CHARS:
        return Char(NAMED_CHARS[text])
    if _CODE(text) is None:
        raise ValueRefused(f"{token[:40]!r} is no EDN character")
    code = int(text[1:], 16)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueRefused(f"{token} is a lone surrogate")
    return Char(chr(code))


def string(token: str) -> str:
    """The text between the quotes, escapes replaced; two \\u of a surrogate pair become one."""
    body = token[1:-1]
    if "\\" not in body:
        return body
    text = _ESCAPE.sub(_unescaped, body)
    if _SURROGATE.search(text) is not None:
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            raise ValueRefused("the string holds a lone surrogate") from None
    return text


def _unescaped(match: re.Match[str]) -> str:
    code, letter = match.groups()
    if code is not None:
        return chr(int(code, 16))
    try:
        return _ESCAPED[letter]
    except KeyError:
        raise ValueRefused(
            f"\\{letter} is no escape of an EDN string",
            hint='the escapes are \\t \\r \\n \\\\ \\" and \\uXXXX',
        ) from None


def instant(value: Any) -> dt.datetime:
    """The UTC datetime of an RFC 3339 text, exact to the microsecond or refused."""
    match = _INSTANT(value) if type(value) is str else None
    if match is None:
        raise ValueRefused(
            f"#inst {value!r} is no RFC 3339 timestamp",
            hint='write date, time and offset: #inst "2026-04-14T00:00:00Z"',
        )
    fraction = match[1]
    if fraction is not None and len(fraction.rstrip("0")) > 6:
        raise ValueRefused(f"#inst {value!r} is finer than a microsecond")
    try:
        # The pattern has refused all that fromisoformat would take beyond RFC 3339.
        return dt.datetime.fromisoformat(value.upper()).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise ValueRefused(f"#inst {value!r}: {error}") from None


def _uuid(value: Any) -> uuid.UUID:
    if type(value) is not str or _UUID(value) is None:
        raise ValueRefused(f"#uuid {value!r} is no UUID of the form 8-4-4-4-12")
    return uuid.UUID(value)


def _bytes(value: Any) -> bytes:
    if type(value) is str and value.isascii():
        try:
            decoded = base64.b64decode(value, validate=True)
        except binascii.Error:
            decoded = b""
        # Python forgives stray bits in the last character; base64 has one text per value.
        if base64.b64encode(decoded).decode() == value:
            return decoded
    raise ValueRefused(f"#bytes {value!r} is no base64 text with padding")


BUILT_IN: dict[str, Callable[[Any], Any]] = {"inst": instant, "uuid": _uuid, "bytes": _bytes}
