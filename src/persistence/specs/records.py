"""Maps that are known by their keys: `keys(...)`, attrs classes, dataclasses, typed dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from persistence.specs.fields import Fields
from persistence.specs.problems import LONGEST, Bad, bad, shown
from persistence.specs.spec import DEPTH, MAPS, Draws, Json, Schemas, Spec, Walk, too_deep, wrong

_REASON = 200  # characters of what a class says about a value that it refuses


@attrs.frozen(eq=False, repr=False)
class Keys(Spec):
    """A dict with given keys; an open one keeps the others as they are."""

    fields: Fields

    @property
    def wants(self) -> str:
        return f"a map with the keys {self.fields.listed()}"

    @property
    def fix(self) -> str:
        return f"give an object with the keys {self.fields.listed()}"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if type(value) not in MAPS:
            return wrong(self, value)
        if depth >= DEPTH:
            return too_deep()
        taken = self.fields.take(value, depth + 1, walk)
        return taken if type(taken) is Bad else {**taken.values, **taken.others}  # type: ignore[union-attr]

    def schema(self, out: Schemas) -> Json:
        return self.fields.schema(out)

    def strategy(self, draw: Draws) -> Any:
        return self.fields.strategy(draw)


@attrs.define(eq=False, repr=False)
class Record(Spec):
    """An attrs class or a dataclass. `fields` is filled in once, after the class is known by name,
    so that a class may hold itself."""

    cls: type
    doc: str
    evolve: Callable[..., Any]
    fields: Fields = attrs.field(init=False)

    @property
    def wants(self) -> str:
        return f"a map for {self.cls.__name__}"

    @property
    def fix(self) -> str:
        return f"give an object with the keys {self.fields.listed()}"

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        if depth >= DEPTH:
            return too_deep()
        if type(value) in MAPS:
            taken = self.fields.take(value, depth + 1, walk)
            return taken if type(taken) is Bad else self._made(self.cls, taken.values)  # type: ignore[union-attr]
        if isinstance(value, self.cls):
            return self._held(value, depth + 1, walk)
        return wrong(self, value)

    def _held(self, value: Any, depth: int, walk: Walk) -> Any:
        """An instance, whose fields nobody may have checked; itself, if nothing has to change."""
        keys = {field.key: self.attribute(field.name) for field in self.fields.fields}
        try:
            held = {key: getattr(value, name) for key, name in keys.items()}
        except AttributeError:
            return bad(f"expected a whole {self.cls.__name__}", self.fix, shown(value))
        taken = self.fields.take(held, depth, walk)
        if type(taken) is Bad:
            return taken
        changed = {
            field.name: taken.values[field.name]  # type: ignore[union-attr]
            for field in self.fields.fields
            if taken.values[field.name] is not held[field.key]  # type: ignore[union-attr]
        }
        return self._made(lambda **new: self.evolve(value, **new), changed) if changed else value

    def attribute(self, name: str) -> str:
        """The attribute that the argument *name* of the constructor fills."""
        if not attrs.has(self.cls):
            return name
        fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(self.cls)
        return next(a.name for a in fields if (a.alias or a.name) == name)

    def _made(self, make: Callable[..., Any], values: dict[str, Any]) -> Any:
        try:
            return make(**values)
        except Exception as refused:  # validators and converters may raise anything
            text = "" if self._secret() else str(refused)[:_REASON]
            reason = f"{self.cls.__name__} refuses it: {type(refused).__name__}"
            return bad(f"{reason} {text}".rstrip(), self.fix)

    def _secret(self) -> bool:
        return any(field.hidden for field in self.fields.fields)

    def schema(self, out: Schemas) -> Json:
        return out.refer(self.cls, self.cls.__name__, lambda: self._schema(out))

    def _schema(self, out: Schemas) -> Json:
        found = self.fields.schema(out)
        return {"description": self.doc, **found} if self.doc else found

    def strategy(self, draw: Draws) -> Any:
        return draw.shared(self.cls, lambda: self._drawn(draw))

    def _drawn(self, draw: Draws) -> Any:
        def made(values: dict[str, Any]) -> Any:
            result = self._made(self.cls, values)
            return draw.reject() if type(result) is Bad else result

        return self.fields.strategy(draw).map(made)


def first_line(text: str | None) -> str:
    """The first paragraph of a docstring, on one line.

    >>> first_line("  Looks up\\n  a city.\\n\\n  More.")
    'Looks up a city.'
    """
    paragraph = (text or "").strip().partition("\n\n")[0]
    return " ".join(paragraph.split())[: LONGEST * 10]
