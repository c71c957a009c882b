"""Keywords, symbols and characters: the EDN atoms that Python lacks.

Keywords and symbols are interned, so that comparing two of them is comparing two addresses and
looking one up in a dict costs as little as looking up an int. The tables hold them weakly: names
read from untrusted text do not pile up.
"""

from __future__ import annotations

import re
import threading
import weakref
from typing import Any, ClassVar, Self, final

from persistence.errors import ValueRefused

# EDN's grammar of symbols. \w is "alphanumeric" in Unicode's sense, plus the underscore.
_REST = r"[\w.*+!\-?$%&=<>:#]*+"
_PART = rf"(?:(?:[^\W\d]|[*!?$%&=<>]){_REST}|[+\-.](?:(?:[^\W\d]|[.*+!\-?$%&=<>:#]){_REST})?+)"
_is_name = re.compile(rf"{_PART}(?:/{_PART})?+\Z").match

_LOCK = threading.Lock()
_RECENT = 1 << 14  # names held strongly, so that common ones cost one lookup; emptied when full
_set = object.__setattr__


class _Name:
    """What keywords and symbols share: a checked text."""

    __slots__ = ("__weakref__", "_bytes", "name")

    name: str
    _bytes: bytes | None  # canonical bytes, kept by canonical.py after the first encoding

    @property
    def namespace(self) -> str | None:
        """The text before the slash, or None."""
        head, slash, tail = self.name.partition("/")
        return head if slash and tail else None

    @property
    def local(self) -> str:
        """The text after the slash, or the whole name."""
        _, slash, tail = self.name.partition("/")
        return tail if slash and tail else self.name

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self!r} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self!r} cannot be changed")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name,)


def _intern(cls: Any, spelled: str, text: str) -> Any:
    with _LOCK:
        found = cls._table.get(text)
        if found is None:
            found = object.__new__(cls)
            _set(found, "name", text)
            _set(found, "_bytes", None)
            cls._table[text] = found
        if len(cls._recent) >= _RECENT:
            cls._recent.clear()
        cls._recent[spelled] = found
        return found


@final
class Keyword(_Name):
    """An interned keyword; the leading colon may be left out.

    >>> Keyword("user/name") is Keyword(":user/name")
    True
    >>> Keyword("user/name").namespace, Keyword("user/name").local, str(Keyword("user/name"))
    ('user', 'name', ':user/name')

    Raises:
        ValueRefused: the text is no EDN keyword.
    """

    __slots__ = ()
    _table: ClassVar[weakref.WeakValueDictionary[str, Keyword]] = weakref.WeakValueDictionary()
    _recent: ClassVar[dict[str, Keyword]] = {}

    def __new__(cls, name: str) -> Keyword:
        try:
            return cls._recent[name]
        except (KeyError, TypeError):
            pass
        if type(name) is not str:
            raise ValueRefused(f"a keyword is made from text, not from {type(name).__name__}")
        text = name[1:] if name[:1] == ":" else name
        if not _is_name(text):
            raise ValueRefused(
                f"{name!r} is no EDN keyword",
                hint="a keyword is name or namespace/name, and neither part begins with a digit",
                value=name,
            )
        return _intern(cls, name, text)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return ":" + self.name

    def __repr__(self) -> str:
        return f"Keyword({self.name!r})"


@final
class Symbol(_Name):
    """An interned symbol.

    >>> Symbol("?e") is Symbol("?e"), str(Symbol("clojure.core/map"))
    (True, 'clojure.core/map')

    Raises:
        ValueRefused: the text is no EDN symbol (`nil`, `true` and `false` are none either).
    """

    __slots__ = ()
    _table: ClassVar[weakref.WeakValueDictionary[str, Symbol]] = weakref.WeakValueDictionary()
    _recent: ClassVar[dict[str, Symbol]] = {}

    def __new__(cls, name: str) -> Symbol:
        try:
            return cls._recent[name]
        except (KeyError, TypeError):
            pass
        if type(name) is not str:
            raise ValueRefused(f"a symbol is made from text, not from {type(name).__name__}")
        if name in ("nil", "true", "false") or not (name == "/" or _is_name(name)):
            raise ValueRefused(f"{name!r} is no EDN symbol", value=name)
        return _intern(cls, name, name)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Symbol({self.name!r})"


@final
class Char:
    """One Unicode character, which is not the string of that character.

    >>> Char("a") == Char("a"), Char("a") == "a"
    (True, False)

    Raises:
        ValueRefused: not exactly one character, or a lone surrogate.
    """

    __slots__ = ("text",)

    text: str

    def __init__(self, text: str) -> None:
        if type(text) is not str or len(text) != 1 or "\ud800" <= text <= "\udfff":
            raise ValueRefused(f"{text!r} is not one character", value=text)
        _set(self, "text", text)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self!r} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self!r} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(other) is Char and other.text == self.text

    def __hash__(self) -> int:
        return hash((Char, self.text))

    def __copy__(self) -> Char:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Char:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Char, (self.text,)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Char({self.text!r})"


def keyword(x: Keyword | str) -> Keyword:
    """The keyword that *x* names: for every place that takes an attribute.

    >>> keyword(":user/name") is keyword("user/name") is keyword(Keyword("user/name"))
    True

    Raises:
        ValueRefused: *x* is neither a keyword nor the text of one.
    """
    return x if isinstance(x, Keyword) else Keyword(x)
