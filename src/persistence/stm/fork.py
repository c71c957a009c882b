"""Several continuations of one transaction: all are tried, one is kept, the record tells of all.

Every candidate gets a child transaction on the parent's snapshot and writes. What the winner
decided becomes the parent's; of the others only a summary is left, in the same commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final, TypeAlias
from uuid import UUID

import attrs

from persistence.db import Db
from persistence.errors import ForkError
from persistence.query.footprint import Footprints
from persistence.stm.guard import guarded, is_guarded
from persistence.stm.rounds import MOST, Round
from persistence.stm.shipping import IDS, SERIAL_IDS, Parcel, Shop, State0, carry_out, opened
from persistence.stm.state import Retry
from persistence.stm.trial import Candidate, Outcome, Score, best, named, tried
from persistence.stm.workspace import Workspace
from persistence.values import Keyword, freeze

Choose: TypeAlias = Callable[[Sequence[Outcome]], Outcome | None]
_ID: Final = Keyword("fork/id")
_WINNER: Final = Keyword("fork/winner")
_CANDIDATES: Final = Keyword("fork/candidates")
_LABEL: Final = Keyword("candidate/label")
_SCORE: Final = Keyword("candidate/score")
_DIGEST: Final = Keyword("candidate/digest")
_WON: Final = Keyword("candidate/won")
_ERROR: Final = Keyword("candidate/error")

_REF: Final = Keyword("db.type/ref")
DECLARATIONS: Final = (
    {":db/ident": _ID, ":db/unique": Keyword("db.unique/identity")},
    {":db/ident": _WINNER, ":db/valueType": _REF},
    {
        ":db/ident": _CANDIDATES,
        ":db/valueType": _REF,
        ":db/cardinality": Keyword("db.cardinality/many"),
        ":db/isComponent": True,
    },
)


@attrs.frozen(eq=False)
class Forked:
    """What a fork came to: the winner, every outcome in the order of the candidates, and the
    winner's value. `id` is the :fork/id of the record, None without one."""

    winner: Outcome
    outcomes: tuple[Outcome, ...]
    value: Any
    id: UUID | None = None


def fork(
    parent: Workspace,
    candidates: Mapping[Any, Candidate] | Iterable[Candidate],
    *,
    score: Score,
    choose: Choose | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    record: bool = True,
    reads: str = "winner",
) -> Forked:
    """See :meth:`Transaction.fork`."""
    every = [(freeze(label), candidate) for label, candidate in named(candidates)]
    _check(executor, workers, reads)
    shown = parent.db  # what cells were set to is laid over once, and not by every candidate
    if executor is None or _in_process(executor):
        outcomes = _here(parent, every, score, executor, workers)
    else:
        outcomes = _elsewhere(parent, shown, every, score, executor)
    parent.deadline.check()
    winner = _chosen(parent, outcomes, choose)
    for outcome in outcomes if reads == "all" else ():
        if outcome.transaction is not None:
            parent.reads.merge(outcome.transaction.reads)
    assert winner.transaction is not None
    winner.transaction.merge_into(parent)
    parent.state = parent.state.copy()  # the outcome goes on showing what the candidate left
    id = _record(parent, winner, outcomes) if record else None
    return Forked(winner, tuple(outcomes), winner.value, id)


def _check(executor: Executor | None, workers: int | None, reads: str) -> None:
    if workers is not None and (executor is not None or workers < 1):
        raise ForkError(
            f"{workers} workers" if executor is None else "an executor has its own workers",
            hint="give either an executor, or the number of threads to use: at least 1",
        )
    if reads not in ("winner", "all"):
        raise ForkError(
            f"there are no reads {reads!r}", hint='depend on the reads of the "winner", or "all"'
        )


def _in_process(executor: Executor) -> bool:
    """Whether an executor shares our memory; the threads of other interpreters do not."""
    return (
        isinstance(executor, ThreadPoolExecutor)
        and type(executor).__name__ != "InterpreterPoolExecutor"
    )


# ----------------------------------------------------------------------- in process


def _here(
    parent: Workspace,
    every: Sequence[tuple[Any, Candidate]],
    score: Score,
    pool: Executor | None,
    workers: int | None,
) -> list[Outcome]:
    found: list[Outcome | None] = [None] * len(every)
    children = [parent.child(Footprints(parent.basis)) for _ in every]
    before, guard = parent.state, is_guarded()

    def work(place: int) -> None:
        label, candidate = every[place]
        with ExitStack() as stack:
            left = parent.deadline.left()
            if left is not None:
                stack.enter_context(parent.connection.deadline(max(left, 0.001)))
            if guard:
                stack.enter_context(guarded())
            found[place] = tried(children[place], before, label, candidate, score)

    jobs = [lambda place=place: work(place) for place in range(len(every))]
    # Who holds the write lock has the ids for new entities at hand in its own thread only.
    most = 1 if parent.serial else workers or MOST
    try:
        Round(jobs).run(parent.deadline, pool=None if parent.serial else pool, workers=most)
    finally:
        for child in children:
            child.close()
    return [outcome for outcome in found if outcome is not None]


# -------------------------------------------------------------------- other processes


def _elsewhere(
    parent: Workspace,
    shown: Db,
    every: Sequence[tuple[Any, Candidate]],
    score: Score,
    executor: Executor,
) -> list[Outcome]:
    shop, db, guard = Shop.of(parent.connection), State0.of(shown), is_guarded()
    loans = [parent.lend(SERIAL_IDS if parent.serial else IDS) for _ in every]
    futures: list[Future[bytes]] = []
    try:
        for (label, candidate), loan in zip(every, loans, strict=True):
            parcel = Parcel(
                shop=shop,
                kind=type(parent),
                options=parent.options,
                eager=parent.eager,
                seconds=parent.deadline.left(),
                io_guard=guard,
                loan=loan,
                db=db,
                basis=parent.basis,
                state=parent.state,
                label=label,
                candidate=candidate,
                score=score,
            )
            futures.append(executor.submit(carry_out, parcel))
        return [
            _received(parent, label, future)
            for (label, _), future in zip(every, futures, strict=True)
        ]
    finally:
        for future in futures:
            future.cancel()


def _received(parent: Workspace, label: Any, future: Future[bytes]) -> Outcome:
    """The outcome that a worker sends; one whose worker or whose sending failed has an error."""
    try:
        data = future.result(parent.deadline.left())
    except Exception as error:
        parent.deadline.check()
        return Outcome(label, error=error)
    returned = opened(data)
    outcome = returned.outcome
    assert outcome is not None
    if returned.reads is None:
        return outcome
    child = parent.child(Footprints(parent.basis))
    source = parent.connection.on(parent.snapshot.branch)
    db = None if returned.db is None else returned.db.on(source, child.reads)
    child.take(returned.reads, returned.kept, returned.state, db)
    child.close()
    return attrs.evolve(outcome, transaction=child)


# ------------------------------------------------------------------------- the winner


def _chosen(parent: Workspace, outcomes: Sequence[Outcome], choose: Choose | None) -> Outcome:
    """
    Raises:
        ForkError: every candidate raised, or *choose* gives none of those that did not.
    """
    standing = [each for each in outcomes if each.error is None]
    if not standing:
        waiting = [each for each in outcomes if isinstance(each.error, Retry)]
        for each in waiting:
            if each.transaction is not None:
                parent.reads.merge(each.transaction.reads)
        if waiting:
            raise Retry
        told = "; ".join(f"{each.label!r}: {_text(each.error)}" for each in outcomes)
        raise ForkError(
            f"every candidate raised: {told}",
            hint="let one candidate be the one that changes nothing; candidates and score for "
            "other processes must be functions of a module",
            errors={each.label: each.error for each in outcomes},
        ) from outcomes[0].error
    chosen = (choose or best)(outcomes)
    if not any(chosen is each for each in standing):
        raise ForkError(
            f"the chooser gives {chosen!r:.80}, which is none of the candidates that came through",
            hint="return one of the outcomes it is given, whose error is None",
            chosen=chosen,
        )
    assert isinstance(chosen, Outcome)
    return chosen


def _record(parent: Workspace, winner: Outcome, outcomes: Iterable[Outcome]) -> UUID:
    """Notes what was tried, and gives the id of the record."""
    parent.declare(DECLARATIONS)
    key, fork = parent.one()
    facts: list[tuple[int, Keyword, Any]] = [(fork, _ID, key)]
    for outcome in outcomes:
        e = parent.new()
        won = outcome is winner
        facts += [(fork, _CANDIDATES, e), (e, _LABEL, outcome.label), (e, _WON, won)]
        if outcome.score is not None:
            facts.append((e, _SCORE, outcome.score))
        if outcome.digest is not None:
            facts.append((e, _DIGEST, outcome.digest.hex()))
        if outcome.error is not None:
            facts.append((e, _ERROR, _text(outcome.error)))
        if won:
            facts.append((fork, _WINNER, e))
    parent.note(facts)
    return key


def _text(error: BaseException | None) -> str:
    return "it asked to retry" if isinstance(error, Retry) else f"{type(error).__name__}: {error}"
