"""One payload as it stands in the columns n, s and d of Postgres, and back.

The callers of a store see the payload that SQLite sees, down to the floats that are texts there,
so that nothing above depends on the backend.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from persistence.store.dialect import FLOAT_KIND, INTEGER_KINDS
from persistence.values import Payload, float_from_order, float_order

_NAN: Final = float_order(float("nan"))
_MINUS_ZERO: Final = float_order(-0.0)

Columns: TypeAlias = tuple[int, str, float | None]


def split(k: int, payload: Payload) -> Columns:
    """The columns n, s and d of a payload of kind *k*.

    >>> split(2, 42), split(9, "Ada"), split(4, "-0.0")
    ((42, '', None), (0, 'Ada', None), (-1, '', -0.0))
    """
    if type(payload) is str and k != FLOAT_KIND:
        return 0, payload, None
    if k == FLOAT_KIND:
        number = float(payload)
        return float_order(number), "", number
    return payload, "", None  # type: ignore[return-value]


def joined(k: int, n: int, s: str) -> Payload:
    """The payload whose columns are *n* and *s*.

    >>> joined(2, 42, ""), joined(9, 0, "Ada"), joined(4, -1, "")
    (42, 'Ada', '-0.0')
    """
    if k in INTEGER_KINDS:
        return n
    if k == FLOAT_KIND:
        if n == _NAN:
            return "NaN"
        return "-0.0" if n == _MINUS_ZERO else float_from_order(n)
    return s if k else 0  # 0: it was erased
