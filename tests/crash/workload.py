"""What writers do while they are killed: transactions that show whether they are whole.

Each kind of work writes several facts that mean nothing alone, under the id of the operation. The
counter and a worker's last operation are overwritten again and again, so that every commit also
moves rows of the index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, Final
from uuid import UUID

import attrs

from persistence import Keyword, Substrate
from persistence.errors import ConnectionLost, StoreError, TransactionFailed
from persistence.stm import Transaction
from tests.crash.journal import COMMITTED, INTENDS, PERFORMS, REFUSED, UNKNOWN, Journal

PARTS: Final = 4
COUNTER: Final = 1
TALLY: Final = 2
SEND: Final = "crash/send"
_BULK: Final = 200
_OUTAGE: Final = 0.02  # seconds until a writer whose server is away asks for it again
_LONG: Final = "a value that is stored once, apart from the index " * 8

START: Final = f"""[
    {{:db/ident :op/id :db/unique :db.unique/identity}}
    {{:db/ident :op/text :db/valueType :db.type/string :db/fulltext true}}
    {{:db/ident :part/of :db/index true}}
    {{:db/ident :worker/name :db/unique :db.unique/identity}}
    [:db/add {COUNTER} :n 0]
    [:db/add {TALLY} :n 0]
]"""


def found(s: Substrate) -> None:
    """Makes an empty store ready for writers, in one transaction."""
    s.fact.transact(START)


def is_founded(s: Substrate) -> bool:
    """Whether it was; a signed log begins with its keys, before that."""
    return s.fact.db().entid(Keyword("op/id")) is not None


def whole(op: str) -> list[dict[str, Any]]:
    """The facts of one operation: all of them are there, or none."""
    parts = [{"db/id": f"part-{n}", "part/of": op, "part/number": n} for n in range(PARTS)]
    return [{"db/id": "op", "op/id": op, "op/text": f"{_LONG} {op}"}, *parts]


def performing(s: Substrate, journal: Journal) -> None:
    """Lets this process perform effects, which the outside world hears of through *journal*."""

    def send(args: Mapping[str, Any], key: UUID) -> None:
        journal.say(PERFORMS, args["op"], key=str(key))

    s.txn.handler(SEND, send)


@attrs.define
class Writer:
    """One worker of a process: does things, one after the other, and says so."""

    s: Substrate
    journal: Journal
    name: str
    rng: Random
    said: int = 0
    branch: str = ""  # the last one that it began, and what it wrote there
    drafted: str = ""
    ended: bool = False  # the last operation was acknowledged

    def do(self, kind: str) -> None:
        """Does one thing of this *kind*, which is the name of a method."""
        getattr(self, kind)()

    def forever(self) -> None:
        while True:
            (kind,) = self.rng.choices([*MIX], [*MIX.values()])
            self.do(kind)

    def transact(self) -> None:
        with self._op("transact") as (op, done):
            last = {"worker/name": self.name, "worker/last": op}
            done(self.s.fact.transact([*whole(op), last]).t)

    def bounded(self) -> None:
        """As `transact`, over an interval of valid time that has an end."""
        with self._op("bounded") as (op, done):
            span = {"valid_from": "2020-01-01T00:00:00Z", "valid_to": "2999-01-01T00:00:00Z"}
            done(self.s.fact.transact(whole(op), **span).t)

    def bulk(self) -> None:
        """As `transact`, with so many facts that they are written in bulk."""
        with self._op("bulk") as (op, done):
            rows = [{"row/of": op, "row/number": n} for n in range(_BULK)]
            done(self.s.fact.transact([*whole(op), *rows]).t)

    def count(self) -> None:
        self._count(serial_after=12)

    def serial(self) -> None:
        """As `count`, with the write lock held while the body runs."""
        self._count(serial_after=0)

    def _count(self, serial_after: int) -> None:
        how = self.rng.choice(["alter", "commute"])

        def body(tx: Transaction, op: str) -> Transaction:
            getattr(tx.ref(COUNTER, "n"), how)(lambda n: n + 1)
            tx.transact(whole(op))
            return tx

        with self._op("count") as (op, done):
            done(_t(self.s.txn.run(body, op, serial_after=serial_after)))

    def effect(self) -> None:
        """Facts, and something that is to be done outside once they are committed."""

        def body(tx: Transaction, op: str) -> Transaction:
            tx.transact(whole(op))
            tx.effect(SEND, op=op)
            return tx

        with self._op("effect") as (op, done):
            done(_t(self.s.txn.run(body, op)))

    def tally(self) -> None:
        def body(tx: Transaction) -> Transaction:
            tx.ref(TALLY, "n").commute(lambda n: n + 1)
            return tx

        with self._op("tally") as (_, done):
            done(_t(self.s.txn.run(body)))

    def create(self) -> None:
        name = f"b-{self.name}-{self.said}"
        with self._op("create", on=name) as (_, done):
            done(self.s.branch.create(name).number)
            self.branch = name

    def draft(self) -> None:
        with self._op("draft", on=self.branch) as (op, done):
            done(self.s.branch.open(self.branch).fact.transact(whole(op)).t)
            self.drafted = op

    def merge(self) -> None:
        with self._op("merge", on=self.branch, brings=self.drafted) as (_, done):
            self.s.branch.merge(self.branch)
            done(self.s.fact.db().basis)  # not before the merge, which does not tell its own t

    def discard(self) -> None:
        with self._op("discard", on=self.branch) as (_, done):
            done(self.s.branch.discard(self.branch).t)

    def life(self) -> None:
        """A branch that is begun, written, merged and perhaps discarded; ends where it fails."""
        steps = [self.create, self.draft, self.merge, self.discard]
        for step in steps[: self.rng.choice([2, 3, 4])]:
            self.ended = False
            step()
            if not self.ended:
                return

    @contextmanager
    def _op(self, kind: str, **more: str) -> Iterator[tuple[str, Callable[[int], None]]]:
        op = f"{self.name}-{self.said}"
        self.said += 1
        self.journal.say(INTENDS, op, kind=kind, **more)

        def done(t: int) -> None:
            self.journal.say(COMMITTED, op, t=t)
            self.ended = True

        try:
            yield op, done
        except ConnectionLost as error:
            unknown = error.data["outcome"] == "unknown"
            self.journal.say(UNKNOWN if unknown else REFUSED, op, error=str(error))
            time.sleep(_OUTAGE)
        except (StoreError, TransactionFailed) as error:
            self.journal.say(REFUSED, op, error=str(error))


def _t(tx: Transaction) -> int:
    assert tx.report is not None
    return tx.report.t


# How often a worker does what, among a hundred things.
MIX: Final = {
    "transact": 36,
    "bounded": 8,
    "bulk": 1,
    "count": 18,
    "serial": 3,
    "tally": 10,
    "effect": 10,
    "life": 14,  # of a branch
}
# What must have been done before one kind of work can be.
FIRST: Final[dict[str, tuple[str, ...]]] = {
    "draft": ("create",),
    "merge": ("create", "draft"),
    "discard": ("create", "draft", "merge"),
}
