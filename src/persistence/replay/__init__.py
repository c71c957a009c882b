"""Replay: a recorded run, run again; and what would have happened otherwise."""

from persistence.replay import do
from persistence.replay.divergence import Divergence
from persistence.replay.intervention import Intervention, Outcome, step_at
from persistence.replay.replayed import Replayed
from persistence.replay.replaying import areplay, replay

__all__ = [
    "Divergence",
    "Intervention",
    "Outcome",
    "Replayed",
    "areplay",
    "do",
    "replay",
    "step_at",
]
