"""What signatures, tree and checkpoints say about the log, held against the log.

`maintenance` recomputes what one process can compute alone. Here it is asked whether those who
were entitled to say so have said so: author by author, checkpoint by checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from persistence.audit import note, signature
from persistence.audit.finding import Finding
from persistence.audit.merkle import Frontier
from persistence.audit.record import Entry, parse_entry
from persistence.audit.roster import LOG, Roster, log_id, signed_message
from persistence.audit.vkey import NoteError, VerifierKey
from persistence.datoms import ASSERT
from persistence.datoms import bootstrap as boot
from persistence.errors import PersistenceError
from persistence.ids import tx_entity
from persistence.maintenance import Progress, check_store
from persistence.store import Snapshot, Store, inventory
from persistence.values import INTERNED, Keyword, decode, from_columns, interned_id

_PAGE: Final = 1_024  # transactions in memory at a time: whole tiles


def attest(
    snapshot: Snapshot, remembered: str | None, progress: Progress | None = None
) -> Iterator[Finding]:
    """What is wrong with the signatures of the log, its tree and its checkpoints.

    *remembered* is a checkpoint that was kept outside of the store.
    """
    last = snapshot.head().t
    notes = {
        "the newest checkpoint": snapshot.checkpoint(),
        "the remembered checkpoint": remembered,
    }
    claims, found = _claims(notes, last)
    yield from found
    walk = _Walk(snapshot)
    for start in range(0, last, _PAGE):
        for row in snapshot.transactions(start, min(start + _PAGE, last), _PAGE):
            yield from walk.entry(row.t, row.entry)
            yield from walk.leaf(row.leaf)
            yield from walk.checkpoints(claims.get(row.t, ()))
        if progress is not None:
            progress(min(start + _PAGE, last), last)
    yield from walk.end()
    if walk.roster.begun and notes["the newest checkpoint"] is None:
        yield Finding("the newest checkpoint", "a note that the log's key signed", "none")


def examine(
    store: Store, remembered: str | None = None, progress: Progress | None = None
) -> list[Finding]:
    """Everything that is wrong in a store, also in one that is not opened because of that."""
    with store.snapshot() as snapshot:
        found = list(attest(snapshot, remembered, progress))
    return [*check_store(store, progress), *found]


@attrs.frozen
class _Claim:
    """A checkpoint, and where it was found."""

    where: str
    text: str
    said: note.Checkpoint


def _claims(
    notes: dict[str, str | None], last: int
) -> tuple[dict[int, list[_Claim]], list[Finding]]:
    """The checkpoints by their size, and what is wrong with them as they are."""
    claims: dict[int, list[_Claim]] = {}
    found = []
    for where, text in notes.items():
        if text is None:
            continue
        try:
            said = note.claimed(text)
        except NoteError as error:
            found.append(Finding(where, "a signed checkpoint", str(error)))
            continue
        if said.size > last:
            found.append(Finding(where, f"a log of at least {said.size} entries", f"{last}"))
        claims.setdefault(said.size, []).append(_Claim(where, text, said))
    return claims, found


class _Walk:
    """The log while it is read from its beginning: its keys, its tree."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.roster = Roster()
        self.frontier = Frontier()
        self.spoken = set(snapshot.changes_of((boot.LOG_EVENT_ID,), 0))
        self.complete: dict[int, int] = {}

    def entry(self, t: int, data: bytes) -> Iterator[Finding]:
        where = f"transaction t = {t}"
        try:
            entry = parse_entry(data)
        except PersistenceError:
            return  # said by `maintenance.check`
        event = entry.header.event
        if event is not None or t in self.spoken:
            stated = self._stated(t)
            if stated != ([] if event is None else [event]):
                yield Finding(f"{where} event", str(stated), str(event))
        problem = self.roster.problem(entry)
        if problem is not None:
            yield Finding(f"{where} signature", "one that the log takes", problem)
        if entry.public is not None and entry.signature is not None:
            reason = self._signature_problem(entry)
            if reason is not None:
                yield Finding(f"{where} signature", "one of the author over the header", reason)
        yield from self._namespaces(where, t, entry)
        if problem is None:
            self.roster = self.roster.after(t - 1, event)

    def _namespaces(self, where: str, t: int, entry: Entry) -> Iterator[Finding]:
        key = self.roster.keys.get(entry.public or b"")
        if key is None or not key.namespaces:
            return
        names = {n: Keyword(name) for n, name, _ in self.snapshot.attributes()}
        stated = {row[3] for row in self.snapshot.log(t - 1, t) if row[2] != tx_entity(t)}
        beyond = sorted(str(names[a]) for a in stated if a in names and not key.may_state(names[a]))
        if beyond:
            allowed = f"facts of {', '.join(key.namespaces)} by {key.name!r}"
            yield Finding(f"{where} datoms", allowed, ", ".join(beyond))

    def _signature_problem(self, entry: Entry) -> str | None:
        assert entry.public is not None and entry.signature is not None
        id, event = self.roster.log_id, entry.header.event
        if not id and event is not None and len(event) > 2:
            id = log_id(str(event[2]), entry.public)
        return signature.problem(entry.public, entry.signature, signed_message(id, entry.body))

    def _stated(self, t: int) -> list[Any]:
        """The events that the datoms of a transaction state of it."""
        rows = [row for row in self.snapshot.log(t - 1, t) if row[3] == boot.LOG_EVENT_ID]
        wanted = [interned_id(row[5]) for row in rows if row[4] >= INTERNED]
        blobs = self.snapshot.blobs(wanted)
        return [
            from_columns(k, p) if k < INTERNED else decode(blobs.get(interned_id(p), b"\xf6"))
            for _, _, e, _, k, p, _, _, op in rows
            if op == ASSERT and e == tx_entity(t)
        ]

    def leaf(self, leaf: bytes) -> Iterator[Finding]:
        self.frontier, complete = self.frontier.grown((leaf,))
        for level, n, expected in complete:
            self.complete[level] = n + 1
            stored = self.snapshot.tree(level, n, n + 1)
            if stored != [expected]:
                found = stored[0].hex() if stored else "none"
                yield Finding(f"tree level {level}, node {n}", expected.hex(), found)

    def checkpoints(self, claims: Iterable[_Claim]) -> Iterator[Finding]:
        for claim in claims:
            root = self.frontier.root()
            if claim.said.root != root:
                yield Finding(f"{claim.where}, root", claim.said.root.hex(), root.hex())
            if not self.roster.begun:
                continue
            if claim.said.origin != self.roster.origin:
                yield Finding(f"{claim.where}, origin", self.roster.origin, claim.said.origin)
            keys = self.roster.at(claim.said.size, LOG)
            known = [VerifierKey(self.roster.origin, key.public) for key in keys]
            try:
                note.open_checkpoint(claim.text, known)
            except NoteError as error:
                yield Finding(f"{claim.where}, signature", "one of the log's key", str(error))

    def end(self) -> Iterator[Finding]:
        for level, n in sorted(inventory.nodes(self.snapshot)):
            if not 0 <= n < self.complete.get(level, 0):
                yield Finding(f"tree level {level}, node {n}", "none", "a hash")
