"""What queries do with strings, names and the kinds of values."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from persistence.values import Char, Keyword, List, Map, Set, Symbol, Tagged, write

_KINDS: Final = MappingProxyType(
    {
        bool: "boolean",
        int: "long",
        float: "double",
        Decimal: "bigdec",
        Fraction: "ratio",
        str: "string",
        Char: "char",
        Keyword: "keyword",
        Symbol: "symbol",
        datetime: "instant",
        UUID: "uuid",
        bytes: "bytes",
        tuple: "vector",
        list: "vector",
        List: "list",
        Map: "map",
        dict: "map",
        Set: "set",
        set: "set",
        frozenset: "set",
        Tagged: "tagged",
    }
)


def string(value: Any) -> str:
    """*value*, if it is a string.

    Raises:
        TypeError: it is something else.
    """
    if type(value) is not str:
        raise TypeError(f"{value!r} is not a string")
    return value


def plain(value: Any) -> str:
    """The text of *value* without quotes: a string itself, nil nothing, all else as EDN."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return str(value) if type(value) is Char else edn(value)


def edn(value: Any) -> str:
    """The EDN of *value*; of what is no value, Python's text of it."""
    try:
        return write(value)
    except Exception:
        return repr(value)


def joined(*values: Any) -> str:
    """The plain texts of *values*, one after the other.

    >>> joined("a", 1, None, Keyword("b"))
    'a1:b'
    """
    return "".join(map(plain, values))


def printed(*values: Any) -> str:
    """The EDN of *values*, with spaces between.

    >>> printed("a", 1, None)
    '"a" 1 nil'
    """
    return " ".join(map(edn, values))


def shown(*values: Any) -> str:
    """The plain texts of *values*, with spaces between; nil shows as `nil`."""
    return " ".join("nil" if value is None else plain(value) for value in values)


def subs(value: Any, start: Any, end: Any = None) -> str:
    """The characters from *start* up to *end*, without it, or to the last.

    Raises:
        IndexError: the string has no such place.
    """
    stop = len(string(value)) if end is None else end
    if type(start) is not int or type(stop) is not int:
        raise TypeError("places in a string are integers")
    if not 0 <= start <= stop <= len(value):
        raise IndexError(f"a string of {len(value)} characters has no {start} to {stop}")
    return value[start:stop]  # type: ignore[no-any-return]


def blank(value: Any) -> bool:
    """Whether there is nothing but white space; true of nil."""
    return value is None or not string(value).strip()


def includes(value: Any, part: Any) -> bool:
    """Whether *part* is somewhere in the string."""
    return string(part) in string(value)


def starts_with(value: Any, part: Any) -> bool:
    """Whether the string begins with *part*."""
    return string(value).startswith(string(part))


def ends_with(value: Any, part: Any) -> bool:
    """Whether the string ends with *part*."""
    return string(value).endswith(string(part))


def upper(value: Any) -> str:
    """The string in upper case, by Unicode's full mapping."""
    return string(value).upper()


def lower(value: Any) -> str:
    """The string in lower case, by Unicode's full mapping."""
    return string(value).lower()


def keyword(first: Any, second: Any = None) -> Keyword:
    """The keyword of a name, or of a namespace and a name.

    >>> keyword("a"), keyword("user", "name")
    (Keyword('a'), Keyword('user/name'))
    """
    if second is not None:
        return Keyword(f"{string(first)}/{string(second)}")
    if isinstance(first, Keyword):
        return first
    return Keyword(first.name if isinstance(first, Symbol) else string(first))


def name(value: Any) -> str:
    """The part after the slash of a keyword or symbol; a string itself."""
    return value.local if isinstance(value, Keyword | Symbol) else string(value)


def namespace(value: Any) -> str | None:
    """The part before the slash, or nil."""
    if not isinstance(value, Keyword | Symbol):
        raise TypeError(f"{value!r} is neither a keyword nor a symbol")
    return value.namespace


def kind(value: Any) -> Keyword | None:
    """The type of a value, as a keyword like those of :db/valueType; of nil, nil.

    >>> kind("a"), kind(1)
    (Keyword('db.type/string'), Keyword('db.type/long'))
    """
    if value is None:
        return None
    found = _KINDS.get(type(value))
    if found is None:
        raise TypeError(f"{value!r} is no EDN value")
    return Keyword(f"db.type/{found}")
