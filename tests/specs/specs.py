"""Specs of every kind for the laws, and the JSON values that they are tried on."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
from hypothesis import strategies as st

from persistence import specs
from persistence.specs import Registry, bounded, keys, number, pred, ref, regex, seq, sized, tagged
from persistence.values import Char, Keyword, Symbol


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Item:
    """A line of an order."""

    sku: Annotated[str, "the article", sized(1, 20)]
    price: Annotated[float, bounded(0, 1000)]
    count: int = 1
    size: Size | None = None


@attrs.frozen
class Order:
    id: uuid.UUID
    items: list[Item]
    at: dt.datetime
    notes: dict[str, str] = attrs.field(factory=dict)
    _kind: str = attrs.field(default="new", alias="kind")


@attrs.frozen
class Node:
    label: str
    children: list[Node] = attrs.field(factory=list)


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


class Where(TypedDict):
    city: str
    zip: NotRequired[str]


@attrs.frozen
class Circle:
    r: Annotated[float, bounded(0, 10)]
    kind: Literal["circle"] = "circle"


def even(number: int) -> bool:
    return number % 2 == 0


REGISTRY = Registry(
    {
        "json": specs.union(
            None, bool, int, float, str, seq(ref("json"), 0, 3), dict[str, ref("json")]
        ),
        "tree": keys({"value": int}, {"left": ref("tree"), "right": ref("tree")}),
    }
)

# Every kind of spec once.
KINDS: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "none": None,
    "bytes": bytes,
    "decimal": Decimal,
    "fraction": Fraction,
    "instant": dt.datetime,
    "uuid": uuid.UUID,
    "keyword": Keyword,
    "symbol": Symbol,
    "char": Char,
    "list": list[int],
    "tuple": tuple[str, ...],
    "row": tuple[int, str, None],
    "empty row": tuple[()],
    "set": set[int],
    "frozenset": frozenset[str],
    "dict": dict[str, float],
    "dict of ints": dict[int, bool],
    "dict of uuids": dict[uuid.UUID, int],
    "union": int | list[str] | None,
    "numbers": float | int,
    "literal": Literal["a", 1, True, None],
    "enum": Size,
    "choice": specs.enum("a", 2, Keyword("k")),
    "bounded": bounded(-3, 3),
    "bounded float": bounded(0.5, 2),
    "bounded decimal": bounded(Decimal("0.5"), Decimal(2)),
    "bounded instant": bounded(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None),
    "sized": Annotated[str, sized(2, 4)],
    "sized list": Annotated[list[bool], sized(1, 2)],
    "seq": seq(Item, 1, 2),
    "regex": regex("[A-Z]{2,3}-[0-9]+"),
    "pred": pred(int, even, "an even number"),
    "annotated pred": Annotated[int, bounded(0, 100), pred(Any, even, "an even number")],
    "keys": keys({"id": int}, {"note": str}),
    "open keys": keys({"id": int}, closed=False),
    "keyword keys": keys({Keyword("item/id"): int}),
    "class": Item,
    "nested class": Order,
    "recursive class": Node,
    "dataclass": Point,
    "typed dict": Where,
    "union of classes": Item | Point | Circle,
    "tagged": tagged("kind", {"circle": Circle, "dot": keys({"at": tuple[int, int]})}),
    "ref": ref("tree"),
    "json": ref("json"),
    "finite": number(),
}

names = st.sampled_from(sorted(KINDS))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 1.0, 2, -1, 0.5, 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["a", "small", "1/2", "10.50", "AB-1", "2026-04-14T00:00:00Z", "YQ=="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "sku", "price", "kind", "label", "children", "x", "1", "city"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)

# Values that no JSON holds, and some that nothing should take.
odd_values = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        object(),
        10**5000,
        b"\xff",
        Decimal("NaN"),
        Decimal("1e7000"),
        dt.datetime(2026, 1, 1),  # noqa: DTZ001  the missing zone is the point
        dt.date(2026, 1, 1),
        "\ud800",
        {1: 2, 3: True},
        {(1, 2): 3},
        [[[{1, 2}]]],
        Keyword("a/b"),
        Point("x"),  # type: ignore[arg-type]
        Node,
        print,
        {"id": object()},
        {object(): 1},
        type("Sub", (str,), {})("a"),
    ]
)
