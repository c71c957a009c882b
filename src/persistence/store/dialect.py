"""How one engine writes what the query compiler needs; everything else is the same SQL.

A value stands in one or several payload columns beside its kind. Where the kind is known, one
column suffices; a dialect says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from persistence.values import Payload

# The storage kinds whose payload is an integer on every engine: boolean, int, instant, char.
INTEGER_KINDS = frozenset((1, 2, 7, 8))
FLOAT_KIND = 4


@attrs.frozen(slots=True)
class Column:
    """One column of a relation passed to a statement: a kind, or a payload column of a value.

    `kind` is the kind of every value in it, or None where kinds vary.
    """

    name: str
    part: str  # "k", or the name of a payload column
    kind: int | None = None


class Dialect(Protocol):
    """See `SQLITE` and `POSTGRES`."""

    @property
    def name(self) -> str: ...

    @property
    def payload(self) -> tuple[str, ...]:
        """The payload columns of a value whose kind is not known."""
        ...

    @property
    def ordered(self) -> bool:
        """Whether joins run in the order they are written, so that the compiler must choose it."""
        ...

    def parts(self, kind: int | None) -> tuple[str, ...]:
        """The payload columns that tell values of one kind apart."""
        ...

    def split(self, kind: int, payload: Payload) -> dict[str, Any]:
        """A payload as it stands in each of its columns."""
        ...

    def payload_of(self, kind: int, row: Sequence[Any]) -> Payload:
        """The payload that the columns `parts(None)` or `parts(kind)` hold."""
        ...

    def parameter(self, number: int, type: str) -> str:
        """A bound parameter; *type* is a payload column, "k" or "i" for an integer, or "json"."""
        ...

    def real(self, part: str) -> str:
        """The floating-point number that a payload expression of kind FLOAT stands for."""
        ...

    def member(self, expression: str, parameter: str) -> str:
        """Whether an integer is in a list that was passed as one parameter."""
        ...

    def integers(self, values: Sequence[int]) -> Any:
        """A list of integers as a parameter."""
        ...

    def ids(self, values: Sequence[int]) -> Any:
        """Ids as a parameter that `listed` unfolds."""
        ...

    def listed(self, parameter: str) -> str:
        """A table `w` with one column `value`: the ids that were passed as one parameter."""
        ...

    def relation(self, columns: Sequence[Column], parameters: Sequence[str]) -> str:
        """A SELECT of the rows of a relation that was passed in `arrays`."""
        ...

    def arrays(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[Any]:
        """The rows of a relation as parameters; as many as `relation_parameters` says."""
        ...

    def relation_parameters(self, columns: Sequence[Column]) -> list[str]:
        """The types of the parameters that carry a relation."""
        ...

    def least(self, a: str, b: str) -> str:
        """The smaller of two integers."""
        ...

    def trap(self, expression: str) -> str:
        """An expression that fails when evaluated; it mentions *expression* so as not to be
        evaluated too early."""
        ...

    def matching(self, alias: str, words: str) -> tuple[str, str]:
        """A FROM item with the columns a, k and payload of the texts that hold all *words*, a
        parameter made by `search`, and the condition for it."""
        ...

    def search(self, words: Sequence[str]) -> str:
        """The parameter that looks for all of *words*."""
        ...

    def guard(self, head: str) -> tuple[str, str]:
        """A FROM item, which must come first, and a condition. Together they let the statement
        fail when the last transaction is not *head*, whatever else it finds."""
        ...

    def bare(self, expression: str) -> str:
        """A column as a plain value, without the type that its table gives it."""
        ...

    def integer(self, number: int) -> str:
        """A literal that has the type of integer columns."""
        ...

    def plan(self, sql: str) -> str:
        """The statement that asks the engine for its plan of *sql*."""
        ...

    def plan_text(self, rows: Sequence[Sequence[Any]]) -> str:
        """That plan as text."""
        ...
