"""Every call of the agent layer that waits has a twin of the same name that is awaited."""

from __future__ import annotations

import inspect

import pytest

from persistence.asynchronous import AsyncOnBranch
from persistence.effects import AsyncEffects, AsyncRun, Effects, Run
from persistence.memory import AsyncMemory, Memory
from persistence.planning import AsyncPlanning, AsyncSearches, AsyncSkills, Planning
from persistence.replay import AsyncReplay, Replay
from persistence.search import Searches
from persistence.skills import Skills
from persistence.substrate import OnBranch

TWINS = [
    (Run, AsyncRun),
    (Effects, AsyncEffects),
    (Memory, AsyncMemory),
    (Replay, AsyncReplay),
    (Planning, AsyncPlanning),
    (Searches, AsyncSearches),
    (Skills, AsyncSkills),
    (OnBranch, AsyncOnBranch),
]
# What the twins themselves are made of.
MEANS = {Run: {"leashed"}, Effects: {"begin", "go_on"}, Replay: {"arun"}}


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


@pytest.mark.parametrize(("plain", "awaited"), TWINS)
def test_every_name_has_its_twin(plain: type, awaited: type) -> None:
    assert public(plain) - MEANS.get(plain, set()) <= public(awaited)
