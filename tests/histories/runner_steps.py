"""A real store for `stores.play`, which interleaves clients step by step in one thread.

Bodies hold no locks, so that any interleaving of any number of them can be had, the same each
time. An attempt that meets a conflict fails; nothing is tried again.
"""

from __future__ import annotations

from typing import Any

from persistence import Substrate
from persistence.errors import Conflict
from tests.histories.history import Key
from tests.histories.microops import Ref, Request
from tests.histories.runner_cells import Unguarded, cells


class Stepped:
    """Begins transactions of *isolation* on *s*; `read-committed` is no transaction at all."""

    serial = False

    def __init__(
        self,
        s: Substrate,
        isolation: str = "serializable",
        *,
        way: str = "alter",
        reads: str = "refs",
    ) -> None:
        self._s, self._isolation = s, isolation
        self._way, self._reads = way, reads

    def begin(self, request: Request) -> Any:
        if self._isolation == "read-committed":
            return _Unguarded(self._s)
        return _Attempt(self._s, self._isolation, self._way, self._reads)


class _Attempt:
    """One attempt, whose block is entered and left by hand."""

    def __init__(self, s: Substrate, isolation: str, way: str, reads: str) -> None:
        self._way = way
        self._block = s.txn.once(isolation=isolation)
        self._cells = cells(self._block.__enter__(), reads)

    def ref(self, key: Key) -> Ref:
        return _InOneWay(self._cells(key), self._way)

    def commit(self) -> bool:
        try:
            self._block.__exit__(None, None, None)
        except Conflict:
            return False
        return True


class _InOneWay:
    """A ref that is altered in the way that the run is about."""

    def __init__(self, ref: Ref, way: str) -> None:
        self.deref, self.set = ref.deref, ref.set
        if way == "set":
            self.alter = lambda f: ref.set(f(ref.deref()))
        else:
            self.alter = getattr(ref, way)
        self.commute = self.alter


class _Unguarded:
    def __init__(self, s: Substrate) -> None:
        self._client = Unguarded(s)
        self.ref = self._client

    def commit(self) -> bool:
        self._client.commit()
        return True
