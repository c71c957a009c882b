"""How a memory stands in the store: an entity with a text, and what else is known of it."""

from __future__ import annotations

from typing import Any, Final

from persistence.datoms import Schema
from persistence.errors import InputError
from persistence.store.words import words
from persistence.values import Keyword, keyword

TEXT: Final = Keyword("memory/text")
ABOUT: Final = Keyword("memory/about")
KIND: Final = Keyword("memory/kind")
SOURCE: Final = Keyword("memory/source")

# About the transaction that forgot or corrected a memory, which is where its reason belongs.
FORGOTTEN: Final = Keyword("memory/forgotten")
CORRECTED: Final = Keyword("memory/corrected")
WHY: Final = Keyword("memory/why")
TX: Final = "datomic.tx"

_REF: Final = Keyword("db.type/ref")
DECLARATIONS: Final[tuple[dict[str, Any], ...]] = (
    {
        ":db/ident": TEXT,
        ":db/valueType": Keyword("db.type/string"),
        ":db/fulltext": True,
        ":db/sensitive": True,  # forgetting keeps the past; who must erase it too, can
    },
    {
        ":db/ident": ABOUT,
        ":db/valueType": _REF,
        ":db/cardinality": Keyword("db.cardinality/many"),
    },
    {":db/ident": KIND, ":db/valueType": Keyword("db.type/keyword"), ":db/index": True},
    {":db/ident": FORGOTTEN, ":db/valueType": _REF},
    {":db/ident": CORRECTED, ":db/valueType": _REF},
    {":db/ident": WHY, ":db/valueType": Keyword("db.type/string")},
)
_OWN: Final = frozenset((TEXT, ABOUT, KIND, SOURCE, FORGOTTEN, CORRECTED, WHY))


def undeclared(schema: Schema) -> list[dict[str, Any]]:
    """Those of the declarations whose attribute nobody has declared yet."""
    return [each for each in DECLARATIONS if schema[each[":db/ident"]].entity is None]


def readable(text: Any) -> str:
    """
    Raises:
        InputError: *text* is not text, or there is no word in it to find it by.
    """
    if not isinstance(text, str) or not words(text):
        raise InputError(
            f"a memory is text with a word in it, and {text!r:.80} is not",
            hint="say what is to be remembered in words",
            text=text,
        )
    return text


def reason(why: Any) -> str:
    """
    Raises:
        InputError: *why* gives no reason.
    """
    if not isinstance(why, str) or not why.strip():
        raise InputError(
            f"{why!r:.80} gives no reason",
            hint="say in words why: the reason is kept with the history of the memory",
            why=why,
        )
    return why


def further(facts: dict[str, Any]) -> dict[Keyword, Any]:
    """The facts that are given beside the named ones; a plain name is one of `:memory/`.

    Raises:
        InputError: one of them is nothing, or says what an argument of its own says.
    """
    found = {}
    for name, value in facts.items():
        attribute = keyword(name if "/" in name else f"memory/{name}")
        if attribute in _OWN or attribute.name.startswith("db/"):
            raise InputError(
                f"{attribute} cannot be given as a further fact",
                hint="text, about, kind and source are arguments of their own",
                attribute=attribute,
            )
        if value is None:
            raise InputError(
                f"{attribute} is None, which is no value",
                hint="leave out what is not known",
                attribute=attribute,
            )
        found[attribute] = value
    return found


def entity(named: Any) -> Any:
    """What *named* names in transaction data: an id, an ident or a lookup ref.

    Raises:
        InputError: it is a string, which would be a new entity without a word about it.
    """
    if isinstance(named, str):
        raise InputError(
            f"{named!r:.80} names no entity",
            hint='name it by its id, its ident or a lookup ref: ["user/name", "Ada"]',
            about=named,
        )
    return named
