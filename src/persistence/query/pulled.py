"""What a pull answers: a dictionary that also answers to attribute names as text."""

from __future__ import annotations

from typing import Any

from persistence.errors import InputError
from persistence.values import Keyword, write

__all__ = ["Pulled"]


class Pulled(dict[Any, Any]):
    """The pulled attributes of one entity, by keyword (or by what `:as` says).

    It is an ordinary dictionary and belongs to whoever pulled it. Text that is no key of its own
    is taken for the name of an attribute, with or without the colon.

    >>> ada = Pulled({Keyword("user/name"): "Ada"})
    >>> ada["user/name"], ada[":user/name"], ada.get("user/email", "none"), "user/name" in ada
    ('Ada', 'Ada', 'none', True)
    >>> ada
    {:user/name "Ada"}
    """

    __slots__ = ()

    def __missing__(self, key: Any) -> Any:
        named = _keyword(key)
        if named is not None and dict.__contains__(self, named):
            return self[named]
        raise KeyError(key)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under *key*, or *default*."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: object) -> bool:
        if dict.__contains__(self, key):
            return True
        named = _keyword(key)
        return named is not None and dict.__contains__(self, named)

    def plain(self) -> dict[Any, Any]:
        """The same as ordinary dictionaries, at every level: an EDN value.

        >>> type(Pulled({Keyword("a"): [Pulled()]}).plain()[Keyword("a")][0])
        <class 'dict'>
        """
        return {key: _plain(value) for key, value in self.items()}

    def __repr__(self) -> str:
        try:
            return write(self.plain())
        except InputError:  # a transformed value need not be EDN
            return dict.__repr__(self)


def _plain(value: Any) -> Any:
    if type(value) is Pulled:
        return value.plain()
    return [_plain(item) for item in value] if type(value) is list else value


def _keyword(key: object) -> Keyword | None:
    if not isinstance(key, str):
        return None
    try:
        return Keyword(key)
    except InputError:
        return None
