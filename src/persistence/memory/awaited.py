"""`s.memory`, awaited: the store is read and written in threads."""

from __future__ import annotations

import asyncio
from typing import Any

from persistence.memory.entry import Change, Entry
from persistence.memory.space import Memory


class AsyncMemory:
    """As :class:`Memory`, awaited."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def remember(self, text: str, **options: Any) -> int:
        """See :meth:`Memory.remember`."""
        return await asyncio.to_thread(self._memory.remember, text, **options)

    async def correct(self, id: int, text: str, **options: Any) -> None:
        """See :meth:`Memory.correct`."""
        await asyncio.to_thread(self._memory.correct, id, text, **options)

    async def forget(self, id: int, why: str) -> None:
        """See :meth:`Memory.forget`."""
        await asyncio.to_thread(self._memory.forget, id, why)

    async def recall(self, query: str, **options: Any) -> list[Entry]:
        """See :meth:`Memory.recall`."""
        return await asyncio.to_thread(self._memory.recall, query, **options)

    async def history(self, id: int) -> list[Change]:
        """See :meth:`Memory.history`."""
        return await asyncio.to_thread(self._memory.history, id)
