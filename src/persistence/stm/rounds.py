"""Several pieces of work at once, without paying for threads where the work is small.

Handing a piece of work to another thread costs more than a candidate that only computes a few
facts; waiting for a model one candidate after the other costs more than anything. Which it is
shows only while it runs. So the caller begins alone, and one helper looks on: if the work is not
done within some milliseconds, the rest of it is taken up by as many threads as there are pieces.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from persistence.stm.limits import Deadline

GRACE: Final = 0.002  # seconds; a thread is handed work in about 0.05 ms, a reader opens in 1 ms
MOST: Final = 32  # threads of one fork, unless told otherwise

Work = Callable[[], None]


class Helpers:
    """Threads that wait for work, shared by every fork of this process."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._making = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads; there are none before they are first needed."""
        with self._making:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(4 * MOST, thread_name_prefix="persistence-fork")
            return self._pool

    def _forget(self) -> None:
        self._pool, self._making = None, threading.Lock()  # threads do not survive a fork


HELPERS: Final = Helpers()


class Round:
    """Pieces of work, each done once by whoever comes for it."""

    def __init__(self, work: Iterable[Work]) -> None:
        self._work = deque(work)
        self._left = len(self._work)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self.failed: list[BaseException] = []

    def run(self, deadline: Deadline, *, pool: Executor | None, workers: int) -> None:
        """Returns when everything is done; at most *workers* work at once, the caller among them.

        With a *pool*, its threads help from the start; without, helpers come when it takes long.

        Raises:
            DeadlineExceeded: it was not done in time. What a piece of work raises.
        """
        helpers = min(workers, self._left) - 1
        if helpers > 0 and pool is None:
            HELPERS.pool.submit(self._look_on, helpers)
        elif pool is not None:
            self._call(pool, helpers)
        try:
            self._take()
            while not self._done.wait(deadline.left()):
                deadline.check()
        finally:
            self._work.clear()
        if self.failed:
            raise self.failed[0]

    def _look_on(self, helpers: int) -> None:
        if not self._done.wait(GRACE):
            self._call(HELPERS.pool, helpers - 1)
            self._take()

    def _call(self, pool: Executor, helpers: int) -> None:
        for _ in range(helpers):
            pool.submit(self._take)

    def _take(self) -> None:
        while True:
            try:
                work = self._work.popleft()
            except IndexError:
                return
            try:
                work()
            except BaseException as error:
                self.failed.append(error)
                self._drop()
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    self._done.set()

    def _drop(self) -> None:
        """Leaves undone what nobody has begun."""
        with self._lock:
            while self._work:
                try:
                    self._work.popleft()
                except IndexError:
                    break
                self._left -= 1
