"""Runs workloads against a real store, from threads or from processes, and judges the histories.

    outcome = run(Plan(workloads=["bank"]), uri, directory)
    assert outcome.clean, outcome.explained

Processes share the monotonic clock of the machine, by which their histories are merged. One that is
killed leaves an operation of which nobody knows whether it took place; its worker is started anew,
under a new number, with the request after that. Histories stay in *directory*, as Jepsen writes
them, to be read and judged again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import IO

import attrs

from tests.histories.finding import Findings, report
from tests.histories.history import History, Op, dump
from tests.histories.microops import Request
from tests.histories.recorder import merge
from tests.histories.runner_process import READY, Life, heard, is_request
from tests.histories.runner_worker import Plan, Worker

ROOT = Path(__file__).resolve().parents[2]
ALONE = -1  # the process of what comes before and after the workers
_MOMENT = 0.006  # seconds: about the time of a few commits, in which a process is killed

Progress = Callable[[int], None]
Part = dict[str, list[Op]]
"""What one client told, by workload."""


class WorkerFailed(AssertionError):
    """A worker ended in a way that neither the store nor a kill explains."""


@attrs.frozen(kw_only=True)
class Judged:
    """The history of one workload, where it is kept, and what its checker found."""

    history: History
    findings: Findings
    path: Path

    @property
    def statuses(self) -> Counter[str]:
        """How many transactions ended how; `view` are those that lost attempts saw."""
        return Counter(
            "view" if txn.f == "view" else txn.status for txn in self.history.transactions
        )


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of a run, by workload. *faults* is what the store finds wrong with itself."""

    plan: Plan
    judged: Mapping[str, Judged]
    faults: tuple[str, ...]
    kills: int
    seconds: float

    @property
    def clean(self) -> bool:
        return not self.faults and not any(each.findings for each in self.judged.values())

    @property
    def statuses(self) -> Counter[str]:
        return sum((each.statuses for each in self.judged.values()), Counter())

    @property
    def explained(self) -> str:
        """Everything one wants to know of a failure."""
        lines = [str(self.plan), *self.faults]
        for name, each in self.judged.items():
            if each.findings:
                lines += [f"{name}: {each.path}", report(each.history, each.findings)]
        return "\n".join(lines)


def run(
    plan: Plan,
    uri: str,
    directory: Path,
    *,
    processes: bool = False,
    progress: Progress = lambda done: None,
) -> Outcome:
    """Carries out *plan* on the store at *uri*: setup, all workers at once, final, check.

    Raises:
        WorkerFailed: an error that no client of a store should meet; its trace is the message.
    """
    if plan.kills and not processes:
        raise ValueError("only processes can be killed")
    workloads = plan.build()
    started = time.monotonic()
    parts = [_alone(plan, uri, {name: each.setup for name, each in workloads.items()})]
    kills = 0
    if processes:
        lanes = _in_processes(plan, uri, directory, progress)
        parts += [part for lane in lanes for part in lane.parts]
        kills = sum(lane.kills for lane in lanes)
    else:
        parts += _in_threads(plan, uri, progress)
    parts.append(_alone(plan, uri, {name: each.final for name, each in workloads.items()}))
    with plan.open(uri) as s:
        faults = tuple(map(str, s.check()))
    judged = {}
    for name, workload in workloads.items():
        history = merge([part.get(name, ()) for part in parts])
        path = directory / f"{name}-{plan.isolation}-{plan.seed}.edn"
        dump(history, path)
        judged[name] = Judged(history=history, findings=workload.check(history), path=path)
    seconds = time.monotonic() - started
    return Outcome(plan=plan, judged=judged, faults=faults, kills=kills, seconds=seconds)


def _alone(plan: Plan, uri: str, requests: Mapping[str, Iterable[Request]]) -> Part:
    part: Part = {}
    with plan.open(uri) as s:
        worker = Worker(s, attrs.evolve(plan, isolation="serializable"), ALONE, _into(part))
        for name, every in requests.items():
            for request in every:
                worker.carry_out(name, request)
    return part


def _into(part: Part) -> Callable[[str, Op], None]:
    return lambda name, op: part.setdefault(name, []).append(op)


# ------------------------------------------------------------------------------ threads


def _in_threads(plan: Plan, uri: str, progress: Progress) -> list[Part]:
    parts: list[Part] = [{} for _ in range(plan.workers)]
    start = threading.Barrier(plan.workers)
    with plan.open(uri) as s, ThreadPoolExecutor(plan.workers) as pool:

        def work(number: int) -> None:
            worker = Worker(s, plan, number, _into(parts[number]))
            start.wait()
            for name, request in plan.requests_of(number):
                worker.carry_out(name, request)
                progress(1)

        for done in [pool.submit(work, number) for number in range(plan.workers)]:
            done.result()
    return parts


# ---------------------------------------------------------------------------- processes


def _in_processes(plan: Plan, uri: str, directory: Path, progress: Progress) -> list[_Lane]:
    rng = Random(f"{plan.seed}/kills")
    every = [(worker, at) for worker in range(plan.workers) for at in range(plan.total)]
    chosen = sorted(rng.sample(every, plan.kills))
    start = threading.Barrier(plan.workers)
    lanes = [
        _Lane(
            Life(uri=uri, plan=plan, worker=worker),
            [(at, rng.uniform(0, _MOMENT)) for who, at in chosen if who == worker],
            directory,
            start,
            progress,
        )
        for worker in range(plan.workers)
    ]
    with ThreadPoolExecutor(plan.workers) as pool:
        for done in [pool.submit(lane.run) for lane in lanes]:
            done.result()
    return lanes


@attrs.define
class _Lane:
    """A worker and its lives, one process after the other. *deaths* are (request, seconds)."""

    life: Life
    deaths: list[tuple[int, float]]
    directory: Path
    start: threading.Barrier
    progress: Progress
    parts: list[Part] = attrs.field(factory=list)
    kills: int = 0

    def run(self) -> None:
        while not self._to_the_end():
            self.kills += 1

    def _to_the_end(self) -> bool:
        """One life; whether the worker is done with it."""
        at, after = self._next_death()
        life = self.life = attrs.evolve(self.life, dies_at=at, dies_after=after)
        told = self._told(life)
        self.parts.append({name: _closed(ops) for name, ops in heard(told).items()})
        first = life.first + sum(map(is_request, told))
        self.life = attrs.evolve(life, number=life.number + 1, first=first)
        return at is None

    def _next_death(self) -> tuple[int | None, float]:
        """When the life to come dies; one that was due while its like lived on comes at once."""
        if not self.deaths or self.life.first >= self.life.plan.total:
            return None, 0.0
        at, after = self.deaths.pop(0)
        return max(at, self.life.first), after

    def _told(self, life: Life) -> list[str]:
        """The lines that one process told before it ended."""
        log = self.directory / f"worker-{life.worker}-{life.number}.log"
        told = []
        with log.open("wb") as errors, _process(life, errors) as process:
            assert process.stdin is not None and process.stdout is not None
            ready = process.stdout.readline() == READY
            if not life.number:
                self.start.wait()
            if ready:
                process.stdin.write("\n")
                process.stdin.flush()
            for line in process.stdout:
                told.append(line)
                self.progress(is_request(line))
        if process.returncode != (0 if life.dies_at is None else -9):
            trace = log.read_text(encoding="utf-8", errors="replace")
            raise WorkerFailed(f"worker {life.worker} ended with {process.returncode}:\n{trace}")
        return told


def _process(life: Life, errors: IO[bytes]) -> subprocess.Popen[str]:
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.histories.runner_process", life.argument()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


def _closed(ops: list[Op]) -> list[Op]:
    """*ops* of a process that is gone, with an `info` for what it did not see end."""
    pending: dict[object, Op] = {}
    for op in ops:
        if op.type == "invoke":
            pending[op.process] = op
        else:
            pending.pop(op.process)
    now = time.monotonic_ns()
    return ops + [attrs.evolve(op, type="info", time=now) for op in pending.values()]
