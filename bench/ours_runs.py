"""The recorded runs of τ-bench's airline, imported and changed; see README.md of the data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import fidelity as changed
from bench.fidelity import Fidelity
from bench.figure import OURS
from bench.timing import Stage
from persistence import Substrate
from persistence.formats import import_chats, read_chats

_ROOT = Path(__file__).resolve().parents[1]
_SHARED = Path(os.environ.get("PERSISTENCE_SHARED", _ROOT.parent / "shared"))
RUNS = _SHARED / "data" / "tau-airline" / "trajectories.jsonl"


def absent() -> str | None:
    """Why the runs cannot be measured; None when they are there."""
    if RUNS.is_file():
        return None
    return "there is no tau-airline/trajectories.jsonl; name its place in PERSISTENCE_SHARED"


def importing(file: Callable[[], Path]) -> Stage[Any]:
    """All runs, from the file into a new store, each step a fact of it."""

    def finish(store: Substrate) -> None:
        store.close()

    def normal(store: Substrate) -> int:
        return int(store.fact.db().q("[:find (count ?r) . :where [?r :run/id]]"))

    return Stage(
        OURS,
        prepare=lambda: Substrate.open(file()),
        run=lambda store: import_chats(store, RUNS),
        normal=normal,
        finish=finish,
    )


def fidelity() -> Fidelity:
    """One observation of each run, told otherwise."""
    return changed.measure(read_chats(RUNS))
