"""Every table, every row, every field: what is changed in it is found, where it was changed.

Rows whose changes are told at different places are changed together; each place must be named.
One row of every table is changed alone as well, so that none is found by what another one broke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import attrs
import pytest

from persistence.ids import SYSTEM0
from tests.audit.tampering import changes
from tests.audit.tampering.changes import Row, Table
from tests.audit.tampering.conftest import Planted
from tests.audit.tampering.planted import tampering, told

TX: Final = "transaction t = {t}"
NAMED: Final = ("attribute {id}:", f"{TX} log", f"{TX} datoms root")
LOG: Final = (f"{TX} datoms root", f"{TX} log")
FACT: Final = "index segment {seg} attribute {a} entity {e}"
WORDS: Final = ("full text attribute {a} text {v!r}", "full text: expected an index that can be")
OWNED: Final = "branch {branch} fact of entity {e} attribute {a}"
SEALED: Final = (f"{TX} log", f"{TX} datoms root")
NOTE: Final = "the newest checkpoint"
META: Final = "meta {key}"

# Where it is told that a field of a row was changed; {} are fields of the row as it was.
PLACES: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "meta": {"key": META, "value": META},
    "attr": {"id": NAMED, "ident": NAMED, "flags": "attribute {ident} flags"},
    "tx": {
        "t": (TX, "log t = {t}"),
        "branch": f"{TX} branch",
        "parent": f"{TX} parent",
        "id": f"{TX} id",
        "time": f"{TX} time",
        "next_e": f"{TX} next entity",
        "leaf": f"{TX} leaf",
        "entry": f"{TX} leaf",
    },
    "log": dict.fromkeys(("t", "i", "e", "a", "k", "v", "vf", "vt", "op"), LOG),
    "blob": {"id": LOG, "data": LOG},
    "fact": dict.fromkeys(
        ("seg", "a", "e", "vt", "k", "v", "t0", "t1", "vf", "ix", "node"), FACT
    ),
    "text": dict.fromkeys(("id", "a", "k", "v"), WORDS),
    "owned": dict.fromkeys(("branch", "a", "e", "k", "v"), OWNED),
    "branch_attr": dict.fromkeys(("branch", "a", "flags"), "branch {branch} attribute {a} flags"),
    "tree": dict.fromkeys(("level", "n", "hash"), "tree level {level}, node {n}"),
    "checkpoint": {"note": NOTE},
    "sealed": dict.fromkeys(("t", "i", "salt", "hash", "whole"), SEALED),
}  # fmt: skip
# Where it is told that a row is gone, or there twice.
ROWS: Final[dict[str, str | tuple[str, ...]]] = {
    "meta": META,
    "attr": NAMED,
    "tx": (TX, "log t = {t}"),
    "log": LOG,
    "blob": ("interned value {id}", *LOG),
    "fact": FACT,
    "text": WORDS,
    "owned": OWNED,
    "branch_attr": "branch {branch} attribute {a} flags",
    "tree": "tree level {level}, node {n}",
    "checkpoint": NOTE,
    "sealed": SEALED,
}
FIELDS: Final = [(table, column) for table, columns in PLACES.items() for column in columns]


def places(row: Row, told_at: str | tuple[str, ...]) -> tuple[str, ...]:
    """The places at which a change of *row* is told, any one of them."""
    seen = {name: x.hex() if type(x) is bytes else x for name, x in row.items()}
    return tuple(
        place.format(**seen) for place in ((told_at,) if type(told_at) is str else told_at)
    )


def rounds(
    table: Table, told_at: str | tuple[str, ...], rows: Iterable[Row]
) -> Iterator[list[Row]]:
    """*rows* in lists of such as are told at different places; and first one of them alone."""
    rows = list(rows)
    yield [rows[len(rows) // 2]]
    left: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        left.setdefault(places(row, told_at), []).append(row)
    while left:
        yield [queue.pop() for queue in left.values()]
        left = {place: queue for place, queue in left.items() if queue}


def assert_told(said: list[str], rows: Iterable[Row], told_at: str | tuple[str, ...]) -> None:
    missed = [
        row for row in rows if not any(line.startswith(places(row, told_at)) for line in said)
    ]
    assert not missed, f"not told: {missed[:3]} of {len(missed)}, but {said[:8]}"


def table_of(path: Path, name: str) -> Table:
    """The rows of a table; names and interned values with the transaction that had them first."""
    with closing(apsw.Connection(str(path))) as file:
        table = changes.read(file, name)
        if name not in ("attr", "blob"):
            return table
        log = changes.read(file, "log").rows
    first: dict[Any, int] = {}
    for row in log:
        for said in (row["a"], row["e"] - SYSTEM0, str(row["v"])[-64:]):
            first.setdefault(said, row["t"])
    rows = [{**row, "t": first.get(_key(row["id"]), 0)} for row in table.rows]
    return attrs.evolve(table, rows=tuple(rows))


def _key(id: Any) -> Any:
    return id.hex() if type(id) is bytes else id


Copied = Callable[[], Path]


@pytest.mark.parametrize(("name", "column"), FIELDS, ids=[".".join(field) for field in FIELDS])
def test_a_field_that_is_changed_is_told_at_its_place(
    planted: Planted, copied: Copied, name: str, column: str
) -> None:
    table, told_at = table_of(planted.path, name), PLACES[name][column]
    rows = [row for row in table.rows if not _may_be_so(name, column, row)]
    for together in rounds(table, told_at, rows):
        if column in table.key and name in ("tx", "meta"):  # keys collide when all of them move
            together = together[:1]
        path = copied()
        with tampering(path) as file:
            for row in together:
                changes.write(file, table, row, column)
        assert_told(told(path, planted.keys), together, told_at)


def _may_be_so(name: str, column: str, row: Row) -> bool:
    """What a sound store may have as well."""
    # Of what was erased by now, the marks are left.
    return (name == "attr" and column == "flags" and row["ident"] == "secret") or (
        name == "branch_attr" and row["a"] == 68
    )


@pytest.mark.parametrize("name", PLACES)
def test_a_row_that_is_deleted_is_told_at_its_place(
    planted: Planted, copied: Copied, name: str
) -> None:
    table, told_at = table_of(planted.path, name), ROWS[name]
    for number, together in enumerate(rounds(table, told_at, table.rows)):
        if name == "tx" and number:
            together = together[::16]
        path = copied()
        with tampering(path) as file:
            for row in together:
                changes.delete(file, table, row)
        assert_told(told(path, planted.keys), together, told_at)


@pytest.mark.parametrize("name", PLACES)
def test_a_row_that_is_there_twice_is_told_at_its_place(
    planted: Planted, copied: Copied, name: str
) -> None:
    table, told_at = table_of(planted.path, name), ROWS[name]
    for together in rounds(table, told_at, table.rows):
        path, twins = copied(), []
        with tampering(path) as file:
            for row in together if name != "tx" else together[:1]:
                twin = changes.duplicate(file, table, row)
                if twin is not None and not _may_be_so(name, "", twin):
                    twins.append(twin)
        if not twins:
            assert name in ("checkpoint", "attr", "text"), name  # they say that it is unique
            continue
        assert_told(told(path, planted.keys), twins, told_at)


@pytest.mark.parametrize(
    "name", ["attr", "tx", "log", "blob", "fact", "text", "branch_attr", "sealed"]
)
def test_rows_that_change_places_are_told(planted: Planted, copied: Copied, name: str) -> None:
    table = table_of(planted.path, name)
    pairs = [pair for pair in _neighbours(table) if _differ(table, *pair)]
    for one, other in (pairs[0], pairs[len(pairs) // 2], pairs[-1]):
        path = copied()
        with tampering(path) as file:
            changes.swap(file, table, one, other)
        said = told(path, planted.keys)
        at = (*places(one, ROWS[name]), *places(other, ROWS[name]))
        assert any(line.startswith(at) for line in said), (one, other, said[:5])


def _neighbours(table: Table) -> Iterator[tuple[Row, Row]]:
    return zip(table.rows, table.rows[1:], strict=False)


def _differ(table: Table, one: Row, other: Row) -> bool:
    rest = [name for name in table.columns if name not in table.key]
    return any(one[name] != other[name] for name in rest)
