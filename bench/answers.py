"""Brings the answers of different systems to one form, so that they can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def rows(answer: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    """Rows in sorted order with keywords as plain words; duplicates stay and so would be seen."""
    return sorted(tuple(_plain(value) for value in row) for row in answer)


def tree(answer: Any) -> Any:
    """A pulled tree with plain keys, its children ordered by entity.

    >>> tree({":follows": [{"db/id": 2}, {"db/id": 1}]})
    {'follows': [{'db/id': 1}, {'db/id': 2}]}
    """
    if isinstance(answer, Mapping):
        return {_plain(key): tree(answer[key]) for key in sorted(answer, key=str)}
    if isinstance(answer, list | tuple):
        children = [tree(child) for child in answer]
        return sorted(children, key=lambda child: child["db/id"])
    return _plain(answer)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float) else str(value).removeprefix(":")
