"""The small world that examples in docstrings may take for granted.

s      an open Substrate
db     its current database value
t1     the position of the first transaction
ada    an entity: in the first transaction named "Ada", in the second "Ada Lovelace"
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from persistence import Substrate


@contextmanager
def small_world() -> Iterator[dict[str, Any]]:
    """The names above, on a store in memory that is closed at the end."""
    with Substrate.open(":memory:") as s:
        first = s.fact.transact([{"db/id": "ada", "user/name": "Ada", "user/age": 36}])
        ada = first.tempids["ada"]
        s.fact.transact([["db/add", ada, "user/name", "Ada Lovelace"]])
        yield {"s": s, "db": s.fact.db(), "t1": first.t, "ada": ada}
