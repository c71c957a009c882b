"""Trying again what failed by chance."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final, TypeAlias
from uuid import uuid5

from persistence.effects.call import Call
from persistence.effects.handler import Around, Asked, Wait, Within, matching
from persistence.effects.verdict import note
from persistence.errors import (
    EffectError,
    EffectFailed,
    EffectTimedOut,
    InputError,
    PersistenceError,
)
from persistence.values import Keyword, Map

_ATTEMPTS: Final = Keyword("attempts")
_KIND: Final = Keyword("kind")
_MESSAGE: Final = Keyword("message")
_MESSAGE_CHARS: Final = 500

On: TypeAlias = Callable[[Exception], bool] | type[Exception] | Iterable[Any]


def worth_trying(error: Exception) -> bool:
    """Whether another attempt could go otherwise: time was up, or an error of the outside.

    What a handler refused, and what is wrong with the call itself, stays so.
    """
    if isinstance(error, PersistenceError):
        return error.retry or isinstance(error, EffectTimedOut | EffectFailed)
    return True


def retry(
    ops: Iterable[Keyword | str] | Keyword | str,
    *,
    attempts: int = 3,
    on: On = worth_trying,
    within: float | None = None,
    backoff: float = 0.5,
    longest: float = 30.0,
    name: str = "retry",
) -> Around:
    """Performs a call of *ops* again when it failed, *attempts* times in all at most.

    *on* tells which errors are worth it: a predicate, an exception class, or names and classes of
    exceptions. Each attempt takes at most *within* seconds. Between attempts it waits *backoff*
    seconds, doubled each time up to *longest*, shortened by up to a half by a chance that is made
    of the call's key: so a resumed run waits the same. Every attempt has the same `Call.key`, by
    which the outside can tell that it is one call. The recorded verdict lists the attempts that
    failed under ``:attempts``.

    >>> from persistence.effects import Run, Terminal
    >>> answers = iter([ConnectionError("reset"), "tea"])
    >>> def search():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> run = Run("ask", [retry("tool/*", backoff=0), Terminal("t", {"tool/search": search})])
    >>> run.perform("tool/search"), run.trace[0].verdict[Keyword("attempts")]
    ('tea', (Map({Keyword('kind'): 'ConnectionError', Keyword('message'): 'reset'}),))

    Raises:
        InputError: no attempt at all, or a time that is none.
    """
    if attempts < 1 or backoff < 0 or longest < 0 or (within is not None and within <= 0):
        raise InputError("a retry makes an attempt, in some time", hint="attempts ≥ 1, within > 0")
    again = _predicate(on)

    def handle(call: Call) -> Generator[Asked, Any, Any]:
        failed: list[Map] = []
        while True:
            try:
                return (yield call if within is None else Within(call, within))
            except Exception as error:
                worth = again(error)
                if not worth and not failed:
                    raise
                failed.append(_told(call, error))
                note(call, Map({_ATTEMPTS: tuple(failed)}))
                if not worth or len(failed) == attempts:
                    raise
            if backoff:
                most = min(longest, backoff * 2 ** min(len(failed) - 1, 60))
                yield Wait(most * (0.5 + _chance(call, len(failed)) / 2))

    return Around(name, handle, ops=matching(ops))


def _predicate(on: On) -> Callable[[Exception], bool]:
    if isinstance(on, type):
        return lambda error: isinstance(error, on)
    if callable(on):
        return on
    kinds = [on] if isinstance(on, str) else [*on]
    classes = tuple(kind for kind in kinds if isinstance(kind, type))
    names = {kind for kind in kinds if isinstance(kind, str)}
    if len(classes) + len(names) != len(kinds):
        raise InputError(
            f"what to try again is told by classes and names, not by {kinds!r}",
            hint='on=(TimeoutError, "RateLimitError"), or a predicate',
        )
    return lambda error: isinstance(error, classes) or _kind(error) in names


def _kind(error: Exception) -> str:
    return error.kind if isinstance(error, EffectFailed) else type(error).__name__


def _told(call: Call, error: Exception) -> Map:
    words = error.message if isinstance(error, EffectError) else str(error)
    return Map({_KIND: _kind(error), _MESSAGE: call.hide(words)[:_MESSAGE_CHARS]})


def _chance(call: Call, attempt: int) -> float:
    return float(uuid5(call.key, str(attempt)).int / 2**128)
