"""One of several given values: `Literal`, `Enum` classes and `enum(...)`.

A value is looked up under its type and itself, because Python finds `1`, `1.0` and `True` equal.
"""

from __future__ import annotations

import enum as enums
from collections.abc import Iterable
from typing import Any

import attrs

from persistence.errors import InputError
from persistence.specs.plain import as_json, enum_form
from persistence.specs.problems import LONGEST, shown
from persistence.specs.spec import CONTAINERS, Draws, Json, Schemas, Spec, Walk, wrong

_SHOWN = 12  # choices that a message lists


@attrs.frozen(eq=False, repr=False)
class Choice(Spec):
    """One of *members*; each is taken as itself and in its JSON form."""

    members: tuple[Any, ...]
    table: dict[tuple[type, Any], Any]

    @classmethod
    def of(cls, members: Iterable[Any]) -> Choice:
        """
        Raises:
            InputError: there is none, or one that is not an atom.
        """
        given = tuple(members)
        if not given:
            raise InputError("a choice needs something to choose from", hint='enum("a", "b")')
        table: dict[tuple[type, Any], Any] = {}
        for member in given:
            table[(type(member), member)] = _atom(member)
        for member in given:
            form = as_json(member)
            table.setdefault((type(form), form), member)
        return cls(given, table)

    @property
    def wants(self) -> str:
        return self._list(" or ") if len(self.members) == 1 else f"one of {self._list(', ')}"

    @property
    def fix(self) -> str:
        return f"give {self._list(' or ')}"

    def _list(self, between: str) -> str:
        texts = [shown(as_json(member)) for member in self.members[:_SHOWN]]
        return between.join(texts + ["…"] * (len(self.members) > _SHOWN))

    def parse(self, value: Any, depth: int, walk: Walk) -> Any:
        kind = type(value)
        if kind in CONTAINERS:
            return wrong(self, value)
        try:
            return self.table[(kind, value)]
        except (KeyError, TypeError):
            failed = wrong(self, value)
            failed.misfit = False if kind is str and len(value) <= LONGEST else failed.misfit
            return failed

    def schema(self, out: Schemas) -> Json:
        forms = [as_json(member) for member in self.members]
        return {"const": forms[0]} if len(forms) == 1 else {"enum": forms}

    def strategy(self, draw: Draws) -> Any:
        return draw.st.sampled_from(self.members)


def _atom(member: Any) -> Any:
    if type(member) in CONTAINERS or (type(member) is float and member != member):
        raise InputError(
            f"{shown(member)} cannot be one of a choice", hint="choose among plain values"
        )
    return member


def of_enum(cls: type[enums.Enum]) -> Choice:
    """The members of an Enum class, by value; by name where a value is not plain."""
    made = Choice.of(cls)
    for member in cls:
        made.table.setdefault((type(enum_form(member)), enum_form(member)), member)
    return made
