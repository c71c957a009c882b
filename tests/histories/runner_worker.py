"""One worker: asks the store for one request after the other, and tells of each.

What an attempt has seen that was thrown away is told as well, as a transaction of its own that
only read: a body is promised a consistent state also when it will have to run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from random import Random
from time import monotonic_ns
from typing import Any

import attrs

from persistence import FrozenClock, Substrate
from persistence.errors import ConnectionLost, StoreBusy, TransactionFailed
from persistence.stm import Transaction
from tests.histories.history import Mop, Op
from tests.histories.microops import WAYS, Request, execute
from tests.histories.runner_cells import Unguarded, cells
from tests.histories.workloads import WORKLOADS, Workload

VIEWS = 1_000_000  # added to the number of a process for what its lost attempts saw
_LIVES = 1_000  # more than any worker is started anew
_SPACES = {name: space for space, name in enumerate(WORKLOADS)}


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that a run depends on but the store; plain data, for other processes.

    A worker makes its *requests* to each of the *workloads*, one workload after the other.
    """

    workloads: tuple[str, ...] = attrs.field(converter=tuple, default=tuple(WORKLOADS))
    workers: int = 3
    requests: int = 40
    seed: int = 0
    way: str = "alter"  # or "mixed": one after the other
    reads: str = "refs"
    isolation: str = "serializable"
    frozen: int | None = None  # the instant at which every worker's clock stands
    kills: int = 0

    def build(self) -> Mapping[str, Workload]:
        return {name: WORKLOADS[name](self.workers) for name in self.workloads}

    @property
    def total(self) -> int:
        """How many requests each worker makes in all."""
        return self.requests * len(self.workloads)

    def requests_of(self, worker: int) -> Iterator[tuple[str, Request]]:
        """What *worker* asks for and of which workload: the same in every life of it."""
        for name, workload in self.build().items():
            requests = workload.requests(Random(f"{self.seed}/{worker}"), worker)
            for request in islice(requests, self.requests):
                yield name, request

    def open(self, uri: str) -> Substrate:
        return Substrate.open(uri, clock=None if self.frozen is None else FrozenClock(self.frozen))


Note = Callable[[str, Op], Any]
"""Is told each operation and its workload."""


@attrs.define
class Worker:
    """A client of *s*, which tells *note* of every operation when it happens."""

    s: Substrate
    plan: Plan
    process: int
    note: Note
    _noted: Counter[str] = attrs.field(factory=Counter)
    _seen: tuple[int, tuple[Mop, ...], int] | None = None  # by the attempt under way

    def carry_out(self, name: str, request: Request) -> None:
        """One request of the workload *name*: its invocation, what lost attempts saw, its end."""
        began = self._tell(name, self.process, "invoke", request.f, request.mops)
        try:
            done = self._committed(name, request, began)
        except (TransactionFailed, StoreBusy):
            self._lost(name)
            self._tell(name, self.process, "fail", request.f, request.mops)
        except ConnectionLost:
            self._tell(name, self.process, "info", request.f, request.mops)
            self.process += self.plan.workers * _LIVES
        else:
            self._tell(name, self.process, "ok", request.f, done)
        self._seen = None

    def _committed(self, name: str, request: Request, began: int) -> tuple[Mop, ...]:
        plan, space = self.plan, _SPACES[name]
        way = WAYS[self._noted[name] % len(WAYS)] if plan.way == "mixed" else plan.way
        if plan.isolation == "read-committed":
            client = Unguarded(self.s, space)
            done = execute(request.mops, client, way=way)
            client.commit()
            return done

        def body(tx: Transaction) -> tuple[Mop, ...]:
            since = self._lost(name) or began
            done = execute(request.mops, cells(tx, plan.reads, space), way=way)
            self._seen = since, tuple(outside(done)), monotonic_ns()
            return done

        return self.s.txn.run(body, isolation=plan.isolation)

    def _lost(self, name: str) -> int | None:
        """Tells what an attempt saw that did not commit; gives when it was over."""
        if self._seen is None:
            return None
        began, reads, ended = self._seen
        self._seen = None
        if reads:
            process = self.process + VIEWS
            asked = [("r", key, None) for _, key, _ in reads]
            self._tell(name, process, "invoke", "view", asked, began)
            self._tell(name, process, "ok", "view", reads, ended)
        return ended + 1

    def _tell(
        self,
        name: str,
        process: int,
        type: str,
        f: str,
        value: Iterable[Mop],
        time: int | None = None,
    ) -> int:
        time = monotonic_ns() if time is None else time
        self.note(name, Op(process, type, f, tuple(value), time, self._noted[name]))
        self._noted[name] += 1
        return time


def outside(mops: Iterable[Mop]) -> Iterator[Mop]:
    """The reads of what others wrote: those of a key that the transaction had not written.

    >>> list(outside([("r", "x", 1), ("w", "x", 2), ("r", "x", 2), ("r", "y", 3)]))
    [('r', 'x', 1), ('r', 'y', 3)]
    """
    own = set()
    for mop in mops:
        if mop[0] != "r":
            own.add(mop[1])
        elif mop[1] not in own:
            yield mop
