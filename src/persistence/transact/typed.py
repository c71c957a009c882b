"""Values as the tables keep them: checked against their attribute, turned into columns once.

Remembers the value behind every key, because datoms are hashed and reported by value while
cells are compared by key.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs

from persistence.datoms import Attribute, ValueKey
from persistence.datoms.bootstrap import VALUE_TYPES
from persistence.errors import (
    PersistenceError,
    QueryError,
    TransactionError,
    ValueRefused,
)
from persistence.transact.base import Base
from persistence.values import (
    Keyword,
    Kind,
    columns,
    decode,
    from_columns,
    interned_id,
    is_reserved,
)


class _Use(NamedTuple):
    """What is asked of an attribute for every value: its number and the kinds it takes."""

    number: int
    kinds: frozenset[int] | None


@attrs.define
class Typed:
    """The values and attribute numbers of one transaction."""

    base: Base
    problems: list[PersistenceError]
    values: dict[ValueKey, Any] = attrs.field(factory=dict)
    interned: dict[bytes, bytes] = attrs.field(factory=dict)
    attributes: dict[Keyword, int] = attrs.field(factory=dict)  # newly numbered
    known: dict[int, Keyword] = attrs.field(factory=dict)  # number -> ident, as far as used
    _uses: dict[Keyword, _Use] = attrs.field(factory=dict)

    def value(self, e: int, attribute: Attribute, value: Any) -> tuple[int, ValueKey] | None:
        """The number of *attribute* and the key of *value*; None when the value is refused,
        which is then among the problems."""
        try:
            k, payload, blob = columns(value)
        except ValueRefused as error:
            self._refuse(e, attribute, value, error.message, error.hint)
            return None
        number, kinds = self._uses.get(attribute.ident) or self._use(attribute)
        if k & 31 == Kind.TAGGED and is_reserved(value):
            hint = "assert the value itself; one that was erased is gone"
            self._refuse(e, attribute, value, "it stands for a value, and is none", hint)
            return None
        if kinds is not None and (k & 31) not in kinds:
            self._refuse(
                e,
                attribute,
                value,
                f"{attribute.value_type} is declared",
                "convert the value, or transact it under another attribute",
            )
            return None
        if attribute.preds and not self._satisfies(e, attribute, value):
            return None
        key = (k, payload)
        self.values[key] = value
        if blob is not None:
            self.interned[interned_id(str(payload))] = blob
        return number, key

    def key(self, value: Any) -> ValueKey:
        """The key of a value that is only compared."""
        k, payload, _ = columns(value)
        return (k, payload)

    def number(self, ident: Keyword) -> int:
        """The storage number of an attribute, given now if it never had one."""
        number = self.base.numbers.get(ident)
        if number is None:
            number = self.attributes.get(ident)
            if number is None:
                number = self.base.next_number + len(self.attributes)
                self.attributes[ident] = number
        self.known[number] = ident
        return number

    def number_of(self, ident: Keyword) -> int | None:
        """The storage number that an attribute has by now, if any."""
        return self.base.numbers.get(ident) or self.attributes.get(ident)

    def python(self, key: ValueKey) -> Any:
        """The value behind *key*; interned ones that were not seen yet are fetched."""
        if key in self.values:
            return self.values[key]
        k, payload = key
        if k >= 32:
            content = interned_id(str(payload))
            blob = self.interned.get(content) or self.base.blobs([content])[content]
            value = decode(blob)
        else:
            value = from_columns(k, payload)
        self.values[key] = value
        return value

    def fetch(self, keys: list[ValueKey]) -> None:
        """Reads the interned values among *keys* in one statement."""
        missing = {
            interned_id(str(payload)): (k, payload)
            for k, payload in keys
            if k >= 32 and (k, payload) not in self.values
        }
        if missing:
            for content, blob in self.base.blobs(missing).items():
                self.values[missing[content]] = decode(blob)

    def show(self, key: ValueKey) -> str:
        """The value behind *key*, short enough for an error."""
        text = repr(self.python(key))
        return text if len(text) <= 80 else text[:77] + "..."

    def _use(self, attribute: Attribute) -> _Use:
        declared = attribute.value_type
        kinds = None if declared is None else VALUE_TYPES[declared]
        use = self._uses[attribute.ident] = _Use(self.number(attribute.ident), kinds)
        return use

    def _satisfies(self, e: int, attribute: Attribute, value: Any) -> bool:
        for name in attribute.preds:
            predicate = self.base.functions.get(name)
            if predicate is None:
                raise QueryError(
                    f"{attribute.ident} has the predicate {name}, which is not registered",
                    hint="pass it when opening: Substrate.open(…, functions={name: callable})",
                    attribute=attribute.ident,
                    predicate=name,
                )
            if predicate(value) is not True:
                self._refuse(e, attribute, value, f"the predicate {name} refuses it", None)
                return False
        return True

    def _refuse(self, e: int, attribute: Attribute, value: Any, why: str, hint: str | None) -> None:
        shown = repr(value)
        if attribute.sensitive:
            shown = f"a {type(value).__name__}"
        self.problems.append(
            TransactionError(
                f"{shown[:80]} cannot be {attribute.ident} of entity {e}: {why}",
                hint=hint,
                entity=e,
                attribute=attribute.ident,
            )
        )
