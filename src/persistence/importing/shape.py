"""An object of a file as a map of transaction data.

One `Shape` for each kind of object: the rows themselves, and the objects inside of them at one
attribute. It remembers for every key what becomes of it, so that the usual value costs one look
into a dict and one comparison of types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from persistence.datoms import moment
from persistence.datoms.interval import BEGINNING
from persistence.errors import InputError, ValueRefused
from persistence.importing.book import Book, Column
from persistence.importing.convert import Unfit, stamp
from persistence.values import Keyword, List, Set, freeze

Form = dict[Any, Any]

VALID_FROM: Final = Keyword("db/validFrom")
VALID_TO: Final = Keyword("db/validTo")
_ALWAYS: Final = moment(BEGINNING)
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_ARRAYS: Final = (list, tuple, List, Set)


class _Field:
    """What becomes of the values under one key."""

    __slots__ = ("attribute", "column", "inner", "keyed", "target")

    def __init__(self, column: Column, target: Column | None, keyed: str | None) -> None:
        self.attribute = column.attribute
        self.column = column
        self.target = target  # the identity of the entities it refers to
        self.keyed = keyed  # the name for the keys of an object of objects
        self.inner: Shape | None = None


class Shape:
    """Makes the forms of one kind of object, whose plain keys are in *namespace*."""

    def __init__(self, book: Book, namespace: str | None) -> None:
        self.book = book
        self.namespace = namespace
        self._fields: dict[Any, _Field | None] = {}

    def form(self, row: Mapping[Any, Any], span: Form) -> Form:
        """The map form of *row*, whose facts hold over *span*.

        Raises:
            Unfit: a value that cannot be what it has to be; says which and why.
        """
        form = span.copy()
        fields = self._fields
        for key, value in row.items():
            try:
                field = fields[key]
            except KeyError:
                field = self._field(key)
            if field is None:
                continue
            kind = type(value)
            if kind is field.column.plain and (kind is not int or _LEAST <= value <= _MOST):
                form[field.attribute] = value
            elif value is not None:
                try:
                    self._put(form, field, value, span)
                except Unfit as error:
                    raise Unfit(f"{key}: {error}") from None
        self.book.facts += len(form) - len(span)
        return form

    # -------------------------------------------------------------------- fields

    def _field(self, key: Any) -> _Field | None:
        """What *key* stands for, found out once; None when it tells the interval of the row."""
        plan = self.book.plan
        text = key.name if type(key) is Keyword else key
        if type(text) is not str:
            raise Unfit(f"the key {key!r} names no attribute")
        if self.book.spans(text) and self is self.book.root:
            self._fields[key] = None
            return None
        try:
            attribute = plan.attribute(self.book.named(text, self.namespace), self.namespace)
        except ValueRefused:
            raise Unfit(
                f"the key {text!r} is no attribute; rename it with --attr {text!r}=NAME"
            ) from None
        if attribute.namespace in ("db", "db.attr", "db.entity"):
            raise Unfit(f"{attribute} belongs to the schema; declare it with --schema")
        for other, known in self._fields.items():
            if known is not None and known.attribute is attribute:
                raise InputError(
                    f"the keys {other} and {key} would both become {attribute}",
                    hint="rename one of them with --attr",
                )
        target = self.book.ref(attribute, text)
        column = self.book.column(attribute, text)
        if target is not None and column.convert is not None:
            raise InputError(
                f"{attribute} is declared to hold plain values, and cannot refer to {target}",
                hint="import it under another name with --attr",
                attribute=attribute,
            )
        field = _Field(
            column,
            None if target is None else self.book.identity(target),
            self.book.keyed(attribute, text),
        )
        self._fields[key] = field
        return field

    # -------------------------------------------------------------------- values

    def _put(self, form: Form, field: _Field, value: Any, span: Form) -> None:
        column = field.column
        if column.whole:
            form[field.attribute] = column.scalar(value)
            return
        items: list[Any]
        if field.keyed is not None:
            items = [self._inner(field, part, span) for part in _members(value, field.keyed)]
        elif isinstance(value, _ARRAYS) and column.arrays:
            items = [self._item(field, part, span) for part in value if part is not None]
        else:
            form[field.attribute] = self._item(field, value, span)
            return
        if items:
            column.becomes_many()
            form[field.attribute] = items
            self.book.facts += len(items) - 1

    def _item(self, field: _Field, value: Any, span: Form) -> Any:
        column = field.column
        if isinstance(value, Mapping) and (column.ref or column.open or field.target is not None):
            return self._inner(field, value, span)
        if field.target is not None:
            column.becomes_ref(component=False)
            self.book.facts += 1
            return named(field.target.attribute, field.target.scalar(value), span)
        if column.ref:
            raise Unfit(f"{value!r} is no object, and objects are expected here; see --ref")
        if isinstance(value, (*_ARRAYS, Mapping)):
            try:
                value = freeze(value)
            except ValueRefused as error:
                raise Unfit(error.message) from error
        return column.scalar(value)

    def _inner(self, field: _Field, value: Any, span: Form) -> Form:
        """The form of an object inside of the row."""
        if not isinstance(value, Mapping):
            raise Unfit(f"{value!r} is no object, and objects are expected here")
        field.column.becomes_ref(component=field.target is None)
        if field.inner is None:
            field.inner = Shape(self.book, _inside(field))
        made = field.inner.form(value, span)
        if field.target is None:
            return made
        name = field.target.attribute
        if name not in made:
            raise Unfit(f"the object has no {name}")
        if not span:
            return made
        self.book.beside.append(made)
        return named(name, made[name], span)


def named(ident: Keyword, value: Any, span: Form) -> Form:
    """The form that says which entity has the identity *value*.

    What a row says holds over its interval, but the name of a thing is its name at all times:
    otherwise two rows with separate intervals would speak of two things.
    """
    return {ident: value, VALID_FROM: _ALWAYS} if span else {ident: value}


def _inside(field: _Field) -> str:
    """The namespace of plain keys in the objects at *field*.

    Components of :user/address have attributes like :user.address/city, so that the parts of two
    kinds of things never mix; the entities of a reference have those of their identity.
    """
    if field.target is not None:
        return field.target.attribute.namespace or ""
    return field.attribute.name.replace("/", ".")


def _members(value: Any, name: str) -> Iterable[dict[Any, Any]]:
    """The objects of an object of objects, each with its key under *name*."""
    if not isinstance(value, Mapping):
        raise Unfit("an object of objects is expected here")
    for key, item in value.items():
        if not isinstance(item, Mapping):
            raise Unfit(f"{key}: {item!r} is no object, and objects are expected here")
        if item.get(name, key) != key:
            raise Unfit(f"{key}: its own {name} is {item[name]!r}")
        yield {name: key, **item}


def span_of(book: Book, row: Mapping[Any, Any]) -> Form:
    """The interval that *row* tells, as the part of a map form.

    Raises:
        Unfit: a stamp that is no instant, or an end that is not after the start.
    """
    span: Form = {}
    plan = book.plan
    for name, key in ((plan.valid_from, VALID_FROM), (plan.valid_to, VALID_TO)):
        if name is None:
            continue
        value = row.get(name)
        if value is None and not book.texts:
            value = row.get(Keyword(name))
        if value is None or value == "":
            continue
        try:
            span[key] = stamp(value, plan.zone)
        except Unfit as error:
            raise Unfit(f"{name}: {error}") from None
    if len(span) == 2 and not span[VALID_FROM] < span[VALID_TO]:
        raise Unfit(f"{plan.valid_to}: the interval ends before it starts, or at its start")
    return span
