"""What the figures were measured on: processor and versions, never a host name or a path."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from time import perf_counter

import apsw


def facts(room: Path) -> dict[str, str]:
    """Machine and software facts that a reader needs in order to compare figures."""
    return {
        "cpu": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": apsw.sqlite_lib_version(),
        "apsw": apsw.apsw_version(),
        "a synced write of 8 KiB": f"{_sync(room) * 1000:.2f} ms",
    }


def _sync(room: Path, rounds: int = 51) -> float:
    """Median seconds of a write and its fdatasync: what durability costs here, at the least."""
    target = room / "sync"
    times = []
    with target.open("wb", buffering=0) as file:
        for _ in range(rounds):
            start = perf_counter()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            times.append(perf_counter() - start)
    target.unlink()
    return statistics.median(times)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
