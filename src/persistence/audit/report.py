"""What a verification gives: its findings, what it counted, and what it could not look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from persistence.audit.finding import Finding

FINDINGS: Final = 1_000  # kept; a log that is wrong everywhere must not fill the memory
SHOWN: Final = 200  # characters of what was found


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified.

    `findings` is empty when all holds. `omitted` says how many more there were. `counts` are
    numbers, `says` is what a proof proves, `notes` are sentences on what was not looked at.
    """

    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    says: Mapping[str, str | int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    omitted: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """The report as plain data: findings as objects of where, expected and found.

        >>> Report((Finding("entry 7", "a", "b"),)).as_json()["findings"]
        [{'where': 'entry 7', 'expected': 'a', 'found': 'b'}]
        """
        return {
            "clean": self.clean,
            "findings": [
                {"where": one.where, "expected": one.expected, "found": one.found}
                for one in self.findings
            ],
            "omitted": self.omitted,
            "counts": dict(self.counts),
            "says": dict(self.says),
            "notes": list(self.notes),
        }


class Findings:
    """Collects findings, and gives them in the order of the log whenever they were made."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, Finding]] = []
        self.omitted = 0

    def add(self, at: int, where: str, expected: str, found: str, *, needed: bool = False) -> None:
        """Takes one more; *at* is the entry that it concerns, or the first that it does.

        One that is *needed*, of which there are few, is kept however many there are.
        """
        if len(self._kept) >= FINDINGS and not needed:
            self.omitted += 1
            return
        self._kept.append((at, Finding(where, clip(expected), clip(found))))

    def __len__(self) -> int:
        return len(self._kept)

    def ordered(self) -> tuple[Finding, ...]:
        """All that were kept."""
        return tuple(one for _, one in sorted(self._kept, key=lambda kept: kept[0]))


def clip(text: str) -> str:
    """*text* as it can stand in a line on anybody's terminal."""
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
