"""The words of runs: how one stands, and what it asks of its own store, clock and chance."""

from __future__ import annotations

from typing import Final

from persistence.values import Keyword

DONE: Final = Keyword("done")
FAILED: Final = Keyword("failed")
STOPPED: Final = Keyword("stopped")

NOW: Final = Keyword("clock/now")
DRAW: Final = Keyword("random/draw")
BASIS: Final = Keyword("db/basis")
TRANSACT: Final = Keyword("db/transact")
