"""Memory: what an agent wants to find again, as facts; forgotten is not erased."""

from persistence.memory.awaited import AsyncMemory
from persistence.memory.entry import Change, Entry
from persistence.memory.space import Memory

__all__ = ["AsyncMemory", "Change", "Entry", "Memory"]
