"""Values without parts that JSON has too: nothing, booleans, numbers and text.

Types are told apart as EDN does: `True` is no int, `1.0` is no int. JSON knows one type of number,
so an int is taken for a float where it is exactly one.
"""

from __future__ import annotations

import re
from typing import Any, Final

import attrs

from persistence.specs.problems import Bad, bad, shown
from persistence.specs.spec import Draws, Json, Schemas, Spec, Walk, wrong
from persistence.values import LIMITS

__all__ = ["ANY", "BOOL", "FLOAT", "INT", "NONE", "NUMBER", "TEXT", "Float", "Text", "sound"]

_TOO_LARGE: Final = 10**LIMITS.number_digits
_INT_KEY: Final = r"-?(?:0|[1-9][0-9]*)"
_is_int_key = re.compile(_INT_KEY).fullmatch


def sound(text: str) -> bool:
    """Whether *text* is Unicode without lone surrogates, which no store keeps."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@attrs.frozen(eq=False, repr=False)
class Anything(Spec):
    """Takes every value as it is."""

    wants = "anything"
    fix = "give any value"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        return value

    def schema(self, out: Schemas) -> Json:
        return {}

    def strategy(self, draw: Draws) -> Any:
        st = draw.st
        leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
        finite = leaves.filter(lambda value: type(value) is not float or abs(value) < 1e308)
        return st.recursive(
            finite,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        )


@attrs.frozen(eq=False, repr=False)
class Nothing(Spec):
    """None, which is null in JSON and nil in EDN."""

    wants = "null"
    fix = "give null, or leave it out"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        return None if value is None else wrong(self, value)

    def schema(self, out: Schemas) -> Json:
        return {"type": "null"}

    def strategy(self, draw: Draws) -> Any:
        return draw.st.none()


@attrs.frozen(eq=False, repr=False)
class Bool(Spec):
    """True or False."""

    wants = "true or false"
    fix = "give true or false, without quotes"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        return value if type(value) is bool else wrong(self, value)

    def schema(self, out: Schemas) -> Json:
        return {"type": "boolean"}

    def strategy(self, draw: Draws) -> Any:
        return draw.st.booleans()


@attrs.frozen(eq=False, repr=False)
class Int(Spec):
    """A whole number; neither a boolean nor a float."""

    wants = "a whole number"
    fix = "give a whole number such as 3, without quotes or a decimal point"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if type(value) is not int:
            return wrong(self, value)
        if -_TOO_LARGE < value < _TOO_LARGE:
            return value
        limit = f"a number has at most {LIMITS.number_digits} digits"
        return bad(limit, "give a smaller number", shown(value))

    def parse_key(self, value: Any, depth: int, walk: Walk) -> Any:
        if type(value) is str and len(value) <= LIMITS.number_digits and _is_int_key(value):
            return int(value)
        return self.parse(value, depth, walk)

    def schema(self, out: Schemas) -> Json:
        return {"type": "integer"}

    def key_schema(self, out: Schemas) -> Json:
        return {"type": "string", "pattern": f"^{_INT_KEY}$"}

    def strategy(self, draw: Draws) -> Any:
        return draw.st.integers()

    def between(self, draw: Draws, lo: Any, hi: Any) -> Any:
        return draw.st.integers(lo, hi)


@attrs.frozen(eq=False, repr=False)
class Float(Spec):
    """A float; an int where a float can hold it exactly."""

    finite: bool = True

    wants = "a number"
    fix = "give a number such as 10.5, without quotes"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        kind = type(value)
        if kind is float:
            if not self.finite or -_INFINITY < value < _INFINITY:
                return value
            return bad("expected a finite number", self.fix, shown(value))
        if kind is int:
            return self._whole(value)
        return wrong(self, value)

    def _whole(self, value: int) -> Any:
        try:
            made = float(value)
            if made == value:
                return made
        except OverflowError:
            pass
        reason = "expected a number that a float holds exactly"
        return bad(reason, "round it, or give fewer digits", shown(value))

    def schema(self, out: Schemas) -> Json:
        return {"type": "number"}

    def strategy(self, draw: Draws) -> Any:
        if self.finite:
            return draw.st.floats(allow_nan=False, allow_infinity=False)
        return draw.st.floats()

    def between(self, draw: Draws, lo: Any, hi: Any) -> Any:
        low, high = (None if end is None else float(end) for end in (lo, hi))
        return draw.st.floats(low, high, allow_nan=False, allow_infinity=False)


_INFINITY: Final = float("inf")


def sizes(least: int, most: int | None, unit: str) -> str:
    """How many *unit* something has, in words."""
    if most is None:
        return f"at least {least} {unit}"
    if least == most:
        return f"exactly {most} {unit}"
    return f"{least} to {most} {unit}" if least else f"at most {most} {unit}"


def misfit_size(size: int, least: int, most: int | None, unit: str) -> Bad | None:
    """The problem of something with *size* parts, if that is too few or too many."""
    if size >= least and (most is None or size <= most):
        return None
    wanted = sizes(least, most, unit)
    found = f"{size} {unit}" if size != 1 else f"1 {_ONE[unit]}"
    return bad(f"expected {wanted}", f"give {wanted}", found)


_ONE: Final = {"characters": "character", "items": "item", "entries": "entry"}


@attrs.frozen(eq=False, repr=False)
class Text(Spec):
    """Text of a size, which counts code points."""

    least: int = 0
    most: int | None = None

    wants = "text"
    fix = 'give text in quotes, such as "text"'

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if type(value) is not str:
            return wrong(self, value)
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            return misfit_size(len(value), self.least, self.most, "characters")
        if sound(value):
            return value
        return bad("the text holds a lone surrogate", "leave out the broken character")

    def schema(self, out: Schemas) -> Json:
        found: Json = {"type": "string"}
        if self.least:
            found["minLength"] = self.least
        if self.most is not None:
            found["maxLength"] = self.most
        return found

    def strategy(self, draw: Draws) -> Any:
        return draw.st.text(min_size=self.least, max_size=self.most)


ANY: Final = Anything()
NONE: Final = Nothing()
BOOL: Final = Bool()
INT: Final = Int()
FLOAT: Final = Float()
NUMBER: Final = Float(finite=False)
TEXT: Final = Text()
