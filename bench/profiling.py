"""Where the time of a missed figure goes, as cProfile's top lines without any machine path."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path
from time import perf_counter

from bench.timing import Contender

LINES = 15
SECONDS = 1.0  # profile at least this long, so that short operations show their shape


def profile(contender: Contender) -> str:
    """Run *contender* for about a second under cProfile; the heaviest functions by own time."""
    recorder = cProfile.Profile()
    operations, start = 0, perf_counter()
    while operations == 0 or perf_counter() - start < SECONDS:
        operations += contender.observed(recorder.runcall)
    return render(pstats.Stats(recorder), operations)


def render(stats: pstats.Stats, operations: int) -> str:
    """A table per operation: own ms, cumulative ms, calls, function."""
    functions = stats.stats  # type: ignore[attr-defined]  # public in practice, absent in stubs
    heaviest = sorted(functions.items(), key=lambda item: item[1][2], reverse=True)[:LINES]
    rows = [f"{'own ms':>9} {'cum ms':>9} {'calls':>9}  function"]
    for (file, line, name), (_, count, own, cumulative, _callers) in heaviest:
        rows.append(
            f"{own * 1000 / operations:9.3f} {cumulative * 1000 / operations:9.3f}"
            f" {count / operations:9.1f}  {_place(file, line)}{name}"
        )
    return "\n".join(rows)


def _place(file: str, line: int) -> str:
    if file.startswith(("~", "<")):
        return ""
    parts = Path(file).parts
    for root in ("persistence", "bench"):
        if root in parts:
            parts = parts[len(parts) - 1 - parts[::-1].index(root) :]
            return f"{'/'.join(parts)}:{line} "
    return f"{parts[-1]}:{line} "
