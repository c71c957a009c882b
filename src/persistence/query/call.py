"""Calls functions and predicates for the rows of a table: once for all where no row matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from persistence.errors import PersistenceError, QueryError
from persistence.query.ast import Const, Function, Predicate, Source, Var, variables
from persistence.query.functions import FunctionRegistry, truthy
from persistence.query.inputs import Table, key_of, taken
from persistence.query.match import joined
from persistence.query.plan import called

UNIT: Final = Table((), [()])


@attrs.frozen(eq=False)
class Calls:
    """The functions that a run may call, and the values that are the same for every row."""

    _registry: FunctionRegistry
    _constants: Mapping[Var, Any]
    _sources: Mapping[str, Any]
    _check: Callable[[int], None]  # refuses so many rows, or to go on for so long

    def applied(self, table: Table, each: Predicate | Function) -> Table:
        """The rows for which a predicate holds, or with what a function answers."""
        function = self._function(each, table)
        arguments = [self.argument(arg, table) for arg in each.args]
        if isinstance(each, Predicate):
            kept = [
                row for row in table.rows if truthy(function(row)(*[get(row) for get in arguments]))
            ]
            return Table(table.variables, kept)
        shown = tuple(dict.fromkeys(variables(each.binding)))
        if table.variables and not depends(table, each):
            return joined(table, self.applied(UNIT, each))  # one call serves every row
        new = tuple(var for var in shown if var not in table.variables)
        at = {var: index for index, var in enumerate(table.variables)}
        rows = []
        for row in table.rows:
            result = function(row)(*[get(row) for get in arguments])
            if result is None:
                continue
            for found in taken(each.binding, result, shown):
                values = dict(zip(shown, found, strict=True))
                if all(
                    key_of(value) == key_of(self._known(var, row, at))
                    for var, value in values.items()
                    if var in at or var in self._constants
                ):
                    rows.append((*row, *[values[var] for var in new]))
            self._check(len(rows))
        return Table((*table.variables, *new), rows)

    def _known(self, var: Var, row: tuple[Any, ...], at: Mapping[Var, int]) -> Any:
        return row[at[var]] if var in at else self._constants[var]

    def _function(self, each: Predicate | Function, table: Table) -> Any:
        """What to call for a row."""
        registry = self._registry
        if isinstance(each.f, str):
            found = registry[each.f]
            return lambda row: found
        get = self.argument(each.f, table)

        def look(row: tuple[Any, ...]) -> Any:
            value = get(row)
            if callable(value):
                return _guarded(value, each)
            name = called(value)
            if name is None:
                raise QueryError(f"{value!r} cannot be called in {each!r}", clause=repr(each))
            return registry[name]

        return look

    def argument(self, arg: Any, table: Table) -> Any:
        """What gives an argument of a row."""
        if type(arg) is Const:
            return lambda row: arg.value
        if type(arg) is Source:
            return lambda row: self._sources[arg.name]
        if arg in table.variables:
            at = table.variables.index(arg)
            return lambda row: row[at]
        return lambda row: self._constants[arg]


def _guarded(function: Any, each: Predicate | Function) -> Any:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except PersistenceError:
            raise
        except Exception as error:
            raise QueryError(
                f"{each!r} failed: {str(error) or type(error).__name__}", clause=repr(each)
            ) from error

    return call


def depends(table: Table, each: Predicate | Function) -> bool:
    """Whether what is called, or an argument of it, differs by row."""
    return any(arg in table.variables for arg in (each.f, *each.args))
