"""What an import knows of every attribute: what is declared, what it has seen, what to declare.

Types are inferred from the values: an attribute whose values are all of one type is declared as
such, and the declaration is taken back when a later row brings another type. What somebody
declared by hand is never changed; a row that does not fit it is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from persistence.datoms import Schema
from persistence.errors import InputError
from persistence.importing.convert import INFERRED, PLAIN, TYPES, Converter, Unfit, converter
from persistence.importing.plan import Plan
from persistence.values import Keyword

INFERRED_MARK: Final = Keyword("import/inferred")
_IDENTITY: Final = Keyword("db.unique/identity")
_REF: Final = Keyword("db.type/ref")
_MANY: Final = Keyword("db.cardinality/many")
_WHOLE: Final = frozenset(("vector", "tuple", "list", "set", "map"))
_LONG: Final = range(-(2**63), 2**63)


class _Big:
    """Stands for integers beyond 64 bits among the types of a column."""


class Column:
    """One attribute. `plain` is the Python type whose values need no work at all."""

    __slots__ = (
        "_book", "_component", "_told", "_type", "_unique",
        "arrays", "attribute", "convert", "kinds", "many", "open", "plain", "ref", "whole",
    )  # fmt: skip

    def __init__(self, book: Book, attribute: Keyword, kind: str | None) -> None:
        known = book.schema[attribute]
        declared = known.value_type.local if known.value_type is not None else None
        if kind is not None and declared is not None and kind != declared:
            raise InputError(
                f"{attribute} is declared as {known.value_type}, and {kind} is asked for",
                hint="leave the type out, or import under another name with --attr",
                attribute=attribute,
            )
        mine = attribute in book.inferred
        self._book = book
        self.attribute = attribute
        self.kinds: set[type] = set()
        self.many = known.many
        self.ref = known.ref
        # Open: this import may declare what it finds.
        self.open = book.plan.infer and (known.entity is None or mine) and kind is None
        fixed = kind or (declared if not (mine and kind is None) else None)
        self.convert: Converter | None = None
        self.plain: type | None = None
        if fixed is not None and fixed != "ref":
            self.convert = converter(fixed, book.plan.zone)
            self.plain = PLAIN.get(fixed)
        self.whole = fixed in _WHOLE and not known.many
        self.arrays = known.many or (book.plan.infer and book.declares(attribute))
        self._type = kind
        self._component = known.component
        self._unique = known.unique
        if mine and declared is not None and declared != "ref":
            self.kinds = {python for python, name in INFERRED.items() if name == declared}
            if declared == "bigint":
                self.kinds = {int, _Big}
        if known.id is not None and known.entity is None:
            self.kinds.add(object)  # there are facts already, of types that nobody stated
        self._told = (
            declared, known.many, known.ref, known.component, known.unique,
        )  # fmt: skip
        if self.wanted() != self._told:
            book.pending[attribute] = self

    # -------------------------------------------------------------------- learning

    def scalar(self, value: Any) -> Any:
        """*value* as the attribute takes it.

        Raises:
            Unfit: it cannot be what was declared or asked for.
        """
        if self.convert is not None:
            return self.convert(value)
        kind = type(value)
        if kind is int and value not in _LONG:
            kind = _Big
        if kind not in self.kinds:
            self._learn(kind)
        return value

    def _learn(self, kind: type) -> None:
        if self.ref:
            raise Unfit("a plain value stands here, and earlier rows had objects")
        self.kinds.add(kind)
        if len(self.kinds) == 1 and kind is not _Big:
            self.plain = kind
        self._changed()

    def becomes_many(self) -> None:
        """The attribute takes several values from now on."""
        if not self.many:
            if not self.open and not self._book.declares(self.attribute):
                raise Unfit("several values, and the attribute is declared to have one")
            self.many = True
            self._changed()

    def becomes_ref(self, *, component: bool) -> None:
        """The values are entities from now on."""
        if not self.ref:
            if self.kinds - {object} or self.convert is not None:
                raise Unfit("an object stands here, and earlier rows had plain values")
            self.ref = True
            self._component = component
            self._changed()

    def becomes_identity(self) -> None:
        """A value of the attribute names its entity.

        Raises:
            InputError: it is declared otherwise.
        """
        if self._unique is None and not self._book.declares(self.attribute):
            raise InputError(
                f"{self.attribute} names entities here, and is declared without an identity",
                hint=f"declare {self.attribute} with :db/unique {_IDENTITY} first",
                attribute=self.attribute,
            )
        if self._unique is not None and self._unique is not _IDENTITY:
            raise InputError(
                f"{self.attribute} has :db/unique {self._unique}; rows need {_IDENTITY}",
                attribute=self.attribute,
            )
        if self._unique is None:
            self._unique = _IDENTITY
            self._changed()

    def _changed(self) -> None:
        if self.wanted() != self._told:
            self._book.pending[self.attribute] = self

    # ------------------------------------------------------------------ declaring

    def wanted(self) -> tuple[str | None, bool, bool, bool, Keyword | None]:
        """Type, many, ref, component and uniqueness as the rows so far want them."""
        if self.ref:
            kind: str | None = "ref"
        elif self._type is not None:
            kind = self._type
        elif not self.open:
            kind = self._told[0]
        elif _Big in self.kinds and self.kinds <= {int, _Big}:
            kind = "bigint"
        else:
            kind = INFERRED.get(next(iter(self.kinds))) if len(self.kinds) == 1 else None
        return kind, self.many, self.ref, self._component, self._unique

    def declaration(self) -> list[Any]:
        """The forms that bring the store's declaration up to date."""
        kind, many, _, component, unique = wanted = self.wanted()
        old = self._told
        form: dict[str, Any] = {}
        if kind is not None and kind != old[0]:
            form[":db/valueType"] = _REF if kind == "ref" else Keyword(f"db.type/{kind}")
        if many and not old[1]:
            form[":db/cardinality"] = _MANY
        if component and not old[3]:
            form[":db/isComponent"] = True
        if unique is not None and old[4] is None:
            form[":db/unique"] = unique
        self._told = wanted
        forms: list[Any] = []
        if form:
            mark = {str(INFERRED_MARK): True} if self._type is None else {}
            forms.append({":db/ident": self.attribute, **form, **mark})
        if kind is None and old[0] is not None:
            forms.append([":db/retract", self.attribute, ":db/valueType"])
            self._book.relaxed.add(self.attribute)
        return forms


class Book:
    """All columns of one import, by attribute."""

    def __init__(
        self,
        plan: Plan,
        schema: Schema,
        *,
        inferred: Collection[Keyword] = (),
        guesses: Mapping[str, str] | None = None,
        texts: bool = True,
    ) -> None:
        self.plan = plan
        self.schema = schema
        self.inferred = frozenset(inferred)
        self.guesses = guesses or {}
        self.texts = texts  # keys are text, and not keywords
        self.facts = 0
        self.beside: list[dict[Any, Any]] = []  # forms of entities that the row speaks of
        self.pending: dict[Keyword, Column] = {}
        self.relaxed: set[Keyword] = set()
        self.root: Any = None
        self.used: set[str] = set()
        self._columns: dict[Keyword, Column] = {}

    def column(self, attribute: Keyword, key: str) -> Column:
        """The column of *attribute*, which a row has under *key*."""
        column = self._columns.get(attribute)
        if column is None:
            kind = self._option("types", attribute, key)
            guess = self.guesses.get(key)
            if kind is None and guess is not None and self._free(attribute, key):
                kind = guess
            column = self._columns[attribute] = Column(self, attribute, kind)
        return column

    def _free(self, attribute: Keyword, key: str) -> bool:
        """Whether nothing but its values says what *attribute* is."""
        known = self.schema[attribute]
        used = known.entity is not None or known.id is not None
        return self.plan.infer and not used and self.ref(attribute, key) is None

    def identity(self, attribute: Keyword) -> Column:
        """The column of an attribute that names entities."""
        column = self.column(attribute, attribute.local)
        column.becomes_identity()
        return column

    def declares(self, attribute: Keyword) -> bool:
        """Whether the declaration of *attribute* is this import's own to change."""
        return self.schema[attribute].entity is None or attribute in self.inferred

    def declarations(self) -> list[Any]:
        """What to declare before the rows that were shaped since the last call."""
        forms = [form for column in self.pending.values() for form in column.declaration()]
        self.pending.clear()
        return forms

    # --------------------------------------------------------------------- options

    def spans(self, key: str) -> bool:
        """Whether the value under *key* is an end of the interval of the row."""
        return key in (self.plan.valid_from, self.plan.valid_to)

    def named(self, key: str, namespace: str | None) -> str:
        """The name that *key* gets."""
        for spelled in (key, f"{namespace}/{key}"):
            if spelled in self.plan.names:
                self.used.add(spelled)
                return self.plan.names[spelled]
        return key

    def ref(self, attribute: Keyword, key: str) -> Keyword | None:
        """The identity of the entities that *attribute* refers to."""
        found: Keyword | None = self._option("refs", attribute, key)
        return found

    def keyed(self, attribute: Keyword, key: str) -> str | None:
        """The name for the keys of the object of objects at *attribute*."""
        found: str | None = self._option("keyed", attribute, key)
        return found

    def _option(self, name: str, attribute: Keyword, key: str) -> Any:
        table = getattr(self.plan, name)
        for spelled in (attribute.name, key):
            if spelled in table:
                self.used.add(spelled)
                return table[spelled]
        return None

    def unused(self) -> list[str]:
        """The options for keys that no row had."""
        plan = self.plan
        given = {*plan.refs, *plan.types, *plan.names, *plan.keyed}
        return sorted(given - self.used)


__all__ = ["INFERRED_MARK", "TYPES", "Book", "Column"]
