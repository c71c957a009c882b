"""Values that JSON lacks and carries as text: instants, UUIDs, exact numbers, bytes, keywords.

Each kind takes its own Python type, and the text that `as_json` writes for it. The patterns are
stricter than Python's own parsers, which take more than any standard names.
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
from typing import Any, Final

import attrs

from persistence.errors import InputError, ValueRefused
from persistence.specs.problems import bad, shown
from persistence.specs.spec import Draws, Json, Schemas, Spec, Walk, wrong
from persistence.values import LIMITS, Char, Keyword, Symbol, encode

__all__ = ["CARRIED", "Carried"]

_LONGEST_NUMBER: Final = LIMITS.number_digits + 16  # sign, point and exponent
_DECIMAL: Final = r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,5})?"
_RATIO: Final = r"[+-]?[0-9]+(?:/[0-9]*[1-9][0-9]*)?"
_INSTANT: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,6}0*)?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_CHECKED: Final = frozenset((dt.datetime, Decimal, Fraction))  # not each of them can be kept
_NAME: Final = r"[a-z][a-z0-9-]{0,8}(?:/[a-z][a-z0-9-]{0,8})?"


@attrs.frozen(eq=False, repr=False)
class Carried(Spec):
    """A Python type that comes as itself or as text.

    *read* makes the value of the text and raises ValueError or InputError where it is none;
    *exact* takes an int as well.
    """

    kind: type
    wants: str
    fix: str
    read: Callable[[str], Any]
    json: Json
    draws: Callable[[Any, Any, Any], Any]
    pattern: Callable[[str], Any] | None = None
    exact: bool = False

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        kind = type(value)
        if kind is self.kind:
            return self._own(value)
        if kind is str:
            return self._text(value)
        if self.exact and kind is int and abs(value) < 10**LIMITS.number_digits:
            return self.kind(value)
        return wrong(self, value)

    def _own(self, value: Any) -> Any:
        if self.kind not in _CHECKED:
            return value
        try:
            encode(value)
        except InputError as refused:
            return bad(f"expected {self.wants}: {refused.message}", self.fix, shown(value))
        return value

    def _text(self, value: str) -> Any:
        if self.pattern is not None and not self.pattern(value):
            return wrong(self, value)
        try:
            return self._own(self.read(value))
        except (ValueError, OverflowError, ArithmeticError, InputError):
            return wrong(self, value)

    def schema(self, out: Schemas) -> Json:
        return dict(self.json)

    def strategy(self, draw: Draws) -> Any:
        return self.draws(draw.st, None, None)

    def between(self, draw: Draws, lo: Any, hi: Any) -> Any:
        return self.draws(draw.st, lo, hi)


def _short(pattern: str) -> Callable[[str], Any]:
    match = re.compile(pattern).fullmatch
    return lambda text: len(text) <= _LONGEST_NUMBER and match(text)


def _instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.upper())


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueRefused("no base64", value=text) from None


def _names(make: Callable[[str], Any]) -> Callable[[Any, Any, Any], Any]:
    return lambda st, lo, hi: st.from_regex(_NAME, fullmatch=True).map(make)


def _instants(st: Any, lo: dt.datetime | None, hi: dt.datetime | None) -> Any:
    """Instants are drawn in UTC."""
    ends = {"min_value": lo, "max_value": hi}
    plain = {k: v.astimezone(dt.UTC).replace(tzinfo=None) for k, v in ends.items() if v is not None}
    return st.datetimes(**plain, timezones=st.just(dt.UTC))


def _decimals(st: Any, lo: Decimal | None, hi: Decimal | None) -> Any:
    return st.decimals(lo, hi, allow_nan=False, allow_infinity=False, places=3)


def _number(pattern: str) -> Json:
    return {"anyOf": [{"type": "string", "pattern": f"^{pattern}$"}, {"type": "integer"}]}


CARRIED: Final[dict[Any, Carried]] = {
    spec.kind: spec
    for spec in (
        Carried(
            dt.datetime,
            "an instant with a time zone",
            'give date, time and offset, such as "2026-04-14T09:30:00Z"',
            _instant,
            {"type": "string", "format": "date-time"},
            _instants,
            re.compile(_INSTANT).fullmatch,
        ),
        Carried(
            uuid.UUID,
            "a UUID",
            'give a UUID such as "7b0c6e5a-5d5f-4d6e-9a51-0d1f0c3e2b4a"',
            uuid.UUID,
            {"type": "string", "format": "uuid"},
            lambda st, lo, hi: st.uuids(),
            re.compile(_UUID).fullmatch,
        ),
        Carried(
            Decimal,
            "an exact decimal number",
            'give it as text, such as "10.50"; a float is not exact',
            Decimal,
            _number(_DECIMAL),
            _decimals,
            _short(_DECIMAL),
            exact=True,
        ),
        Carried(
            Fraction,
            "a ratio",
            'give it as text, such as "1/3"',
            Fraction,
            _number(_RATIO),
            lambda st, lo, hi: st.fractions(lo, hi, max_denominator=10**6),
            _short(_RATIO),
            exact=True,
        ),
        Carried(
            bytes,
            "bytes",
            'give base64 text, such as "aGVsbG8="',
            _bytes,
            {"type": "string", "contentEncoding": "base64"},
            lambda st, lo, hi: st.binary(max_size=64),
        ),
        Carried(
            Keyword,
            "a keyword",
            'give a keyword such as ":user/name"',
            Keyword,
            {"type": "string"},
            _names(Keyword),
        ),
        Carried(
            Symbol,
            "a symbol",
            'give the name of a symbol, such as "total"',
            Symbol,
            {"type": "string"},
            _names(Symbol),
        ),
        Carried(
            Char,
            "one character",
            'give one character, such as "a"',
            Char,
            {"type": "string", "minLength": 1, "maxLength": 1},
            lambda st, lo, hi: st.characters(exclude_categories=["Cs"]).map(Char),
        ),
    )
}
