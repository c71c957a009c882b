"""What an import did, and what it refused and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO, cast

import attrs

from persistence.values import Keyword, freeze, write


@attrs.frozen
class Refusal:
    """One row that was not imported: which, where in the file, why, and what it held."""

    row: int
    line: int
    reason: str
    data: Any = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        return f"row {self.row} (line {self.line}): {self.reason}"


@attrs.frozen(kw_only=True)
class Imported:
    """The outcome of one file.

    `rows` counts all rows that were dealt with by this run, `facts` what they stated. `resumed`
    is the number of rows that earlier runs had dealt with. `refused` lists the refused rows of
    this run without their data, at most `LISTED` of them; `refusals` is their number.
    """

    file: str
    rows: int = 0
    facts: int = 0
    transactions: int = 0
    resumed: int = 0
    refusals: int = 0
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def imported(self) -> int:
        """How many rows are in the store by this run."""
        return self.rows - self.refusals


LISTED = 1_000  # refusals kept in memory; `--rejects` keeps all of them on disk


class Rejects:
    """The file that takes refused rows: JSON lines, or EDN forms for a file of EDN.

    Each holds the number of the row, its line, the reason and the row itself as it was read.
    """

    def __init__(self, path: Path, *, edn: bool, again: bool) -> None:
        self._path = path
        self._edn = edn
        self._mode = "a" if again else "w"
        self._file: TextIO | None = None

    def add(self, refusal: Refusal) -> None:
        if self._file is None:
            self._file = cast(TextIO, self._path.open(self._mode, encoding="utf-8"))
        parts = {
            "row": refusal.row,
            "line": refusal.line,
            "reason": refusal.reason,
            "data": refusal.data,
        }
        if self._edn:
            text = write(freeze({Keyword(name): value for name, value in parts.items()}))
        else:
            text = json.dumps(parts, ensure_ascii=True, default=str)
        self._file.write(text + "\n")

    def flush(self) -> None:
        """Puts everything on disk, before the commit that will never offer these rows again."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def plain(data: Any) -> Any:
    """A row as it can be written down."""
    return dict(data) if isinstance(data, Mapping) and not isinstance(data, dict) else data
