"""Asking once: equal calls get the answer that the first of them got."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

from persistence.clock import Clock, SystemClock
from persistence.effects.call import Call
from persistence.effects.handler import Around, Asked, Invoke, matching
from persistence.effects.step import DONE, Step
from persistence.effects.verdict import CACHED, note
from persistence.effects.world import OWN
from persistence.errors import InputError
from persistence.values import Keyword, Map, Value, encode, freeze, identity

_SAID: Final = Map({CACHED: True})
_ABSENT: Final = object()

Find = Callable[[Call], Any]


def cache(
    ops: Iterable[Keyword | str] | Keyword | str,
    *,
    size: int = 1_024,
    ttl: float | None = None,
    clock: Clock | None = None,
    of: Iterable[Step] | Find | None = None,
    name: str = "cache",
) -> Around:
    """Answers a call of *ops* as an equal call was answered before; the verdict on record says
    ``:cached true``.

    Calls are equal if operation and arguments are the same values, and they were sent to the same
    handlers by `named` and `mask`. The latest *size* answers are kept, each for *ttl* seconds by
    *clock*. Failures are not kept, nor is what a run asks of its own clock, chance and store.
    Threads may share one; two that ask at the same moment may both be sent inward.

    *of* answers what is not kept yet from earlier records: a `Trace` or other steps, or a function
    that is given the call and gives a `Step` or None. A call whose recorded arguments were
    redacted is not found there, because another secret may have been meant.

    >>> from persistence.effects import Run, Terminal
    >>> asked = []
    >>> tools = Terminal("tools", {"tool/search": lambda query: asked.append(query) or query})
    >>> run = Run("ask", [cache("tool/*"), tools])
    >>> [run.perform("tool/search", query="tea") for _ in range(3)], asked
    (['tea', 'tea', 'tea'], ['tea'])

    Raises:
        InputError: a size or a time that would keep nothing.
    """
    if size < 1 or (ttl is not None and ttl <= 0):
        raise InputError("a cache keeps something for some time", hint="size ≥ 1, and ttl > 0")
    kept = _Kept(size, ttl, clock or SystemClock())
    find: Find | None = of if of is None or callable(of) else _recorded(of)
    chosen = matching(ops)

    def handle(call: Call) -> Generator[Asked, Any, Any]:
        asked = frozenset((name, identity(value)) for name, value in call.args.items())
        key = (call.op, asked, call.to, call.masked)
        found = kept.get(key)
        if found is _ABSENT and find is not None:
            step = yield Invoke(find, (call,))
            if step is not None and step.status is DONE:
                found = step.result
                kept.put(key, found)
        if found is not _ABSENT:
            note(call, _SAID)
            return found
        result = freeze((yield call))
        kept.put(key, result)
        return result

    return Around(name, handle, ops=lambda op: op not in OWN and chosen(op))


class _Kept:
    """The latest answers by call, and until when each is good."""

    def __init__(self, size: int, ttl: float | None, clock: Clock) -> None:
        self._size, self._clock = size, clock
        self._ttl = None if ttl is None else round(ttl * 1_000_000)
        self._held: OrderedDict[Any, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return _ABSENT
            value, until = found
            if self._ttl is not None and self._clock.now() >= until:
                del self._held[key]
                return _ABSENT
            self._held.move_to_end(key)
            return value

    def put(self, key: Any, value: Value) -> None:
        until = 0 if self._ttl is None else self._clock.now() + self._ttl
        with self._lock:
            self._held[key] = (value, until)
            self._held.move_to_end(key)
            if len(self._held) > self._size:
                self._held.popitem(last=False)


def _recorded(steps: Iterable[Step]) -> Find:
    known = {step.asked: step for step in steps if step.status is DONE}
    return lambda call: known.get(encode((call.op, call.form)))
