"""The same questions about a past instant, after every salary was revised four times.

The base is our own current answer on the same store; the floor keeps system time only.
"""

from __future__ import annotations

from bench import workload
from bench.figure import FLOOR, within
from bench.floors.history import PAST, HistoryFloor
from bench.lab import Lab, Section
from bench.peers.cozo_history import CozoHistory

CURRENT = "ours, current"


def measure(lab: Lab) -> None:
    crowd = workload.people(lab.scale.people)
    floor = lab.open(HistoryFloor(lab.file()))
    ours = lab.ours_on_file()
    stores = [*ours, floor, *lab.cozo(CozoHistory)]
    then: list[int] = []
    for store in stores:
        store.load_people(crowd)
        moments = [store.give_raises(pairs) for pairs in workload.raises(crowd, lab.scale.raises)]
        then.append(moments[len(moments) // 2 - 1])
    for figure in PAST:
        contenders = [s.asking(figure, t) for s, t in zip(stores, then, strict=True)]
        beside = [store.asking(figure, name=CURRENT) for store in ours]
        lab.measure(
            f"{figure} past",
            contenders,
            within(2, "current"),
            base=CURRENT if beside else FLOOR,
            beside=beside,
        )


SECTION = Section(
    "past", "A past instant, four revisions", tuple(f"{name} past" for name in PAST), measure
)
