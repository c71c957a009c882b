"""Persistence: a bitemporal, content-addressed datom store on SQLite and Postgres.

A fact is never overwritten. It holds over an interval of the world's time, and it was known over
an interval of the store's own; every read picks a point on both.

>>> from persistence import Substrate
>>> with Substrate.open(":memory:") as s:
...     _ = s.fact.transact("[{:db/ident :item/sku :db/unique :db.unique/identity}]")
...     _ = s.fact.transact([{"item/sku": "tea", "item/price": 10}], valid_from="2026-03-01")
...     known_then = s.fact.db()
...     _ = s.fact.transact([{"item/sku": "tea", "item/price": 12}], valid_from="2026-03-15")
...     price = '[:find ?p . :where [?i :item/sku "tea"] [?i :item/price ?p]]'
...     for db in (known_then, s.fact.db()):
...         print([db.valid_at(day).q(price) for day in ("2026-03-10", "2026-03-20")])
[10, 10]
[10, 12]

Every error is a `PersistenceError`; `persistence.errors` draws the tree.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from persistence.asynchronous import AsyncDb, AsyncSubstrate
    from persistence.audit.finding import Finding
    from persistence.audit.keyfile import Keyring
    from persistence.clock import Clock, FrozenClock, SystemClock
    from persistence.datoms import Datom
    from persistence.db import Db, Entity, Report
    from persistence.effects import Run, Terminal, Trace, effect, functions
    from persistence.errors import (
        AuditError,
        BudgetExceeded,
        BudgetSpent,
        CasFailed,
        ConflictError,
        ConnectionLost,
        CorruptStore,
        Diverged,
        EdnError,
        EffectAborted,
        EffectDenied,
        EffectError,
        EffectFailed,
        EffectTimedOut,
        EntityNotFound,
        ImportRefused,
        InputError,
        IntervalError,
        KeyFileError,
        LimitExceeded,
        MessageError,
        NewerStore,
        NotAStore,
        PersistenceError,
        PlanError,
        PlanStopped,
        PolicyError,
        PromotionRefused,
        QueryError,
        ReadOnlyStore,
        RevokedKey,
        RollbackDetected,
        SchemaError,
        SearchError,
        SpecError,
        StoreBusy,
        StoreClosed,
        StoreError,
        StoreFull,
        TraceError,
        TransactionError,
        UnboundVariable,
        UnhandledEffect,
        UniqueConflict,
        UnknownBasis,
        UnknownKey,
        ValueRefused,
    )
    from persistence.importing import Imported, Refusal
    from persistence.plans import Plan
    from persistence.query import Explanation, FunctionRegistry
    from persistence.substrate import Substrate
    from persistence.values import Char, Keyword, List, Map, Set, Symbol, Tagged, read, write

__all__ = [
    "AsyncDb",
    "AsyncSubstrate",
    "AuditError",
    "BudgetExceeded",
    "BudgetSpent",
    "CasFailed",
    "Char",
    "Clock",
    "ConflictError",
    "ConnectionLost",
    "CorruptStore",
    "Datom",
    "Db",
    "Diverged",
    "EdnError",
    "EffectAborted",
    "EffectDenied",
    "EffectError",
    "EffectFailed",
    "EffectTimedOut",
    "Entity",
    "EntityNotFound",
    "Explanation",
    "Finding",
    "FrozenClock",
    "FunctionRegistry",
    "ImportRefused",
    "Imported",
    "InputError",
    "IntervalError",
    "KeyFileError",
    "Keyring",
    "Keyword",
    "LimitExceeded",
    "List",
    "Map",
    "MessageError",
    "NewerStore",
    "NotAStore",
    "PersistenceError",
    "Plan",
    "PlanError",
    "PlanStopped",
    "PolicyError",
    "PromotionRefused",
    "QueryError",
    "ReadOnlyStore",
    "Refusal",
    "Report",
    "RevokedKey",
    "RollbackDetected",
    "Run",
    "SchemaError",
    "SearchError",
    "Set",
    "SpecError",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "Substrate",
    "Symbol",
    "SystemClock",
    "Tagged",
    "Terminal",
    "Trace",
    "TraceError",
    "TransactionError",
    "UnboundVariable",
    "UnhandledEffect",
    "UniqueConflict",
    "UnknownBasis",
    "UnknownKey",
    "ValueRefused",
    "effect",
    "functions",
    "read",
    "write",
]

# Names are loaded when they are first asked for (PEP 562): the standalone verifier belongs to this
# package and has to run where the dependencies of the store are not installed.
_NAMES: Final = {
    "asynchronous": ("AsyncDb", "AsyncSubstrate"),
    "audit.finding": ("Finding",),
    "audit.keyfile": ("Keyring",),
    "clock": ("Clock", "FrozenClock", "SystemClock"),
    "datoms": ("Datom",),
    "db": ("Db", "Entity", "Report"),
    "effects": ("Run", "Terminal", "Trace", "effect", "functions"),
    "importing": ("Imported", "Refusal"),
    "plans": ("Plan",),
    "query": ("Explanation", "FunctionRegistry"),
    "substrate": ("Substrate",),
    "values": ("Char", "Keyword", "List", "Map", "Set", "Symbol", "Tagged", "read", "write"),
}
_MODULES: Final = dict.fromkeys(__all__, "errors") | {
    name: module for module, names in _NAMES.items() for name in names
}

if not TYPE_CHECKING:  # a type checker that saw it would take every name for granted

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
            globals()[name] = found
            return found
        if not name.startswith("_"):  # `persistence.errors` after nothing but `import persistence`
            try:
                return import_module(f"{__name__}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{__name__}.{name}":
                    raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
