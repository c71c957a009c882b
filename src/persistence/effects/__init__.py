"""Effects: what an agent asks of the outside world, through handlers, on record."""

from persistence.effects.answers import Answers, Prefix, diverged
from persistence.effects.awaited import AsyncRun
from persistence.effects.call import Call
from persistence.effects.effect import Effect, effect, functions
from persistence.effects.handler import (
    Around,
    Handler,
    Handlers,
    Invoke,
    Terminal,
    Wait,
    Within,
    named,
)
from persistence.effects.run import Run
from persistence.effects.space import AsyncEffects, Effects
from persistence.effects.step import Step
from persistence.effects.trace import Trace
from persistence.effects.world import drawing, telling

__all__ = [
    "Answers",
    "Around",
    "AsyncEffects",
    "AsyncRun",
    "Call",
    "Effect",
    "Effects",
    "Handler",
    "Handlers",
    "Invoke",
    "Prefix",
    "Run",
    "Step",
    "Terminal",
    "Trace",
    "Wait",
    "Within",
    "diverged",
    "drawing",
    "effect",
    "functions",
    "named",
    "telling",
]
