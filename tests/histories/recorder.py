"""Writes down what clients do while they do it, and joins what several processes wrote down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import attrs

from persistence.values import Keyword
from tests.histories.history import History, Mop, Op


class Recorder:
    """Collects operations from any number of threads; their order is the order of the calls.

    *time* says when, in any unit; across processes use one clock that all of them share, such as
    `time.monotonic_ns`. An invocation must be recorded before the store is called, its completion
    after the store has answered: else real time is made up.

    >>> recorder = Recorder(lambda: 0)
    >>> recorder.record(0, "invoke", "txn", [("w", "x", 1)])
    >>> recorder.record(0, "ok", "txn", [("w", "x", 1)])
    >>> recorder.history().transactions[0].status
    'ok'
    """

    def __init__(self, time: Callable[[], int]) -> None:
        self._time = time
        self._lock = threading.Lock()
        self._ops: list[Op] = []

    def record(self, process: int | Keyword, type: str, f: str, value: Iterable[Mop] = ()) -> None:
        """Appends one operation, at the time it is now."""
        value = tuple(value)
        with self._lock:
            self._ops.append(Op(process, type, f, value, self._time(), len(self._ops)))

    def history(self) -> History:
        """All that was recorded so far. What has not completed counts as indeterminate."""
        with self._lock:
            return History(self._ops)


def merge(parts: Sequence[Iterable[Op]]) -> History:
    """One history of the operations that several recorders wrote with one clock.

    Of operations at the same time, invocations come first, so that they count as concurrent.

    >>> a, b = Op(0, "ok", "txn", (), time=5), Op(1, "invoke", "txn", (), time=5)
    >>> start = Op(0, "invoke", "txn", (), time=1)
    >>> [op.type for op in merge([[start, a], [b]]).ops]
    ['invoke', 'invoke', 'ok']
    """
    ops = [op for part in parts for op in part]
    # The sort is stable: a process that did several things at one instant keeps their order,
    # unless an invocation of its own followed a completion, which needs time to pass.
    ops.sort(key=lambda op: (op.time, op.type != "invoke"))
    return History(attrs.evolve(op, index=index) for index, op in enumerate(ops))
