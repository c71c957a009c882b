"""Four processes with one store: nothing is lost, and on Postgres four do more than one.

Each increment is a transaction, by `alter` and by `commute` in turns. The cells are one for all,
where every `alter` meets the others, or one for each process.
"""

from __future__ import annotations

from typing import Any

from bench.figure import OURS, Must, at_most
from bench.lab import Lab, Section

try:
    from bench.floors.server import Server

    MISSING = ""
except ImportError as missing:  # the driver is an extra
    MISSING = str(missing.name)

PROCESSES = 4
GAIN = 1.5
SINGLE = "ours, 1 process"
BACKENDS = ("SQLite", "Postgres")
PLACES = {"one counter": [1] * PROCESSES, "cells apart": list(range(1, PROCESSES + 1))}


def _names(backend: str) -> dict[str, str]:
    return {place: f"4 processes, {place}, {backend}" for place in PLACES}


def _lost(backend: str) -> str:
    return f"increments lost by processes, {backend}"


def _errors(backend: str) -> str:
    return f"errors seen by callers, {backend}"


def _gain() -> Must:
    return Must(f"≥ {GAIN:g}× one process", lambda f: None if f.ratio is None else f.ratio >= GAIN)


def _backend(lab: Lab, backend: str, store: Any) -> None:
    """One fleet of four and one of one, at each place; the fleets that rest cost nothing."""
    from bench.ours_stm import Processes  # noqa: PLC0415  # floors run without the library

    times = lab.scale.counted // 4
    fleets: list[Processes] = []
    for place, name in _names(backend).items():
        cells = [PROCESSES * len(fleets) + cell for cell in PLACES[place]]
        four = lab.open(Processes(store(), cells))
        one = lab.open(Processes(store(), cells[:1], name=SINGLE))
        fleets += [four, one]
        lab.measure(
            name,
            [four.counting(times)],
            _gain() if backend == "Postgres" else None,
            base=SINGLE,
            beside=[one.counting(times)],
            unit="/s",
            slow=True,
        )
    lost = {OURS: float(sum(fleet.lost for fleet in fleets))}
    lab.amount(_lost(backend), "increments", lost, at_most(0, "lost"))
    errors = {OURS: float(sum(fleet.errors for fleet in fleets))}
    lab.amount(_errors(backend), "errors", errors, at_most(0, "errors"))
    lab.close_opened()


def measure(lab: Lab) -> None:
    if lab.ours is None:
        return
    if any(lab.wants(name) for name in _figures("SQLite")):
        _backend(lab, "SQLite", lambda: lab.ours_on_file()[0])
    if not any(lab.wants(name) for name in _figures("Postgres")):
        return
    if MISSING:
        lab.skip("Postgres", f"{MISSING} is not installed; it comes with the extra `postgres`")
        return
    try:
        server = lab.open(Server(lab.room))
    except ImportError as missing:
        lab.skip("Postgres", f"{missing.name} is not installed; it comes with the extra `dev`")
        return
    _backend(lab, "Postgres", lambda: lab.open(lab.ours(server.database())))


def _figures(backend: str) -> tuple[str, ...]:
    return (*_names(backend).values(), _lost(backend), _errors(backend))


SECTION = Section(
    "processes",
    "Four processes, one store",
    tuple(name for backend in BACKENDS for name in _figures(backend)),
    measure,
)
