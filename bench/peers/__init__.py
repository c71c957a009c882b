"""Systems that do a similar job, run where they install; absent ones are named with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.peers.cozo import Cozo
from bench.peers.datascript import NAME, Absent, DataScript

COZO_ABSENT = "pycozo is not installed; it comes with the extra `bench`"


def available(skip: Callable[[str, str], None]) -> list[Any]:
    """Empty peers that work on this machine; *skip* is told of the others and why."""
    peers: list[Any] = []
    try:
        peers.append(Cozo())
    except ImportError:
        skip("CozoDB", COZO_ABSENT)
    try:
        peers.append(DataScript())
    except Absent as reason:
        skip(NAME, str(reason))
    return peers
