"""Pull of a whole tree of 781 nodes, root to leaf."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from bench import workload
from bench.figure import within
from bench.floors.sqlite import SqliteFloor
from bench.lab import Lab, Section
from bench.peers.datascript import DataScript

FIGURE = "pull 781 nodes"


def measure(lab: Lab) -> None:
    nodes = workload.wide(4, 5)
    floor = lab.open(SqliteFloor(lab.file()))
    floor.load_tree(nodes)
    contenders: list[Any] = []
    keys: dict[str, Hashable] = {name: f":{name}" for name in (*workload.ATTRIBUTES, "follows")}
    keys["db/id"] = ":db/id"
    values: dict[str, Any] = {sex: f":{sex}" for sex in workload.SEXES}
    for ours in lab.ours_on_file():
        ours.load_tree(nodes)
        contenders.append(ours.pulling())
        keys, values = ours.keys, ours.sexes
    contenders.append(floor.pulling(keys, values))
    for peer in lab.peers():
        if isinstance(peer, DataScript):
            peer.load_tree(nodes)
            contenders.append(peer.pulling())
    lab.measure(FIGURE, contenders, within(1.5))


SECTION = Section("pull", "Pull", (FIGURE,), measure)
