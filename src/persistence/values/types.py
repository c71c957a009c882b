"""EDN's collections in Python, and what makes two values the same.

Python says `1 == True == 1.0`, EDN does not, so a dict cannot be an EDN map: `{1: "a", True: "b"}`
would lose an entry. Here every key and element is held under its *identity*, which is equal for two
values exactly when their canonical bytes are.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import (
    Callable,
    Hashable,
    ItemsView,
    Iterable,
    Iterator,
    Mapping,
    ValuesView,
)
from collections.abc import Set as AbstractSet
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias, final

from persistence.errors import InputError, ValueRefused
from persistence.values.instants import micros
from persistence.values.limits import LIMITS
from persistence.values.names import Char, Keyword, Symbol
from persistence.values.refuse import CHILDREN, FAILURES, Refused, refusal

__all__ = ["List", "Map", "Set", "Tagged", "Value", "freeze", "identity"]

Value: TypeAlias = Any
"""Any EDN value; Python's type system cannot tell `True` from `1`, so this says no more."""

_new, _set = object.__new__, object.__setattr__


@final
class List(tuple[Value, ...]):
    """An EDN list `(1 2)`; a tuple is a vector `[1 2]`, and the two differ.

    >>> List([1, 2]) == (1, 2), List([1, 2]) == List((1, 2))
    (False, True)
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is List and tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((List, tuple.__hash__(self)))

    def __repr__(self) -> str:
        return f"List({list(self)!r})"


@final
class Map(Mapping[Value, Value]):
    """An immutable, hashable EDN map. Python lists, dicts and sets inside are frozen on the way in.

    Keys are told apart by value identity, and iterated in the order they were given.

    >>> m = Map({Keyword("a"): 1, "a": [2]})
    >>> m[Keyword("a")], m["a"]
    (1, (2,))
    >>> Map([(1, "int"), (1.0, "float"), (True, "bool")])[1.0]
    'float'
    >>> Map({"a": 1}) == {"a": 1}, Map({"a": 1}) == {"a": True}
    (True, False)

    Raises:
        ValueRefused: a key or value is no EDN value.
    """

    # _values is by identity; _keys too, or None when every key is its own identity. _identity is
    # set when first asked for.
    __slots__ = ("_identity", "_keys", "_values")

    _identity: Hashable
    _keys: dict[Hashable, Value] | None
    _values: dict[Hashable, Value]

    def __init__(self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /) -> None:
        pairs = entries.items() if isinstance(entries, Mapping) else entries
        keys: dict[Hashable, Value] = {}
        values: dict[Hashable, Value] = {}
        for key, value in pairs:
            key = freeze(key)
            same = identity(key)
            keys[same] = key
            values[same] = freeze(value)
        _set(self, "_keys", None if _all_simple(keys.values()) else keys)
        _set(self, "_values", values)

    @classmethod
    def of_frozen(cls, items: list[Value]) -> Map | int:
        """A map of frozen keys and values in turn, or the number of the first key that comes twice.

        For readers and decoders, which build from the inside out and must see duplicates.
        """
        turn = iter(items)
        held: dict[Hashable, Value] = dict(zip(turn, turn))  # noqa: B905  each takes one in turn
        by_identity: dict[Hashable, Value] | None = None
        if len(held) * 2 != len(items) or not _SIMPLE.issuperset(map(type, held)):
            keys = items[::2]
            identities = [identity(key) for key in keys]
            by_identity = dict(zip(identities, keys, strict=True))
            if len(by_identity) != len(keys):
                return _first_repeated(identities)
            held = dict(zip(identities, items[1::2], strict=True))
        made = _new(cls)
        _set_keys(made, by_identity)
        _set_values(made, held)
        return made

    def __getitem__(self, key: Any) -> Value:
        try:
            return self._values[identity(key)]
        except InputError:
            raise KeyError(key) from None

    def get(self, key: Any, default: Any = None) -> Any:
        """The value under *key*, or *default*."""
        try:
            return self._values.get(identity(key), default)
        except InputError:
            return default

    def __contains__(self, key: object) -> bool:
        try:
            return identity(key) in self._values
        except InputError:
            return False

    def __iter__(self) -> Iterator[Value]:
        return iter(self._values if self._keys is None else self._keys.values())

    def items(self) -> ItemsView[Value, Value]:
        """The keys with their values."""
        return _Items(self)

    def values(self) -> ValuesView[Value]:
        """The values."""
        return self._values.values()

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if type(other) is Map:
            return identity(self) == identity(other)
        return _same_as_python(self, other, dict)

    def __hash__(self) -> int:
        return hash(identity(self))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Map cannot be changed")

    def __copy__(self) -> Map:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Map:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Map, (list(self.items()),)

    def __repr__(self) -> str:
        if self._keys is None:
            return f"Map({dict(self.items())!r})"
        return f"Map({list(self.items())!r})"


class _Items(ItemsView[Value, Value]):
    """The items of a `Map`, which need not look up each key again. What else a view does is by
    the identity of values, so it is not left to the dict's own."""

    __slots__ = ()
    _mapping: Map

    def __iter__(self) -> Iterator[tuple[Value, Value]]:
        keys, held = self._mapping._keys, self._mapping._values
        return iter(
            held.items() if keys is None else zip(keys.values(), held.values(), strict=True)
        )


# The slots themselves, for the one place where every map of a large text is made.
_set_keys: Callable[[Map, Any], None] = Map.__dict__["_keys"].__set__
_set_values: Callable[[Map, Any], None] = Map.__dict__["_values"].__set__


@final
class Set(AbstractSet[Value]):
    """An immutable, hashable EDN set, iterated in the order it was given.

    >>> len(Set([1, 1.0, True, 1]))
    3
    >>> Set([1, 2]) | {3} == {1, 2, 3}
    True

    Raises:
        ValueRefused: an element is no EDN value.
    """

    __slots__ = ("_identity", "_items")

    _identity: Hashable
    _items: dict[Hashable, Value]

    def __init__(self, items: Iterable[Any] = (), /) -> None:
        frozen = [freeze(item) for item in items]
        _set(self, "_items", {identity(item): item for item in frozen})

    @classmethod
    def of_frozen(cls, items: list[Value]) -> Set | int:
        """A set of frozen elements, or the index of the first that comes twice."""
        identities = items if _all_simple(items) else [identity(item) for item in items]
        held = dict(zip(identities, items, strict=True))
        if len(held) != len(items):
            return _first_repeated(identities)
        made = object.__new__(cls)
        _set(made, "_items", held)
        return made

    def __contains__(self, item: object) -> bool:
        try:
            return identity(item) in self._items
        except InputError:
            return False

    def __iter__(self) -> Iterator[Value]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if type(other) is Set:
            return self._items.keys() == other._items.keys()
        return _same_as_python(self, other, (set, frozenset))

    def __hash__(self) -> int:
        return hash(identity(self))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Set cannot be changed")

    def __copy__(self) -> Set:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Set:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Set, (list(self),)

    def __repr__(self) -> str:
        return f"Set({list(self)!r})"


@final
class Tagged:
    """A tagged literal that no handler has turned into something else: `#money "3 EUR"`.

    >>> Tagged("money", "3 EUR")
    Tagged(Symbol('money'), '3 EUR')

    Raises:
        ValueRefused: the tag does not begin with a letter, or is one that EDN or this library
            gives a meaning (`inst`, `uuid`, `bytes`).
    """

    __slots__ = ("tag", "value")

    tag: Symbol
    value: Value

    def __init__(self, tag: Symbol | str, value: Any) -> None:
        symbol = tag if isinstance(tag, Symbol) else Symbol(tag)
        if not symbol.name[0].isalpha():
            raise ValueRefused(f"the tag #{symbol} does not begin with a letter", tag=symbol)
        if symbol.name in ("inst", "uuid", "bytes"):
            raise ValueRefused(
                f"#{symbol} is built in", hint="use datetime, uuid.UUID or bytes", tag=symbol
            )
        _set(self, "tag", symbol)
        _set(self, "value", freeze(value))

    def __eq__(self, other: object) -> bool:
        return type(other) is Tagged and identity(self) == identity(other)

    def __hash__(self) -> int:
        return hash(identity(self))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Tagged cannot be changed")

    def __copy__(self) -> Tagged:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Tagged:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Tagged, (self.tag, self.value)

    def __repr__(self) -> str:
        return f"Tagged({self.tag!r}, {self.value!r})"


CHILDREN.update(
    {
        List: CHILDREN[tuple],
        Map: CHILDREN[dict],
        Set: CHILDREN[set],
        Tagged: lambda tagged: ((f".{tagged.tag}", tagged.value),),
    }
)

# Types whose values Python finds equal exactly when they are the same value, also across them.
_SIMPLE = frozenset((str, Keyword, Symbol, int, uuid.UUID, bytes, Char, type(None)))


def _all_simple(items: Iterable[Any]) -> bool:
    return _SIMPLE.issuperset(map(type, items))


def _first_repeated(items: list[Hashable]) -> int:
    seen: set[Hashable] = set()
    for index, item in enumerate(items):
        if item in seen:
            return index
        seen.add(item)
    raise AssertionError("no item comes twice")


def _same_as_python(value: Map | Set, other: object, plain: Any) -> bool:
    if not isinstance(other, plain):
        return False
    try:
        return identity(value) == identity(type(value)(other))
    except InputError:
        return False


def identity(value: Any) -> Hashable:
    """A key that is equal for two values exactly when their canonical bytes are.

    Strings, keywords, symbols and ints are their own identity.

    >>> identity("a"), identity(1) == identity(True), identity([1]) == identity((1,))
    ('a', False, True)

    Raises:
        ValueRefused: *value* is no EDN value.
        LimitExceeded: it nests too deeply.
    """
    if type(value) in _SIMPLE:
        return value  # type: ignore[no-any-return]
    try:
        return _identity(value, 0)
    except FAILURES:
        raise refusal(value) from None


def _identity(value: Any, depth: int) -> Hashable:
    kind = type(value)
    if kind in _SIMPLE:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return (bool, value)
    if kind in _ATOMS:
        return _ATOMS[kind](value)
    if depth >= LIMITS.nesting:
        raise Refused
    depth += 1
    parts: list[Hashable] = []
    if kind is tuple or kind is list or kind is List:
        for item in value:
            parts.append(_identity(item, depth))
        return (List if kind is List else tuple, *parts)
    if kind is Map or kind is Set:
        if not hasattr(value, "_identity"):
            for item in value:
                parts.append(_identity(item, depth))
                if kind is Map:
                    parts[-1] = (parts[-1], _identity(value[item], depth))
            _set(value, "_identity", (kind, frozenset(parts)))
        return value._identity  # type: ignore[no-any-return]
    if kind is Tagged:
        return (Tagged, value.tag, _identity(value.value, depth))
    if kind is dict:
        return _identity(Map(value), depth)
    if kind is set or kind is frozenset:
        return _identity(Set(value), depth)
    raise Refused


def _decimal_identity(value: Decimal) -> Hashable:
    return (Decimal, value.as_tuple())


def _float_identity(value: float) -> Hashable:
    return (float, struct.pack(">d", value) if value == value else None)


_ATOMS: dict[type, Callable[[Any], Hashable]] = {
    float: _float_identity,
    Decimal: _decimal_identity,
    Fraction: lambda value: (
        (Fraction, value.numerator, value.denominator)
        if value.denominator != 1
        else value.numerator
    ),
    dt.datetime: lambda value: (dt.datetime, micros(value)),
}


def freeze(value: Any) -> Value:
    """*value* with every Python list, dict and set inside made a tuple, Map and Set.

    >>> freeze([1, {"a": {2}}])
    (1, Map({'a': Set([2])}))

    Raises:
        ValueRefused: a part of it is no EDN value; names the type and the path.
        LimitExceeded: it nests too deeply.
    """
    if type(value) in _SIMPLE:
        return value
    try:
        return _freeze(value, 0)
    except FAILURES:
        raise refusal(value) from None


def _freeze(value: Any, depth: int) -> Value:
    kind = type(value)
    if kind in _FROZEN:
        return value
    if kind in _ATOMS:
        return value.numerator if kind is Fraction and value.denominator == 1 else value
    if depth >= LIMITS.nesting:
        raise Refused
    depth += 1
    if kind is tuple or kind is list or kind is List or kind is set or kind is frozenset:
        items = []
        for item in value:
            items.append(_freeze(item, depth))
        if kind is List:
            return List(items)
        if kind is tuple or kind is list:
            return tuple(items)
        return Set(items)
    if kind is dict:
        pairs = []
        for key, item in value.items():
            pairs.append((_freeze(key, depth), _freeze(item, depth)))
        return Map(pairs)
    raise Refused


_FROZEN = _SIMPLE | {bool, Map, Set, Tagged}
