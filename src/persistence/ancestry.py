"""What a state of a branch was made from: its line, and whatever was merged into it.

Merges make of the lines of branches a graph. What two states have in common is then not only
where their lines part, but the latest state from which both were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from persistence.catalog import State
from persistence.datoms import bootstrap as boot
from persistence.ids import tx_position
from persistence.store import Snapshot
from persistence.values import Kind

MERGED: Final = boot.BUILT_IN_IDS[boot.BRANCH_MERGED]


def made_from(snapshot: Snapshot, state: State, branch: int, t: int) -> dict[int, int]:
    """The branches that *branch* holds at *t*, itself included, and up to which t each."""
    found: dict[int, int] = {}
    pending = [(branch, t)]
    while pending:
        branch, t = pending.pop()
        if found.get(branch, -1) >= t:
            continue
        found[branch] = t
        if branch:
            one = state.branches[branch]
            pending.append((one.parent, one.base))
        pending += [(source, at) for at, source in merges(snapshot, state, branch, t)]
    return found


def merges(snapshot: Snapshot, state: State, branch: int, t: int) -> list[tuple[int, int]]:
    """The merges into *branch* up to *t*: when each was, and of which branch."""
    if branch and not state.flags_of(branch, MERGED):
        return []
    rows = snapshot.live_attributes(branch, [MERGED], t)
    return [(tx_position(e), int(v)) for e, _, k, v, *_ in rows if k == Kind.INT]


def in_common(
    snapshot: Snapshot, ours: Mapping[int, int], theirs: Mapping[int, int]
) -> tuple[int, int]:
    """The branch and the t of the latest transaction that two states were both made from."""
    shared = [(min(t, theirs[branch]), branch) for branch, t in ours.items() if branch in theirs]
    latest, line = 0, 0
    for t, branch in sorted(shared, reverse=True):
        if t <= latest:
            break
        own, _ = snapshot.last_on(branch, t)
        if own > latest:
            latest, line = own, branch
    return line, latest
