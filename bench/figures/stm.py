"""Transactions of threads and of processes: counters, cells apart, and reads inside of a body.

No increment that was acknowledged may be missing at the end; what is lost, and how many bodies
had to run again where none should, are figures of their own.
"""

from __future__ import annotations

import random
import time
from itertools import count
from typing import Any

import apsw

from bench import texts, workload
from bench.figure import OURS, Figure, Must, at_most, within
from bench.floors.counter import CounterFloor
from bench.lab import Lab, Section
from bench.peers.zodb import ABSENT, RETRYING, Zodb

THREADS = 4
COMMUTE, ALTER = "contended counter, commute", "contended counter, alter"
DISJOINT, DISTANT = "disjoint refs, 4 threads", "disjoint refs, 4 threads, a sync of 2 ms"
LOST, ABORTS = "increments lost by threads", "aborts of disjoint refs"
POINT, QUERY, WIDE = "point read in a transaction", "query in a transaction", "q4 in a transaction"
OUTSIDE, SINGLE = "ours, outside", "ours, 1 thread"

RATE = 1_000
SHARED = 3.0
SYNC = 0.002  # seconds; what a disk in a data centre takes

_KEYED = "[:find ?n ?a :in $ ?e :where [?e :name ?n] [?e :age ?a]]"
_TURNS = count(1)


def _ahead(figure: Figure) -> bool | None:
    """Fast enough, and faster than ZODB where it ran."""
    ours, peer = figure.ours, figure.value(RETRYING)
    if ours is None:
        return None
    return ours >= RATE and (peer is None or ours > peer)


def _shared(text: str, limit: float) -> Must:
    return Must(f"≥ {limit:g}× {text}", lambda f: None if f.ratio is None else f.ratio >= limit)


class _File(apsw.VFSFile):
    """A file whose sync takes its time."""

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        time.sleep(SYNC)


class Distant(apsw.VFS):
    """The disk as it is, with a sync that takes `SYNC` seconds longer."""

    def __init__(self) -> None:
        self.name = f"bench-{next(_TURNS)}"
        super().__init__(self.name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File("", name, flags)

    def close(self) -> None:
        self.unregister()


def _contended(lab: Lab) -> list[Any]:
    """Four threads at one counter."""
    from bench.ours_stm import Counters  # noqa: PLC0415  # floors run without the library

    times = lab.scale.counted
    counters = []
    for figure, way in ((COMMUTE, "commute"), (ALTER, "alter")):
        if not (lab.wants(figure) or lab.wants(LOST)):
            continue
        ours = [Counters(store, way, [1] * THREADS) for store in lab.ours_on_file()]
        counters += ours
        floor = lab.open(CounterFloor(lab.file()))
        contenders: list[Any] = [c.counting(times) for c in ours]
        contenders += [floor.counting(THREADS, times)]
        contenders += [peer.counting(THREADS, times) for peer in _zodb(lab, figure == COMMUTE)]
        must = Must(f"≥ {RATE} /s, ahead of ZODB", _ahead)
        lab.measure(figure, contenders, must, base=RETRYING, unit="/s", slow=True)
    return counters


def _zodb(lab: Lab, resolving: bool) -> list[Zodb]:
    try:
        peers = [lab.open(Zodb(lab.file()))]
        if resolving:
            peers.append(lab.open(Zodb(lab.file(), resolving=True)))
    except ImportError:
        lab.skip(RETRYING, ABSENT)
        return []
    return peers


def _apart(lab: Lab, figure: str, note: str, **options: Any) -> list[Any]:
    """Four threads, each at a cell of its own, and one thread alone."""
    from bench.ours_stm import Counters  # noqa: PLC0415  # floors run without the library

    times = lab.scale.counted
    four = Counters(lab.ours_on_file(**options)[0], "alter", range(1, THREADS + 1))
    one = Counters(lab.ours_on_file(**options)[0], "alter", [1], name=SINGLE)
    lab.measure(
        figure,
        [four.counting(times)],
        _shared("one thread", SHARED),
        base=SINGLE,
        beside=[one.counting(times)],
        unit="/s",
        slow=True,
        note=note,
    )
    return [four, one]


def _inside(lab: Lab) -> None:
    """The same reads in a transaction, where each leaves a footprint, and outside."""
    from bench.ours_stm import asking, reading  # noqa: PLC0415  # as above

    (store,) = lab.ours_on_file()
    people = lab.scale.people
    store.load_people(workload.people(people))
    draw = random.Random(people)
    entities = [draw.randint(1, people) for _ in range(lab.scale.reads)]
    ways = ((OURS, True), (OUTSIDE, False))

    def race(figure: str, contenders: list[Any]) -> None:
        lab.measure(figure, contenders, within(2, "outside"), base=OUTSIDE)

    race(POINT, [reading(store, entities, inside=way, name=name) for name, way in ways])
    inputs = [(e,) for e in entities[:50]]
    race(QUERY, [asking(store, _KEYED, inputs, inside=way, name=name) for name, way in ways])
    race(WIDE, [asking(store, texts.Q4, [()], inside=way, name=name) for name, way in ways])


def measure(lab: Lab) -> None:
    if lab.ours is None:
        return
    counters = _contended(lab)
    sync = lab.facts.get("a synced write of 8 KiB", "nothing")
    distant = lab.open(Distant())
    apart = []
    if lab.wants(DISJOINT) or lab.wants(ABORTS):
        apart += _apart(lab, DISJOINT, f"a synced write of 8 KiB takes {sync} here")
    if lab.wants(DISTANT) or lab.wants(ABORTS):
        note = f"on a VFS whose sync sleeps {SYNC * 1000:g} ms more"
        apart += _apart(lab, DISTANT, note, vfs=distant.name)
    if counters:
        lost = {OURS: float(sum(c.lost for c in (*counters, *apart)))}
        lab.amount(LOST, "increments", lost, at_most(0, "lost"))
    if apart:
        aborts = {OURS: float(sum(c.aborts for c in apart))}
        lab.amount(ABORTS, "bodies run again", aborts, at_most(0, "aborts"))
    if any(lab.wants(figure) for figure in (POINT, QUERY, WIDE)):
        _inside(lab)


SECTION = Section(
    "stm",
    "Transactions",
    (COMMUTE, ALTER, DISJOINT, DISTANT, LOST, ABORTS, POINT, QUERY, WIDE),
    measure,
)
