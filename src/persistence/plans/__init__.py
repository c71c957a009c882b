"""Plans: programs of an agent as values, which it can read, change, run, stop and take up again."""

from persistence.plans.diff import Change
from persistence.plans.functions import FUNCTIONS, Function
from persistence.plans.instead import instead
from persistence.plans.kinds import COMMON, KINDS, Kind
from persistence.plans.node import Node
from persistence.plans.plan import Plan
from persistence.plans.problems import Path, Problem
from persistence.plans.running import Ran
from persistence.plans.space import Plans
from persistence.plans.stored import Version

__all__ = [
    "COMMON",
    "FUNCTIONS",
    "KINDS",
    "Change",
    "Function",
    "Kind",
    "Node",
    "Path",
    "Plan",
    "Plans",
    "Problem",
    "Ran",
    "Version",
    "instead",
]
