"""Skills: plans that earned their name, on held-out evidence and by somebody's approval."""

from persistence.skills.approval import Approval, Request
from persistence.skills.evidence import Case, Evidence, Gain, measured
from persistence.skills.space import Skill, Skills

__all__ = [
    "Approval",
    "Case",
    "Evidence",
    "Gain",
    "Request",
    "Skill",
    "Skills",
    "measured",
]
