"""DBOS on SQLite: a workflow whose steps are recorded, each committed before the next begins.

DBOS keeps SQLite's defaults, a rollback journal and `synchronous = FULL`, and offers no others; so
do its users have it. Nothing is sent anywhere: neither an admin server nor a conductor is started.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

NAME = "DBOS"
ABSENT = "dbos is not installed; it comes with the extra `bench`"


class Dbos:
    """One DBOS, of which a process has only one at a time, with a workflow of one repeated step.

    Raises:
        ImportError: dbos is not installed.
    """

    def __init__(self, path: Path, step: Callable[[str], Any]) -> None:
        self._dbos: Any = import_module("dbos").DBOS
        self._dbos(
            config={
                "name": "bench",
                "system_database_url": f"sqlite:///{path}",
                "run_admin_server": False,
                "log_level": "ERROR",
            }
        )
        recorded = self._dbos.step()(step)

        def flow(times: int) -> list[Any]:
            return [recorded(f"question {n}") for n in range(times)]

        self._flow = self._dbos.workflow()(flow)
        self._dbos.launch()

    def run(self, times: int) -> list[Any]:
        """A workflow of so many steps; gives their results."""
        return list(self._flow(times))

    def close(self) -> None:
        self._dbos.destroy(destroy_registry=True)
