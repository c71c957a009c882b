"""Which recorded run is meant: its id, or as much of the beginning as tells it from all others."""

from __future__ import annotations

from persistence.effects import Effects, Trace
from persistence.errors import TraceError


def recorded(effect: Effects, text: str) -> Trace:
    """The record of the run whose id begins with *text*.

    Raises:
        TraceError: no id begins so, or several do.
    """
    found = [each.id for each in effect.runs() if str(each.id).startswith(text.lower())]
    if len(found) == 1:
        return effect.trace(found[0])
    hint = "persistence trace list shows the runs with their ids"
    if not found:
        raise TraceError(f"no run has an id that begins with {text!r}", hint=hint, run=text)
    told = ", ".join(str(id) for id in found[:3]) + (", …" if len(found) > 3 else "")
    raise TraceError(
        f"{len(found)} runs have ids that begin with {text!r}: {told}", hint=hint, run=text
    )
