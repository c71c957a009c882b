"""Search: the best state that moves can lead to, every iteration on record."""

from persistence.search.budget import Budget, Spent
from persistence.search.codec import Codec
from persistence.search.edits import Edit, plan_moves
from persistence.search.evolve import Evolve
from persistence.search.exploration import Expansion, Log, Record
from persistence.search.found import Found, Iteration, Visits
from persistence.search.moves import Move, Proposed, Scored, identify
from persistence.search.optimiser import Optimiser
from persistence.search.puct import Puct
from persistence.search.space import Searches, SearchInfo

__all__ = [
    "Budget",
    "Codec",
    "Edit",
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
    "SearchInfo",
    "Searches",
    "Spent",
    "Visits",
    "identify",
    "plan_moves",
]
