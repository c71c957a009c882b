"""Collections that a query holds itself: `[(ground ["Ivan" "Petr"]) [?n ...]]` is an input.

A function is called after the statement that could have used what it answers. As an input the
rows travel into the statement and lead to the facts.
"""

from __future__ import annotations

from collections.abc import Collection

from persistence.errors import QueryError
from persistence.query.ast import BindVar, Clause, Clauses, Const, Function, Var, variables
from persistence.query.inputs import Table, taken
from persistence.values import INTERNED, to_columns


def grounded(clauses: Clauses, given: Collection[Var]) -> tuple[Clauses, list[Table]]:
    """*clauses* without the constant collections among them, and those as tables.

    What shows a variable of *given* stays a function, as does what is no value of a fact.
    """
    left: list[Clause] = []
    tables: list[Table] = []
    for each in clauses:
        table = _table(each)
        if table is None or any(var in given for var in table.variables):
            left.append(each)
        else:
            tables.append(table)
    return tuple(left), tables


def _table(each: Clause) -> Table | None:
    if type(each) is not Function or each.f != "ground" or type(each.binding) is BindVar:
        return None
    shown = tuple(dict.fromkeys(variables(each.binding)))
    if len(each.args) != 1 or type(each.args[0]) is not Const or not shown:
        return None
    value = each.args[0].value
    if value is None:
        return None
    try:
        rows = taken(each.binding, value, shown)
    except QueryError:
        return None  # it is said when the clause is reached
    if any(part is None or to_columns(part)[0] >= INTERNED for row in rows for part in row):
        return None
    return Table(shown, rows)
