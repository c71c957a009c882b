"""Many traces at once: what was recorded elsewhere becomes runs of a store in few transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import attrs

from persistence.db import Db, Report
from persistence.effects import facts
from persistence.effects.trace import Trace

_STEPS: Final = 5_000  # of one transaction: some 40 000 facts


class Fact(Protocol):
    """`s.fact`, of a store or of a branch."""

    def transact(
        self, forms: Any, *, meta: Mapping[Any, Any] | None = None, author: str | None = None
    ) -> Report: ...

    def db(self) -> Db: ...


@attrs.frozen
class Written:
    """The runs that were written, with their steps, and how many were there already."""

    ids: tuple[UUID, ...] = ()
    steps: int = 0
    known: int = 0


def write(
    fact: Fact,
    traces: Iterable[Trace],
    *,
    meta: Mapping[Any, Any] | None = None,
    author: str | None = None,
) -> Written:
    """Writes *traces* as runs. Each is in one transaction with its steps; a run whose id is there
    is left as it is. *meta* and *author* are said of the transactions.

    >>> from uuid import UUID
    >>> write(s.fact, [Trace(UUID(int=1), "nothing", ())]).steps, len(s.effect.runs())
    (0, 1)

    Raises:
        TransactionError: the parent of a run is not in the store.
        LimitExceeded: a run has more steps than a transaction may hold.
    """
    declarations = facts.missing(fact.db().schema)
    if declarations:
        fact.transact(declarations)
    ids: list[UUID] = []
    steps = known = 0
    for some in _chunks(traces):
        db = fact.db()
        seen: set[UUID] = set()
        new = []
        for trace in some:
            if trace.id in seen or db.entid([facts.RUN_ID, trace.id]) is not None:
                known += 1
            else:
                new.append(trace)
            seen.add(trace.id)
        if new:
            forms = [form for n, trace in enumerate(new) for form in _forms(f"run{n}", trace)]
            fact.transact(forms, meta=meta, author=author)
            ids += [trace.id for trace in new]
            steps += len(forms) - len(new)
    return Written(tuple(ids), steps, known)


def _chunks(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    waiting: list[Trace] = []
    size = 0
    for trace in traces:
        if waiting and size + len(trace) > _STEPS:
            yield waiting
            waiting, size = [], 0
        waiting.append(trace)
        size += len(trace)
    if waiting:
        yield waiting


def _forms(run: str, trace: Trace) -> Iterator[dict[Any, Any]]:
    parent = None if trace.parent is None else [facts.RUN_ID, trace.parent]
    yield {**facts.run_form(trace, parent), **facts.end_form(run, trace)}
    for step in trace.steps:
        if trace.upto is None or step.n >= trace.upto:  # those before are its parent's
            yield facts.step_form(step, run)
