"""Any number of parts of one kind, or a fixed row of them: lists, tuples, sets and plain maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from persistence.specs.atoms import misfit_size
from persistence.specs.problems import Bad, Problem, bad, gather, shown
from persistence.specs.spec import (
    DEPTH,
    MAPS,
    SEQUENCES,
    SETS,
    Draws,
    Json,
    Schemas,
    Spec,
    Walk,
    too_deep,
    wrong,
)

_SETS_OR_LISTS: Final = SETS | SEQUENCES


def _each(items: Iterable[Any], parse: Callable[..., Any], depth: int, walk: Walk) -> Any:
    """Every item parsed, or a Bad."""
    found: list[Any] = []
    problems: list[Problem] = []
    for index, item in enumerate(items):
        result = parse(item, depth, walk)
        if type(result) is not Bad:
            found.append(result)
        elif gather(problems, part := result.under(index)):
            return Bad(problems, fatal=part.fatal)
    return Bad(problems) if problems else found


def _refused(
    spec: Seq | SetOf | MapOf, value: Any, kinds: frozenset[type], depth: int, unit: str
) -> Bad | None:
    """What is wrong with a container before anything in it is looked at."""
    if type(value) not in kinds:
        return wrong(spec, value)
    if depth >= DEPTH:
        return too_deep()
    return misfit_size(len(value), spec.least, spec.most, unit)


def _sized(least: int, most: int | None, fewest: str, largest: str) -> Json:
    return ({fewest: least} if least else {}) | ({} if most is None else {largest: most})


@attrs.frozen(eq=False, repr=False)
class Seq(Spec):
    """A list of parts; *make* is `list` or `tuple`."""

    item: Spec
    make: type = list
    least: int = 0
    most: int | None = None

    wants = "a list"
    fix = "give a list, such as [ ]"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        failed = _refused(self, value, SEQUENCES, depth, "items")
        if failed is not None:
            return failed
        found = _each(value, self.item.parse, depth + 1, walk)
        return tuple(found) if self.make is tuple and type(found) is list else found

    def schema(self, out: Schemas) -> Json:
        sizes = _sized(self.least, self.most, "minItems", "maxItems")
        return {"type": "array", "items": self.item.schema(out), **sizes}

    def strategy(self, draw: Draws) -> Any:
        items = self.item.strategy(draw)
        drawn = draw.st.lists(items, min_size=self.least, max_size=_few(self.least, self.most))
        return drawn.map(tuple) if self.make is tuple else drawn


def _few(least: int, most: int | None) -> int:
    """What is drawn stays small: large examples show nothing more."""
    return least + 5 if most is None else min(most, least + 5)


@attrs.frozen(eq=False, repr=False)
class Row(Spec):
    """A tuple with a spec for each place."""

    items: tuple[Spec, ...]

    @property
    def wants(self) -> str:
        return f"a list of {len(self.items)}"

    @property
    def fix(self) -> str:
        return f"give a list of {', '.join(item.wants for item in self.items) or 'nothing'}"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if type(value) not in SEQUENCES:
            return wrong(self, value)
        if depth >= DEPTH:
            return too_deep()
        if len(value) != len(self.items):
            return bad(f"expected {self.wants}", self.fix, shown(value))
        turn = iter(self.items)
        found = _each(value, lambda item, d, w: next(turn).parse(item, d, w), depth + 1, walk)
        return tuple(found) if type(found) is list else found

    def schema(self, out: Schemas) -> Json:
        size = len(self.items)
        shape: Json = {"type": "array", "items": False, "minItems": size, "maxItems": size}
        return shape | ({"prefixItems": [item.schema(out) for item in self.items]} if size else {})

    def strategy(self, draw: Draws) -> Any:
        return draw.st.tuples(*(item.strategy(draw) for item in self.items))


@attrs.frozen(eq=False, repr=False)
class SetOf(Spec):
    """A set, which JSON writes as a list in which nothing comes twice."""

    item: Spec
    make: type = frozenset
    least: int = 0
    most: int | None = None

    wants = "a set"
    fix = "give a list in which nothing comes twice"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        failed = _refused(self, value, _SETS_OR_LISTS, depth, "items")
        if failed is not None:
            return failed
        found = _each(value, self.item.parse, depth + 1, walk)
        return self._distinct(found) if type(found) is list else found

    def _distinct(self, items: list[Any]) -> Any:
        seen: set[Any] = set()
        for index, item in enumerate(items):
            try:
                if item in seen:
                    return bad("comes twice in a set", "leave it out", shown(item), path=(index,))
                seen.add(item)
            except TypeError:
                fix = "give a value that cannot be changed, such as text or a number"
                return bad("cannot be in a set", fix, shown(item), path=(index,))
        return self.make(seen)

    def schema(self, out: Schemas) -> Json:
        sizes = _sized(self.least, self.most, "minItems", "maxItems")
        return {"type": "array", "items": self.item.schema(out), "uniqueItems": True, **sizes}

    def strategy(self, draw: Draws) -> Any:
        make = draw.st.sets if self.make is set else draw.st.frozensets
        items = self.item.strategy(draw)
        return make(items, min_size=self.least, max_size=_few(self.least, self.most))


@attrs.frozen(eq=False, repr=False)
class MapOf(Spec):
    """A dict with keys of one kind and values of another."""

    key: Spec
    value: Spec
    least: int = 0
    most: int | None = None

    wants = "a map"
    fix = "give an object, such as { }"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        failed = _refused(self, value, MAPS, depth, "entries")
        if failed is not None:
            return failed
        found: dict[Any, Any] = {}
        problems: list[Problem] = []
        for key, item in value.items():
            part = self._entry(found, key, item, depth + 1, walk)
            if part is not None and gather(problems, part := part.under(key)):
                return Bad(problems, fatal=part.fatal)
        return Bad(problems) if problems else found

    def _entry(
        self, found: dict[Any, Any], key: Any, item: Any, depth: int, walk: Walk
    ) -> Bad | None:
        name = self.key.parse_key(key, depth, walk)
        if type(name) is Bad:
            return _of_key(name)
        result = self.value.parse(item, depth, walk)
        if type(result) is Bad:
            return result
        try:
            if name in found:
                return bad("the key comes twice", "leave one of them out", shown(name))
            found[name] = result
        except TypeError:
            return bad("cannot be a key", "use text or a number as the key", shown(name))
        return None

    def schema(self, out: Schemas) -> Json:
        sizes = _sized(self.least, self.most, "minProperties", "maxProperties")
        keys = self.key.key_schema(out)
        names = {} if keys in ({}, {"type": "string"}) else {"propertyNames": keys}
        return {
            "type": "object",
            **names,
            "additionalProperties": self.value.schema(out),
            **sizes,
        }

    def strategy(self, draw: Draws) -> Any:
        return draw.st.dictionaries(
            self.key.strategy(draw),
            self.value.strategy(draw),
            min_size=self.least,
            max_size=_few(self.least, self.most),
        )


def _of_key(failed: Bad) -> Bad:
    problems = [Problem(p.path, f"in the key: {p.reason}", p.fix, p.found) for p in failed.problems]
    return Bad(problems, fatal=failed.fatal)
