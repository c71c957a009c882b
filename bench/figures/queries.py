"""q1 to q5, the swapped clauses and the two forms of qpred, on a SQLite file of 100 000 datoms."""

from __future__ import annotations

from bench import workload
from bench.figure import OURS, ahead, within
from bench.floors.sqlite import SqliteFloor
from bench.lab import Lab, Section
from bench.texts import QUERIES

MUSTS = {
    **dict.fromkeys(("q1", "q2", "q3", "q4"), ahead(1.5)),
    "qpred literal": within(1.5),
    "qpred input": within(1.5),
}


def measure(lab: Lab) -> None:
    crowd = workload.people(lab.scale.people)
    stores = [*lab.ours_on_file(), lab.open(SqliteFloor(lab.file())), *lab.peers()]
    for store in stores:
        store.load_people(crowd)
    for figure in QUERIES:
        contenders = [store.asking(figure) for store in stores]
        if figure == "q2 swapped" and stores[0].name == OURS:
            plain = stores[0].asking("q2", name="ours, q2")
            must = within(1.1, "q2")
            lab.measure(figure, [plain, *contenders], must, base="ours, q2")
        else:
            lab.measure(figure, contenders, MUSTS.get(figure))


SECTION = Section("queries", "Queries, 20 000 people", tuple(QUERIES), measure)
