"""Validators, which refuse what a transaction would make of a cell, and watches, which are told.

Both are for a whole attribute or for one ref, and hold for the connection they were given to: a
validator sees every transaction of it, however it was written, while the write lock is held; a
watch is called once the transaction is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import attrs

from persistence.connection import Connection
from persistence.datoms import ASSERT
from persistence.db import Report
from persistence.errors import UndeclaredRef, ValidatorRefused
from persistence.stm.reference import Ref
from persistence.transact import Prepared
from persistence.values import Keyword, keyword

Watched: TypeAlias = tuple[int | None, Keyword]  # of one entity, or of all
Predicate: TypeAlias = Callable[[Any], Any]


@attrs.frozen
class Change:
    """What a watch is told: a cell, its values before and after, and the transaction's report.

    None is an empty cell; of an attribute of cardinality many the values are lists.
    """

    entity: int
    attribute: Keyword
    old: Any
    new: Any
    report: Report = attrs.field(repr=False)


class Watching:
    """The validators and watches of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._validators: dict[Watched, list[Predicate]] = {}

    def validator(self, target: Any, predicate: Predicate) -> Callable[[], None]:
        """Refuses from now on every value of *target* that *predicate* does not accept."""
        watched = self._watched(target)
        if not self._validators:
            self._connection.checks.append(self.check)
        self._validators[watched] = [*self._validators.get(watched, ()), predicate]

        def stop() -> None:
            left = [each for each in self._validators.get(watched, ()) if each is not predicate]
            if left:
                self._validators[watched] = left
            elif self._validators.pop(watched, None) and not self._validators:
                self._connection.checks.remove(self.check)

        return stop

    def watch(self, target: Any, callback: Callable[[Change], Any]) -> Callable[[], None]:
        """Calls *callback* with every committed :class:`Change` of *target*."""
        watched = self._watched(target)

        def told(report: Report) -> None:
            for change in _changes(report, watched):
                callback(change)

        return self._connection.listen(told)

    def accept(self, e: int, attribute: Keyword, value: Any) -> None:
        """Asks the validators about one value.

        Raises:
            ValidatorRefused: one does not accept it.
        """
        if self._validators:
            for watched in ((None, attribute), (e, attribute)):
                for predicate in self._validators.get(watched, ()):
                    if not predicate(value):
                        raise ValidatorRefused(
                            f"a validator of {attribute} does not accept {value!r:.80} "
                            f"for entity {e}",
                            hint="nothing was written; write a value that it accepts",
                            entity=e,
                            attribute=attribute,
                            value=value,
                        )

    def check(self, prepared: Prepared) -> None:
        """Asks the validators about everything that a transaction asserts."""
        if self._validators:
            typed = prepared.typed
            for e, a, k, payload, _, _, op in prepared.changes:
                if op == ASSERT:
                    self.accept(e, typed.known[a], typed.python((k, payload)))

    def _watched(self, target: Any) -> Watched:
        if not isinstance(target, Ref):
            return (None, keyword(target))
        e = self._connection.db().entid(target.entity)
        if e is None:
            raise UndeclaredRef(
                f"{target.entity!r} names no entity, so {target} has no cell",
                hint="transact the entity first, or name the attribute alone",
                entity=target.entity,
                attribute=target.attribute,
            )
        return (e, target.attribute)


def _changes(report: Report, watched: Watched) -> Iterator[Change]:
    e, attribute = watched
    cells = dict.fromkeys(
        datom.e for datom in report.tx_data if datom.a is attribute and e in (None, datom.e)
    )
    for entity in cells:
        old = report.db_before.get(entity, attribute)
        new = report.db_after.get(entity, attribute)
        if old != new:  # a change of another stretch of valid time is none of now
            yield Change(entity, attribute, old, new, report)
