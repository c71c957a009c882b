"""A ref: one cell of the store, an attribute of an entity, as something to hold in the hand."""

from __future__ import annotations

from typing import Any, Final

import attrs

from persistence.values import Keyword, keyword


class _Missing:
    """No default was given."""

    def __reduce__(self) -> str:
        return "MISSING"

    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()


def _entity(given: Any) -> Any:
    """An id, an ident, or a lookup ref, which a list may be written as."""
    if isinstance(given, list | tuple) and len(given) == 2:
        return (keyword(given[0]), given[1])
    return given


@attrs.frozen
class Ref:
    """One cell: an entity (an id, an ident or a lookup ref) and an attribute.

    It is a plain value: it holds no connection, can be kept, compared and sent to another
    process. *default* is what it gives while the cell is empty.

    >>> Ref(ada, "user/age")
    Ref(1, :user/age)
    """

    entity: Any = attrs.field(converter=_entity)
    attribute: Keyword = attrs.field(converter=keyword)
    default: Any = attrs.field(default=MISSING, kw_only=True, eq=False)

    def __repr__(self) -> str:
        return f"Ref({self.entity!r}, {self.attribute})"
