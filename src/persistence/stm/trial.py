"""One candidate of a fork: carried out in a transaction of its own, scored, told by a digest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

import attrs

from persistence.db import Db
from persistence.errors import ForkError, TransactionError
from persistence.stm.state import Retry, State
from persistence.stm.workspace import Workspace
from persistence.transact.operations import Add, Cas, Ensure, Operation, Retract, RetractAttribute
from persistence.values import columns, digest

Candidate: TypeAlias = Callable[[Any], Any]
Score: TypeAlias = "Callable[[Outcome], float]"


@attrs.frozen(eq=False)
class Outcome:
    """What became of one candidate.

    `value` is what it returned, `score` what it scored, `digest` names what it would write: equal
    proposals on equal states have equal digests. A candidate that raised has an `error` and no
    score.
    """

    label: Any
    value: Any = None
    score: float | None = None
    error: BaseException | None = None
    digest: bytes | None = None
    transaction: Workspace | None = attrs.field(default=None, repr=False)

    @property
    def db(self) -> Db | None:
        """The database as the candidate left it; None if it raised."""
        kept = self.transaction if self.error is None else None
        return None if kept is None else kept.value()

    def scored(self, score: Score) -> Self:
        """This outcome with its score.

        Raises:
            ForkError: the score is no finite number.
        """
        found = finite(score(self), f"the candidate {self.label!r}", self.label)
        return attrs.evolve(self, score=found)


def finite(score: Any, what: str, label: Any) -> float:
    """A score as a number.

    Raises:
        ForkError: it is none, or not finite.
    """
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise ForkError(
            f"{what} scores {score!r}, which is no finite number",
            hint="let score give a finite int or float for everything that it is asked about",
            label=label,
            score=score,
        )
    return float(score)


def tried(
    transaction: Workspace, before: State, label: Any, candidate: Candidate, score: Score
) -> Outcome:
    """What becomes of *candidate* in *transaction*, which began with the writes *before*.

    What *candidate* raises is its own; what *score* raises is the fork's.
    """
    try:
        value = candidate(transaction)
    except Retry as error:
        return Outcome(label, error=error, transaction=transaction)  # it waits for what it read
    except Exception as error:
        return Outcome(label, error=error)
    finally:
        transaction.close()
    proposal = proposed(transaction.state, before)
    return Outcome(label, value, digest=proposal, transaction=transaction).scored(score)


def named(candidates: Mapping[Any, Candidate] | Iterable[Candidate]) -> list[tuple[Any, Candidate]]:
    """The candidates with their labels; those of an iterable are their positions.

    Raises:
        ForkError: there are none. TransactionError: one is no function.
    """
    if isinstance(candidates, Mapping):
        found = [*candidates.items()]
    else:
        found = [*enumerate(candidates)]
    if not found:
        raise ForkError("a fork without candidates", hint="give at least one function")
    for label, candidate in found:
        if not callable(candidate):
            raise TransactionError(
                f"the candidate {label!r} is no function: {candidate!r:.80}",
                hint="give functions that take a transaction",
                label=label,
            )
    return found


def best(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The outcome with the highest score, the first of several."""
    scored = [each for each in outcomes if each.score is not None]
    return max(scored, key=lambda each: each.score or 0.0, default=None)


# ------------------------------------------------------------------------ digests


def proposed(state: State, before: State) -> bytes:
    """The digest of what *state* writes beyond *before*, with new entities by their order."""
    fresh = {e: -place for place, e in enumerate(_ids(state.fresh[len(before.fresh) :]), start=1)}
    told: list[Any] = []
    for batch in state.batches[len(before.batches) :]:
        told.append((batch.valid_from, batch.valid_to))
        told += [_told(operation, fresh) for operation in batch.operations]
    for (e, attribute), value in state.pending.items():
        told.append(("Add", fresh.get(e, e), attribute.name, columns(value)[:2], None))
    for commute in state.standing()[len(before.standing()) :]:
        value = columns(state.commuted[commute.cell])[:2]
        told.append(("commute", fresh.get(commute.e, commute.e), commute.attribute.name, value))
    for effect in state.effects[len(before.effects) :]:
        told.append(("effect", effect.operation.name, columns(effect.args)[:2]))
    return digest("plan", repr(told).encode())


def _ids(ranges: Iterable[range]) -> Iterator[int]:
    for each in ranges:
        yield from each


def _told(op: Operation, fresh: Mapping[int, int]) -> tuple[Any, ...]:
    """An operation as plain data; values as the columns that tell them apart."""
    kind = type(op).__name__
    e: Any = op.e
    named_e = fresh.get(e, e) if type(e) is int else repr(e)
    if isinstance(op, Add | Retract):
        ident, value = op.attribute.ident.name, op.value
        if type(value) is int:
            return kind, named_e, ident, fresh.get(value, value), op.span
        known = columns(value)[:2] if not op.attribute.ref else repr(value)
        return kind, named_e, ident, known, op.span
    if isinstance(op, Cas):
        old, new = (None if each is None else columns(each)[:2] for each in (op.old, op.new))
        return kind, named_e, op.attribute.ident.name, old, new, op.span
    if isinstance(op, RetractAttribute):
        return kind, named_e, op.attribute.ident.name, op.span
    return kind, named_e, repr(op.spec) if isinstance(op, Ensure) else op.span
