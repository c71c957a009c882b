"""Several SELECTs of facts as one FROM item: put after each other, or their intervals joined.

Each arm reads facts from one place (a segment, the rows of an overlay). What is not asked for is
not selected, because SQLite carries every column of a union from row to row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import attrs

from persistence.store.dialect import Dialect

Equal = tuple[str, str]  # a column of `fact` and the expression it must equal


@attrs.frozen(slots=True)
class Rows:
    """A FROM item, its conditions, and the expression of each column.

    Where it is a union, `apart` are the FROM items whose rows together are its rows.
    """

    from_: str
    where: tuple[str, ...]
    columns: dict[str, str]
    apart: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Arm:
    """A SELECT of facts `f` from one place; `tx` and `op` say what each row means."""

    from_: str
    where: Sequence[str]
    tx: str = "f.t0"
    op: str = "1"

    def text(self, names: Sequence[str]) -> str:
        """The SELECT of the columns *names*."""
        own = {"tx": f"{self.tx} AS tx", "op": f"{self.op} AS op"}
        columns = ", ".join(own.get(name) or f"f.{name}" for name in names)
        condition = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"SELECT {columns or '1 AS one'} FROM {self.from_}{condition}"


NO_ROWS: Final = Arm("fact AS f", ("1 = 0",), op="0")


@attrs.frozen(slots=True)
class Derived:
    """The FROM item that arms become: its name, its join, and the columns that are read of it.

    The conditions *joined* mention other tables; *wanted* of None is every column.
    """

    alias: str
    dialect: Dialect
    joined: Sequence[Equal]
    wanted: Collection[str] | None = None
    lateral: bool = False

    def plain(self, arms: Sequence[Arm]) -> Rows:
        """The rows of all arms."""
        names = self._every()
        if self.wanted is not None:
            tied = {column for column, _ in self.joined}
            names = [name for name in names if name in self.wanted or name in tied]
        selects = [arm.text(names) for arm in arms]
        apart = tuple(map(self._item, selects))
        return attrs.evolve(self._rows(" UNION ALL ".join(selects)), apart=apart)

    def coalesced(
        self, arms: Sequence[Arm], having: Sequence[str] = (), *, history: bool = False
    ) -> Rows:
        """Gaps and islands: pieces of one value that touch or overlap read as one.

        Of a history the pieces of each transaction are joined apart. *having* are conditions on
        the whole intervals.
        """
        body = " UNION ALL ".join(arm.text(self._every()) for arm in arms)
        fact = ", ".join(("e", "a", "k", *self.dialect.payload, *(("tx", "op") * history)))
        over = f"OVER (PARTITION BY {fact} ORDER BY vf, vt ROWS BETWEEN UNBOUNDED PRECEDING AND"
        starts = f"SELECT *, vf > max(vt) {over} 1 PRECEDING) AS apart FROM ({body}) AS pieces"
        count = "sum(CASE WHEN apart IS NULL OR NOT apart THEN 0 ELSE 1 END)"
        islands = f"SELECT *, {count} {over} CURRENT ROW) AS island FROM ({starts}) AS starts"
        rest = "" if history else ", max(tx) AS tx, 1 AS op"
        return self._rows(
            f"SELECT {fact}{rest}, min(vf) AS vf, max(vt) AS vt FROM ({islands}) AS islands"
            f" GROUP BY {fact}, island{' HAVING ' + ' AND '.join(having) if having else ''}"
        )

    def _every(self) -> list[str]:
        return ["e", "a", "k", *self.dialect.payload, "tx", "op", "vf", "vt"]

    def _rows(self, body: str) -> Rows:
        where = tuple(f"{self.alias}.{column} = {value}" for column, value in self.joined)
        columns = {name: f"{self.alias}.{name}" for name in self._every()}
        return Rows(self._item(body), where, columns)

    def _item(self, body: str) -> str:
        return f"{'LATERAL ' * self.lateral}({body}) AS {self.alias}"
