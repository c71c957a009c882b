"""The streaming import in a process of its own, so that its memory can be read.

`python -m bench.importing ours|floor JSONL STORE WINDOW` prints one JSON line per WINDOW datoms:
seconds spent on that window and the memory of its own after it, in bytes; and at the end the
number of facts that the store holds and the size of its file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.floors.sqlite import SqliteFloor
from bench.memory import resident

BATCH = 2_000  # objects per commit of the floor
NAMES = ("id", "name", "last-name", "sex", "age")


def floor(source: Path, store: Path, tick: Callable[[int], None]) -> tuple[int, int]:
    """Read, parse, look the ids up and insert; a batch is one transaction under FULL.

    An object whose id is known keeps its entity, as an upsert demands.
    """
    target = SqliteFloor(store)
    entities = 0
    with source.open() as lines:
        while batch := [json.loads(line) for line in islice(lines, BATCH)]:
            known = target.entities("id", [row["person/id"] for row in batch])
            facts: list[tuple[int, str, Any]] = []
            for row in batch:
                e = known.get(row["person/id"])
                if e is None:
                    entities += 1
                    e = entities
                facts += [(e, name, row[f"person/{name}"]) for name in NAMES]
            target.insert(facts)
            tick(len(facts))
    outcome = target.count(*NAMES), target.size()
    target.close()
    return outcome


def ours(source: Path, store: Path, tick: Callable[[int], None]) -> tuple[int, int]:
    from bench.ours import import_file  # noqa: PLC0415  # the floor runs without the library

    return import_file(source, store, tick)


def main(who: str, source: str, store: str, window: str) -> None:
    """Run one import and print its readings."""
    for reading in _readings({"ours": ours, "floor": floor}[who], source, store, int(window)):
        print(json.dumps(reading), flush=True)


def _readings(run: Any, source: str, store: str, window: int) -> Iterator[dict[str, float]]:
    readings: list[dict[str, float]] = []
    seen, since = 0, perf_counter()

    def tick(datoms: int) -> None:
        nonlocal seen, since
        seen += datoms
        if seen >= window * (len(readings) + 1):
            now = perf_counter()
            done = seen - sum(int(r["datoms"]) for r in readings)
            readings.append({"datoms": done, "seconds": now - since, "resident": resident()})
            since = now

    facts, size = run(Path(source), Path(store), tick)
    yield from readings
    yield {"facts": facts, "size": size}


if __name__ == "__main__":
    main(*sys.argv[1:])
