"""Software transactional memory over the store: bodies that run as if nobody else did."""

from persistence.stm.bound import BoundRef
from persistence.stm.limits import Backoff
from persistence.stm.reference import Ref
from persistence.stm.run import Settings
from persistence.stm.state import Commute, Effect, State
from persistence.stm.transaction import Options, Retry, Transaction
from persistence.stm.txn import Txn
from persistence.stm.watching import Change

__all__ = [
    "Backoff",
    "BoundRef",
    "Change",
    "Commute",
    "Effect",
    "Options",
    "Ref",
    "Retry",
    "Settings",
    "State",
    "Transaction",
    "Txn",
]
