"""What a checker says: a name from the literature, the operations, and a sentence to act on."""

from __future__ import annotations

from typing import Any

import attrs

from tests.histories.history import History, Op


@attrs.frozen
class Step:
    """One edge of a cycle: *before* must precede *after*, and *why*.

    *kind* is `ww`, `wr`, `rw`, `process` or `realtime`; *key* is None for the last two.
    """

    before: Op
    kind: str
    key: Any
    after: Op
    why: str


@attrs.frozen
class Finding:
    """An anomaly. *cycle* is empty unless the anomaly is a cycle; *ops* are all that take part."""

    name: str
    sentence: str
    ops: tuple[Op, ...] = ()
    cycle: tuple[Step, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.sentence}"]
        lines += [f"  {op}" for op in self.ops]
        lines += [f"  {step.kind}: {step.why}" for step in self.cycle]
        return "\n".join(lines)


Findings = tuple[Finding, ...]


def names(findings: Findings) -> set[str]:
    """The anomalies' names, for comparing with those that were expected."""
    return {finding.name for finding in findings}


def report(history: History, findings: Findings) -> str:
    """The whole verdict as text."""
    count = len(history.transactions)
    head = f"{len(findings)} findings in {count} transactions"
    return "\n".join([head, *map(str, findings)])
