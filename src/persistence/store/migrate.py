"""The numbered migrations of a backend, read from the package.

They only go forward. Each runs once, under a lock that the backend takes; a store that has seen
a migration this program does not know is refused, because its meaning may have changed.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

import attrs

from persistence.errors import NewerStore

_ROOT: Final = resources.files("persistence.store") / "sql"


@attrs.frozen(slots=True)
class Migration:
    """One step of a schema: its number, its name and its SQL."""

    number: int
    name: str
    sql: str


def migrations(backend: str) -> list[Migration]:
    """Every migration of *backend* ("sqlite" or "postgres"), in order.

    >>> [step.number for step in migrations("sqlite")][0]
    1
    """
    steps = []
    for file in (_ROOT / backend).iterdir():
        number, _, name = file.name.removesuffix(".sql").partition("_")
        if file.name.endswith(".sql"):
            steps.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return sorted(steps, key=lambda step: step.number)


def pending(backend: str, done: int, uri: str) -> list[Migration]:
    """The migrations that a store at number *done* still needs.

    Raises:
        NewerStore: *done* is later than the last migration known here.
    """
    known = migrations(backend)
    latest = known[-1].number
    if done > latest:
        raise NewerStore(
            f"the store {uri} has format {done}; this program knows formats up to {latest}",
            hint="open it with the version that wrote it, or upgrade this one",
            uri=uri,
            found=done,
            known=latest,
        )
    return [step for step in known if step.number > done]
