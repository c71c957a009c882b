"""Signatures checked in chunks by all cores, because one core checks some thousand a second.

A chunk goes to a process and its problems come back; only a few chunks are on the way at a time, so
that memory stays flat. Where no processes can be started, this one does the work. Imports the
standard library and `signature` only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final, NamedTuple

from persistence.audit import signature

CHUNK: Final = 1_024  # signatures; a tenth of a second of work
AHEAD: Final = 4  # chunks on their way, for each process
WORTH_IT: Final = 8_192  # signatures; fewer are done before a process has started


class Signed(NamedTuple):
    """One signature to check; *at* is the caller's own."""

    at: int
    public: bytes
    signature: bytes
    message: bytes


Problem = tuple[int, str]


def problems(chunk: list[Signed]) -> list[Problem]:
    """Which signatures of *chunk* do not count, and why."""
    found = []
    for at, public, signed, message in chunk:
        reason = signature.problem(public, signed, message)
        if reason is not None:
            found.append((at, reason))
    return found


class Signatures:
    """Takes signatures, and gives the problems of those that were checked so far.

    About *expected* of them will come. Unless told how many *processes* share the work, it is one
    for each core if they are worth their start. Use it in a `with` block, which ends them.
    """

    def __init__(self, expected: int, processes: int | None = None) -> None:
        count = cores() if processes is None else processes
        self._chunk: list[Signed] = []
        self._sent: deque[tuple[list[Signed], Future[list[Problem]]]] = deque()
        self._ahead = AHEAD * count
        self._pool: ProcessPoolExecutor | None = None
        if count > 1 and (processes is not None or expected >= WORTH_IT):
            self._pool = _pool(count)

    def __enter__(self) -> Signatures:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, one: Signed) -> list[Problem]:
        """Has *one* checked some time; gives problems of earlier ones."""
        self._chunk.append(one)
        return self._send() if len(self._chunk) >= CHUNK else []

    def rest(self) -> Iterator[Problem]:
        """The problems of all that is not given yet, once everything is checked."""
        yield from self._send()
        while self._sent:
            yield from self._received()

    def _send(self) -> list[Problem]:
        chunk, self._chunk = self._chunk, []
        if self._pool is None:
            return problems(chunk)
        try:
            self._sent.append((chunk, self._pool.submit(problems, chunk)))
        except RuntimeError:  # also BrokenProcessPool: a child died, or could not start
            self._pool = None
            return problems(chunk)
        return self._received() if len(self._sent) > self._ahead else []

    def _received(self) -> list[Problem]:
        chunk, future = self._sent.popleft()
        try:
            return future.result()
        except (BrokenProcessPool, OSError):
            self._pool = None
            return problems(chunk)


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pool(count: int) -> ProcessPoolExecutor | None:
    """Processes that begin from nothing: a fork could inherit a lock that is held."""
    try:
        return ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    except (ImportError, NotImplementedError, OSError):  # no semaphores on this system
        return None
