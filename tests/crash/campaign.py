"""Kills, one after the other, and what was found after each.

A store is written, killed and looked at many times over, because what one crash leaves behind may
show only after the next. Everything that is left to chance follows from the seed but for the
moment itself, which no seed can hold.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Final, Literal, TypeAlias

import attrs

from persistence import Keyring, Substrate
from persistence.errors import PersistenceError
from persistence.maintenance import Finding
from tests.crash.journal import COMMITTED, heard
from tests.crash.points import POINTS, Point
from tests.crash.process import Process, WriterFailed
from tests.crash.servers import Pooler, Server, pgbouncer
from tests.crash.stopped import stopped_at
from tests.crash.verdict import Judge
from tests.crash.workload import found, is_founded
from tests.crash.writer import Orders

Backend: TypeAlias = Literal["sqlite", "postgres"]
WAYS: Final[dict[Backend, dict[str, int]]] = {  # and how often each, among a hundred rounds
    "sqlite": {"process": 50, "point": 20, "power": 30},
    "postgres": {
        "process": 30,
        "point": 20,
        "server": 12,  # immediate shutdown
        "backend": 15,  # SIGKILL of a server process
        "terminate": 13,  # pg_terminate_backend
        "pooler": 10,  # SIGKILL of pgbouncer
    },
}
_ROUNDS: Final = 10  # that one store lives
_LINES: Final = 150  # of the journal, at most, until a kill
_OPENING: Final = 0.15  # of the kills hit a writer that has not begun to write
_STARTING: Final = 0.1  # seconds, about what a writer takes to begin
_CUT: Final = 2_000  # writes and syncs, at most, until the power goes
_BIRTHS: Final = 0.2  # of the stores lose power while they are made
_BIRTH: Final = 150  # about so many make a store


@attrs.define
class Tally:
    """What a campaign has done and found."""

    seed: int
    kills: Counter[str] = attrs.field(factory=Counter)
    operations: Counter[str] = attrs.field(factory=Counter)
    findings: list[tuple[str, Finding]] = attrs.field(factory=list)

    @property
    def total(self) -> int:
        return sum(self.kills.values())

    def as_data(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "kills": dict(self.kills),
            "total": self.total,
            "operations": dict(self.operations),
            "findings": [[where, str(finding)] for where, finding in self.findings],
        }


@attrs.define
class Site:
    """One store, its journal, and who watches over them."""

    uri: str
    directory: Path
    judge: Judge
    keys: str | None = None  # the directory of those that sign its log
    rounds: int = 0

    def orders(self, name: str, **more: Any) -> Orders:
        journal = str(self.judge.journal)
        return Orders(uri=self.uri, journal=journal, name=name, keys=self.keys, **more)


@attrs.define
class Campaign:
    """Kills of one backend until there are enough."""

    backend: Backend
    seed: int
    server: Server | None = None
    ways: tuple[str, ...] = ()
    signed: bool = False  # the writers sign, and the log's checkpoint moves with every commit
    told: Callable[[Tally], None] = lambda tally: None
    warned: Callable[[str], None] = lambda finding: None
    tally: Tally = attrs.field(init=False)
    _rng: Random = attrs.field(init=False)
    _site: Site | None = None
    _cases: Iterator[tuple[Point, str]] | None = None
    _names: int = 0

    def __attrs_post_init__(self) -> None:
        self.tally = Tally(self.seed)
        self._rng = Random(self.seed)
        if not self.ways:
            absent = {"pooler"} if pgbouncer() is None else set()
            self.ways = tuple(way for way in WAYS[self.backend] if way not in absent)

    def run(self, kills: int) -> Tally:
        """Kills at least so often."""
        chances = [WAYS[self.backend][way] for way in self.ways]
        try:
            while self.tally.total < kills:
                (way,) = self._rng.choices(self.ways, chances)
                self.round(way)
                self.told(self.tally)
        finally:
            self._leave()
        return self.tally

    def round(self, way: str) -> None:
        """Kills in one way, and looks what is left."""
        match way:
            case "point":
                self._points()
            case "power":
                self.power(birth=self._rng.random() < _BIRTHS)
            case "process":
                site = self._at()
                self._look(site, way, lambda: self._process(site))
            case _:
                site = self._at()
                self._look(site, way, lambda: self._servers(site, way))

    # ------------------------------------------------------------------ processes

    def _process(self, site: Site) -> None:
        """Kills writers, sometimes one while another goes on."""
        rng = self._rng
        with ExitStack() as running:
            writers = [self._started(site, running) for _ in range(rng.choice([1, 1, 2]))]
            if rng.random() < _OPENING:
                time.sleep(rng.uniform(0, _STARTING))  # the moment of the kill, and nothing else
            else:
                writers[0].wait_for(rng.randrange(1, _LINES))
            for writer in writers:
                writer.kill()
                self.tally.kills["process"] += 1
                if writer is not writers[-1]:
                    writers[-1].wait_for(20)  # nobody waits for the dead

    def _started(self, site: Site, running: ExitStack) -> Process:
        self._names += 1
        rng = self._rng
        orders = site.orders(
            f"w{self._names}",
            seed=rng.randrange(2**32),
            checkpoint=rng.choice([20, 200, None]) if self.backend == "sqlite" else None,
        )
        return running.enter_context(Process(orders))

    # -------------------------------------------------------------------- servers

    def _servers(self, site: Site, way: str) -> None:
        """Lets writers go on while what they talk to dies, again and again."""
        rng, server = self._rng, self.server
        assert server is not None
        with ExitStack() as running:
            if way == "pooler":
                program = pgbouncer()
                assert program is not None, "pgbouncer is not installed"
                pooler = running.enter_context(Pooler(program, server))
                direct, site.uri = site.uri, pooler.before(site.uri)
                running.callback(setattr, site, "uri", direct)
            writers = [self._started(site, running) for _ in range(rng.choice([1, 2]))]
            for _ in range(rng.randrange(2, 6)):
                writers[0].wait_for(rng.randrange(10, 80))
                if way == "pooler":
                    pooler.kill()
                    pooler.start()
                else:
                    self._strike(server, way)
                self.tally.kills[way] += 1
            for writer in writers:
                writer.wait_for(5, COMMITTED)  # it writes again
            for writer in writers:
                writer.kill()
                self.tally.kills["process"] += 1

    def _strike(self, server: Server, way: str) -> None:
        if way == "server":
            server.crash()
            return
        backends = server.backends()
        if backends:
            victim = self._rng.choice(backends)
            (server.kill_backend if way == "backend" else server.terminate_backend)(victim)

    # ---------------------------------------------------------- points and power

    def _points(self) -> None:
        """Stops a writer of a new store at the next of all points and kinds of work."""
        if self._cases is None:
            self._cases = self._every_case()
        point, kind = next(self._cases)
        with ExitStack() as stack:
            site = self._new_site(stack, begin=False)
            findings = stopped_at(point, kind, site.uri, site.judge.journal, site.keys)
            self._found(f"point {point}, {kind}", findings)
            self._count(site)
        self.tally.kills["point"] += 1

    def _every_case(self) -> Iterator[tuple[Point, str]]:
        cases = [
            (point, kind)
            for point in POINTS
            if self.backend in point.backends
            for kind in point.kinds
        ]
        while True:
            self._rng.shuffle(cases)
            yield from cases

    def power(self, *, birth: bool = False) -> None:
        """Takes the power from a new store, at its birth or later, several times."""
        rng = self._rng
        full = rng.random() < 0.7
        with ExitStack() as stack:
            # Of a store that may lose what it acknowledged, what is remembered would tell so.
            site = self._new_site(stack, begin=not birth, signed=self.signed and full)
            site.judge.durable = full
            for _ in range(rng.randrange(1, 4) if full else 1):
                where = "power"
                try:
                    where = cut(site, rng, "FULL" if full else "NORMAL", birth=birth)
                    findings = self._looked(site)
                except WriterFailed as error:
                    findings = [Finding("writer", "no failure", str(error))]
                self.tally.kills["power"] += 1
                self._found(where, findings)
                birth = False
                if findings:
                    break
            self._count(site)

    # ----------------------------------------------------------------- the stores

    def _look(self, site: Site, way: str, kill: Callable[[], None]) -> None:
        where = f"{way}, round {site.rounds} of {site.uri}"
        try:
            kill()
            findings = self._looked(site)
        except Exception as error:
            findings = [Finding("campaign", "no error", repr(error))]
        self._found(where, findings)
        if findings:
            self._leave()

    def _looked(self, site: Site) -> list[Finding]:
        if self.server is not None:
            self.server.admin().close()  # it may be recovering
        try:
            with Substrate.open(site.uri, keys=site.keys) as s:
                if not is_founded(s):  # the power went before it was founded
                    found(s)
                return site.judge.findings(s)
        except PersistenceError as error:
            return [Finding("store", "opened and looked at", repr(error))]

    def _at(self) -> Site:
        """The store to go on with."""
        if self._site is None or self._site.rounds >= _ROUNDS:
            self._leave()
            self._stack = ExitStack()
            self._site = self._new_site(self._stack)
        self._site.rounds += 1
        return self._site

    _stack: ExitStack = attrs.field(factory=ExitStack)

    def _leave(self) -> None:
        if self._site is not None:
            self._count(self._site)
            self._site = None
            self._stack.close()

    def _new_site(
        self, stack: ExitStack, *, begin: bool = True, signed: bool | None = None
    ) -> Site:
        directory = Path(tempfile.mkdtemp(prefix="persistence-crash-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        uri = str(directory / "store.db")
        if self.backend == "postgres":
            assert self.server is not None
            uri = self.server.new_store()
        keys = None
        if self.signed if signed is None else signed:
            keys = str(directory / "keys")
            Keyring.generate("example.com/crash", "ana", directory=keys)
        if begin:
            with Substrate.open(uri, keys=keys) as s:
                found(s)
        return Site(uri, directory, Judge(directory / "journal"), keys)

    def _count(self, site: Site) -> None:
        for op in heard(site.judge.journal).ops.values():
            self.tally.operations[op.state] += 1

    def _found(self, where: str, findings: list[Finding]) -> None:
        self.tally.findings += [(where, finding) for finding in findings]
        for finding in findings:
            self.warned(f"{where}: {finding}")


def cut(site: Site, rng: Random, synchronous: str, *, birth: bool = False) -> str:
    """Takes the power from a writer of *site*, whose store is then what the cut left of it."""
    after = Path(tempfile.mkdtemp(prefix="after-", dir=site.directory))
    n = rng.randrange(1, _BIRTH if birth else _CUT)
    orders = site.orders(
        f"p{after.name.removeprefix('after-')}",
        seed=rng.randrange(2**32),
        options={"synchronous": synchronous},
        checkpoint=rng.choice([5, 50, 500]),
        cut=n,
        after=str(after),
    )
    with Process(orders) as process:
        process.died()
    site.uri = str(after / "store.db")
    return f"power, {synchronous}, at {n}, seed {orders.seed}"
