"""Every error a caller can meet, in one tree; the class says whether trying again can help.

PersistenceError
├── InputError                 the caller's data or call is wrong (CLI exit 2)
│   ├── EdnError               text that is not EDN; carries line and column
│   ├── ValueRefused           a value that cannot be kept
│   ├── LimitExceeded          a stated limit; names the limit
│   ├── IntervalError          an empty, reversed or naive interval or instant
│   ├── SchemaError            a schema declaration or evolution that is refused
│   ├── TransactionError       data that cannot be transacted
│   │   ├── ConflictError      several facts of one transaction contradict; lists all
│   │   ├── UniqueConflict     a unique value that names another entity
│   │   ├── CasFailed          :db/cas found another value
│   │   ├── EntityNotFound     a lookup ref or ident that names nothing
│   │   ├── UndeclaredRef      a ref to a cell that is not there
│   │   └── ValidatorRefused   a value that a validator does not accept
│   ├── UnknownBasis           a basis that the log does not hold
│   ├── BranchError            a branch that is not there, is there already, or was discarded
│   │   └── MergeConflict      two branches that say different things; lists all
│   ├── QueryError             a query or pull pattern that cannot be run
│   │   └── UnboundVariable    names the variables
│   ├── ImportRefused          rows of an import that were refused
│   ├── SpecError              a value that does not conform; lists every problem
│   ├── PlanError              a plan that is none; names the path and the fix
│   ├── TraceError             a trace that is unknown, damaged or of another version
│   ├── MessageError           a file of messages that cannot be read; names the place
│   ├── PolicyError            rules that cannot be read
│   ├── SearchError            a search that cannot be carried out, or a score that is none
│   ├── PromotionRefused       a skill without the evidence it needs
│   └── UnhandledEffect        an operation that no handler answers
├── EffectError                an effect that gave no result; recorded like any other
│   ├── EffectDenied           a policy or a person said no
│   ├── EffectFailed           what performs it raised; `kind` names what
│   ├── EffectTimedOut         it took longer than it was given
│   ├── EffectAborted          it was interrupted, or its process died under it
│   ├── BudgetSpent            a run's tokens, money, calls or time are used up
│   ├── Diverged               a replay asked for what the record does not hold
│   └── PlanStopped            a run that was told to stop, and can go on
├── BudgetExceeded             a query over its time or row budget
├── TransactionFailed          a body that ran and was not committed
│   ├── Conflict               what it read has changed since; safe to retry
│   ├── AttemptsExhausted      it met a conflict in every attempt
│   ├── DeadlineExceeded       its time was up before it was committed
│   ├── WaitCycle              it waits for what only the waiting could change
│   ├── RefusedInTransaction   something that a body must leave to its effects
│   └── ForkError              a fork or fold of which nothing can be kept
├── AuditError                 the audit log, its keys or its checkpoints
│   ├── KeyFileError           a key file that cannot be read, or should not be
│   ├── UnknownKey             no key to sign with, or one that the log does not know
│   ├── RevokedKey             a key that the log took back
│   ├── RollbackDetected       the log is smaller than it was, or another one
│   └── WitnessError           a witness that did not cosign
└── StoreError                 the store or its medium
    ├── NotAStore              the file is something else
    ├── NewerStore             written by a later version
    ├── ReadOnlyStore          cannot be written
    ├── StoreFull              no space left; nothing was written
    ├── CorruptStore           index, log or ids disagree
    ├── StoreClosed            used after close
    ├── StoreBusy              another writer held on too long; safe to retry
    └── ConnectionLost         the server went away; `outcome` says what is known
"""

from __future__ import annotations

from typing import Any, ClassVar


class PersistenceError(Exception):
    """The root. `data` holds the facts of the matter, `hint` the remedy.

    >>> raise PersistenceError("no such thing", hint="look elsewhere", thing=1)
    Traceback (most recent call last):
    ...
    persistence.errors.PersistenceError: no such thing
    """

    retry: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = data


class InputError(PersistenceError):
    """What the caller gave is wrong; nothing was changed."""


class EdnError(InputError):
    """Text that is not EDN. `line` and `column` count from 1."""

    def __init__(
        self, message: str, *, line: int, column: int, hint: str | None = None, **data: Any
    ) -> None:
        super().__init__(
            f"line {line}, column {column}: {message}", hint=hint, line=line, column=column, **data
        )
        self.line = line
        self.column = column


class ValueRefused(InputError):
    """A Python object that is no EDN value, or one that no backend can keep."""


class LimitExceeded(InputError):
    """A stated limit was passed; `limit` names it, `allowed` and `found` give the numbers."""


class IntervalError(InputError):
    """An interval that is empty or reversed, or an instant without a time zone."""


class SchemaError(InputError):
    """A schema declaration, or a change of one, that is refused."""


class TransactionError(InputError):
    """Transaction data that cannot be transacted."""


class ConflictError(TransactionError):
    """Facts of one transaction that contradict each other; `conflicts` lists every one."""


class UniqueConflict(TransactionError):
    """A unique value that already names another entity."""


class CasFailed(TransactionError):
    """`:db/cas` found another value than the expected one."""


class EntityNotFound(TransactionError):
    """A lookup ref or an ident that names no entity."""


class UndeclaredRef(TransactionError):
    """A ref to an attribute that nobody declared or used, or of an entity that is not there."""


class ValidatorRefused(TransactionError):
    """A validator does not accept what the transaction would make of a cell."""


class UnknownBasis(InputError):
    """A basis (t, transaction or instant) that the log does not hold."""


class BranchError(InputError):
    """A branch that is not there, is there already, or was discarded."""


class MergeConflict(BranchError):
    """Two branches gave a cell different values; `conflicts` lists every one."""


class QueryError(InputError):
    """A query or a pull pattern that cannot be run."""


class UnboundVariable(QueryError):
    """Variables that nothing binds; `variables` names them."""


class ImportRefused(InputError):
    """Rows that an import refused; `refused` lists them."""


class SpecError(InputError):
    """A value that does not conform to its spec; `problems` lists path, reason and fix of each."""


class PlanError(InputError):
    """A plan that is none, or an edit that cannot be made; `problems` lists path and fix."""


class TraceError(InputError):
    """A trace that the store does not hold, that is damaged, or of another version."""


class MessageError(InputError):
    """A file of messages or runs that cannot be read; `place` names where."""


class PolicyError(InputError):
    """Rules of a policy that cannot be read."""


class SearchError(InputError):
    """A search that cannot be carried out: its budget, its moves, or a score that is none."""


class PromotionRefused(InputError):
    """A skill that lacks evidence or approval; `missing` lists what."""


class UnhandledEffect(InputError):
    """An operation that no handler answers; nothing was performed."""


class EffectError(PersistenceError):
    """An effect that gave no result; `operation` and `place` name it."""


class EffectDenied(EffectError):
    """A policy, or the person it asked, said no; `verdict` tells the rule."""


class EffectFailed(EffectError):
    """What performs the effect raised; `kind` is the name of the exception's class."""

    @property
    def kind(self) -> str:
        return str(self.data.get("kind", ""))


class EffectTimedOut(EffectError):
    """The effect took longer than it was given; `seconds` tells how much that was."""


class EffectAborted(EffectError):
    """The effect was interrupted; what it did outside is not known."""


class BudgetSpent(EffectError):
    """A budget of the run is used up; `budget` names it, `allowed` and `spent` give the numbers."""


class Diverged(EffectError):
    """A replay asked for what the record does not hold; `expected` and `found` tell the steps."""


class PlanStopped(EffectError):
    """The run was told to stop; `run` names it, and it can be resumed."""


class BudgetExceeded(PersistenceError):
    """A query passed its time or row budget; `budget` names which."""


class TransactionFailed(PersistenceError):
    """A body that ran and was not committed; nothing of it was written."""


class Conflict(TransactionFailed):
    """What the body read has changed since; `entity`, `attribute` and `t` tell what and when."""

    retry = True


class AttemptsExhausted(TransactionFailed):
    """The body met a conflict in every attempt it was allowed; `attempts` tells how many."""

    retry = True


class DeadlineExceeded(TransactionFailed):
    """The time that the transaction was given is up; `seconds` tells how much it was."""


class WaitCycle(TransactionFailed):
    """A transaction inside of a body waits for what that body is about to write."""


class RefusedInTransaction(TransactionFailed):
    """Something that a body must not do, because it may run more than once."""


class ForkError(TransactionFailed):
    """A fork or a fold of which nothing can be kept: no candidate, no score, no choice."""


class AuditError(PersistenceError):
    """The audit log, the keys that sign it, or a checkpoint of it."""


class KeyFileError(AuditError):
    """A key file that cannot be read, or that others can; `path` names it."""


class UnknownKey(AuditError):
    """There is no key to sign with, or the log does not know the one there is."""


class RevokedKey(AuditError):
    """The key was taken back; what it signed before stays valid."""


class RollbackDetected(AuditError):
    """The log is smaller than a checkpoint of it, or holds something else; `evidence` is kept."""


class WitnessError(AuditError):
    """A witness did not cosign, or cannot be asked; `witness` and `url` name it."""


class StoreError(PersistenceError):
    """The store, its file or its server."""


class NotAStore(StoreError):
    """The file or database holds something else."""


class NewerStore(StoreError):
    """The store was written by a later version of this program."""


class ReadOnlyStore(StoreError):
    """The store cannot be written."""


class StoreFull(StoreError):
    """No space is left on the medium; nothing of the transaction was written."""


class CorruptStore(StoreError):
    """Index, log or ids disagree."""


class StoreClosed(StoreError):
    """The store was used after it was closed."""


class StoreBusy(StoreError):
    """Another writer held the store for too long."""

    retry = True


class ConnectionLost(StoreError):
    """The server went away. `outcome` is "not committed" or "unknown"."""

    retry = True
