"""Answers as tables: Arrow and pandas, for whoever goes on with numbers.

    arrow    a `pyarrow.Table`       needs the extra `arrow`
    pandas   a `pandas.DataFrame`    needs the extra `pandas`

A column gets a type of its own when all its values are of one type; nil is null everywhere. What
has no type in a table, and a column of several types, is EDN text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from persistence.db import Db
from persistence.errors import QueryError
from persistence.query.ast import COLLECTION, RELATION, SCALAR, Query
from persistence.query.parse import parse
from persistence.values import Map, write

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_LONG: Final = range(-(2**63), 2**63)
_DIGITS: Final = 76  # of a decimal256


def arrow(db: Db, query: Any, *inputs: Any, **options: Any) -> pa.Table:
    """The answer of *query* as an Arrow table, with the columns that `:find` or `:keys` names.

    Types: int64, double, string, bool, timestamp[us, UTC], decimal, binary; else EDN in a string.
    *options* are those of `Db.q`.

    >>> from persistence import Substrate
    >>> with Substrate.open(":memory:") as s:
    ...     _ = s.fact.transact([{"item/name": "tea", "item/price": 10}])
    ...     found = arrow(s.fact.db(), "[:find ?n ?p :keys name price"
    ...                                " :where [?i :item/name ?n] [?i :item/price ?p]]")
    >>> found.to_pylist()
    [{'name': 'tea', 'price': 10}]

    Raises:
        QueryError, BudgetExceeded: as `Db.q` does; or two columns would have one name.
        ModuleNotFoundError: pyarrow is not installed.
    """
    import pyarrow  # noqa: PLC0415  the optional extra `arrow`

    names, rows = table(query, db.q(query, *inputs, **options))
    if len(set(names)) != len(names):
        raise QueryError(
            f"two columns of a table have one name: {' '.join(names)}",
            hint="name them with :keys",
        )
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pyarrow.table(
        [_column(pyarrow, column) for column in columns] if names else [], names=names
    )


def pandas(db: Db, query: Any, *inputs: Any, **options: Any) -> pd.DataFrame:
    """The answer of *query* as a data frame; see `arrow`.

    Integers stay integers where some are missing (`Int64`).

    Raises:
        QueryError, BudgetExceeded: as `arrow` does.
        ModuleNotFoundError: pandas or pyarrow is not installed.
    """
    import pandas  # noqa: PLC0415  the optional extra `pandas`
    import pyarrow  # noqa: PLC0415  it comes with that extra

    made = arrow(db, query, *inputs, **options)
    holes = any(column.type == pyarrow.int64() and column.null_count for column in made.columns)
    whole = {pyarrow.int64(): pandas.Int64Dtype()} if holes else {}
    frame: pd.DataFrame = made.to_pandas(types_mapper=whole.get)
    return frame


def table(query: Any, found: Any) -> tuple[list[str], list[Sequence[Any]]]:
    """The columns of *query* and the rows of its answer *found*, whatever shape it has.

    >>> table("[:find [?x ...] :where [_ :a ?x]]", [1, 2])
    (['?x'], [(1,), (2,)])
    """
    parsed = parse(query)
    return _names(parsed), _rows(parsed, found)


def _names(query: Query) -> list[str]:
    if query.keys is not None:
        return [str(key).removeprefix(":") for key in query.keys]
    return [repr(found) for found in query.find]


def _rows(query: Query, found: Any) -> list[Sequence[Any]]:
    if found is None:
        return []
    if query.shape == SCALAR:
        return [(found,)]
    if query.shape == COLLECTION:
        return [(value,) for value in found]
    rows = found if query.shape == RELATION else [found]
    return list(rows) if query.keys is None else [tuple(row.values()) for row in rows]


def _column(pa: ModuleType, values: Sequence[Any]) -> Any:
    """*values* as an Arrow array of the type that they all have."""
    kinds = {type(value) for value in values if value is not None}
    kind = kinds.pop() if len(kinds) == 1 else None
    make = _TYPES.get(kind) if kind is not None else None
    wanted = make(pa, values) if make is not None else None
    if wanted is not None:
        return pa.array(values, type=wanted)
    texts = [None if value is None else exact(value) for value in values]
    return pa.array(texts, type=pa.string())


def exact(value: Any) -> str:
    """An answer, or a part of it, as EDN; what was pulled becomes maps.

    >>> exact([{"a": 1.0}])
    '[{"a" 1.0}]'
    """
    return write(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Map((_plain(key), _plain(item)) for key, item in value.items())
    if type(value) is list or type(value) is tuple:
        return tuple(_plain(item) for item in value)
    return value


def _long(pa: ModuleType, values: Sequence[Any]) -> Any:
    return pa.int64() if all(v is None or v in _LONG for v in values) else None


def _decimal(pa: ModuleType, values: Sequence[Any]) -> Any:
    """A decimal type that holds every value exactly, None when there is none."""
    scale, whole = 0, 1
    for value in values:
        if value is not None:
            exponent = value.as_tuple().exponent
            scale = max(scale, -exponent)
            whole = max(whole, len(value.as_tuple().digits) + exponent)
    if scale + whole > _DIGITS:
        return None
    return (pa.decimal128 if scale + whole <= _DIGITS // 2 else pa.decimal256)(scale + whole, scale)


_TYPES: Final[dict[type, Callable[[ModuleType, Sequence[Any]], Any]]] = {
    int: _long,
    float: lambda pa, _: pa.float64(),
    str: lambda pa, _: pa.string(),
    bool: lambda pa, _: pa.bool_(),
    datetime: lambda pa, _: pa.timestamp("us", tz="UTC"),
    Decimal: _decimal,
    bytes: lambda pa, _: pa.binary(),
}
