"""Values of canonical bytes as the text that people read: EDN, as the store would write it.

Imports the standard library and `terms` only, because the standalone verifier does.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from persistence.audit.terms import Char, Instant, Keyword, List, Map, Set, Symbol, Tagged

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_UNSAFE: Final = re.compile(r'[\x00-\x1f"\\\x7f-\x9f\u2028\u2029\ufeff]')
_ESCAPES: Final = {"\t": r"\t", "\r": r"\r", "\n": r"\n", '"': r"\"", "\\": r"\\"}
_CHARS: Final = {
    "\n": "newline",
    "\r": "return",
    " ": "space",
    "\t": "tab",
    "\f": "formfeed",
    "\b": "backspace",
}


def show(value: Any) -> str:
    """The EDN of a *value* that `cbor.decode` gave.

    >>> show((1, 1.0, Keyword("a"), Map((("b", None),)), Instant(0)))
    '[1 1.0 :a {"b" nil} #inst "1970-01-01T00:00:00Z"]'
    """
    return _WORDS[type(value)](value)


def show_datom(datom: tuple[Any, ...]) -> str:
    """A datom that `cbor.decode_datom` gave, on one line.

    >>> show_datom((1, Keyword("user/name"), "Ada", Instant(0), None, True))
    '[1 :user/name "Ada" #inst "1970-01-01T00:00:00Z" nil true]'
    """
    return _row("[", datom, "]")


def _row(opening: str, items: Any, closing: str) -> str:
    words: list[str] = []
    for item in items:  # no comprehension: it would cost a frame per level
        words.append(_WORDS[type(item)](item))
    return f"{opening}{' '.join(words)}{closing}"


def _map(value: Map) -> str:
    words: list[str] = []
    for key, item in value.pairs:
        words += (_WORDS[type(key)](key), _WORDS[type(item)](item))
    return "{" + " ".join(words) + "}"


def _float(value: float) -> str:
    if value != value:
        return "##NaN"
    return {float("inf"): "##Inf", float("-inf"): "##-Inf"}.get(value) or repr(value)


def _text(value: str) -> str:
    escaped = _UNSAFE.sub(lambda m: _ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", value)
    return f'"{escaped}"'


def _char(value: Char) -> str:
    text = value.text
    if text in _CHARS:
        return "\\" + _CHARS[text]
    unseen = text == "," or (text <= "\uffff" and not text.isprintable())
    return f"\\u{ord(text):04x}" if unseen else f"\\{text}"


def _instant(value: Instant) -> str:
    try:
        text = (_EPOCH + dt.timedelta(microseconds=value.micros)).replace(tzinfo=None).isoformat()
    except OverflowError:  # the end of a datom may be any number of 64 bits
        return f"#µs {value.micros}"
    return f'#inst "{text}Z"'


_WORDS: Final[dict[type, Callable[[Any], str]]] = {
    type(None): lambda value: "nil",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    Decimal: lambda value: f"{value}M",
    Fraction: str,
    str: _text,
    bytes: lambda value: f'#bytes "{base64.b64encode(value).decode()}"',
    uuid.UUID: lambda value: f'#uuid "{value}"',
    Char: _char,
    Keyword: lambda value: f":{value.name}",
    Symbol: lambda value: value.name,
    Instant: _instant,
    tuple: lambda value: _row("[", value, "]"),
    List: lambda value: _row("(", value.items, ")"),
    Set: lambda value: _row("#{", value.items, "}"),
    Map: _map,
    Tagged: lambda value: f"#{value.tag} {_WORDS[type(value.value)](value.value)}",
}
