"""LangGraph's SqliteSaver: an agent's state as one checkpoint per step, all keys in each of them.

It is asked as LangGraph's own loop asks it: one version per changed channel from the saver, one
`put` per step, `get_tuple` for a state, and a fork is a new checkpoint below an old one. The loop
also calls `put_writes` before each `put`, a commit of its own; the contender `LangGraph, put_writes
too` does so. Only the sync is set: FULL, as ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

NAME, WRITES = "LangGraph (SQLite)", "LangGraph, put_writes too"
ABSENT = "langgraph-checkpoint-sqlite is not installed; it comes with the extra `bench`"


class LangGraph:
    """One thread of one file.

    Raises:
        ImportError: the saver is not installed.
    """

    def __init__(self, path: Path, *, writes: bool = False) -> None:
        base = import_module("langgraph.checkpoint.base")
        saver = import_module("langgraph.checkpoint.sqlite").SqliteSaver
        self.name = WRITES if writes else NAME
        self._path = path
        self._connection = sqlite3.connect(str(path), check_same_thread=False)
        self._saver: Any = saver(self._connection)
        self._saver.setup()
        self._connection.execute("PRAGMA synchronous = FULL")
        self._create: Any = base.create_checkpoint
        self._checkpoint: Any = base.empty_checkpoint()
        self._config: Any = {"configurable": {"thread_id": "agent", "checkpoint_ns": ""}}
        self._thread = self._config
        self._steps: list[Any] = []  # the configuration of each step, which names it

    def close(self) -> None:
        self._connection.close()

    def begin(self, values: Mapping[str, str]) -> None:
        """The state before the first step."""
        self._put(values)

    def run(self, changes: Iterable[tuple[str, str]]) -> None:
        """A step for each change."""
        for key, value in changes:
            if self.name == WRITES:
                self._saver.put_writes(self._config, [(key, value)], f"task {len(self._steps)}")
            self._put({key: value})

    def _put(self, values: Mapping[str, str]) -> None:
        last = self._checkpoint
        self._checkpoint = self._next(last, values, len(self._steps))
        versions = {key: self._checkpoint["channel_versions"][key] for key in values}
        metadata = {"source": "loop", "step": len(self._steps), "parents": {}}
        self._config = self._saver.put(self._config, self._checkpoint, metadata, versions)
        self._steps.append(self._config)

    def _next(self, last: Any, values: Mapping[str, str], step: int) -> Any:
        held = last["channel_versions"]
        version = self._saver.get_next_version(max(held.values(), default=None), None)
        after = {
            **last,
            "channel_values": {**last["channel_values"], **values},
            "channel_versions": {**held, **dict.fromkeys(values, version)},
        }
        return self._create(after, None, step)

    def head(self) -> dict[str, str]:
        """All values as they are now."""
        return self._values(self._thread)

    def at(self, step: int) -> dict[str, str]:
        """All values as they were after so many steps."""
        return self._values(self._steps[step])

    def _values(self, config: Any) -> dict[str, str]:
        values: dict[str, str] = self._saver.get_tuple(config).checkpoint["channel_values"]
        return values

    def fork(self, step: int) -> None:
        """Begins another line at a step: what `update_state` does with an old configuration."""
        old = self._saver.get_tuple(self._steps[step])
        checkpoint = self._next(old.checkpoint, {}, step)
        metadata = {"source": "fork", "step": step, "parents": {}}
        self._saver.put(old.config, checkpoint, metadata, {})

    def size(self) -> int:
        """Bytes of the file, once the write-ahead log is folded into it."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._path.stat().st_size
