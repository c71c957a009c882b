"""Candidates and scores of a module, which other processes can import."""

from __future__ import annotations

import os
from typing import Any

import attrs

from persistence.stm import Outcome, Transaction


@attrs.frozen
class Give:
    """Gives an account a balance, notes who did it, and asks for a letter."""

    amount: int

    def __call__(self, tx: Transaction) -> dict[str, Any]:
        balance = tx.ref(["account/id", "a"], "account/balance")
        before = balance.deref()
        balance.set(self.amount)
        tx.ref(3, "account/balance").commute(add, 1)
        made = tx.transact([{"db/id": "new", "gift/amount": self.amount}]).tempids["new"]
        tx.effect("letter", amount=self.amount)
        return {"before": before, "made": made, "process": os.getpid()}


def add(balance: int, more: int) -> int:
    return balance + more


def amount(outcome: Outcome) -> float:
    """What the candidate left in the account, read from its own state."""
    assert outcome.db is not None
    found: int = outcome.db.get(1, "account/balance")
    return found


def broken(tx: Transaction) -> None:
    raise ValueError("it does not work")


def unsendable(tx: Transaction) -> Any:
    return lambda: None


def wait_for_more(tx: Transaction) -> int:
    """Goes on once the account b holds more than 100."""
    found: int = tx.get(2, "account/balance")
    if found <= 100:
        tx.retry()
    return found


def nan(outcome: Outcome) -> float:
    return float("nan")


def refuse(outcome: Outcome) -> float:
    raise LookupError("no opinion")
