"""Answers as Arrow tables and data frames."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from persistence import Db, QueryError, Substrate, frames

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra `arrow` has it")
WHEN = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.fixture
def db() -> Iterator[Db]:
    with Substrate.open(":memory:") as s:
        s.fact.transact(
            [
                {"n": 1, "i": 7, "f": 1.5, "s": "x", "b": True, "t": WHEN, "d": Decimal("1.50")},
                {"n": 2, "i": 8, "f": 2.5, "s": "y", "b": False, "t": WHEN, "d": Decimal("10")},
            ]
        )
        s.fact.transact([{"m": 1}, {"m": "one"}, {"big": 2**70}, {"y": b"\x00"}])
        yield s.fact.db()


def column(db: Db, name: str) -> Any:
    found = frames.arrow(db, f"[:find ?n ?v :where [?e :n ?n] [?e :{name} ?v] :order-by ?n]")
    return found.column("?v")


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("i", pa.int64(), [7, 8]),
        ("f", pa.float64(), [1.5, 2.5]),
        ("s", pa.string(), ["x", "y"]),
        ("b", pa.bool_(), [True, False]),
        ("t", pa.timestamp("us", tz="UTC"), [WHEN, WHEN]),
        ("d", pa.decimal128(4, 2), [Decimal("1.50"), Decimal("10")]),
    ],
)
def test_columns_have_the_type_of_their_values(
    db: Db, name: str, kind: Any, values: list[Any]
) -> None:
    found = column(db, name)
    assert found.type == kind and found.to_pylist() == values


def test_what_has_no_type_of_its_own_is_edn(db: Db) -> None:
    mixed = frames.arrow(db, "[:find [?m ...] :where [_ :m ?m]]").column("?m")
    assert mixed.type == pa.string() and sorted(mixed.to_pylist()) == ['"one"', "1"]
    assert frames.arrow(db, "[:find ?b . :where [_ :big ?b]]").to_pylist() == [{"?b": str(2**70)}]
    assert frames.arrow(db, "[:find ?y . :where [_ :y ?y]]").to_pylist() == [{"?y": b"\x00"}]


def test_every_shape_is_a_table(db: Db) -> None:
    assert frames.arrow(db, "[:find (count ?e) . :where [?e :n]]").num_rows == 1
    assert frames.arrow(db, "[:find ?n ?s :where [?e :n ?n] [?e :s ?s]]").shape == (2, 2)
    assert frames.arrow(db, "[:find [?n ?s] :where [?e :n ?n] [?e :s ?s]]").shape == (1, 2)
    empty = frames.arrow(db, "[:find ?n ?x :keys n x :where [?n :none ?x]]")
    assert empty.shape == (0, 2) and empty.column_names == ["n", "x"]


def test_keys_name_the_columns_and_inputs_are_passed(db: Db) -> None:
    query = "[:find ?n ?s :keys number text :in $ ?n :where [?e :n ?n] [?e :s ?s]]"
    assert frames.arrow(db, query, 2).to_pylist() == [{"number": 2, "text": "y"}]


def test_two_columns_of_one_name_are_an_error(db: Db) -> None:
    with pytest.raises(QueryError, match="one name"):
        frames.arrow(db, "[:find ?n ?n :where [_ :n ?n]]")


def test_pandas(db: Db) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed: the extra `pandas` has it")
    frame = frames.pandas(db, "[:find ?n ?t :keys n t :where [?e :n ?n] [?e :t ?t] :order-by ?n]")
    assert list(frame["n"]) == [1, 2] and str(frame["n"].dtype) == "int64"
    assert str(frame["t"].dtype) == "datetime64[us, UTC]"
