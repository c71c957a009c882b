"""Branches, merges and forks of Persistence, in the shape that the figures ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import Any

from bench.figure import OURS
from bench.ours import SALARY, Ours
from bench.timing import Stage
from bench.workload import Person
from persistence.db import Db
from persistence.stm import Transaction
from persistence.substrate import Facts, OnBranch

CANDIDATES = 4
Pairs = Sequence[tuple[int, int]]

_NAMES = count(1)


def _name() -> str:
    return f"branch {next(_NAMES)}"


def branching(store: Ours, times: int) -> Stage[list[str]]:
    """Begins branches at the head of the main line."""

    def run(names: list[str]) -> None:
        for name in names:
            store.substrate.branch.create(name)

    return Stage(OURS, prepare=lambda: [_name() for _ in range(times)], run=run, operations=times)


def _cells(turn: int, facts: int, people: int) -> range:
    """The people whose salary the commit of this turn changes: others at each turn."""
    start = 1 + turn * facts % (people - facts)
    return range(start, start + facts)


def committing(store: Ours, times: int, facts: int, people: int, *, name: str) -> Stage[None]:
    """Commits that change so many facts each."""
    transact = store.substrate.fact.transact
    turns = count(1)

    def run(_: None) -> None:
        for turn in islice(turns, times):
            transact([[":db/add", e, SALARY, -turn] for e in _cells(turn, facts, people)])

    return Stage(name, prepare=lambda: None, run=run, operations=times)


def forking(
    store: Ours, times: int, facts: int, people: int, *, refs: bool = False, name: str = OURS
) -> Stage[None]:
    """Transactions that fork into four candidates of so many facts each, and choose one.

    Candidates transact their facts, or set as many refs. What was chosen is then left uncommitted,
    so that what is timed is everything but the one commit.
    """
    txn = store.substrate.txn
    turns = count(1)

    def candidate(place: int, turn: int) -> Callable[[Transaction], int]:
        cells = _cells(CANDIDATES * turn + place, facts, people)

        def transacted(tx: Transaction) -> int:
            tx.transact([[":db/add", e, SALARY, -turn] for e in cells])
            return place

        def referred(tx: Transaction) -> int:
            for e in cells:
                tx.ref(e, SALARY).set(-turn)
            return place

        return referred if refs else transacted

    def body(tx: Transaction, turn: int) -> Any:
        tried = [candidate(place, turn) for place in range(CANDIDATES)]
        kept = tx.fork(tried, score=lambda outcome: outcome.value).value
        assert kept == CANDIDATES - 1
        raise _Chosen

    def run(_: None) -> None:
        for turn in islice(turns, times):
            with suppress(_Chosen):
                txn.run(body, turn)

    return Stage(name, prepare=lambda: None, run=run, operations=times)


class _Chosen(Exception):
    """The fork is done; its commit is not wanted."""


def grown(store: Ours, branches: int) -> float:
    """Bytes by which the file grows for one branch, with what its commit leaves behind."""
    before = store.size()
    for _ in range(branches):
        store.substrate.branch.create(_name())
    return (store.size() - before) / branches


def revised(crowd: Sequence[Person], every: int) -> list[dict[str, Any]]:
    """One person in so many is a year older and has another last name."""
    return [
        {":db/id": person.id, ":age": person.age + 1, ":last-name": "Smirnov"}
        for person in crowd
        if person.id % every == 0
    ]


def nested(store: Ours, crowd: Sequence[Person], every: int) -> Db:
    """A branch of a branch; each changes one person in so many, not the same ones."""
    half = len(crowd) // 2
    first = store.substrate.branch.create(_name())
    first.fact.transact(revised(crowd[:half], every))
    second = store.substrate.branch.create(_name(), of=first.name)
    second.fact.transact(revised(crowd[half:], every))
    return second.fact.db()


def _salaries(facts: Facts, pairs: Pairs) -> list[Any]:
    db = facts.db()
    return [db.get(e, SALARY) for e, _ in pairs]


def merging(store: Ours, revisions: Sequence[Pairs]) -> Stage[tuple[OnBranch, Pairs]]:
    """Merges a branch that changed one salary for each pair."""
    upcoming = iter(revisions)

    def prepare() -> tuple[OnBranch, Pairs]:
        pairs = next(upcoming)
        branch = store.substrate.branch.create(_name())
        branch.fact.transact([[":db/add", e, SALARY, v] for e, v in pairs])
        return branch, pairs

    return Stage(
        OURS,
        prepare=prepare,
        run=lambda stage: store.substrate.branch.merge(stage[0].name),
        normal=lambda stage: _salaries(store.substrate.fact, stage[1]),
    )


def transacting(store: Ours, revisions: Sequence[Pairs], *, name: str) -> Stage[Pairs]:
    """Transacts the same changes on the main line."""
    upcoming = iter(revisions)
    return Stage(
        name,
        prepare=lambda: next(upcoming),
        run=lambda pairs: store.transact([[":db/add", e, SALARY, v] for e, v in pairs]),
        normal=lambda pairs: _salaries(store.substrate.fact, pairs),
    )
