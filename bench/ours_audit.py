"""The signed log of Persistence, in the shape that the figures ask for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import count, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import attrs

from bench.crew import Crew
from bench.figure import OURS
from bench.ours import SCORE, Ours, _attribute
from bench.timing import Call, Stage
from persistence import Keyring, Keyword, Substrate
from persistence.audit.verify import verify_proof

ORIGIN, AUTHOR = "bench.example/log", "ana"
ADD = Keyword("db/add")
COMMIT = 1_000  # transactions of the long log to a commit, as a large group commit has them
PIECE = 20  # subjects to a transaction


def keys(directory: Path | None = None) -> Keyring:
    """Fresh keys of the log and of one author, in memory or in a directory as well."""
    return Keyring.generate(ORIGIN, AUTHOR, directory=directory)


# ------------------------------------------------------------------------ writing


@attrs.define
class Signing(Stage[Crew]):
    """Threads that transact; where the figure is missed, one commit of as many transactions as
    there are threads is profiled, made by one thread: that is what the leader of a group does."""

    group: Callable[[], int] = attrs.field(kw_only=True)

    def observed(self, observe: Callable[..., Any]) -> int:
        return int(observe(self.group))


def signing(store: Ours, threads: int, times: int, *, name: str = OURS) -> Signing:
    """Each of *threads* commits *times* transactions of one datom; `Ours` was opened with keys, or
    without, and FULL is its default. All that was written is verified when the answer is asked."""
    upcoming = count(1)
    transact, connection = store.substrate.fact.transact, store.substrate._connection

    def work(entities: Sequence[int]) -> Callable[[], None]:
        def run() -> None:
            for e in entities:
                transact([[":db/add", e, SCORE, 7]])

        return run

    def prepare() -> Crew:
        return Crew([work([*islice(upcoming, times)]) for _ in range(threads)])

    def group() -> int:
        with connection.alone() as alone:
            for e in islice(upcoming, threads):
                alone.append(_scoring(e))
        return threads

    def normal(_: Crew) -> int:
        if problems := store.substrate.audit.verify():
            raise AssertionError(f"{name}: {problems[0]}")
        return store.count("score")

    return Signing(
        name,
        prepare=prepare,
        run=lambda crew: crew.run(),
        normal=normal,
        finish=lambda crew: crew.close(),
        operations=threads * times,
        group=group,
    )


def _scoring(e: int) -> Callable[[Any], Any]:
    return lambda base: [(ADD, e, SCORE, 7)]


# ------------------------------------------------------------------- the long log


@attrs.define
class LongLog:
    """A signed store of *size* transactions of one datom, its keys and its export.

    The transactions are written as a group commit writes them, `COMMIT` to a commit: prepared,
    signed and hashed one by one, with one checkpoint at the end of each commit.
    """

    room: Path
    size: int
    vkey: str = ""
    bytes: int = 0
    rate: float = 0.0  # transactions a second while it was written

    @property
    def store(self) -> Path:
        return self.room / "long.db"

    @property
    def keys(self) -> Path:
        return self.room / "long.keys"

    @property
    def exported(self) -> Path:
        return self.room / "long.tiles"

    def build(self, progress: Callable[[int], None]) -> None:
        """Writes the store."""
        self.room.mkdir()
        keys(self.keys)
        made = Ours(self.store, keys=self.keys)
        connection = made.substrate._connection
        first = done = made.db.basis
        start = perf_counter()
        while done < self.size:
            with connection.alone() as alone:
                for e in range(done, min(done + COMMIT, self.size)):
                    alone.append(_scoring(e))
            done = made.db.basis
            progress(done)
        self.rate = (done - first) / (perf_counter() - start)
        self.vkey = made.substrate.audit.vkey
        self.bytes = made.size()
        made.close()

    def export(self) -> None:
        """Writes the tiles that an auditor is given."""
        with Substrate.open(self.store, keys=self.keys) as substrate:
            substrate.audit.export(self.exported)

    def opening(self, *, keys: bool = True, name: str = OURS) -> Stage[list[Substrate]]:
        """Opens the store, as a program does that begins; it is closed untimed."""
        options: dict[str, Any] = {"keys": self.keys} if keys else {}
        return Stage(
            name,
            prepare=list,
            run=lambda opened: opened.append(Substrate.open(self.store, **options)),
            normal=lambda opened: opened[0].fact.db().basis,
            finish=lambda opened: opened[0].close(),
        )


@attrs.define
class Proofs:
    """Proofs of transactions all over the long log, under its newest checkpoint."""

    log: LongLog
    draws: int
    substrate: Substrate = attrs.field(init=False)
    places: list[int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.substrate = Substrate.open(self.log.store, keys=self.log.keys)
        draw = random.Random(self.draws)
        self.places = [draw.randint(3, self.log.size) for _ in range(self.draws)]

    def close(self) -> None:
        self.substrate.close()

    def proving(self) -> Call:
        """The text of a proof of each; the answer is how many of them a verifier accepts."""
        prove = self.substrate.audit.prove
        return Call(
            OURS, lambda: [prove(t).text for t in self.places], self.accepted, len(self.places)
        )

    def accepted(self, texts: Sequence[str]) -> int:
        return sum(verify_proof(text, self.log.vkey).clean for text in texts)

    def sizes(self, *, datom: bool) -> list[int]:
        """Bytes of each proof, of a transaction or of the datom in it."""
        db, prove = self.substrate.fact.db(), self.substrate.audit.prove
        whats = [next(iter(db.log(t, t))) if datom else t for t in self.places]
        texts = [prove(what).text for what in whats]
        if self.accepted(texts) != len(texts):
            raise AssertionError("a proof does not verify")
        return [len(text.encode()) for text in texts]


# ------------------------------------------------------------------------ erasing


@attrs.define
class Subjects:
    """People of whom notes are kept that are sensitive; one after the other is erased.

    Every note of a person holds that person's own word, by which the files are searched: `found`
    counts where it was still there once it was erased, `remains` what the erasure itself told.
    """

    where: Path
    people: int
    notes: int
    store: Ours = attrs.field(init=False)
    entities: list[int] = attrs.field(factory=list)
    found: int = 0
    remains: set[str] = attrs.field(factory=set)
    _next: int = 0

    def __attrs_post_init__(self) -> None:
        self.store = Ours(self.where, keys=keys())
        many = Keyword("db.cardinality/many")
        self.store.transact([_attribute("note", "string", cardinality=many, sensitive=True)])
        for start in range(0, self.people, PIECE):
            some = range(start, min(start + PIECE, self.people))
            forms = [{":db/id": f"person {n}", ":note": self._notes(n)} for n in some]
            tempids = self.store.substrate.fact.transact(forms).tempids
            self.entities += [tempids[f"person {n}"] for n in some]

    def close(self) -> None:
        self.store.close()

    def erasing(self) -> Stage[int]:
        """The next person; before and after, the files are searched byte by byte."""
        return Stage(
            OURS,
            prepare=self._prepare,
            run=self._erase,
            normal=lambda n: self.store.count("note"),
            finish=self._search,
        )

    def _prepare(self) -> int:
        self._next += 1
        if not self._occurrences(self._next):
            raise AssertionError("what is to be erased is not in the files")
        return self._next

    def _erase(self, n: int) -> None:
        done = self.store.substrate.audit.erase([self.entities[n]])
        if done.values != self.notes:
            raise AssertionError(f"{done.values} values were erased, not {self.notes}")
        self.remains.update(done.remains)

    def _search(self, n: int) -> None:
        self.found += self._occurrences(n)

    def _occurrences(self, n: int) -> int:
        """How often the word of person *n* stands in the store's files."""
        word = _word(n).encode()
        return sum(
            path.read_bytes().count(word) for path in self.where.parent.glob(f"{self.where.name}*")
        )

    def _notes(self, n: int) -> list[str]:
        return [f"{_word(n)} {number}" for number in range(self.notes)]


def _word(n: int) -> str:
    return random.Random(n).randbytes(12).hex()
