"""Specs as JSON Schema, draft 2020-12, for models and for other programs.

What a schema refuses, the spec refuses. The other way round a spec knows more: predicates, bounds
of exact numbers and instants, and that 1.0 is no int.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from persistence.specs.compiling import compiled
from persistence.specs.registry import EMPTY
from persistence.specs.spec import Json, Spec

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_WHERE: Final = "#/$defs/"


@attrs.define(eq=False)
class _Writer:
    """Schemas that are written once: classes and named specs."""

    registry: Mapping[str, Spec]
    names: dict[Any, str] = attrs.field(factory=dict)
    definitions: dict[str, Json] = attrs.field(factory=dict)
    uses: dict[str, int] = attrs.field(factory=dict)

    def refer(self, key: Any, name: str, make: Callable[[], Json]) -> Json:
        if key not in self.names:
            self.names[key] = name = self._free(name)
            self.definitions[name] = {}
            self.definitions[name] = make()
        name = self.names[key]
        self.uses[name] = self.uses.get(name, 0) + 1
        return {"$ref": _escaped(name)}

    def _free(self, name: str) -> str:
        """*name*, numbered if another class has it."""
        found, number = name, 2
        while found in self.definitions:
            found, number = f"{name}{number}", number + 1
        return found


def json_schema(spec: Any, *, registry: Mapping[str, Spec] = EMPTY) -> Json:
    """The schema of what *spec* takes as JSON; classes and named specs come in `$defs`.

    >>> json_schema(list[int])["items"]
    {'type': 'integer'}

    Raises:
        InputError: the spec is none, or refers to a name that nobody defined.
    """
    return {"$schema": DRAFT, **bare_schema(spec, registry)}


def bare_schema(spec: Any, registry: Mapping[str, Spec] = EMPTY) -> Json:
    """The schema without the name of the draft; a class that is used once stands in its place."""
    writer = _Writer(registry)
    body = compiled(spec).schema(writer)
    while set(body) == {"$ref"}:
        name = next((n for n in writer.definitions if body["$ref"] == _escaped(n)), None)
        if name is None or writer.uses[name] > 1:
            break
        body = writer.definitions.pop(name)
    return {**body, "$defs": writer.definitions} if writer.definitions else body


def _escaped(name: str) -> str:
    return _WHERE + name.replace("~", "~0").replace("/", "~1")
