"""Effects: what a body wants done outside, written with its facts and performed after them.

A letter cannot be unsent, and a body may run twice. So a body only asks: the request commits with
the facts, or not at all, and is performed afterwards by one performer at a time, across threads
and processes. Who performs may die between doing and writing down that it was done; then it is
done again, with the same key, by which the outside can tell that it has seen the request before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from uuid import UUID

import attrs

from persistence.connection import Connection
from persistence.datoms import Schema
from persistence.db import Db
from persistence.errors import StoreError, TransactionError, ValueRefused
from persistence.ids import tx_position
from persistence.stm.state import Effect
from persistence.transact import Batch
from persistence.transact.operations import Add
from persistence.values import Keyword, Map, freeze, keyword

_LOG = logging.getLogger("persistence")

Handler: TypeAlias = Callable[[Mapping[str, Any], UUID], Any]

ATTEMPTS: Final = 5  # of a handler that raises, before its effect counts as failed
LOCK: Final = "outbox"

OP: Final = Keyword("effect/op")
ARGS: Final = Keyword("effect/args")
KEY: Final = Keyword("effect/key")
PLACE: Final = Keyword("effect/place")
STATE: Final = Keyword("effect/state")
TRIED: Final = Keyword("effect/attempts")
RESULT: Final = Keyword("effect/result")
ERROR: Final = Keyword("effect/error")
PENDING: Final = Keyword("pending")
DONE: Final = Keyword("done")
FAILED: Final = Keyword("failed")

DECLARATIONS: Final = (
    {":db/ident": KEY, ":db/unique": Keyword("db.unique/identity")},
    {":db/ident": STATE, ":db/index": True},  # few are pending, and they are looked for often
)

_PENDING: Final = """
    [:find ?e ?tx ?place
     :where [?e :effect/state :pending] [?e :effect/place ?place ?tx]]
"""
_EVERY: Final = "[:find ?e ?tx ?place :where [?e :effect/place ?place ?tx]]"


@attrs.frozen
class Delivery:
    """An effect as the outbox has it.

    `state` is :pending, :done or :failed, `attempts` how often a handler was called, `result`
    what it gave and `error` what it raised last. `t` is the transaction that asked for it.
    """

    entity: int
    t: int
    operation: Keyword
    args: Mapping[str, Any]
    key: UUID
    state: Keyword
    attempts: int = 0
    result: Any = None
    error: str | None = None


def batch(schema: Schema, effects: list[Effect]) -> Batch:
    """The facts that stand for *effects*, under a schema that has the declarations."""
    operations = []
    for place, effect in enumerate(effects):
        facts = {
            OP: effect.operation,
            ARGS: effect.args,
            KEY: effect.key,
            PLACE: place,
            STATE: PENDING,
        }
        operations += [Add(effect.entity, schema[a], value, None) for a, value in facts.items()]
    return Batch(tuple(operations))


class Outbox:
    """The effects asked for on one branch, and who performs them."""

    def __init__(self, connection: Connection, branch: int = 0) -> None:
        self._connection = connection
        self._branch = branch
        self._handlers: dict[Keyword, tuple[Handler, int]] = {}

    def handle(self, operation: Any, handler: Handler, attempts: int) -> Callable[[], None]:
        """Lets *handler* perform *operation*; gives a function that ends it."""
        if attempts < 1:
            raise TransactionError(f"{attempts} attempts are none", hint="allow at least 1")
        named, entry = keyword(operation), (handler, attempts)
        self._handlers[named] = entry

        def stop() -> None:
            if self._handlers.get(named) is entry:
                del self._handlers[named]

        return stop

    def committed(self, effects: list[Effect]) -> None:
        """Performs what was just committed, as far as there are handlers for it."""
        if any(effect.operation in self._handlers for effect in effects):
            try:
                self.deliver()
            except StoreError:  # the facts are committed, and whoever comes next performs it
                _LOG.exception("effects stay pending")

    def deliver(self) -> list[Delivery]:
        """Performs what is pending and has a handler, oldest first, each once."""
        performed: dict[int, Delivery] = {}
        store = self._connection.store
        with _entered(store) as first:
            if first:
                with store.exclusive(LOCK):
                    while waiting := [
                        each
                        for each in self._pending()
                        if each.entity not in performed and each.operation in self._handlers
                    ]:
                        for each in waiting:
                            performed[each.entity] = self._perform(each)
        return [*performed.values()]

    def effects(self, state: Any = None) -> list[Delivery]:
        """The effects of this branch in the order they were asked for; all, or of one state."""
        wanted = None if state is None else keyword(state)
        db = self._connection.db(self._branch)
        found = _deliveries(db, _PENDING if wanted is PENDING else _EVERY)
        return [each for each in found if wanted in (None, each.state)]

    def _pending(self) -> list[Delivery]:
        return _deliveries(self._connection.db(self._branch), _PENDING)

    def _perform(self, asked: Delivery) -> Delivery:
        handler, most = self._handlers[asked.operation]
        tried = attrs.evolve(asked, attempts=asked.attempts + 1)
        try:
            result = handler(asked.args, asked.key)
        except Exception as error:
            _LOG.exception("the effect %s %s failed", asked.operation, asked.key)
            state = FAILED if tried.attempts >= most else PENDING
            tried = attrs.evolve(tried, state=state, error=f"{type(error).__name__}: {error}")
        else:
            tried = attrs.evolve(tried, state=DONE, **_told(result))
        self._record(tried)
        return tried

    def _record(self, tried: Delivery) -> None:
        told = {STATE: tried.state, TRIED: tried.attempts, RESULT: tried.result, ERROR: tried.error}
        forms = [["db/add", tried.entity, a, v] for a, v in told.items() if v is not None]
        if tried.error is None:
            forms.append(["db/retract", tried.entity, ERROR])
        self._connection.transact(forms, branch=self._branch)


def _told(result: Any) -> dict[str, Any]:
    """What is kept of a handler's result; it was performed, whatever it gave."""
    try:
        return {"result": freeze(result), "error": None}
    except ValueRefused as refused:
        return {"result": None, "error": f"done, but its result is lost: {refused.message}"}


def _deliveries(db: Db, query: str) -> list[Delivery]:
    """What *query* finds of the effects asked for on the branch of *db*, oldest first.

    What was pending when a branch began is left to the line that it came from.
    """
    begun = db.view.ancestors[0][1] if db.view.ancestors else 0
    rows = sorted((tx, place, e) for e, tx, place in db.q(query) if tx_position(tx) > begun)
    pulled = db.pull_many("[*]", [e for *_, e in rows]) if rows else []
    return [
        _delivery(e, tx_position(tx), facts) for (tx, _, e), facts in zip(rows, pulled, strict=True)
    ]


def _delivery(e: int, t: int, facts: Mapping[Keyword, Any]) -> Delivery:
    args: Map = facts[ARGS]
    return Delivery(
        e,
        t,
        facts[OP],
        {key.name: value for key, value in args.items()},
        facts[KEY],
        facts[STATE],
        facts.get(TRIED, 0),
        facts.get(RESULT),
        facts.get(ERROR),
    )


_inside = threading.local()  # the stores whose outbox this thread performs


@contextmanager
def _entered(store: object) -> Iterator[bool]:
    """Whether this thread is not performing the outbox of *store* already.

    A handler may transact and ask for more; that is performed by the delivery it belongs to.
    """
    stores: set[int] = _inside.__dict__.setdefault("stores", set())
    first = id(store) not in stores
    stores.add(id(store))
    try:
        yield first
    finally:
        if first:
            stores.discard(id(store))
