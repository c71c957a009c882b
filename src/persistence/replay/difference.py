"""What two runs did differently, step by step."""

from __future__ import annotations

from typing import Final

import attrs

from persistence.effects import Step, Trace
from persistence.effects.call import Scope
from persistence.replay.differing import Difference, differences
from persistence.replay.divergence import end_of
from persistence.replay.replayed import prefix
from persistence.replay.scoring import Score, scored
from persistence.values import Map, write

OUTCOME: Final = "outcome"  # the same question, and something else came of it
QUESTION: Final = "question"  # the same operation at the same place, asked otherwise
ADDED: Final = "added"
REMOVED: Final = "removed"

_WIDE: Final = 60


@attrs.frozen
class Change:
    """One step that differs: its `outcome`, its `question`, or it was `added` or `removed`."""

    kind: str
    before: Step | None
    after: Step | None
    differing: tuple[Difference, ...] = ()

    @property
    def step(self) -> Step:
        """The step as it was, or, if it was added, as it is."""
        found = self.before or self.after
        assert found is not None
        return found

    def __str__(self) -> str:
        told = "; ".join(map(str, self.differing[:2])) or _short(write(self.step.args))
        return f"{_place(self.step):<12} {self.kind:<9} {self.step.op}  {told}"


@attrs.frozen
class Diff:
    """How the run *b* differs from the run *a*.

    `prefix` counts the steps of *a*, from the first on, that *b* took too; `first` is the change
    that comes first in *a*. `ends` are the differences of status, result and error. `scores` are
    those of *a* and *b*, if a score was given; `gain` is what *b* has more. `str` gives a table.
    """

    a: Trace
    b: Trace
    prefix: int
    changes: tuple[Change, ...]
    ends: tuple[Difference, ...]
    scores: tuple[float, float] | None = None

    @property
    def first(self) -> Change | None:
        return self.changes[0] if self.changes else None

    @property
    def gain(self) -> float | None:
        return None if self.scores is None else self.scores[1] - self.scores[0]

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.changes or self.ends)

    def __str__(self) -> str:
        lines = [f"{self.prefix} of {len(self.a)} steps are the same from the beginning on"]
        lines += [str(change) for change in self.changes]
        lines += [f"{'end':<12} {'outcome':<9} {each}" for each in self.ends]
        if self.scores is not None:
            before, after = self.scores
            lines.append(f"score {before:g} became {after:g} ({after - before:+g})")
        return "\n".join(lines)


def diff(a: Trace, b: Trace, score: Score | None = None) -> Diff:
    """What *b* did differently from *a*; with *score* also what that is worth.

    Steps belong together if they ask the same question: the same operation, arguments and
    occurrence in the same scope; those that are left, if they have the same operation at the same
    place. Costs and times are not compared.

    >>> from persistence.effects import Run, Terminal
    >>> def shop(price, *queries):
    ...     with Run("shop", [Terminal("t", {"tool/price": lambda of: price})]) as run:
    ...         run.result = sum(run.perform("tool/price", of=q) for q in queries)
    ...     return run.trace
    >>> print(diff(shop(9, "tea", "milk"), shop(9, "tea", "rum", "ice"), lambda run: run.result))
    1 of 2 steps are the same from the beginning on
    1            question  :tool/price  :of: "milk" became "rum"
    2            added     :tool/price  {:of "ice"}
    end          outcome   :result: 18 became 27
    score 18 became 27 (+9)

    Raises:
        SearchError: a score is no finite number.
    """
    pairs, rest_a, rest_b = _by_question(a, b)
    pairs += _by_place(rest_a, rest_b)
    changes = [_change(*pair) for pair in pairs if pair[0].id != pair[1].id]
    changes += [Change(REMOVED, step, None) for step in rest_a.values()]
    changes += [Change(ADDED, None, step) for step in rest_b.values()]
    return Diff(
        a,
        b,
        prefix(a, b),
        tuple(sorted(filter(None, changes), key=_order)),
        differences(end_of(a), end_of(b)),
        None if score is None else (scored(score, a), scored(score, b)),
    )


_At = dict[tuple[Scope, int], Step]


def _by_question(a: Trace, b: Trace) -> tuple[list[tuple[Step, Step]], _At, _At]:
    """The steps of both that ask the same, and those that are left of each, by their place."""
    pairs, rest = [], {(step.scope, step.place): step for step in b}
    left: _At = {}
    for step in a:
        other = b.by_key.get(step.key)
        if other is None or rest.pop((other.scope, other.place), None) is None:
            left[step.scope, step.place] = step
        else:
            pairs.append((step, other))
    return pairs, left, rest


def _by_place(a: _At, b: _At) -> list[tuple[Step, Step]]:
    """Takes those of one operation at one place out of both."""
    found = [at for at, step in a.items() if at in b and b[at].op == step.op]
    return [(a.pop(at), b.pop(at)) for at in found]


def _change(before: Step, after: Step) -> Change | None:
    if before.asked != after.asked:
        return Change(QUESTION, before, after, differences(before.args, after.args))
    told = differences(_outcome(before), _outcome(after))
    return Change(OUTCOME, before, after, told) if told else None  # moved, and nothing more


def _outcome(step: Step) -> Map | object:
    return step.result if step.error is None else step.error


def _order(change: Change) -> tuple[int, bool]:
    return change.step.n, change.before is None


def _place(step: Step) -> str:
    scope = " ".join(write(part) for part in step.scope)
    return f"{scope} {step.place}".strip()


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
