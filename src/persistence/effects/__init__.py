"""Effects: what an agent asks of the outside world, through handlers, on record."""

from persistence.effects.answers import Answers, Prefix, diverged
from persistence.effects.audit import Attempt, audit
from persistence.effects.awaited import AsyncRun
from persistence.effects.budget import Budget, budget
from persistence.effects.cache import cache
from persistence.effects.call import Call
from persistence.effects.dry_run import dry_run
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
from persistence.effects.leash import GivenUp
from persistence.effects.policy import Approval, policy
from persistence.effects.rate import rate
from persistence.effects.redaction import SECRET_KEYS, redact
from persistence.effects.retry import retry, worth_trying
from persistence.effects.run import Run
from persistence.effects.space import AsyncEffects, Effects
from persistence.effects.step import Step
from persistence.effects.trace import Trace
from persistence.effects.usage import Cost, usage
from persistence.effects.world import drawing, telling
from persistence.effects.wrapped import Effect, effect, functions

__all__ = [
    "SECRET_KEYS",
    "Answers",
    "Approval",
    "Around",
    "AsyncEffects",
    "AsyncRun",
    "Attempt",
    "Budget",
    "Call",
    "Cost",
    "Effect",
    "Effects",
    "GivenUp",
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
    "audit",
    "budget",
    "cache",
    "diverged",
    "drawing",
    "dry_run",
    "effect",
    "functions",
    "named",
    "policy",
    "rate",
    "redact",
    "retry",
    "telling",
    "usage",
    "worth_trying",
]
