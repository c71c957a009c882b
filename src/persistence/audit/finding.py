"""What a verifier says: never yes or no alone, but where something is not as it must be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: where it is, what was expected there, and what was found.

    >>> print(Finding("entry 7", "the author 'ada'", "'eve'"))
    entry 7: expected the author 'ada', found 'eve'
    """

    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"
