"""From transaction data to what is written. Decides everything; writes nothing."""

from persistence.transact.ensure import ensure_entities
from persistence.transact.prepare import Prepared, prepare
from persistence.transact.speculate import laid_over, speculate

__all__ = ["Prepared", "ensure_entities", "laid_over", "prepare", "speculate"]
