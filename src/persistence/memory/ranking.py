"""Which memories answer a query best, without reading all those that share a common word.

A word counts the more the fewer memories have it. Words are looked up from the rarest on; once
enough memories are found that no other could still overtake, the common words are left alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from heapq import nlargest
from typing import Any, Final, TypeAlias

import attrs

from persistence.store.words import words

COMMON: Final = 1_000  # memories; a word that more have says little, and they all would be read

Row: TypeAlias = tuple[int, str, Any]  # entity, text, transaction
Lookup: TypeAlias = Callable[[str], list[Row]]


@attrs.frozen
class Ranked:
    """A memory that was found, and how well it fits."""

    row: Row
    score: float
    length: int

    @property
    def order(self) -> tuple[float, int, Any, int]:
        """Greater is better: the score, then the shorter text, then the newer one."""
        return self.score, -self.length, self.row[2], self.row[0]


def weights(counts: Mapping[str, int]) -> dict[str, float]:
    """What each word counts, by how many memories have it; the rarest word comes first.

    >>> weights({"the": 100, "tea": 1, "oolong": 0})
    {'tea': 5.6..., 'the': 1.0}
    """
    known = {word: count for word, count in counts.items() if count}
    most = max(known.values(), default=1)
    return {
        word: 1.0 + math.log(most / known[word])
        for word in sorted(known, key=lambda w: (known[w], w))
    }


def ranked(
    weight: Mapping[str, float], lookup: Lookup, limit: int, common: Collection[str] = ()
) -> list[Ranked]:
    """The *limit* memories that fit best, the best first; *weight* has the rarest word first.

    A memory that has none but *common* words is found only if no other word found any.
    """
    found: dict[int, Ranked] = {}
    left = sum(weight.values())  # no memory that has only words not looked up yet scores this much
    for word in weight:
        best = nlargest(limit, (each.score for each in found.values()))
        if (len(best) == limit and best[-1] >= left) or (found and word in common):
            break
        for row in lookup(word):
            if row[0] not in found:
                found[row[0]] = _scored(row, weight)
        left -= weight[word]
    return nlargest(limit, found.values(), key=lambda each: each.order)


def _scored(row: Row, weight: Mapping[str, float]) -> Ranked:
    """A word that occurs again adds less each time: once counts 1/2 of its weight, twice 2/3."""
    said = words(row[1])
    times = Counter(word for word in said if word in weight)
    score = sum(weight[word] * times[word] / (times[word] + 1) for word in weight)
    return Ranked(row, score, len(said))
