"""One-datom transactions on a store of 100 000 datoms, synced on every commit and not."""

from __future__ import annotations

from itertools import count

from bench import workload
from bench.figure import Must, at_least, within
from bench.floors.sqlite import SqliteFloor
from bench.lab import Lab, Section

FULL, NORMAL = "one-datom transaction, FULL", "one-datom transactions, NORMAL"


def _compare(
    lab: Lab, figure: str, synchronous: str, operations: int, must: Must, *, unit: str
) -> None:
    if not lab.wants(figure):
        return
    crowd = workload.people(lab.scale.people)
    stores = lab.ours_on_file(synchronous=synchronous)
    stores.append(lab.open(SqliteFloor(lab.file(), synchronous=synchronous)))
    stores += lab.cozo()
    for store in stores:
        store.load_people(crowd)
    contenders = [store.committing(operations, count(1)) for store in stores]
    lab.measure(figure, contenders, must, unit=unit)


def measure(lab: Lab) -> None:
    scale = lab.scale
    _compare(lab, FULL, "FULL", scale.durable, within(2), unit="ms")
    _compare(lab, NORMAL, "NORMAL", scale.relaxed, at_least(4_000, "/s"), unit="tx/s")


SECTION = Section("commits", "One-datom transactions", (FULL, NORMAL), measure)
