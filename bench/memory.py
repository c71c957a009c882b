"""Memory of a process and of those that it started, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path


def resident(process: int | str = "self") -> int:
    """Resident memory that is the process's own, in bytes: mapped pages of files are not."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not tell RssAnon")


def family(process: int | str = "self") -> int:
    """The same of the process and of all its descendants."""
    total = resident(process)
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                total += family(int(child))
            except OSError:  # it has ended meanwhile
                continue
    return total
