"""What recall gives, and what became of a memory."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from persistence.values import Keyword, Map


@attrs.frozen
class Entry:
    """One memory, as a database value has it.

    `id` is its entity, `at` when its text was recorded, `score` how well it fits the query (higher
    is better, and only scores of one recall compare), `facts` what was given beside the rest.
    """

    id: int
    text: str
    at: datetime
    about: tuple[int, ...] = ()
    kind: Keyword | None = None
    source: Any = None
    facts: Map = attrs.field(factory=Map)
    score: float = 0.0

    def __str__(self) -> str:
        return self.text


@attrs.frozen
class Change:
    """One thing that happened to a memory: :remembered, :corrected or :forgotten.

    `text` is what it says since then, None once it is forgotten or erased; `why` the reason.
    """

    what: Keyword
    t: int
    at: datetime
    text: str | None = None
    why: str | None = None
