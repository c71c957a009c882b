"""Where two EDN values differ, path by path: what to look at first when a prompt has drifted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any, Final, TypeAlias

import attrs

from persistence.values import Map, Value, encode, write

Path: TypeAlias = tuple[Value, ...]

MANY: Final = 20  # differences of one call that are listed
_AROUND: Final = 24  # characters shown on each side of the place where two texts part


class _Absent:
    """Stands for what is not there, because nil is a value."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@attrs.frozen
class Difference:
    """One place at which two values differ; either side may be `ABSENT`."""

    path: Path
    expected: Any
    found: Any

    def __str__(self) -> str:
        where = " ".join(write(part) for part in self.path)
        shown = f"{_shown(self.expected, self.found)} became {_shown(self.found, self.expected)}"
        return f"{where}: {shown}" if where else shown


def differences(expected: Any, found: Any, limit: int = MANY) -> tuple[Difference, ...]:
    """The places at which *found* is not *expected*, the first *limit* of them.

    >>> from persistence import read
    >>> for each in differences(read('{:a [1 2] :b "x"}'), read('{:a [1 3 4] :b "x"}')):
    ...     print(each)
    :a 1: 2 became 3
    :a 2: nothing became 4
    """
    return tuple(islice(_walk((), expected, found), limit))


def _walk(path: Path, a: Any, b: Any) -> Iterator[Difference]:
    if isinstance(a, Map) and isinstance(b, Map):
        names = [*a, *(name for name in b if name not in a)]
        for name in names:
            yield from _walk((*path, name), a.get(name, ABSENT), b.get(name, ABSENT))
    elif type(a) is tuple and type(b) is tuple:
        for n, (one, other) in enumerate(zip_longest(a, b, fillvalue=ABSENT)):
            yield from _walk((*path, n), one, other)
    elif a is ABSENT or b is ABSENT or encode(a) != encode(b):
        yield Difference(path, a, b)


def _shown(value: Any, beside: Any) -> str:
    if value is ABSENT:
        return repr(value)
    if isinstance(value, str) and isinstance(beside, str):
        return write(_around(value, beside))
    text = write(value)
    return text if len(text) <= 4 * _AROUND else text[: 4 * _AROUND] + " …"


def _around(text: str, beside: str) -> str:
    """*text* near the place where it parts from *beside*."""
    same = next(
        (n for n, (one, other) in enumerate(zip(text, beside, strict=False)) if one != other),
        min(len(text), len(beside)),
    )
    start, end = max(0, same - _AROUND), same + _AROUND
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
