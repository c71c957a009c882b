"""A sum over 10 000 entities whose price was replaced 100 times: now, and as known midway.

`now` is also asked of a store that holds a single version; that is its base, because the present
must not slow down as history grows.
"""

from __future__ import annotations

from typing import Any

from bench import workload
from bench.figure import FLOOR, at_most, within
from bench.floors.history import HistoryFloor
from bench.lab import Lab, Section
from bench.peers.cozo_history import CozoHistory

NOW, THEN = "aggregate now", "aggregate past"
SINGLE = "ours, 1 version"
FLAT = 1.5


def measure(lab: Lab) -> None:
    scale = lab.scale
    floor = lab.open(HistoryFloor(lab.file()))
    ours = lab.ours_on_file()
    single = lab.ours_on_file()
    then: dict[Any, list[int]] = {
        store: [] for store in (*ours, floor, *lab.cozo(CozoHistory, memory=True))
    }
    last: list[tuple[int, int]] = []
    for last in workload.versions(scale.priced, scale.versions):
        for store, moments in then.items():
            moments.append(store.price(last))
    for store in single:
        store.price(last)

    lab.measure(
        NOW,
        [store.totalling() for store in then],
        within(FLAT, "one version"),
        base=SINGLE if single else FLOOR,
        beside=[store.totalling(name=SINGLE) for store in single],
    )
    midway = [store.totalling(moments[len(moments) // 2]) for store, moments in then.items()]
    lab.measure(THEN, midway, at_most(15, "ms"))


SECTION = Section("aggregate", "Aggregate, 10 000 entities × 100 versions", (NOW, THEN), measure)
