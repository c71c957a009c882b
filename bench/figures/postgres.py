"""q1 to q4, rules and one-datom commits on a real PostgreSQL, against its own floor."""

from __future__ import annotations

from itertools import count
from typing import Any

from bench import workload
from bench.figure import within
from bench.lab import Lab, Section

try:
    from bench.floors.postgres import PostgresFloor
    from bench.floors.server import Server

    MISSING = ""
except ImportError as missing:  # the driver is an extra
    MISSING = str(missing.name)

QUERIES = ("q1", "q2", "q3", "q4")
RULES = ("wide 4×6", "long 30×5")
COMMIT = "one-datom transaction, Postgres"


def _stores(lab: Lab, server: Any) -> list[Any]:
    floor = lab.open(PostgresFloor(server.database()))
    if lab.ours is None:
        return [floor]
    return [lab.open(lab.ours(server.database())), floor]


def measure(lab: Lab) -> None:
    if MISSING:
        lab.skip("Postgres", f"{MISSING} is not installed; it comes with the extra `postgres`")
        return
    try:
        server = lab.open(Server(lab.room))
    except ImportError as missing:
        lab.skip("Postgres", f"{missing.name} is not installed; it comes with the extra `dev`")
        return
    lab.facts.update({f"postgres {name}": value for name, value in server.settings.items()})

    crowd = workload.people(lab.scale.people)
    stores = _stores(lab, server)
    for store in stores:
        store.load_people(crowd)
    server.settle()
    for figure in QUERIES:
        lab.measure(f"{figure} Postgres", [store.asking(figure) for store in stores], within(2))
    contenders = [store.committing(lab.scale.durable, count(1)) for store in stores]
    lab.measure(COMMIT, contenders, within(2))

    for name in RULES:
        grow, depth, width = workload.TREES[name]
        stores = _stores(lab, server)
        for store in stores:
            store.load_tree(grow(depth, width))
        server.settle()
        following = [store.following() for store in stores]
        lab.measure(f"rules {name} Postgres", following, within(2))


SECTION = Section(
    "postgres",
    "Postgres",
    (*(f"{q} Postgres" for q in QUERIES), *(f"rules {n} Postgres" for n in RULES), COMMIT),
    measure,
)
