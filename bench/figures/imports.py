"""Streaming import of JSON lines to 1 000 000 datoms: the rate of every 100 000, and the memory.

The rate shown is the median window's, but the slowest must reach the mark: sustained means to
the end. Memory is flat when the end is within a tenth of what it was halfway, when the page cache
of the store is full.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import workload
from bench.figure import FLOOR, OURS, Figure, Must, at_most, within
from bench.lab import Lab, Section
from bench.timing import Spread, Stage

RATE = "streaming import"
MEMORY = "memory of the import, end"
WEIGHT = "bytes per datom, imported"
EARLY = "ours, halfway"

SUSTAINED = 50_000


def _sustained(figure: Figure) -> bool | None:
    spread = figure.values.get(OURS)
    return None if spread is None else spread.least >= SUSTAINED


def measure(lab: Lab) -> None:
    scale = lab.scale
    source = lab.file().with_suffix(".jsonl")
    with source.open("w") as file:
        workload.write_jsonl(scale.imported // 5, file)
    readings = {FLOOR: _run(lab, FLOOR, source)}
    if lab.ours is not None:
        readings = {OURS: _run(lab, OURS, source)} | readings
    facts = {name: ends["facts"] for name, (_, ends) in readings.items()}
    if set(facts.values()) != {scale.imported}:
        raise AssertionError(f"{RATE}: expected {scale.imported} facts, the stores hold {facts}")

    rates = {
        name: Spread.of([window["datoms"] / window["seconds"] for window in windows])
        for name, (windows, _) in readings.items()
    }
    memory = {n: ws[-1]["resident"] / 2**20 for n, (ws, _) in readings.items()}
    if OURS in readings:
        memory[EARLY] = _half(readings[OURS][0])["resident"] / 2**20
    weights = {name: ends["size"] / scale.imported for name, (_, ends) in readings.items()}

    if lab.wants(RATE):
        must = Must(f"≥ {SUSTAINED} datoms/s in every window", _sustained)
        note = f"a sample is the rate of one window of {scale.window} datoms"
        figure = Figure(SECTION.title, RATE, "datoms/s", rates, must, note=note)
        lab.record(figure, _again(lab) if lab.ours is not None else None)
    base = EARLY if OURS in readings else FLOOR
    lab.amount(MEMORY, "MiB", memory, within(1.1, "halfway"), base=base)
    lab.amount(WEIGHT, "bytes", weights, at_most(250, "bytes"))


def _again(lab: Lab) -> Stage[Path]:
    """A short import inside this process, for the profile of a missed rate."""
    source = lab.file().with_suffix(".jsonl")
    with source.open("w") as file:
        workload.write_jsonl(lab.scale.window // 10, file)

    def run(store: Path) -> None:
        from bench.ours import import_file  # noqa: PLC0415  # floors run without the library

        import_file(source, store, lambda datoms: None)

    return Stage(OURS, prepare=lab.file, run=run)


def _half(windows: list[dict[str, Any]]) -> dict[str, Any]:
    return windows[len(windows) // 2 - 1]


def _run(lab: Lab, who: str, source: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    command = [sys.executable, "-m", "bench.importing", who, source, lab.file(), lab.scale.window]
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the import of {who} failed: {done.stderr.strip().splitlines()[-1]}")
    *windows, ends = [json.loads(line) for line in done.stdout.splitlines()]
    return windows, ends


SECTION = Section("import", "Streaming import", (RATE, MEMORY, WEIGHT), measure)
