"""The verification of an exported log in a process of its own, so that its memory can be read.

`python -m bench.verifying leaves|signed|floor EXPORT VKEY SIZE` prints one JSON line per tenth of
SIZE entries: how many, the seconds that they took, and the memory of the process and its
descendants then, in bytes; and at the end how many entries there were and the root over them.
`signatures` in place of `floor` prints how many signatures a second the cores check at most.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.memory import family

TILE = 256  # entries of a bundle
BARE = 20_000  # signatures that each core checks for the floor

Tick = Callable[[int], None]


def floor(directory: Path, size: int, tick: Tick) -> dict[str, Any]:
    """Reads the bundles and hashes the tree over their entries; looks at nothing else."""
    stack: list[bytes] = []  # the roots of the whole trees so far, largest first
    for n in range(-(-size // TILE)):
        entries = _bundle(directory, n, min(TILE, size - n * TILE))
        for at, entry in enumerate(entries, n * TILE + 1):
            node = sha256(b"\0" + entry).digest()
            while not at & 1:
                node, at = sha256(b"\1" + stack.pop() + node).digest(), at >> 1
            stack.append(node)
        tick(min((n + 1) * TILE, size))
    root = stack.pop()
    while stack:
        root = sha256(b"\1" + stack.pop() + root).digest()
    return {"entries": size, "root": root.hex()}


def _bundle(directory: Path, n: int, width: int) -> list[bytes]:
    """The entries of a bundle: each has its length before it, in two bytes."""
    digits = f"{n:0{-(-len(str(n)) // 3) * 3}}"
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    partial = "" if width == TILE else f".p/{width}"
    data = (directory / "tile" / "entries" / f"{name}{partial}").read_bytes()
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        entries.append(data[at + 2 : end])
        at = end
    return entries


def ours(directory: Path, vkey: str, size: int, tick: Tick, *, signatures: bool) -> dict[str, Any]:
    from persistence.audit.verify import verify_export  # noqa: PLC0415  # floors run without it

    report = verify_export(
        directory, vkey, signatures=signatures, progress=lambda done, total: tick(done)
    )
    if not report.clean:
        raise AssertionError(f"the log does not verify: {report.findings[0]}")
    return {"entries": report.counts["transactions"], "root": report.says["root"]}


def main(who: str, directory: str, vkey: str, size: str) -> None:
    """Run one verification and print its readings."""
    if who == "signatures":
        print(json.dumps({"rate": bare()}))
        return
    place, entries = Path(directory), int(size)
    runs: dict[str, Callable[[Tick], dict[str, Any]]] = {
        "floor": lambda tick: floor(place, entries, tick),
        "leaves": lambda tick: ours(place, vkey, entries, tick, signatures=False),
        "signed": lambda tick: ours(place, vkey, entries, tick, signatures=True),
    }
    for reading in _readings(runs[who], entries):
        print(json.dumps(reading), flush=True)


def _readings(run: Callable[[Tick], Any], size: int) -> Iterator[dict[str, Any]]:
    readings: list[dict[str, Any]] = []
    window = size // 10
    told, since = 0, perf_counter()

    def tick(done: int) -> None:
        nonlocal told, since
        last = len(readings) == 9  # lasts until all is done
        if done >= told + window and not last:
            now = perf_counter()
            readings.append({"entries": done - told, "seconds": now - since, "memory": family()})
            told, since = done, now

    ends = run(tick)
    seconds = perf_counter() - since
    readings.append({"entries": size - told, "seconds": seconds, "memory": family()})
    yield from readings
    yield ends


def bare() -> float:
    """Ed25519 signatures that all cores check in a second with `cryptography` alone."""
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(_check, [1] * cores))  # they have started
        start = perf_counter()
        list(pool.map(_check, [BARE] * cores))
        return BARE * cores / (perf_counter() - start)


def _check(times: int) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    public, message = key.public_key(), bytes(200)
    signature = key.sign(message)
    for _ in range(times):
        public.verify(signature, message)


if __name__ == "__main__":
    main(*sys.argv[1:])
