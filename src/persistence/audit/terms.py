"""The values of EDN that Python lacks, as the verifier knows them; those that it has are Python's.

A vector is a tuple. Imports the standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

# A symbol of EDN: one name, or two around a slash. Letters and digits are what Unicode calls so; a
# name begins with no digit, and with none after a sign or dot either.
_FOLLOW: Final = r"[\w.*+!\-?$%&=<>:#]*+"
_SIGN: Final = rf"[+\-.](?:(?:[^\W\d]|[.*+!\-?$%&=<>:#]){_FOLLOW})?+"
_NAME: Final = rf"(?:(?:[^\W\d]|[*!?$%&=<>]){_FOLLOW}|{_SIGN})"
_SYMBOL: Final = re.compile(rf"{_NAME}(?:/{_NAME})?+")
_CONSTANTS: Final = ("nil", "true", "false")
_BUILT_IN: Final = ("inst", "uuid", "bytes")


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword; the name is without its colon.

    Raises:
        ValueError: EDN has no such keyword. So of all classes here.
    """

    name: str

    def __post_init__(self) -> None:
        if not _SYMBOL.fullmatch(self.name):
            raise ValueError(f"{self.name[:80]!r} is no keyword of EDN")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol."""

    name: str

    def __post_init__(self) -> None:
        _check_symbol(self.name)


@dataclass(frozen=True, slots=True)
class Char:
    """One character."""

    text: str

    def __post_init__(self) -> None:
        if len(self.text) != 1 or "\ud800" <= self.text <= "\udfff":
            raise ValueError(f"{self.text[:80]!r} is no character")


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time, as microseconds since 1970-01-01T00:00:00Z."""

    micros: int


@dataclass(frozen=True, slots=True)
class List:
    """A list."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """A set, its elements in canonical order."""

    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """A map, its pairs in canonical order. No dict: 1, 1.0 and true are three keys."""

    pairs: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tagged literal."""

    tag: str
    value: Any

    def __post_init__(self) -> None:
        _check_symbol(self.tag)
        if not self.tag[0].isalpha() or self.tag in _BUILT_IN:
            raise ValueError(f"{self.tag[:80]!r} is no tag of its own")


def _check_symbol(name: str) -> None:
    if name in _CONSTANTS or not (name == "/" or _SYMBOL.fullmatch(name)):
        raise ValueError(f"{name[:80]!r} is no symbol of EDN")
