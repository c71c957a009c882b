"""Is what a store holds what its writers were told?

Everything that was acknowledged is there; of everything else, all or nothing; what was refused is
not. Log, index and hashes agree. What was decided once stays decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from persistence import Substrate
from persistence.audit.note import Checkpoint, SignedNote
from persistence.db import Db
from persistence.maintenance import Finding
from tests.crash.journal import COMMITTED, REFUSED, Journal, Op, Said, heard
from tests.crash.workload import COUNTER, PARTS, TALLY, performing

_PARTS = "[:find ?op (count ?p) :where [?p :part/of ?op]]"
_HEADS = "[:find [?op ...] :where [_ :op/id ?op]]"
_LAST = "[:find ?name ?op :where [?w :worker/name ?name] [?w :worker/last ?op]]"
_COUNTING = ("count", "serial")


@attrs.frozen
class Seen:
    """What a store shows."""

    main: dict[str, int]  # the parts of each operation on the main line
    lines: dict[str, dict[str, int]]  # the same of every branch
    discarded: set[str]
    counter: int
    tally: int
    last: dict[str, str]  # each worker's last operation
    head: int

    def shows(self, op: Op) -> bool | None:
        """Whether *op* has happened; None where that cannot be seen."""
        match op.kind:
            case "create":
                return op.on in self.lines
            case "draft":
                return op.id in self.lines.get(op.on, {})
            case "merge":
                return op.brings in self.main
            case "discard":
                return op.on in self.discarded
            case "tally":
                return None
            case _:
                return op.id in self.main


def seen(s: Substrate) -> Seen:
    """Looks at everything that operations leave."""
    lines = {line.name: line for line in s.branch.list(discarded=True) if line.parent is not None}
    db = s.fact.db()
    return Seen(
        main=_parts(db),
        lines={
            name: _parts(s.branch.open(name, discarded=line.discarded).fact.db())
            for name, line in lines.items()
        },
        discarded={name for name, line in lines.items() if line.discarded},
        counter=db.get(COUNTER, "n", 0),
        tally=db.get(TALLY, "n", 0),
        last=dict(db.q(_LAST)),
        head=db.basis,
    )


def _parts(db: Db) -> dict[str, int]:
    """The parts of each operation, its own entity among them."""
    parts: dict[str, int] = dict(db.q(_PARTS))
    for op in db.q(_HEADS):
        parts[op] = parts.get(op, 0) + 1
    return parts


@attrs.define
class Judge:
    """Watches over one store from crash to crash; its writers are dead whenever it looks."""

    journal: Path
    durable: bool = True  # every acknowledged commit survives; else those up to some t
    settled: dict[str, bool] = attrs.field(factory=dict)

    def findings(self, s: Substrate) -> list[Finding]:
        """Everything that is wrong with *s*; nothing in a store that keeps its word."""
        with s._connection.store.session():
            pass  # whoever was still committing is done
        said, now = heard(self.journal), seen(s)
        found = [Finding("writer", "no failure", failure) for failure in said.failures]
        found += s.check() if s.audit.origin is None else [*_covered(s, now), *s.audit.verify()]
        found += self._acknowledged(said, now)
        found += _halves(said, now)
        found += _refused(said, now)
        found += _totals(said, now, self.durable)
        found += _lasts(said, now)
        found += self._settled(said, now)
        found += self._effects(s, now)
        return found

    def _acknowledged(self, said: Said, now: Seen) -> Iterator[Finding]:
        for op in said.ops.values():
            promised = op.state == COMMITTED and (self.durable or op.t <= now.head)
            if promised and now.shows(op) is False:
                yield Finding(f"{op.kind} {op.id}", f"acknowledged at t = {op.t}", "lost")

    def _settled(self, said: Said, now: Seen) -> Iterator[Finding]:
        """What one look has shown of a writer that is dead, every later one shows."""
        for op in said.ops.values():
            there = now.shows(op)
            if there is not None and self.settled.setdefault(op.id, there) != there:
                before = "there" if not there else "not there"
                yield Finding(f"{op.kind} {op.id}", f"{before}, as before", "the contrary")

    def _effects(self, s: Substrate, now: Seen) -> Iterator[Finding]:
        """What is left to perform is performed; then each effect was, always with one key."""
        performing(s, Journal(self.journal))
        s.txn.deliver()
        for each in s.txn.effects("pending"):
            yield Finding(f"effect {each.key}", "performed", "pending")
        said = heard(self.journal)
        keys: dict[str, set[str]] = {}
        for op, key in said.performed:
            keys.setdefault(op, set()).add(key)
        for op, used in keys.items():
            if op not in now.main and self.durable:  # else a performed effect may be forgotten
                yield Finding(f"effect of {op}", "nothing, for it was not committed", "performed")
            if len(used) > 1:
                yield Finding(f"effect of {op}", "one key", ", ".join(sorted(used)))
        for op in said.of("effect"):
            if op.id in now.main and op.id not in keys:
                yield Finding(f"effect of {op.id}", "performed", "nothing")
        if len(set().union(*keys.values())) < len(keys):
            yield Finding("effects", "keys of their own", "shared keys")


def _covered(s: Substrate, now: Seen) -> Iterator[Finding]:
    """Every commit of a writer with the log's key brings the checkpoint that covers it."""
    with s._connection.store.snapshot() as snapshot:
        text = snapshot.checkpoint()
    said = None if text is None else Checkpoint.parse(SignedNote.parse(text).body)
    if said is None or (said.size, said.root) != (now.head, s.audit.root(now.head)):
        yield Finding("the newest checkpoint", f"one of {now.head} entries", str(said))


def _halves(said: Said, now: Seen) -> Iterator[Finding]:
    for line, parts in {"main": now.main, **now.lines}.items():
        for op, count in parts.items():
            if op not in said.ops:
                yield Finding(f"{op} on {line}", "an operation that was intended", "another")
            elif count != PARTS + 1:
                yield Finding(f"{op} on {line}", f"{PARTS + 1} parts or none", str(count))
    merged = {op.brings for op in said.of("merge") if op.state != REFUSED}
    for op in said.of("draft"):
        if op.id in now.main and op.id not in merged:
            yield Finding(f"draft {op.id}", "only on its branch", "on the main line")
        others = [line for line, parts in now.lines.items() if op.id in parts and line != op.on]
        if others and op.id not in now.main:
            yield Finding(f"draft {op.id}", f"only on {op.on}", f"on {others}")


def _refused(said: Said, now: Seen) -> Iterator[Finding]:
    for op in said.ops.values():
        if op.state == REFUSED and now.shows(op):
            yield Finding(f"{op.kind} {op.id}", "not committed, as it was told", "committed")


def _totals(said: Said, now: Seen, durable: bool) -> Iterator[Finding]:
    counted = sum(op.id in now.main for op in said.of(*_COUNTING))
    if now.counter != counted:
        yield Finding("counter", f"{counted}, one for each that is there", str(now.counter))
    tallies = said.of("tally")
    most = sum(op.state != REFUSED for op in tallies)
    least = sum(op.state == COMMITTED and (durable or op.t <= now.head) for op in tallies)
    if not least <= now.tally <= most:
        yield Finding("tally", f"{least} to {most}", str(now.tally))


def _lasts(said: Said, now: Seen) -> Iterator[Finding]:
    expected: dict[str, Op] = {}
    for op in said.of("transact"):
        known = expected.get(op.worker)
        if op.id in now.main and (known is None or op.place > known.place):
            expected[op.worker] = op
    for worker in {*expected, *now.last}:
        last = expected[worker].id if worker in expected else None
        if now.last.get(worker) != last:
            yield Finding(f"last of {worker}", str(last), str(now.last.get(worker)))
