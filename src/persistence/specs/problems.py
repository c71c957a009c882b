"""What is wrong with a value, and where: worded for a person or a model that has to mend it.

A problem says what was found in at most 60 characters and never shows what a container holds, so
that a secret deep inside of a value is not copied into logs and prompts.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from persistence.errors import SpecError
from persistence.values import Char, Keyword, List, Map, Set, Symbol

LONGEST: Final = 60  # characters of what was found; enough to know it again
PROBLEMS: Final = 32  # of one value; whoever mends that many will ask again
_STEPS: Final = 12  # of a path that are written out
_LARGE: Final = 10**LONGEST

HIDDEN: Final = "(hidden)"


@attrs.frozen
class Problem:
    """One thing that is wrong: where (keys and indices), why, what to do, and what was there.

    *found* is a short text, or None where nothing was found.

    >>> print(Problem(("items", 2, "price"), "expected a number", "give one", '"ten"'))
    $.items[2].price: expected a number, found "ten" - give one
    """

    path: tuple[Any, ...]
    reason: str
    fix: str
    found: str | None = None

    def __str__(self) -> str:
        found = "" if self.found is None else f", found {self.found}"
        return f"{path_text(self.path)}: {self.reason}{found} - {self.fix}"


class Bad:
    """What `parse` gives for a value that does not conform.

    *fatal* ends the whole walk: the value nests too deeply. *misfit* means that the value is of
    another kind altogether, which a union takes into account.
    """

    __slots__ = ("fatal", "misfit", "problems")

    def __init__(
        self, problems: list[Problem], *, fatal: bool = False, misfit: bool = False
    ) -> None:
        self.problems = problems
        self.fatal = fatal
        self.misfit = misfit

    def under(self, step: Any, hidden: bool = False) -> Bad:
        """The same, seen from the container that holds the value at *step*."""
        return Bad(
            [
                Problem((step, *p.path), p.reason, p.fix, HIDDEN if hidden and p.found else p.found)
                for p in self.problems
            ],
            fatal=self.fatal,
        )


def bad(reason: str, fix: str, found: Any = None, *, path: tuple[Any, ...] = ()) -> Bad:
    """One problem at *path*."""
    return Bad([Problem(path, reason, fix, found)])


def gather(problems: list[Problem], part: Bad) -> bool:
    """Adds what is wrong with a *part*; whether the walk over the parts should end."""
    if part.fatal:
        problems[:] = part.problems
        return True
    problems.extend(part.problems)
    return len(problems) >= PROBLEMS


def spec_error(failed: Bad, **data: Any) -> SpecError:
    """The error that lists all problems of *failed*."""
    problems = failed.problems[:PROBLEMS]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    if len(problems) == PROBLEMS:
        count = f"the first {count}"
    lines = "\n".join(f"  {problem}" for problem in problems)
    return SpecError(
        f"the value does not conform, {count}:\n{lines}",
        hint=problems[0].fix,
        problems=problems,
        **data,
    )


def path_text(path: tuple[Any, ...]) -> str:
    """A path as text; the middle of a long one is left out.

    >>> path_text(("a b", Keyword("x/y"), 0))
    '$["a b"][:x/y][0]'
    """
    steps = [_step(step) for step in path]
    if len(steps) > _STEPS:
        half = _STEPS // 2
        steps[half:-half] = [f"…{len(steps) - _STEPS} more…"]
    return "$" + "".join(steps)


def _step(step: Any) -> str:
    if type(step) is str and step.isidentifier() and len(step) <= LONGEST:
        return f".{step}"
    return f"[{shown(step)}]"


def shown(value: Any) -> str:
    """A value in a few characters; of a container only its size, of a map also its keys.

    >>> shown("ten"), shown([1, 2]), shown({"a": 1}), shown(10**5000)
    ('"ten"', 'a list of 2', 'a map with the keys a', 'a number of about 5000 digits')
    """
    kind = type(value)
    if kind is str:
        short = value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
        return json.dumps(short, ensure_ascii=False).encode(errors="replace").decode()
    if kind in (int, Decimal, Fraction):
        return _number(value)
    if value is None:
        return "null"
    if kind in (bool, float, bytes, Keyword, Symbol, Char, uuid.UUID):
        return _cut(_ATOMS.get(kind, str)(value[:LONGEST] if kind is bytes else value))
    if kind is dt.datetime:
        text: str = value.replace(tzinfo=None).isoformat()
        return text if value.tzinfo else f"{text} without zone"
    return _container(value, kind)


_ATOMS: Final[dict[type, Any]] = {bool: lambda value: str(value).lower(), float: repr, bytes: repr}


def _number(value: Any) -> str:
    if isinstance(value, Decimal):
        return _cut(str(value)) if len(value.as_tuple().digits) <= LONGEST else "a long decimal"
    if max(abs(value.numerator), value.denominator) < _LARGE:
        return str(value)
    digits = int(max(abs(value.numerator), value.denominator).bit_length() * 0.30103)
    return f"a number of about {digits} digits"


def _container(value: Any, kind: type) -> str:
    if kind in (list, tuple, List):
        return f"a list of {len(value)}"
    if kind in (set, frozenset, Set):
        return f"a set of {len(value)}"
    if kind in (dict, Map):
        return _map(value)
    return _cut(f"an object of {kind.__name__}")


def _map(value: Any) -> str:
    if not value:
        return "an empty map"
    keys: list[str] = []
    for key in value:
        if len(keys) == 6:
            keys.append("…")
            break
        keys.append(key[:LONGEST] if type(key) is str else shown(key))
    text = ", ".join(keys).encode(errors="replace").decode()
    return _cut(f"a map with the keys {text}")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
