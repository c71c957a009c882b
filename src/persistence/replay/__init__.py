"""Replay: a recorded run, run again; and what would have happened otherwise."""

from persistence.replay import do
from persistence.replay.attribution import Attribution, Share, attribute, shapley
from persistence.replay.difference import Change, Diff, diff
from persistence.replay.divergence import Divergence
from persistence.replay.intervention import Intervention, Outcome, step_at
from persistence.replay.preferences import Preference, preferences
from persistence.replay.replayed import Replayed
from persistence.replay.replaying import areplay, replay
from persistence.replay.scoring import Score, scored

__all__ = [
    "Attribution",
    "Change",
    "Diff",
    "Divergence",
    "Intervention",
    "Outcome",
    "Preference",
    "Replayed",
    "Score",
    "Share",
    "areplay",
    "attribute",
    "diff",
    "do",
    "preferences",
    "replay",
    "scored",
    "shapley",
    "step_at",
]
