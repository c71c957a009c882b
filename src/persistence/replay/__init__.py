"""Replay: a recorded run, run again; and what would have happened otherwise."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from persistence.replay import do
    from persistence.replay.attribution import Attribution, Share, attribute, shapley
    from persistence.replay.cassette import Cassette
    from persistence.replay.difference import Change, Diff, diff
    from persistence.replay.differing import Difference, differences
    from persistence.replay.divergence import Divergence
    from persistence.replay.intervention import Intervention, Outcome, step_at
    from persistence.replay.preferring import Preference, preferences
    from persistence.replay.recorder import EffectRecorder
    from persistence.replay.replayed import Replayed
    from persistence.replay.replaying import AsyncReplayRun, ReplayRun, areplay, replay
    from persistence.replay.scoring import Score, scored
    from persistence.replay.space import AsyncReplay, Replay

__all__ = [
    "AsyncReplay",
    "AsyncReplayRun",
    "Attribution",
    "Cassette",
    "Change",
    "Diff",
    "Difference",
    "Divergence",
    "EffectRecorder",
    "Intervention",
    "Outcome",
    "Preference",
    "Replay",
    "ReplayRun",
    "Replayed",
    "Score",
    "Share",
    "areplay",
    "attribute",
    "diff",
    "differences",
    "do",
    "preferences",
    "replay",
    "scored",
    "shapley",
    "step_at",
]

# Names are loaded when they are first asked for (PEP 562): pytest imports the plugin of this room
# in every session of whoever has the package installed, and must not wait for a store.
_NAMES: Final = {
    "attribution": ("Attribution", "Share", "attribute", "shapley"),
    "cassette": ("Cassette",),
    "difference": ("Change", "Diff", "diff"),
    "differing": ("Difference", "differences"),
    "divergence": ("Divergence",),
    "intervention": ("Intervention", "Outcome", "step_at"),
    "preferring": ("Preference", "preferences"),
    "recorder": ("EffectRecorder",),
    "replayed": ("Replayed",),
    "replaying": ("AsyncReplayRun", "ReplayRun", "areplay", "replay"),
    "scoring": ("Score", "scored"),
    "space": ("AsyncReplay", "Replay"),
}
_MODULES: Final = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:  # a type checker that saw it would take every name for granted

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
            globals()[name] = found
            return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
