"""Where datoms are kept: SQL without meaning, on SQLite and on Postgres."""

from persistence.store.open import open_store
from persistence.store.protocol import Batch, Head, Session, Size, Snapshot, Store, TxRow

__all__ = ["Batch", "Head", "Session", "Size", "Snapshot", "Store", "TxRow", "open_store"]
