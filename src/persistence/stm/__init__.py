"""Software transactional memory over the store: bodies that run as if nobody else did."""

from persistence.stm.bound import BoundRef
from persistence.stm.fold import Folded, Marker
from persistence.stm.fork import Forked
from persistence.stm.limits import Backoff
from persistence.stm.outbox import Delivery
from persistence.stm.reference import Ref
from persistence.stm.run import Settings
from persistence.stm.state import Commute, Effect, Retry, State
from persistence.stm.transaction import Transaction
from persistence.stm.trial import Outcome
from persistence.stm.txn import Txn
from persistence.stm.watching import Change
from persistence.stm.workspace import Options

__all__ = [
    "Backoff",
    "BoundRef",
    "Change",
    "Commute",
    "Delivery",
    "Effect",
    "Folded",
    "Forked",
    "Marker",
    "Options",
    "Outcome",
    "Ref",
    "Retry",
    "Settings",
    "State",
    "Transaction",
    "Txn",
]
