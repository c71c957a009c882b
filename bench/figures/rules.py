"""Transitive closure by a recursive rule over every `follows` tree."""

from __future__ import annotations

from bench.figure import within
from bench.floors.sqlite import SqliteFloor
from bench.lab import Lab, Section
from bench.workload import TREES


def measure(lab: Lab) -> None:
    peers = lab.peers()
    for name, (grow, depth, width) in TREES.items():
        if not lab.wants(f"rules {name}"):
            continue
        nodes = grow(depth, width)
        stores = [*lab.ours_on_file(), lab.open(SqliteFloor(lab.file())), *peers]
        for store in stores:
            store.load_tree(nodes)
        must = within(1.5) if name in ("wide 4×6", "long 30×5") else None
        lab.measure(f"rules {name}", [store.following() for store in stores], must)


SECTION = Section("rules", "Rules", tuple(f"rules {name}" for name in TREES), measure)
