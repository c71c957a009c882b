"""What is wrong with a plan: every problem at once, each with its path and what would mend it.

Whoever wrote the plan, most often a model, gets one message to act on instead of one per attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from persistence.errors import PlanError

__all__ = ["Path", "Problem", "refused", "shown"]

Path: TypeAlias = tuple[int, ...]
"""Where a step is: the index of a child at every level below the root, which is `()`."""

_SHOWN = 8  # problems that a message spells out; the others are in the error's data


@attrs.frozen
class Problem:
    """One thing that is wrong, at the step at *path*, and the *fix*.

    >>> print(Problem((0, 2), ":ref needs :name", "write {:name x}"))
    at [0 2]: :ref needs :name; write {:name x}
    """

    path: Path
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"at {shown(self.path)}: {self.reason}; {self.fix}"


def shown(path: Sequence[int]) -> str:
    """A path as people read it.

    >>> shown((0, 2)), shown(())
    ('[0 2]', '[]')
    """
    return f"[{' '.join(map(str, path))}]"


def refused(problems: Iterable[Problem], *, title: str = "this is no plan") -> PlanError:
    """The error that tells all of *problems*; `path` and `fix` in its data are those of the first.

    >>> refused([Problem((1,), ":par has no children", "give it one")]).data["path"]
    (1,)
    """
    found = list(problems)
    lines = [str(problem) for problem in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    first = found[0]
    return PlanError(
        f"{title}: {lines[0]}" if len(found) == 1 else "\n  ".join([f"{title}:", *lines]),
        hint=first.fix,
        problems=found,
        path=first.path,
        fix=first.fix,
    )
