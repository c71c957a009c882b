"""The entries of a map that are known by name: found, parsed, missed, told from strangers.

Data from JSON has text for keys, data from EDN keywords; both name the same field. A key that
nobody knows is refused with the one that was probably meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from persistence.errors import InputError
from persistence.specs.problems import LONGEST, PROBLEMS, Bad, Problem, bad, gather, shown
from persistence.specs.spec import MISSING, Draws, Json, Schemas, Spec, Walk
from persistence.suggestions import nearest
from persistence.values import Keyword

_LISTED: Final = 12  # keys that a message lists
_TEXT: Final = frozenset((str,))


@attrs.frozen(eq=False)
class Field:
    """One entry: the *key* in the data, the *name* in the result, and the spec of its value.

    What a *hidden* field held is never shown.
    """

    key: Any
    name: Any
    spec: Spec
    required: bool = True
    hidden: bool = False
    default: Any = MISSING


@attrs.frozen(eq=False)
class Taken:
    """What a map held: values by name, and the entries that no field takes."""

    values: dict[Any, Any]
    others: dict[Any, Any]


@attrs.frozen(eq=False)
class Fields:
    """All fields of a record, made ready for the walk."""

    fields: tuple[Field, ...]
    closed: bool
    rows: tuple[tuple[Any, Any, Any, bool], ...]  # key, name, parse, hidden
    names: dict[Any, Any]  # every way to write a key -> key
    plain: bool  # all keys are text

    @classmethod
    def of(cls, fields: Iterable[Field], closed: bool = True) -> Fields:
        """
        Raises:
            InputError: a key is neither text nor a keyword, or comes twice.
        """
        given = tuple(fields)
        names: dict[Any, Any] = {}
        for field in given:
            ways = (field.key, str(field.key)) if _is_keyword(field.key) else (field.key,)
            if type(field.key) is not str and not _is_keyword(field.key):
                raise InputError(f"the key {shown(field.key)} is neither text nor a keyword")
            for way in ways:
                if way in names:
                    raise InputError(f"two keys are both written {shown(way)}")
                names[way] = field.key
        rows = tuple((f.key, f.name, f.spec.parse, f.hidden) for f in given)
        return cls(given, closed, rows, names, all(type(f.key) is str for f in given))

    def known(self, key: Any) -> Any:
        """The key of the field that *key* names, or MISSING."""
        kind = type(key)
        if kind is str:
            return self.names.get(key, MISSING)
        if kind is not Keyword:
            return MISSING
        for name in (key, key.local, key.local.replace("-", "_")):
            if name in self.names:
                return self.names[name]
        return MISSING

    def listed(self) -> str:
        """The keys, for a message."""
        texts = [str(field.key) for field in self.fields[:_LISTED]]
        return ", ".join(texts + ["…"] * (len(self.fields) > _LISTED)) or "none"

    def take(self, given: Any, depth: int, walk: Walk) -> Taken | Bad:
        """Every field of the map *given* parsed."""
        if self.plain and type(given) is dict and _TEXT.issuperset(map(type, given)):
            return self._parsed(given, {}, [], depth, walk)
        entries: dict[Any, Any] = {}
        written: dict[Any, Any] = {}
        problems: list[Problem] = []
        for key, item in given.items():
            known = self.known(key)
            name = key if known is MISSING else known
            if name in entries:
                fix = f"leave out {shown(key)} or {shown(written.get(name, name))}"
                problems += bad("comes twice", fix, path=(key,)).problems
            entries[name] = item
            written[name] = key
        return self._parsed(entries, written, problems[:PROBLEMS], depth, walk)

    def _parsed(
        self,
        entries: dict[Any, Any],
        written: dict[Any, Any],
        problems: list[Problem],
        depth: int,
        walk: Walk,
    ) -> Taken | Bad:
        values: dict[Any, Any] = {}
        count = 0
        for key, name, parse, hidden in self.rows:
            item = entries.get(key, MISSING)
            if item is MISSING:
                continue
            count += 1
            result = parse(item, depth, walk)
            if type(result) is not Bad:
                values[name] = result
            elif gather(problems, part := result.under(written.get(key, key), hidden)):
                return Bad(problems, fatal=part.fatal)
        others = {} if count == len(entries) else _without(entries, self.names)
        if (others and self.closed) or count < len(self.rows):
            problems += self._absent(entries, others if self.closed else {}, written)
        return Bad(problems[:PROBLEMS]) if problems else Taken(values, others)

    def _absent(
        self, entries: dict[Any, Any], others: dict[Any, Any], written: dict[Any, Any]
    ) -> list[Problem]:
        """Keys that nobody knows, and those that are missing; a misspelled one is told once."""
        found: list[Problem] = []
        meant: set[Any] = set()
        free = {str(f.key): f.key for f in self.fields if f.key not in entries}
        for key in others:
            if len(found) >= PROBLEMS:
                break
            guess = _guess(key, free)
            meant.add(guess)
            fix = f"the keys are {self.listed()}; leave it out"
            if guess is not None:
                fix = f'did you mean "{guess}"?'
            found.append(Problem((written.get(key, key),), "unknown key", fix))
        for field in self.fields:
            if field.required and field.key not in entries and field.key not in meant:
                fix = "" if field.hidden else field.spec.fix
                found.append(Problem((field.key,), "is missing", fix or "give a value for it"))
        return found

    def schema(self, out: Schemas) -> Json:
        """The schema of an object with these keys."""
        properties = {str(f.key): _property(f, out) for f in self.fields}
        required = [str(f.key) for f in self.fields if f.required]
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            **({"additionalProperties": False} if self.closed else {}),
        }

    def strategy(self, draw: Draws) -> Any:
        """Dicts of parsed values by name."""
        drawn = {f.name: f.spec.strategy(draw) for f in self.fields if f.required}
        maybe = {f.name: f.spec.strategy(draw) for f in self.fields if not f.required}
        return draw.st.fixed_dictionaries(drawn, optional=maybe)


def _without(entries: dict[Any, Any], names: dict[Any, Any]) -> dict[Any, Any]:
    keys = set(names.values())
    return {key: item for key, item in entries.items() if key not in keys}


def _is_keyword(key: Any) -> bool:
    return type(key) is Keyword


def _guess(key: Any, free: dict[str, Any]) -> Any:
    text = key.local if type(key) is Keyword else key
    if type(text) is not str or len(text) > LONGEST:
        return None
    alike = (name for name in free if name.lower() == text.lower())
    near = nearest(text, free) or next(alike, None)
    return None if near is None else free[near]


def _property(field: Field, out: Schemas) -> Json:
    found = field.spec.schema(out)
    simple = type(field.default) in (type(None), bool, int, str)
    return {**found, "default": field.default} if simple and not field.hidden else found
