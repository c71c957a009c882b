"""100 000 datoms in one transaction on a fresh file, and what a datom then weighs on disk."""

from __future__ import annotations

from bench import workload
from bench.figure import FLOOR, OURS, at_most
from bench.floors import sqlite
from bench.lab import Lab, Section
from bench.peers.cozo import Cozo
from bench.peers.cozo import loading as loading_cozo
from bench.peers.datascript import DataScript

LOAD, WEIGHT = "100 000 datoms in one transaction", "bytes per datom, one transaction"


def measure(lab: Lab) -> None:
    crowd = workload.people(lab.scale.people)
    datoms = len(crowd) * len(workload.ATTRIBUTES)
    contenders = [] if lab.ours is None else [lab.ours.loading(lab.file, crowd)]
    contenders.append(sqlite.loading(lab.file, crowd))
    for peer in lab.peers() if lab.wants(LOAD) else []:
        if isinstance(peer, Cozo):
            contenders.append(loading_cozo(crowd))
        elif isinstance(peer, DataScript):
            peer.load_people(crowd)
            contenders.append(peer.loading(datoms))
    lab.measure(LOAD, contenders, at_most(1500, "ms"), slow=True)

    if lab.wants(WEIGHT):
        weights = {}
        floor = sqlite.SqliteFloor(lab.file())
        for name, store in [*((OURS, s) for s in lab.ours_on_file()), (FLOOR, lab.open(floor))]:
            empty = store.size()
            store.load_people(crowd)
            weights[name] = (store.size() - empty) / datoms
        lab.amount(WEIGHT, "bytes", weights, at_most(250, "bytes"))


SECTION = Section("bulk", "Bulk load", (LOAD, WEIGHT), measure)
