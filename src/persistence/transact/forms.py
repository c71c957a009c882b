"""From what callers write to operations: the syntax of transaction data.

Takes the forms of Datomic and DataScript: lists, maps, nested maps, reverse attributes, tempids,
lookup refs and transaction functions. Nothing is resolved here: entities are still named as the
caller named them, and every operation remembers the form it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import attrs

from persistence.datoms import Attribute, Datom, Interval, Schema, instant, interval
from persistence.datoms.bootstrap import ENSURE, TX_INSTANT
from persistence.errors import TransactionError, ValueRefused
from persistence.ids import LAST_ENTITY, SYSTEM0, TX0, is_tx_entity
from persistence.transact.operations import (
    CURRENT_TX,
    Add,
    Cas,
    Current,
    Ensure,
    Entity,
    Lookup,
    Operation,
    Retract,
    RetractAttribute,
    RetractEntity,
    Tempid,
)
from persistence.values import Keyword, Set, keyword, read

_TX_NAMES: Final = frozenset(("datomic.tx", "datascript.tx", ":db/current-tx", "db/current-tx"))
_CURRENT: Final = Keyword("db/current-tx")
_KEPT: Final = 10_000  # names of attributes; data that invents them must not fill the memory
_SEQUENCES: Final = (list, tuple)
_MANY: Final = (list, tuple, set, frozenset, Set)


class Role(IntEnum):
    """What the value under one key of a map form is."""

    VALUE = 0
    REFERENCE = 1
    MANY = 2
    COMPOSITE = 3
    REVERSE = 4
    SPEC = 5
    DB_ID = 6
    VALID_FROM = 7
    VALID_TO = 8


class _Key(NamedTuple):
    """What one key of a map form means."""

    attribute: Attribute
    reverse: bool
    role: Role


def parse_entity(value: Any, schema: Schema) -> Entity:
    """The entity that *value* names.

    Raises:
        TransactionError: it cannot name one.
    """
    kind = type(value)
    if kind is int:
        if 0 < value <= LAST_ENTITY or SYSTEM0 < value < TX0 or is_tx_entity(value):
            return int(value)
        if value < 0:
            return Tempid(value)
        raise TransactionError(
            f"{value} cannot be an entity id",
            hint=f"entity ids are 1 to {LAST_ENTITY}; tempids are negative or strings",
            value=value,
        )
    if kind is str:
        return CURRENT_TX if value in _TX_NAMES else Tempid(value)
    if kind is Keyword:
        return CURRENT_TX if value is _CURRENT else value
    if kind is Tempid or kind is Lookup or kind is Current:
        return value  # type: ignore[no-any-return]
    if isinstance(value, _SEQUENCES) and len(value) == 2:
        return lookup(value, schema)
    raise TransactionError(
        f"{value!r} cannot name an entity",
        hint="use an id, a tempid (a string or a negative integer), an ident, "
        "or a lookup ref [attribute value]",
        value=value,
    )


def lookup(value: Sequence[Any], schema: Schema) -> Lookup:
    """The lookup ref ``[attribute value]``.

    Raises:
        TransactionError: the attribute is not unique.
    """
    attribute = schema[_attribute_name(value[0], value)]
    if attribute.unique is None:
        raise TransactionError(
            f"the lookup ref {list(value)!r} needs a unique attribute, "
            f"and {attribute.ident} is not",
            hint=f"declare {attribute.ident} with :db/unique :db.unique/identity",
            value=value,
            attribute=attribute.ident,
        )
    return Lookup(attribute, value[1])


def _attribute_name(name: Any, form: Any) -> Keyword:
    if type(name) is Keyword:
        return name
    if type(name) is str:
        try:
            return keyword(name)
        except ValueRefused as error:
            raise TransactionError(
                f"{name!r} in {form!r} cannot be an attribute", hint=error.hint, form=form
            ) from error
    raise TransactionError(
        f"{name!r} in {form!r} cannot be an attribute",
        hint='an attribute is a keyword; in Python also ":user/name" or "user/name"',
        form=form,
    )


@attrs.define
class Parser:
    """Collects the operations of one transaction.

    *call* runs a transaction function by name against the database as of the start.
    """

    schema: Schema
    call: Callable[[Any, Sequence[Any]], Iterable[Any]]
    operations: list[Operation] = attrs.field(factory=list)
    rare: list[Operation] = attrs.field(factory=list)  # those among them that add nothing
    _keys: dict[Any, _Key] = attrs.field(init=False)  # remembered with the schema

    def __attrs_post_init__(self) -> None:
        self._keys = self.schema.memo.setdefault("keys", {})
        self.since = self.default_span[0]

    def parse(self, forms: Any) -> list[Operation]:
        """The operations of *forms*, in order; EDN text is read first."""
        if isinstance(forms, str):
            forms = read(forms)
        if isinstance(forms, Mapping):
            raise TransactionError(
                "transaction data is a list of forms, and this is one map",
                hint="put it in brackets",
                form=forms,
            )
        for form in forms:
            self.form(form)
        return self.operations

    def form(self, form: Any) -> None:
        """One form: a map, a vector, a datom, or nil, which says nothing."""
        kind = type(form)
        if kind is dict:
            self.map(form)
        elif kind is list or kind is tuple:
            self.vector(form)
        elif isinstance(form, Mapping):
            self.map(form)
        elif isinstance(form, _SEQUENCES):
            self.vector(form)
        elif isinstance(form, Datom):
            attribute = self.key(form.a, form).attribute
            span = (form.valid_from, form.valid_to)
            what = Add if form.added else Retract
            value = self.value(attribute, form.v, form)
            self._starts(form.valid_from)
            self._append(what(form.e, attribute, value, span))
        elif form is not None:
            raise TransactionError(
                f"{form!r} is no transaction form",
                hint="use a map {:db/id … attribute value} or a vector [:db/add e a v]",
                form=form,
            )

    # ------------------------------------------------------------------ vectors

    def vector(self, form: Sequence[Any]) -> None:
        """`[:db/add e a v]` and its like."""
        if not form:
            raise TransactionError("an empty vector is no transaction form", form=form)
        name = form[0]
        handler = _VECTORS.get(name) if type(name) in (str, Keyword) else None
        if handler is not None:
            handler(self, form)
        elif type(name) is Keyword or type(name) is str:
            arguments = form[1:]
            for made in self.call(name, arguments):
                self.form(made)
        else:
            raise TransactionError(
                f"{form!r} does not begin with an operation",
                hint="begin with :db/add, :db/retract, :db/cas, :db/retractEntity or the name "
                "of a transaction function",
                form=form,
            )

    def add(self, form: Sequence[Any]) -> None:
        _arity(form, 4, 6)
        attribute, reverse, _ = self.key(form[2], form)
        e = parse_entity(form[1], self.schema)
        span = self.span(form[4:], form)
        if reverse:
            self.operations.append(Add(parse_entity(form[3], self.schema), attribute, e, span))
        else:
            value = self.value(attribute, form[3], form)
            self.operations.append(Add(e, attribute, value, span))

    def retract(self, form: Sequence[Any]) -> None:
        _arity(form, 3, 6)
        attribute = self.key(form[2], form).attribute
        e = self.existing(form[1], form)
        if len(form) == 3 or form[3] is None:
            self._append(RetractAttribute(e, attribute, self.span(form[4:], form)))
        else:
            value = self.value(attribute, form[3], form)
            self._append(Retract(e, attribute, value, self.span(form[4:], form)))

    def retract_attribute(self, form: Sequence[Any]) -> None:
        _arity(form, 3, 5)
        attribute = self.key(form[2], form).attribute
        e = self.existing(form[1], form)
        self._append(RetractAttribute(e, attribute, self.span(form[3:], form)))

    def retract_entity(self, form: Sequence[Any]) -> None:
        _arity(form, 2, 4)
        e = self.existing(form[1], form)
        self._append(RetractEntity(e, self.span(form[2:], form)))

    def cas(self, form: Sequence[Any]) -> None:
        _arity(form, 5, 7)
        attribute = self.key(form[2], form).attribute
        e = self.existing(form[1], form)
        old = None if form[3] is None else self.value(attribute, form[3], form)
        new = self.value(attribute, form[4], form)
        self._append(Cas(e, attribute, old, new, self.span(form[5:], form)))

    def function(self, form: Sequence[Any]) -> None:
        _arity(form, 2, 1 + len(form))
        for made in self.call(form[1], form[2:]):
            self.form(made)

    def existing(self, value: Any, form: Any) -> Entity:
        """An entity that is there already: tempids make no sense here."""
        e = parse_entity(value, self.schema)
        if isinstance(e, Tempid):
            raise TransactionError(
                f"{form!r} names the tempid {e!r}, which is a new entity",
                hint="tempids are allowed in :db/add and in maps only",
                form=form,
            )
        return e

    def span(self, given: Sequence[Any], form: Any) -> Interval | None:
        """The interval that a form sets for itself: `[from]` or `[from to]`."""
        if not given:
            return None
        start = None if given[0] is None else instant(given[0])
        end = instant(given[1]) if len(given) > 1 and given[1] is not None else None
        return self.whole(start, end)

    def whole(self, start: int | None, end: int | None) -> Interval | None:
        """The interval with the transaction's own bounds where none is given."""
        if start is None and end is None:
            return None
        default = self.default_span
        if start is None:
            start = default[0]
        self._starts(start)
        return interval(start, default[1] if end is None else end)

    default_span: Interval = attrs.field(kw_only=True)
    since: int = attrs.field(init=False)  # where the first of all intervals begins

    def _starts(self, start: int) -> None:
        self.since = min(self.since, start)

    def _append(self, op: Operation) -> None:
        self.operations.append(op)
        if type(op) is not Add:
            self.rare.append(op)

    # --------------------------------------------------------------------- maps

    def map(self, form: Mapping[Any, Any]) -> Entity:
        """`{:db/id e attribute value …}`; gives the entity it speaks of."""
        given: Any = None
        start: int | None = None
        end: int | None = None
        pairs: list[tuple[Attribute, Role, Any]] = []
        keys, rest = self._keys, Role.DB_ID
        for raw, value in form.items():
            attribute, _, role = keys.get(raw) or self.key(raw, form)
            if role < rest:
                pairs.append((attribute, role, value))
            elif role is Role.DB_ID:
                given = value
            elif role is Role.VALID_FROM:
                start = instant(value)
            else:
                end = instant(value)
        e = Tempid() if given is None else parse_entity(given, self.schema)
        span = self.whole(start, end)
        operations = self.operations
        for attribute, role, value in pairs:
            if value is None:
                raise TransactionError(
                    f"{attribute.ident} is nil in {form!r}",
                    hint="nil is no fact; leave the attribute out or retract it",
                    form=form,
                    attribute=attribute.ident,
                )
            if not role:
                operations.append(Add(e, attribute, value, span))
            elif role is Role.SPEC:
                for spec in _each(value, True):
                    self._append(Ensure(e, parse_entity(spec, self.schema)))
            elif role is Role.REVERSE:
                for source in self.references(attribute, value, True, form):
                    operations.append(Add(source, attribute, e, span))
            elif role is Role.REFERENCE:
                for target in self.references(attribute, value, attribute.many, form):
                    operations.append(Add(e, attribute, target, span))
            elif role is Role.COMPOSITE:
                operations.append(Add(e, attribute, self.composite(attribute, value), span))
            else:
                for item in value if isinstance(value, _MANY) else (value,):
                    operations.append(Add(e, attribute, item, span))
        return e

    def references(self, attribute: Attribute, value: Any, many: bool, form: Any) -> list[Entity]:
        """The entities that the value of a reference attribute names."""
        if many and isinstance(value, _MANY) and not self._is_lookup(value):
            return [self.reference(item, form) for item in value]
        return [self.reference(value, form)]

    def reference(self, value: Any, form: Any) -> Entity:
        """One entity; a nested map is transacted on the way."""
        if isinstance(value, Mapping):
            return self.map(value)
        return parse_entity(value, self.schema)

    def _is_lookup(self, value: Any) -> bool:
        if not isinstance(value, _SEQUENCES) or len(value) != 2:
            return False
        name = value[0]
        if type(name) is str and name.startswith(":"):
            name = keyword(name)
        return type(name) is Keyword and self.schema[name].unique is not None

    # --------------------------------------------------------------- attributes

    def key(self, raw: Any, form: Any) -> _Key:
        """What *raw* means where an attribute is expected, `:_attribute` being its reverse."""
        known = self._keys.get(raw) if type(raw) in (str, Keyword) else None
        if known is not None:
            return known
        name = _attribute_name(raw, form)
        reverse = name.local.startswith("_") and name not in self.schema
        if reverse:
            forward = name.local[1:]
            name = Keyword(f"{name.namespace}/{forward}" if name.namespace else forward)
        attribute = self.schema[name]
        if reverse and not attribute.ref:
            raise TransactionError(
                f"{raw} in {form!r} reverses {name}, which is no reference",
                hint=f"declare {name} with :db/valueType :db.type/ref",
                form=form,
                attribute=name,
            )
        if name is TX_INSTANT:
            raise TransactionError(
                f"{TX_INSTANT} is set by the store", hint="use valid_from instead", form=form
            )
        key = _Key(attribute, reverse, _role(attribute, reverse))
        if len(self._keys) < _KEPT:
            self._keys[raw] = key
        return key

    def value(self, attribute: Attribute, value: Any, form: Any) -> Any:
        """The value of a vector form; references become entities."""
        if value is None:
            raise TransactionError(
                f"{form!r} has nil as its value", hint="nil is no fact", form=form
            )
        if attribute.tuple_attrs:
            return self.composite(attribute, value)
        return self.reference(value, form) if attribute.ref else value

    def composite(self, attribute: Attribute, value: Any) -> Any:
        """The value of a composite tuple; parts that are references become entities."""
        parts = attribute.tuple_attrs or ()
        if not isinstance(value, _SEQUENCES) or len(value) != len(parts):
            return value
        return tuple(
            parse_entity(item, self.schema) if item is not None and self.schema[part].ref else item
            for part, item in zip(parts, value, strict=True)
        )


def _role(attribute: Attribute, reverse: bool) -> Role:
    special = _SPECIAL.get(attribute.ident)
    if special is not None:
        return special
    if reverse:
        return Role.REVERSE
    if attribute.ref:
        return Role.REFERENCE
    if attribute.many:
        return Role.MANY
    return Role.COMPOSITE if attribute.tuple_attrs else Role.VALUE


_SPECIAL: Final = {
    ENSURE: Role.SPEC,
    Keyword("db/id"): Role.DB_ID,
    Keyword("db/validFrom"): Role.VALID_FROM,
    Keyword("db/validTo"): Role.VALID_TO,
}


def _each(value: Any, many: bool) -> Iterable[Any]:
    return value if many and isinstance(value, _MANY) else (value,)


def _arity(form: Sequence[Any], least: int, most: int) -> None:
    if not least <= len(form) <= most:
        count = f"{least} to {most}" if most > least else str(least)
        raise TransactionError(
            f"{list(form)!r} has {len(form)} elements where {count} are expected", form=form
        )


def _named(**handlers: Callable[[Parser, Sequence[Any]], None]) -> dict[Any, Any]:
    table: dict[Any, Any] = {}
    for name, handler in handlers.items():
        for namespace in ("db", "db.fn"):
            for text in (f"{namespace}/{name}", f":{namespace}/{name}"):
                table[text] = handler
            table[Keyword(f"{namespace}/{name}")] = handler
    return table


_VECTORS: Final = _named(
    add=Parser.add,
    retract=Parser.retract,
    retractAttribute=Parser.retract_attribute,
    retractEntity=Parser.retract_entity,
    cas=Parser.cas,
    call=Parser.function,
)
