"""Reading one value of one entity, now and in the past, on stores of growing size.

The database value is taken once, and its view of the past as well; each read is one `db.get`.
"""

from __future__ import annotations

import random

from bench import workload
from bench.figure import Figure, Must
from bench.floors.history import HistoryFloor
from bench.floors.sqlite import SqliteFloor
from bench.lab import Lab, Section
from bench.scale import FULL

LIMIT = 0.06
FLAT = 2.0  # the largest store against the smallest, as for every point operation
RAISED = 500  # people whose salary changed since the past that is read
PEERS_UP_TO = 100_000  # datoms; a larger CozoDB takes longer to load than all the rest
PIECE = 20_000  # people per transaction while loading

KINDS = ("current", "past")


def _name(kind: str, size: int) -> str:
    return f"point read {kind}, {size} datoms"


def _must(smallest: Figure | None) -> Must:
    """Below the limit, and flat against the figure of the smallest store."""

    def test(figure: Figure) -> bool | None:
        if figure.ours is None:
            return None
        first = smallest.ours if smallest is not None else None
        return figure.ours <= LIMIT and (first is None or figure.ours <= FLAT * first)

    flat = "" if smallest is None else f", ≤ {FLAT:g}× the smallest store"
    return Must(f"≤ {LIMIT:g} ms{flat}", test)


def _raised(count: int) -> list[tuple[int, int]]:
    return [(e, e) for e in range(1, min(count, RAISED) + 1)]


def measure(lab: Lab) -> None:
    first: dict[str, Figure | None] = {}
    for size in lab.scale.points:
        if not any(lab.wants(_name(kind, size)) for kind in KINDS):
            continue
        count = size // 5
        draw = random.Random(size)
        entities = [draw.randint(1, count) for _ in range(lab.scale.reads)]
        ours = lab.ours_on_file()
        plain, remembering = SqliteFloor(lab.file()), HistoryFloor(lab.file())
        peers = lab.cozo(memory=True) if size <= PEERS_UP_TO else []
        stores = [*ours, lab.open(plain), lab.open(remembering)]
        then = {}
        for store in stores:
            people = list(workload.stream(count))
            for start in range(0, count, PIECE):
                then[store] = store.load_people(people[start : start + PIECE])
            store.give_raises(_raised(count))
        for peer in peers:
            peer.load_people(workload.stream(count))
            peer.give_raises(_raised(count))
        current = [s.reading(entities) for s in (*ours, plain, *peers)]
        past = [s.reading(entities, then[s]) for s in (*ours, remembering)]
        for kind, contenders in (("current", current), ("past", past)):
            must = _must(first.get(kind))
            result = lab.measure(_name(kind, size), contenders, must)
            first.setdefault(kind, result)
        lab.close_opened()


FIGURES = tuple(_name(kind, size) for size in FULL.points for kind in KINDS)
SECTION = Section("points", "Point reads", FIGURES, measure)
