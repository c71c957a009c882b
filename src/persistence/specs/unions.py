"""One of several specs: tried in order, or chosen by the value of a key.

A union that reported what every arm has to say would bury the one thing that is wrong. It reports
the problems of the closest arm: one that wants a value of this kind, with the fewest problems.
"""

from __future__ import annotations

from typing import Any

import attrs

from persistence.specs.problems import Bad, bad, shown
from persistence.specs.records import Record
from persistence.specs.spec import (
    CONTAINERS,
    DEPTH,
    MAPS,
    MISSING,
    Draws,
    Json,
    Schemas,
    Spec,
    Walk,
    too_deep,
    wrong,
)
from persistence.values import Keyword


@attrs.frozen(eq=False, repr=False)
class Union(Spec):
    """The first arm that takes the value.

    *direct* holds, by Python type, the arm that is meant for values of that type: `float | int`
    leaves an int an int. Text is in no such table, for it also carries instants and the like.
    """

    arms: tuple[Spec, ...]
    direct: dict[type, Spec]

    @property
    def wants(self) -> str:
        return " or ".join(dict.fromkeys(arm.wants for arm in self.arms))

    @property
    def fix(self) -> str:
        return self.arms[0].fix

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if depth >= DEPTH:
            return too_deep()
        arm = self.direct.get(type(value))
        if arm is not None:
            result = arm.parse(value, depth, walk)
            if type(result) is not Bad:
                return result
        if type(value) not in CONTAINERS:
            return self._first(value, depth, walk, "parse")
        place = (id(self), id(value))
        if place not in walk.known:
            # The value is kept as well, so that its id cannot come to mean another one.
            walk.known[place] = (value, self._first(value, depth, walk, "parse"))
        return walk.known[place][1]

    def parse_key(self, value: Any, depth: int, walk: Walk) -> Any:
        return self._first(value, depth, walk, "parse_key")

    def _first(self, value: Any, depth: int, walk: Walk, way: str) -> Any:
        failed: list[Bad] = []
        for arm in self.arms:
            result = getattr(arm, way)(value, depth, walk)
            if type(result) is not Bad or result.fatal:
                return result
            failed.append(result)
        close = [one for one in failed if not one.misfit]
        if close:
            return min(close, key=lambda one: len(one.problems))
        return wrong(self, value)

    def schema(self, out: Schemas) -> Json:
        return {"anyOf": [arm.schema(out) for arm in self.arms]}

    def key_schema(self, out: Schemas) -> Json:
        return {"anyOf": [arm.key_schema(out) for arm in self.arms]}

    def strategy(self, draw: Draws) -> Any:
        return draw.st.one_of([arm.strategy(draw) for arm in self.arms])


@attrs.frozen(eq=False, repr=False)
class Tagged(Spec):
    """The arm that the value of *key* names."""

    key: str
    arms: dict[Any, Spec]

    @property
    def wants(self) -> str:
        return f"a map with the key {self.key}"

    @property
    def fix(self) -> str:
        return f"give an object whose {self.key} is {self._tags()}"

    def _tags(self) -> str:
        return " or ".join(shown(tag) for tag in self.arms)

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if type(value) in MAPS:
            tag = self._tag(value)
        elif type(value) in CONTAINERS:
            return wrong(self, value)
        else:
            tag = next((t for t, a in self.arms.items() if _is_of(a, value)), MISSING)
            if tag is MISSING:
                return wrong(self, value)
        if tag is MISSING:
            return bad("is missing", f"give {self._tags()}", path=(self.key,))
        arm = self.arms.get(tag) if type(tag) is str else None
        if arm is None:
            reason = "names none of the kinds"
            return bad(reason, f"give {self._tags()}", shown(tag), path=(self.key,))
        return arm.parse(value, depth, walk)

    def _tag(self, value: Any) -> Any:
        for key, item in value.items():
            if type(key) is str and key == self.key:
                return item
            if type(key) is Keyword and self.key in (key.local, key.local.replace("-", "_")):
                return item
        return MISSING

    def schema(self, out: Schemas) -> Json:
        return {
            "type": "object",
            "required": [self.key],
            "properties": {self.key: {"enum": list(self.arms)}},
            "anyOf": [arm.schema(out) for arm in self.arms.values()],
        }

    def strategy(self, draw: Draws) -> Any:
        return draw.st.one_of([arm.strategy(draw) for arm in self.arms.values()])


def _is_of(arm: Spec, value: Any) -> bool:
    return isinstance(arm, Record) and isinstance(value, arm.cls)


@attrs.frozen(eq=False, repr=False)
class Ref(Spec):
    """A spec that a registry holds under a name; looked up when it is needed."""

    name: str

    @property
    def wants(self) -> str:
        return f"a value of {self.name}"

    @property
    def fix(self) -> str:
        return f"give a value that conforms to {self.name}"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if depth >= DEPTH:
            return too_deep()
        return walk.registry[self.name].parse(value, depth, walk)

    def parse_key(self, value: Any, depth: int, walk: Walk) -> Any:
        if depth >= DEPTH:
            return too_deep()
        return walk.registry[self.name].parse_key(value, depth, walk)

    def schema(self, out: Schemas) -> Json:
        return out.refer(self.name, self.name, lambda: out.registry[self.name].schema(out))

    def key_schema(self, out: Schemas) -> Json:
        key = ("key", self.name)
        return out.refer(key, self.name, lambda: out.registry[self.name].key_schema(out))

    def strategy(self, draw: Draws) -> Any:
        return draw.shared(self.name, lambda: draw.registry[self.name].strategy(draw))
