"""What handlers leave on record about a call: who let it through, or did not, and by which rule."""

from __future__ import annotations

from typing import Any, Final

from persistence.effects.call import Call
from persistence.values import Keyword, Map

POLICY: Final = Keyword("policy")
EFFECT: Final = Keyword("effect")
RULE: Final = Keyword("rule")
OUTER: Final = Keyword("outer")
CACHED: Final = Keyword("cached")
DRY_RUN: Final = Keyword("dry-run")

DENY: Final = Keyword("deny")


def note(call: Call, said: Map) -> None:
    """Adds the entries of *said* to the verdict of *call*."""
    earlier = call.notes.get("verdict")
    call.notes["verdict"] = said if earlier is None else Map({**_map(earlier), **said})


def judge(call: Call, said: Map) -> None:
    """Adds a judgement, which names its :policy; one that was there before becomes its :outer."""
    earlier = call.notes.get("verdict")
    if earlier is None:
        call.notes["verdict"] = said
    elif POLICY in _map(earlier):
        call.notes["verdict"] = Map({**said, OUTER: earlier})
    else:
        call.notes["verdict"] = Map({**_map(earlier), **said})


def denial(policy: str, rule: Any, **more: Any) -> Map:
    """The judgement of a handler that does not let a call through."""
    told = {Keyword(name.replace("_", "-")): value for name, value in more.items()}
    return Map({POLICY: policy, EFFECT: DENY, RULE: rule, **told})


def for_nothing(verdict: Any) -> bool:
    """Whether a call with this verdict was answered without anything being done."""
    return isinstance(verdict, Map) and (CACHED in verdict or DRY_RUN in verdict)


def _map(verdict: Any) -> Map:
    return verdict if isinstance(verdict, Map) else Map({Keyword("verdict"): verdict})
