"""What an attacker writes into a field: another value that could stand there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import apsw
import attrs

from persistence import Keyword
from persistence.audit.record import NO_LEAF, entry, parse_entry
from persistence.values import INTERNED, Kind, columns, encode

Row = Mapping[str, Any]


@attrs.frozen
class Table:
    """The rows of one table, and the columns that tell one row from another."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def others(self, row: Row, column: str) -> Iterator[Any]:
        """What other rows have in *column*: first those of the same kind."""
        held = row[column]
        for same in (True, False):
            for other in self.rows:
                value = other[column]
                if (other.get("k") == row.get("k")) is same and not _same(value, held):
                    yield value


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def read(file: apsw.Connection, name: str) -> Table:
    info = file.execute(f"SELECT name, pk FROM pragma_table_info('{name}')").fetchall()
    names = tuple(column for column, _ in info)
    key = tuple(column for column, place in sorted(info, key=lambda one: one[1]) if place)
    rows = file.execute(f"SELECT {', '.join(names)} FROM {name} ORDER BY {', '.join(key) or 1}")
    return Table(name, key or names, names, tuple(dict(zip(names, r, strict=True)) for r in rows))


def write(file: apsw.Connection, table: Table, row: Row, column: str) -> Any:
    """Puts another value into a field, the first that the table's constraints let pass."""
    for value in candidates(table, row, column):
        if _same(value, row[column]):
            continue
        try:
            file.execute(
                f"UPDATE {table.name} SET {column} = ? WHERE {_named(table)}",
                (value, *(row[name] for name in table.key)),
            )
        except (apsw.ConstraintError, OverflowError):
            continue
        assert file.changes() == 1, (table.name, row, column)
        return value
    raise AssertionError(f"nothing else can stand in {table.name}.{column} of {row}")


def delete(file: apsw.Connection, table: Table, row: Row) -> None:
    file.execute(
        f"DELETE FROM {table.name} WHERE {_named(table)}", [row[name] for name in table.key]
    )
    assert file.changes() == 1


def duplicate(file: apsw.Connection, table: Table, row: Row) -> Row | None:
    """The row once more, under another key; None where there can be but one."""
    for column in reversed(table.key):
        for value in candidates(table, row, column):
            twin = {**row, column: value}
            if table.name == "tx":
                twin["id"] = bytes(reversed(row["id"]))
            try:
                insert(file, table, twin)
            except apsw.ConstraintError:
                continue
            return twin
    return None


def insert(file: apsw.Connection, table: Table, row: Row) -> None:
    marks = ", ".join("?" * len(table.columns))
    file.execute(
        f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})",
        [row[name] for name in table.columns],
    )


def swap(file: apsw.Connection, table: Table, one: Row, other: Row) -> None:
    """Two rows change places: each gets the key of the other."""
    delete(file, table, one)
    delete(file, table, other)
    for row, place in ((one, other), (other, one)):
        insert(file, table, {**row, **{name: place[name] for name in table.key}})


def _named(table: Table) -> str:
    return " AND ".join(f"{name} IS ?" for name in table.key)


# ------------------------------------------------------------------ other values


def candidates(table: Table, row: Row, column: str) -> Iterator[Any]:
    """Values that could stand in a field instead, the most deceptive first."""
    special = _SPECIAL.get((table.name, column)) or _SPECIAL.get(("", column))
    if special is not None:
        yield from special(table, row)
    held = row[column]
    if type(held) is int:
        yield from (held + 1, held - 1)
    yield from table.others(row, column)
    if type(held) is int:
        yield max(other[column] for other in table.rows if type(other[column]) is int) + 1
    elif type(held) is str:
        yield held + "x"
    elif type(held) is bytes:
        yield bytes((*held[:-1], held[-1] ^ 1)) if held else b"t"
    elif type(held) is float:
        yield held + 0.5


def _payloads(table: Table, row: Row) -> Iterator[Any]:
    """Another value of the same kind, as it would be stored."""
    k, held = row["k"], row["v"]
    if type(k) is not int:  # full text has settings by name
        return
    for value in _VALUES.get(k, ()):
        yield columns(value)[1]
    if k == Kind.FLOAT:
        yield from (4.5, 0.0, "NaN")
    elif k < INTERNED and type(held) is str and k in (Kind.STRING, Kind.KEYWORD, Kind.SYMBOL):
        yield held + "x"
    elif k == 0:
        yield 1


_VALUES: Final[dict[int, tuple[Any, ...]]] = {
    Kind.BOOL: (True, False),
    Kind.BIGINT: (2**71,),
    Kind.FLOAT: (4.5,),
    Kind.RATIO: (),
    Kind.BYTES: (b"\x01\x03",),
    Kind.VECTOR: ((1, "three"),),
}


def _kinds(table: Table, row: Row) -> Iterator[int]:
    """Another kind under which the same payload can be read."""
    yield from _KINDS.get(row["k"], ()) if type(row["k"]) is int else ()


_KINDS: Final[dict[int, tuple[int, ...]]] = {
    Kind.BOOL: (Kind.INT,),
    Kind.INT: (Kind.INST,),
    Kind.INST: (Kind.INT,),
    Kind.BIGINT: (Kind.RATIO,),
    Kind.RATIO: (Kind.BIGINT,),
    Kind.STRING: (Kind.KEYWORD,),
    Kind.KEYWORD: (Kind.STRING, Kind.SYMBOL),
    Kind.VECTOR: (Kind.LIST,),
    Kind.BYTES: (Kind.STRING,),
    Kind.STRING + INTERNED: (Kind.VECTOR + INTERNED,),
}


def _hashes(column: str) -> Callable[[Table, Row], Iterator[Any]]:
    def of_others(table: Table, row: Row) -> Iterator[Any]:
        yield from table.others(row, column)
        yield bytes(32)

    return of_others


def _entries(table: Table, row: Row) -> Iterator[bytes]:
    """Entries that say something else, each whole and in its canonical form."""
    held = parse_entry(row["entry"])
    header = attrs.evolve(held.header, time=held.header.time + 1)
    made = entry(header, held.previous_leaf)
    yield attrs.evolve(made, public=held.public, signature=held.signature).encoded()
    yield attrs.evolve(held, previous_leaf=NO_LEAF).encoded()


def _long_text(table: Table, row: Row) -> Iterator[bytes]:
    yield encode("a value that nobody ever stated " * 20)


def _marks(table: Table, row: Row) -> Iterator[int]:
    """Flags with one of them switched."""
    yield from (row["flags"] ^ bit for bit in (1, 2, 4, 8, 16))


_SPECIAL: Final[dict[tuple[str, str], Callable[[Table, Row], Iterator[Any]]]] = {
    ("", "v"): _payloads,
    ("", "k"): _kinds,
    ("tx", "next_e"): lambda table, row: iter((row["next_e"] - 1,)),
    ("tx", "id"): _hashes("id"),
    ("tx", "leaf"): _hashes("leaf"),
    ("tx", "entry"): _entries,
    ("blob", "data"): _long_text,
    ("attr", "flags"): _marks,
    ("attr", "ident"): lambda table, row: iter((Keyword(row["ident"] + "x").name,)),
    ("branch_attr", "flags"): _marks,
    ("sealed", "whole"): lambda table, row: iter((1 - row["whole"],)),
    ("fact", "node"): lambda table, row: iter((1_688_849_860_263_937,)),
}
