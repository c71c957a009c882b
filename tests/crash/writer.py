"""A process that writes until it is killed. `nursery` bears it.

Several threads do what `workload` offers, and say so in a journal. With a *point*, it does a
little of everything, then one thing of *kind*, and ends itself at that point. It goes with the
process that bore it: at the end of its standard input it is over.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from pathlib import Path
from random import Random
from typing import Any, Final

import attrs

from persistence import Substrate
from persistence.errors import ConnectionLost
from persistence.store import sqlite_open
from tests.crash.journal import FAILED, Journal
from tests.crash.points import StoppingDisk, Tripwire, point
from tests.crash.power import PowerCut
from tests.crash.workload import FIRST, Writer, found, is_founded, performing

_GROUP: Final = 3  # transactions that share one commit
_PAUSE: Final = 0.001  # seconds between two looks


@attrs.frozen(kw_only=True)
class Orders:
    """What a writer is told."""

    uri: str
    journal: str
    name: str  # of this process, in the ids of its operations
    seed: int = 0
    threads: int = 3
    options: dict[str, Any] = attrs.field(factory=dict)  # of the store
    keys: str | None = None  # the directory of those that sign
    checkpoint: int | None = None  # pages, fewer than usual so that checkpoints are met
    point: int | None = None
    kind: str = "transact"
    cut: int | None = None  # the write or sync at which the power goes
    after: str = ""  # where the files are then


def main(orders: Orders) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    journal = Journal(Path(orders.journal))
    try:
        if orders.checkpoint is not None:
            sqlite_open._CHECKPOINT = orders.checkpoint  # type: ignore[misc]
        if orders.point is None:
            _loop(orders, journal)
        else:
            _until_point(orders, journal)
    except BaseException:
        _fail(journal)
        raise


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(3)


def _fail(journal: Journal) -> None:
    journal.say(FAILED, "", error=traceback.format_exc())


def _loop(orders: Orders, journal: Journal) -> None:
    options = {**orders.options, "keys": orders.keys}
    if orders.cut is not None:
        options["vfs"] = PowerCut("cut", Path(orders.after), orders.cut, orders.seed).vfs
    s = _opened(orders.uri, options)
    if not is_founded(s):
        found(s)
    performing(s, journal)
    workers = [
        Writer(s, journal, f"{orders.name}.{n}", Random(f"{orders.seed} {n}"))
        for n in range(orders.threads)
    ]

    def work(worker: Writer) -> None:
        try:
            worker.forever()
        except BaseException:
            _fail(journal)
            os._exit(1)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _opened(uri: str, options: dict[str, Any]) -> Substrate:
    """The store; a server that is away is asked again."""
    while True:
        try:
            return Substrate.open(uri, **options)
        except ConnectionLost:
            time.sleep(_PAUSE)


def _until_point(orders: Orders, journal: Journal) -> None:
    assert orders.point is not None
    stop = point(orders.point)
    trip = Tripwire(stop.passing)
    options = {**orders.options, "keys": orders.keys}
    if stop.disk is not None:
        options["vfs"] = StoppingDisk("stop", stop.disk, trip).vfs
    if orders.kind == "open":
        trip.arm()
    s = Substrate.open(orders.uri, **options)
    stop.lay(trip)
    performing(s, journal)
    writer = Writer(s, journal, f"{orders.name}.0", Random(orders.seed))
    if orders.kind == "fresh":
        trip.arm()
        writer.do("count")
        return
    for kind in ("transact", "count", "bounded", *FIRST.get(orders.kind, ())):
        writer.do(kind)
    if orders.kind == "group":
        group = [Writer(s, journal, f"{orders.name}.g{n}", Random(n)) for n in range(_GROUP)]
        _together(s, group, trip)
    else:
        trip.arm()
        writer.do(orders.kind)


def _together(s: Substrate, writers: list[Writer], trip: Tripwire) -> None:
    """Lets every writer transact in one commit: they queue while the write lock is held."""
    connection = s._connection
    threads = [threading.Thread(target=writer.transact) for writer in writers]
    with connection._commits.lock:
        for thread in threads:
            thread.start()
        while len(connection._commits.waiting) < len(writers):
            time.sleep(_PAUSE)
        trip.arm()
    for thread in threads:
        thread.join()
