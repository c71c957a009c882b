"""What each micro-operation does, said once, for simulated stores and for the real one.

    [:r k nil]              reads k
    [:w k v]                sets k to v
    [:append k e]           appends e to the list at k
    [:conj k e]             adds e to the set at k
    [:add k n]              adds n to the number at k
    [:transfer a b n]       moves n from a to b if a has it
    [:draw a b n]           takes n from a if a and b together have it

Nil counts as the empty list, the empty set, or 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs

from tests.histories.history import Key, Mop

WAYS = ("alter", "commute", "set")


class Ref(Protocol):
    """One cell, as a transaction sees it."""

    def deref(self) -> Any: ...
    def set(self, value: Any) -> Any: ...
    def alter(self, f: Callable[[Any], Any]) -> Any: ...
    def commute(self, f: Callable[[Any], Any]) -> Any: ...


@attrs.frozen
class Request:
    """A transaction to be run. *f* says what it is for; *mops* are what it does, in order."""

    f: str
    mops: tuple[Mop, ...] = attrs.field(converter=tuple)

    @property
    def read_only(self) -> bool:
        return all(mop[0] == "r" for mop in self.mops)


def execute(
    mops: Iterable[Mop], ref: Callable[[Key], Ref], *, way: str = "alter"
) -> tuple[Mop, ...]:
    """Does *mops* in one attempt and returns them completed, for the history.

    *ref* gives the cell of a key. *way* is by what `append`, `conj` and `add` change it: `alter`,
    `commute`, or `set` of a value computed from `deref`. The other micro-operations read what they
    decide by, and are completed as those reads and writes.
    """
    return tuple([done for mop in mops for done in perform(mop, ref, way=way)])


def perform(mop: Mop, ref: Callable[[Key], Ref], *, way: str = "alter") -> tuple[Mop, ...]:
    """One micro-operation, completed: see `execute`."""
    name, key, value, *rest = mop
    if name == "r":
        return (("r", key, ref(key).deref()),)
    if name == "w":
        ref(key).set(value)
        return (mop,)
    if name in _CHANGES:
        _change(ref(key), lambda old: _CHANGES[name](old, value), way)
        return (mop,)
    if name in ("transfer", "draw"):
        return _decide(name, key, value, rest[0], ref)
    raise ValueError(f"no such micro-operation: {mop!r}")


_CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "append": lambda old, element: (*(old or ()), element),
    "conj": lambda old, element: old if element in (old or ()) else (*(old or ()), element),
    "add": lambda old, amount: (old or 0) + amount,
}


def _change(cell: Ref, f: Callable[[Any], Any], way: str) -> None:
    if way == "alter":
        cell.alter(f)
    elif way == "commute":
        cell.commute(f)
    elif way == "set":
        cell.set(f(cell.deref()))
    else:
        raise ValueError(f"no such way to change a ref: {way}; there are {', '.join(WAYS)}")


def _decide(name: str, a: Key, b: Key, amount: int, ref: Callable[[Key], Ref]) -> tuple[Mop, ...]:
    has, other = ref(a).deref() or 0, ref(b).deref() or 0
    reads = (("r", a, has), ("r", b, other))
    if name == "transfer" and has >= amount:
        ref(a).set(has - amount)
        ref(b).set(other + amount)
        return (*reads, ("w", a, has - amount), ("w", b, other + amount))
    if name == "draw" and has + other >= amount:
        ref(a).set(has - amount)
        return (*reads, ("w", a, has - amount))
    return reads
