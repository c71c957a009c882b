"""Hears of commits of any process: SQLite tells whether a file has changed, and nothing more.

`PRAGMA data_version` reads one number of the shared memory and no page, so it can be asked often.
Commits of this process wake the waiting thread at once.
"""

from __future__ import annotations

from threading import Condition
from time import monotonic
from typing import Final

import attrs

from persistence.store.sqlite_read import SqliteReads

_POLL: Final = 0.01  # seconds between looks


@attrs.define
class Watch:
    """See :class:`persistence.store.protocol.Watch`."""

    reads: SqliteReads
    _seen: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._seen = self._version()

    def wait(self, seconds: float, here: Condition) -> None:
        """Until the file has changed, *here* is notified, or the time is over."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            with here:
                if here.wait(min(left, _POLL)):
                    return
            version = self._version()
            if version != self._seen:
                self._seen = version
                return

    def _version(self) -> int:
        ((version,),) = self.reads.rows("PRAGMA data_version")
        return int(version)
