"""Software transactions of Persistence, in the shape that the figures ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from bench import answers
from bench.crew import Crew, Fleet
from bench.figure import OURS
from bench.ours import SALARY, SCORE, Ours
from bench.timing import Call, Stage
from persistence.stm import Transaction


def _more(n: int) -> int:
    return n + 1


WAYS: dict[str, Callable[[Transaction, int], Any]] = {
    "alter": lambda tx, e: tx.ref(e, SCORE).alter(_more),
    "commute": lambda tx, e: tx.ref(e, SCORE).commute(_more),
}


@attrs.define
class Threads(Stage[Crew]):
    """A stage of threads; where a figure is missed, one thread alone is profiled."""

    alone: Callable[[], Any] = attrs.field(kw_only=True)

    def observed(self, observe: Callable[..., Any]) -> int:
        made, _ = observe(self.alone)
        return int(made)


@attrs.define
class Counters:
    """Threads that count cells up, each increment in a transaction of its own.

    `cells` are the entities that the threads count in; `counted` is what was acknowledged since
    the start, `bodies` how many bodies were run for it, aborted ones included.
    """

    store: Ours
    way: str
    cells: Sequence[int]
    name: str = OURS
    counted: int = 0
    bodies: int = 0

    def __attrs_post_init__(self) -> None:
        self.store.transact([[":db/add", e, SCORE, 0] for e in sorted(set(self.cells))])

    def counting(self, times: int) -> Threads:
        """Every thread makes *times* increments."""

        def alone() -> tuple[int, int]:
            made, bodies = self._work(self.cells[0], times)()
            self.counted += made
            self.bodies += bodies
            return made, bodies

        def run(crew: Crew) -> None:
            for made, bodies in crew.run():
                self.counted += made
                self.bodies += bodies

        return Threads(
            self.name,
            prepare=lambda: Crew([self._work(e, times) for e in self.cells]),
            run=run,
            normal=lambda _: self.total(),
            finish=lambda crew: crew.close(),
            operations=times * len(self.cells),
            alone=alone,
        )

    def _work(self, e: int, times: int) -> Callable[[], tuple[int, int]]:
        substrate, way = self.store.substrate, WAYS[self.way]

        def work() -> tuple[int, int]:
            bodies = 0

            def body(tx: Transaction) -> None:
                nonlocal bodies
                bodies += 1
                way(tx, e)

            for _ in range(times):
                substrate.txn.run(body)
            return times, bodies

        return work

    def total(self) -> int:
        """The sum of the cells as they are stored."""
        db = self.store.db
        return sum(int(db.get(e, SCORE)) for e in set(self.cells))

    @property
    def lost(self) -> int:
        """Acknowledged increments that are not there."""
        return self.counted - self.total()

    @property
    def aborts(self) -> int:
        return self.bodies - self.counted


@attrs.define
class Processes:
    """Processes that count cells of one store up, by `alter` and `commute` in turns."""

    store: Ours
    cells: Sequence[int]
    name: str = OURS
    counted: int = 0
    errors: int = 0
    fleet: Fleet = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store.transact([[":db/add", e, SCORE, 0] for e in sorted(set(self.cells))])
        self.fleet = Fleet(str(self.store.where), self.cells)

    def close(self) -> None:
        self.fleet.close()

    def counting(self, times: int) -> Stage[None]:
        """Every process makes *times* increments."""

        def run(_: None) -> None:
            for told in self.fleet.run(times):
                self.counted += told["made"]
                self.errors += told["errors"]

        return Stage(self.name, lambda: None, run, operations=times * len(self.cells))

    @property
    def lost(self) -> int:
        """Acknowledged increments that are not there."""
        db = self.store.db
        return self.counted - sum(int(db.get(e, SCORE)) for e in set(self.cells))


def reading(store: Ours, entities: Sequence[int], *, inside: bool, name: str = OURS) -> Call:
    """The salary of each of *entities*, in one transaction or from one database value."""
    fact, txn = store.substrate.fact, store.substrate.txn

    def body(tx: Transaction) -> list[Any]:
        return [tx.get(e, SALARY) for e in entities]

    def outside() -> list[Any]:
        db = fact.db()
        return [db.get(e, SALARY) for e in entities]

    return Call(name, (lambda: txn.run(body)) if inside else outside, operations=len(entities))


def asking(
    store: Ours, text: str, inputs: Sequence[Sequence[Any]], *, inside: bool, name: str = OURS
) -> Call:
    """A query for each of *inputs*, in one transaction or from one database value."""
    fact, txn = store.substrate.fact, store.substrate.txn

    def ask(of: Any) -> list[Any]:
        return [of.q(text, *each) for each in inputs]

    return Call(
        name,
        (lambda: txn.run(ask)) if inside else (lambda: ask(fact.db())),
        lambda found: [answers.rows(each) for each in found],
        operations=len(inputs),
    )
