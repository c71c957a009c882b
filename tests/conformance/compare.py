"""When two answers are the same: entities up to renaming, transactions by order, sets as sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

import attrs

from persistence.query.pulled import Pulled
from persistence.values import Keyword, Map, Set, identity
from tests.conformance.stores import Loaded

Row = tuple[Any, ...]


def plain(value: Any) -> Any:
    """A result of ours as EDN data."""
    if isinstance(value, Pulled | dict):
        return Map([(plain(key), plain(each)) for key, each in value.items()])
    if isinstance(value, list) or type(value) is tuple:
        return tuple(plain(item) for item in value)
    if isinstance(value, set | frozenset):
        return Set([plain(item) for item in value])
    return value


def bag(values: Iterable[Any]) -> Counter[Any]:
    """How often each value comes."""
    return Counter(identity(value) for value in values)


@attrs.frozen
class Side:
    """The datoms of one side: e, a, v, the rank of the transaction, and whether it was added."""

    rows: tuple[Row, ...]
    refs: frozenset[Keyword]
    tuples: Mapping[Keyword, tuple[Keyword, ...]]

    def entities(self) -> set[int]:
        found = set()
        for e, a, v, *_ in self.rows:
            found.add(e)
            found.update(self._within(a, v))
        return found

    def _within(self, a: Keyword, v: Any) -> Iterator[int]:
        if a in self.refs:
            yield v
        for part, item in zip(self.tuples.get(a, ()), v if a in self.tuples else (), strict=False):
            if part in self.refs and type(item) is int:
                yield item

    def renamed(self, names: Mapping[int, int]) -> Counter[Any]:
        """The datoms as a bag, under other names for entities."""
        return bag(
            (names.get(e, e), a, self._value(a, v, names), *rest) for e, a, v, *rest in self.rows
        )

    def _value(self, a: Keyword, v: Any, names: Mapping[int, int]) -> Any:
        if a in self.refs:
            return names.get(v, v)
        if a in self.tuples:
            parts = zip(self.tuples[a], v, strict=False)
            return tuple(names.get(x, x) if part in self.refs else x for part, x in parts)
        return v


def side(loaded: Loaded, datoms: Sequence[Row]) -> Side:
    """Datoms of (e, a, v, tx, …) with ranks for transactions."""
    order = {tx: rank for rank, tx in enumerate(sorted({row[3] for row in datoms}))}
    rows = tuple((e, a, v, order[tx], *rest) for e, a, v, tx, *rest in datoms)
    return Side(rows, loaded.refs, loaded.tuples)


def renaming(pairs: Sequence[tuple[Side, Side]], fixed: Mapping[int, int]) -> dict[int, int] | None:
    """Names under which our entities become the expected ones on all *pairs* (ours, expected).

    *fixed* must be among them. None if there are none.
    """
    ours = set().union(*(mine.entities() for mine, _ in pairs))
    expected = set().union(*(theirs.entities() for _, theirs in pairs))
    names = dict(fixed)
    new = sorted(e for e in ours - expected if e not in names)
    free = sorted(e for e in expected - ours if e not in names.values())
    if len(new) != len(free) or len(new) > 7:
        return None
    for order in permutations(free):
        tried = {**names, **dict(zip(new, order, strict=True))}
        if all(mine.renamed(tried) == theirs.renamed({}) for mine, theirs in pairs):
            return tried
    return None


def our_rows(loaded: Loaded, datoms: Iterable[Any], *, added: bool) -> list[Row]:
    """Datoms of ours as rows, those of the schema left out."""
    rows = []
    for datom in datoms:
        if datom.e in loaded.schema_entities:
            continue
        v = loaded.recorded(datom.v) if datom.a in loaded.refs else datom.v
        row = (loaded.recorded(datom.e), datom.a, v, datom.tx)
        rows.append((*row, datom.added) if added else row)
    return rows
