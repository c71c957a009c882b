"""Somebody who says yes: a person, or a program in whose name somebody answers for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from persistence.plans import Plan
from persistence.skills.evidence import Evidence, Gain


@attrs.frozen
class Request:
    """What an approver is asked: to let *name* stand for *plan*. `replaces` is what it stands for
    today, None if it is new. All else that a promotion needs has been checked."""

    name: str
    plan: Plan
    evidence: Evidence
    gain: Gain
    replaces: Plan | None = None


@attrs.frozen
class Approval:
    """A yes: by whom, when, and why."""

    by: str
    at: datetime
    reason: str


Approver: TypeAlias = Callable[[Request], Approval | None]


def said(text: Any) -> bool:
    """Whether *text* says something."""
    return isinstance(text, str) and bool(text.strip())


def flaws(given: Any) -> list[str]:
    """What keeps the answer of an approver from being an approval, as sentences."""
    if given is None:
        return ["the approver did not approve"]
    if not isinstance(given, Approval):
        return [f"the approver gave {given!r:.80}, which is no Approval(by, at, reason)"]
    found = [
        f"the approval does not say {what}"
        for what, text in (("by whom", given.by), ("why", given.reason))
        if not said(text)
    ]
    at: Any = given.at
    if not isinstance(at, datetime) or at.tzinfo is None:
        found.append("the approval does not say when, with a time zone")
    return found
