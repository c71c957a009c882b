"""Fills dictionaries from values that were read side by side: the inner loop of a pull."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

import attrs

from persistence.query.functions import FunctionRegistry
from persistence.query.pull_pattern import Spec
from persistence.query.pulled import Pulled
from persistence.query.reader import Reader
from persistence.query.sheet import Sheet
from persistence.values import INTERNED, Keyword, from_columns

__all__ = ["Filling"]

_STRING, _INT, _KEYWORD = 9, 2, 10
_PLAIN: Final = frozenset((_STRING, _INT, _KEYWORD))  # kinds whose payload is nearly the value


@attrs.define(eq=False)
class Filling:
    """Sets ids and single values; `names` are the keywords met so far, by their text."""

    reader: Reader
    functions: FunctionRegistry
    names: dict[str, Keyword] = attrs.field(factory=dict)

    def identify(self, spec: Spec, entities: Iterable[int], outs: Iterable[Pulled]) -> None:
        """Sets what the pattern calls :db/id."""
        transform = None if spec.xform is None else self.functions[spec.xform]
        for e, out in zip(entities, outs, strict=True):
            value = e if transform is None else transform(e)
            if value is not None:
                out[spec.key] = value

    def plain(self, ids: Sequence[Spec], keys: list[Any], sheet: Sheet, outs: list[Pulled]) -> bool:
        """Sets ids and single values where every entity has them all and they are stored as they
        are, which is the most frequent case by far. False, with nothing done, elsewhere."""
        if not _PLAIN.issuperset(sheet.kinds):
            return False
        for place, kind in enumerate(sheet.kinds, start=1):
            column = map(itemgetter(place), sheet.rows)
            if kind == _INT:
                if None in column:
                    return False
                continue
            texts: Any = set(column) if kind == _KEYWORD else column
            try:
                text = "".join(texts)
            except TypeError:  # None among them
                return False
            if "\x01" in text or "\x1f" in text:
                return False
            if kind == _KEYWORD:
                for name in texts - self.names.keys():
                    self.names[name] = Keyword(name)
        simple = [spec for spec in ids if spec.xform is None]
        fill = _filler(len(simple), sheet.kinds, len(sheet.links))
        fill(outs, sheet.rows, self.names, *(spec.key for spec in simple), *keys)
        for spec in ids:
            if spec.xform is not None:
                self.identify(spec, [row[0] for row in sheet.rows], outs)
        return True

    def any(self, ids: Sequence[Spec], keys: list[Any], sheet: Sheet, outs: list[Pulled]) -> None:
        """Sets ids and single values of any kind."""
        long: list[tuple[Pulled, Any, int, Any]] = []
        for spec in ids:
            self.identify(spec, [row[0] for row in sheet.rows], outs)
        for key, (kinds, payloads) in zip(keys, sheet.cells(), strict=True):
            for out, k, payload in zip(outs, kinds, payloads, strict=True):
                if k is None:
                    continue
                if k < INTERNED:
                    out[key] = from_columns(k, payload)
                else:
                    long.append((out, key, k, payload))
        self.intern(long)

    def intern(self, long: list[tuple[Pulled, Any, int, Any]]) -> None:
        """Sets values whose bytes are kept apart, all in one statement."""
        if long:
            values = self.reader.long([(k, payload) for _, _, k, payload in long])
            for out, key, k, payload in long:
                out[key] = values[k, payload]


@cache
def _filler(ids: int, kinds: tuple[int, ...], links: int) -> Callable[..., Any]:
    """A loop that fills dictionaries from the rows of a sheet; it takes them, the rows, the
    keywords by name, and the keys.

    A dict display of known length is twice as fast as setting the keys one by one, and that is
    most of the work of a pull.
    """
    values = [f"v{place}" for place in range(len(kinds))]
    cells = [
        f"names[{value}]" if kind == _KEYWORD else value
        for value, kind in zip(values, kinds, strict=True)
    ]
    shown = ["e"] * ids + cells
    keys = [f"k{place}" for place in range(len(shown))]
    display = ", ".join(f"{key}: {value}" for key, value in zip(keys, shown, strict=True))
    row = ", ".join(["e", *values, *(["_"] * links)])
    source = (
        f"lambda outs, rows, names, {', '.join(keys)}: [out.update({{{display}}})"
        f" for out, ({row},) in zip(outs, rows, strict=True)]"
    )
    made: Callable[..., Any] = eval(source)
    return made
