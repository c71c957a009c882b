"""The recorded cases: what DataScript was asked and what it answered, one EDN map per line."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs

from persistence.values import Keyword, Map, Tagged, read

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("PERSISTENCE_SHARED", ROOT.parent / "shared"))
CASES = SHARED / "conformance" / "datascript.edn"
DIFFERENCES = Path(__file__).with_name("differences.md")


@attrs.frozen(repr=False)
class Case:
    """One line of the file; `form` holds what its README describes."""

    line: int
    form: Map

    def __getitem__(self, name: str) -> Any:
        return self.form.get(Keyword(name))

    @property
    def kind(self) -> str:
        return str(self["kind"].name)

    @property
    def refused(self) -> bool:
        """Whether DataScript raised."""
        return Keyword("throws") in self.form

    def __repr__(self) -> str:
        return f"{self.line}-{self.kind}-{self['test'][0]}"


def cases() -> list[Case]:
    """All cases, or none where the shared data is not there."""
    return [Case(line, case_of(text)) for line, text in enumerate(lines(), start=1)]


@lru_cache(maxsize=1)
def lines() -> tuple[str, ...]:
    if not CASES.is_file():
        return ()
    return tuple(CASES.read_text(encoding="utf-8").splitlines())


def case_of(text: str) -> Map:
    found = read(text, default=Tagged)
    assert isinstance(found, Map)
    return found


def is_db(value: Any) -> bool:
    """Whether an input stands for a database."""
    return isinstance(value, Map) and len(value) == 1 and Keyword("db") in value


@lru_cache(maxsize=1)
def differences() -> dict[int, str]:
    """The lines where this library differs on purpose, each with its reason."""
    found = {}
    for line in DIFFERENCES.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 2 and cells[0].replace(",", "").replace(" ", "").isdigit():
            for number in cells[0].split(","):
                found[int(number)] = cells[1]
    return found
