"""From transaction data to what is written. Decides everything; writes nothing."""

from persistence.transact.ensure import ensure_entities
from persistence.transact.prepare import Prepared, prepare
from persistence.transact.resolved import Batch, Batches
from persistence.transact.speculate import carried_out, laid_over, report, speculate

__all__ = [
    "Batch",
    "Batches",
    "Prepared",
    "carried_out",
    "ensure_entities",
    "laid_over",
    "prepare",
    "report",
    "speculate",
]
