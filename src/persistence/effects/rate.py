"""No more calls than so many in so long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

from persistence.effects.call import Call
from persistence.effects.handler import Around, Asked, Wait, matching
from persistence.effects.verdict import denial, judge
from persistence.errors import EffectDenied, InputError
from persistence.values import Keyword


def rate(
    ops: Iterable[Keyword | str] | Keyword | str,
    calls: int,
    *,
    per: float = 1.0,
    longest: float | None = None,
    now: Callable[[], float] = time.monotonic,
    name: str = "rate",
) -> Around:
    """Lets *calls* calls of *ops* through in *per* seconds, by a bucket of that many tokens which
    fills at that rate.

    A call that finds it empty waits for its token, in the order in which they came; where that
    would take more than *longest* seconds it is denied at once, with 0 whenever it had to wait.
    *now* is a clock that never goes back. Threads may share one.

    >>> from persistence.effects import Run, Terminal
    >>> slow = rate("tool/*", 2, per=60, longest=0, now=lambda: 0.0)
    >>> run = Run("ask", [slow, Terminal("tools", {"tool/search": lambda: "tea"})])
    >>> run.perform("tool/search"), run.perform("tool/search")
    ('tea', 'tea')
    >>> run.perform("tool/search")
    Traceback (most recent call last):
    ...
    persistence.errors.EffectDenied: :tool/search was denied: rate lets 2 calls through in 60 s

    Raises:
        InputError: a rate that lets nothing through.
    """
    if calls < 1 or per <= 0 or (longest is not None and longest < 0):
        raise InputError("a rate lets something through", hint="calls ≥ 1, per > 0, longest ≥ 0")
    bucket = _Bucket(calls, per / calls, now)

    def handle(call: Call) -> Generator[Asked, Any, Any]:
        wait = bucket.take(longest)
        if wait is None:
            raise _denied(call)
        if wait > 0:
            yield Wait(wait)
        return (yield call)

    def _denied(call: Call) -> EffectDenied:
        said = denial(name, f"{calls} in {per:g} s")
        judge(call, said)
        return EffectDenied(
            f"{call.op} was denied: {name} lets {calls} calls through in {per:g} s",
            hint="ask less often, or let calls wait with longest=",
            operation=call.op,
            place=call.place,
            verdict=said,
        )

    return Around(name, handle, ops=matching(ops))


class _Bucket:
    """Tokens, of which each may be taken ahead of its time: so those who wait keep their order."""

    def __init__(self, size: int, each: float, now: Callable[[], float]) -> None:
        self._size, self._each, self._now = size, each, now
        self._full_at = now()  # when all tokens would be back
        self._lock = threading.Lock()

    def take(self, longest: float | None) -> float | None:
        """How long to wait for a token that is taken now; None if that is more than *longest*."""
        with self._lock:
            now = self._now()
            full_at = max(self._full_at, now) + self._each
            wait = max(0.0, full_at - now - self._size * self._each)
            if longest is not None and wait > longest + 1e-9:
                return None
            self._full_at = full_at
            return wait if wait > 1e-9 else 0.0
