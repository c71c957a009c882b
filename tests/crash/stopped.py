"""One writer, stopped at one point: what is left, and is it what the point promises?"""

from __future__ import annotations

import signal
from pathlib import Path

import attrs

from persistence import Substrate
from persistence.maintenance import Finding
from tests.crash.journal import INTENDS, heard
from tests.crash.points import EITHER, KEPT, Point
from tests.crash.process import Process
from tests.crash.verdict import Judge, seen
from tests.crash.workload import found
from tests.crash.writer import Orders

_EVERY_COMMIT = 1  # pages


def stopped_at(
    point: Point, kind: str, uri: str, journal: Path, keys: str | None = None
) -> list[Finding]:
    """Stops a writer of a new store at *uri* at *point*, and says what is wrong afterwards.

    With a directory of *keys* the log is signed.
    """
    with Substrate.open(uri, keys=keys) as s:
        found(s)
    judge = Judge(journal)
    if kind == "open":  # something must be there to be recovered
        first = _orders(point, "transact", uri, journal, "first", number=31)
        Process(attrs.evolve(first, keys=keys)).wait()
    orders = _orders(point, kind, uri, journal, "stopped", number=point.number)
    process = Process(attrs.evolve(orders, keys=keys))
    code = process.wait()
    if code != -signal.SIGKILL:
        return [Finding(str(point), "the writer is stopped there", f"it ended with {code}")]
    with Substrate.open(uri, keys=keys) as s:
        findings = judge.findings(s)
        findings += _left(point, judge, s)
        # The store goes on as if nothing had happened.
        s.fact.transact([["db/add", 3, "n", 1]])
        findings += judge.findings(s)
    if point.performed and len(heard(journal).performed) != point.performed:
        number = str(len(heard(journal).performed))
        findings.append(Finding(str(point), f"{point.performed} performances", number))
    return findings


def _orders(point: Point, kind: str, uri: str, journal: Path, name: str, number: int) -> Orders:
    return Orders(
        uri=uri,
        journal=str(journal),
        name=name,
        kind=kind,
        point=number,
        checkpoint=_EVERY_COMMIT if point.checkpoints else None,
    )


def _left(point: Point, judge: Judge, s: Substrate) -> list[Finding]:
    """Whether what was under way is there exactly as the point says."""
    now = seen(s)
    ops = heard(judge.journal).ops.values()
    under_way = [op for op in ops if op.state == INTENDS] or [[*ops][-1]]
    if point.left == EITHER:
        return []
    wanted = point.left == KEPT
    return [
        Finding(f"{op.kind} {op.id} at {point}", point.left, "the contrary")
        for op in under_way
        if now.shows(op) is (not wanted)
    ]
