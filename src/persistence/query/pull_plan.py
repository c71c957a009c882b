"""What a pull pattern means under a schema: which attributes to read, and how each is shown."""

from __future__ import annotations

from typing import Final

import attrs

from persistence.datoms.schema import Attribute
from persistence.errors import QueryError
from persistence.query.functions import FunctionRegistry
from persistence.query.pull_pattern import DEFAULT_LIMIT, EVERYTHING, Pattern, Spec
from persistence.query.reader import Reader
from persistence.values import Keyword

__all__ = ["Plan", "Plans"]


@attrs.define(eq=False)
class Plan:
    """A pattern, by the storage number of each attribute."""

    pattern: Pattern
    scalars: dict[int, Keyword] = attrs.field(factory=dict)  # the key of a plain single value
    groups: dict[int, list[Spec]] = attrs.field(factory=dict)  # all others, forward
    reverse: list[tuple[int, Spec]] = attrs.field(factory=list)
    demanding: list[Spec] = attrs.field(factory=list)  # with something to do when absent
    bounded: list[tuple[int, Spec]] = attrs.field(factory=list)  # recursions with a depth

    @property
    def most(self) -> int | None:
        """How many values of one cell are asked for at most; None: there is no limit."""
        limits = [spec.limit for specs in self.groups.values() for spec in specs]
        if self.pattern.wildcard:
            limits.append(DEFAULT_LIMIT)
        return (
            max((limit for limit in limits if limit is not None), default=None)
            if all(limit is not None for limit in limits)
            else None
        )


@attrs.define(eq=False)
class Plans:
    """The plans of one pull, each made once."""

    reader: Reader
    functions: FunctionRegistry
    _plans: dict[Pattern, Plan] = attrs.field(factory=dict)
    _attributes: dict[int, Attribute] = attrs.field(factory=dict)

    def of(self, pattern: Pattern) -> Plan:
        """The plan of *pattern*.

        Raises:
            QueryError: it follows an attribute that is no reference, or names an unknown function.
        """
        found = self._plans.get(pattern)
        if found is None:
            found = self._plans[pattern] = self._make(pattern)
        return found

    def _make(self, pattern: Pattern) -> Plan:
        plan = Plan(pattern)
        forward: dict[int, list[Spec]] = {}
        for spec in pattern.specs:
            self._check(spec)
            if not spec.plain:
                plan.demanding.append(spec)
            number = self.reader.number(spec.attribute)
            if number is None:
                continue  # nobody ever used it
            if spec.reverse:
                plan.reverse.append((number, spec))
                continue
            forward.setdefault(number, []).append(spec)
            if spec.depth is not None:
                plan.bounded.append((number, spec))
        for number, specs in forward.items():
            self._place(plan, number, specs)
        plan.bounded = [
            (number, spec) for number, spec in plan.bounded if len(forward[number]) == 1
        ]
        return plan

    def learn(self, plan: Plan, number: int) -> None:
        """Adds an attribute that a wildcard met."""
        if number not in plan.scalars and number not in plan.groups:
            ident = self.attribute(number).ident
            self._place(plan, number, [Spec(ident, ident)])

    def attribute(self, number: int) -> Attribute:
        """The declaration of an attribute."""
        found = self._attributes.get(number)
        if found is None:
            found = self._attributes[number] = self.reader.attribute(number)
        return found

    def below(self, plan: Plan, spec: Spec, attribute: Attribute) -> tuple[Pattern | None, bool]:
        """The pattern of what *spec* points at, and whether that is a recursion.

        Components are pulled whole unless something else is said of them.
        """
        if spec.recursive:
            return plan.pattern, True
        if spec.pattern is None and attribute.component and not spec.reverse:
            return EVERYTHING, True
        return spec.pattern, False

    def _check(self, spec: Spec) -> None:
        attribute = self.reader.schema[spec.attribute]
        follows = spec.reverse or spec.recursive or spec.pattern is not None
        if follows and attribute.value_type is not None and not attribute.ref:
            raise QueryError(
                f"{spec.attribute} is no reference, so {spec.key} leads nowhere",
                hint=_ONLY_REFERENCES,
                attribute=spec.attribute,
            )
        if spec.xform is not None:
            self.functions[spec.xform]  # refuses a name that nobody registered

    def _place(self, plan: Plan, number: int, specs: list[Spec]) -> None:
        attribute, (spec, *others) = self.attribute(number), specs
        follows = attribute.ref or spec.recursive or spec.pattern is not None
        if others or follows or attribute.many or spec.xform is not None:
            plan.groups[number] = specs
        else:
            plan.scalars[number] = spec.key


_ONLY_REFERENCES: Final = "only attributes of type :db.type/ref can be nested or reversed"
