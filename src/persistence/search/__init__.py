"""Search: the best state that moves can lead to, every iteration on record."""

from persistence.search.budget import Budget, Spent
from persistence.search.evolve import Evolve
from persistence.search.exploration import Expansion, Log, Record
from persistence.search.found import Found, Iteration, Visits
from persistence.search.moves import Move, Proposed, Scored, identify
from persistence.search.optimiser import Optimiser
from persistence.search.puct import Puct

__all__ = [
    "Budget",
    "Evolve",
    "Expansion",
    "Found",
    "Iteration",
    "Log",
    "Move",
    "Optimiser",
    "Proposed",
    "Puct",
    "Record",
    "Scored",
    "Spent",
    "Visits",
    "identify",
]
