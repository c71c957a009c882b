"""Who commits for whom: threads that write at the same time share one commit, and one fsync.

The first that comes leads and carries out every request that waits. The others sleep until they
are committed, or have to lead the next commit themselves; nobody who is committed waits for the
next leader. A thread that is interrupted takes its request back, and passes the lead on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final

import attrs

from persistence.group import Request

_PATIENCE: Final = 0.5  # part of a commit's time that is spent on waiting for company
_LONGEST: Final = 0.002  # seconds that it may take, however long the last commit was


@attrs.define(eq=False)
class GroupCommit:
    """A queue of requests in front of *commit*, which carries out several at once.

    `lock` is held while they are carried out; who takes it keeps everybody from committing.
    """

    commit: Callable[[list[Request]], None]
    lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    waiting: deque[Request] = attrs.field(factory=deque, init=False)
    _queue: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _leader: Request | None = attrs.field(default=None, init=False)
    _arrived: threading.Event = attrs.field(factory=threading.Event, init=False)
    _crowd: int = attrs.field(default=0, init=False)  # of the last commit, and waiting at its end
    _lasted: float = attrs.field(default=0.0, init=False)  # seconds that it took

    def submit(self, request: Request) -> None:
        """Comes back when *request* was carried out, by this thread or by another one."""
        try:
            self._enter(request)
            if request.turn is not None:
                request.turn.wait()
            if not request.done:
                with self.lock:
                    self._lead()
        finally:
            self._leave(request)

    def _enter(self, request: Request) -> None:
        with self._queue:
            if self._leader is None:
                self._leader = request
            else:
                request.turn = threading.Event()
            self.waiting.append(request)
            self._arrived.set()

    def _lead(self) -> None:
        self._gather()
        start = monotonic()
        with self._queue:
            group = [*self.waiting]
            self.waiting.clear()
        try:
            self.commit(group)
        finally:
            self._lasted = monotonic() - start
            self._crowd = len(group) + len(self.waiting)
            for each in group:
                each.done = True
                if each.turn is not None:
                    each.turn.set()

    def _gather(self) -> None:
        """Waits a moment for the threads that committed last to come again and share this
        commit; never longer than a part of what the last one took."""
        end = monotonic() + min(_PATIENCE * self._lasted, _LONGEST)
        while len(self.waiting) < self._crowd and (left := end - monotonic()) > 0:
            self._arrived.clear()
            if len(self.waiting) < self._crowd:
                self._arrived.wait(left)

    def _leave(self, request: Request) -> None:
        """Takes *request* back if nobody carried it out; who had the lead passes it on."""
        with self._queue:
            if request in self.waiting:
                self.waiting.remove(request)
            if self._leader is request:
                self._leader = self.waiting[0] if self.waiting else None
                if self._leader is not None and self._leader.turn is not None:
                    self._leader.turn.set()
