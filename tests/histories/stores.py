"""Simulated stores that are right, or wrong in a known way: what the checkers are checked against.

Each is a dictionary and a rule for reading and committing. `play` interleaves clients over one of
them, step by step, by the choices it is given; nothing runs at the same time as anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from tests.histories.history import History, Key
from tests.histories.microops import Request, perform
from tests.histories.recorder import Recorder


class Cell:
    """A ref over what a transaction reads and the buffer of what it will write."""

    def __init__(self, read: Callable[[Key], Any], buffer: dict[Key, Any], key: Key) -> None:
        self._read, self._buffer, self._key = read, buffer, key

    def deref(self) -> Any:
        return self._buffer[self._key] if self._key in self._buffer else self._read(self._key)

    def set(self, value: Any) -> None:
        self._buffer[self._key] = value

    def alter(self, f: Callable[[Any], Any]) -> None:
        self.set(f(self.deref()))

    commute = alter


class Transaction:
    """Reads by the store's rule, buffers writes, and asks the store whether they may commit."""

    def __init__(self, store: ReadCommitted, read: Callable[[Key], Any], began: int) -> None:
        self._store, self._read, self.began = store, read, began
        self.buffer: dict[Key, Any] = {}

    def ref(self, key: Key) -> Cell:
        return Cell(self._read, self.buffer, key)

    def commit(self) -> bool:
        return self._store.commit(self)


class ReadCommitted:
    """Every read sees the latest commit, and nobody checks: updates are lost, reads skewed."""

    serial = False  # whether a transaction begins and commits in one step

    def __init__(self) -> None:
        self.states: list[dict[Key, Any]] = [{}]
        self.changed: dict[Key, int] = {}

    def begin(self, request: Request) -> Transaction:
        return Transaction(self, lambda key: self.states[-1].get(key), self.now)

    @property
    def now(self) -> int:
        return len(self.states) - 1

    def commit(self, tx: Transaction) -> bool:
        if tx.buffer:
            self.states.append(self.states[-1] | tx.buffer)
            self.changed.update(dict.fromkeys(tx.buffer, self.now))
        return True


class Snapshot(ReadCommitted):
    """Snapshot isolation: reads as of the beginning; of two writers of a key the first commits."""

    def begin(self, request: Request) -> Transaction:
        return Transaction(self, self.states[-1].get, self.now)

    def commit(self, tx: Transaction) -> bool:
        if any(self.changed.get(key, 0) > tx.began for key in tx.buffer):
            return False
        return super().commit(tx)


class Serial(ReadCommitted):
    """One transaction after the other, each between its invocation and its completion."""

    serial = True


class StaleReads(Serial):
    """Serializable, but transactions that only read may be shown any earlier state."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    def begin(self, request: Request) -> Transaction:
        if not request.read_only:
            return super().begin(request)
        return Transaction(self, self._rng.choice(self.states).get, self.now)


class Forks(Serial):
    """Transactions that only read may miss one of the last two commits, and not always the last."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self._last: dict[Key, Any] = {}

    def begin(self, request: Request) -> Transaction:
        if not request.read_only or self.now < 2:
            return super().begin(request)
        missing_one = self.states[-3] | self._last
        state = self._rng.choice((self.states[-1], self.states[-2], missing_one))
        return Transaction(self, state.get, self.now)

    def commit(self, tx: Transaction) -> bool:
        if tx.buffer:
            self._last = tx.buffer
        return super().commit(tx)


def play(
    store: ReadCommitted,
    scripts: Sequence[Sequence[Request]],
    choose: Callable[[int], int],
    *,
    luck: Callable[[], str] = lambda: "ok",
) -> History:
    """The history of one client per script, on *store*.

    *choose(n)* says which of n clients makes the next step. *luck* says how each commit goes: `ok`,
    `abort` (it fails), `lost` (it is made, but nobody hears of it) or `dropped` (neither).
    """
    recorder = Recorder(lambda: 0)
    clients = [
        _client(store, process, script, recorder, luck, len(scripts))
        for process, script in enumerate(scripts)
    ]
    while clients:
        client = clients[choose(len(clients))]
        if next(client, "done") == "done":
            clients.remove(client)
    return recorder.history()


def _client(
    store: ReadCommitted,
    process: int,
    script: Sequence[Request],
    recorder: Recorder,
    luck: Callable[[], str],
    processes: int,
) -> Iterator[str]:
    for request in script:
        recorder.record(process, "invoke", request.f, request.mops)
        yield "invoked"
        tx, done = store.begin(request), []
        for mop in request.mops:
            if not store.serial:
                yield "between"
            done += perform(mop, tx.ref)
        if not store.serial:
            yield "between"
        fate = luck()
        committed = fate in ("ok", "lost") and tx.commit()
        yield "decided"
        outcome = "info" if fate in ("lost", "dropped") else "ok" if committed else "fail"
        recorder.record(process, outcome, request.f, done if outcome == "ok" else request.mops)
        if outcome == "info":
            process += processes
        yield "completed"
