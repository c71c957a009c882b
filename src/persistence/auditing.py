"""`s.audit`: proves to others what the log holds, and says who may sign it.

The log itself grows in `audit.log`, inside of every commit. Here it is read (checkpoints that are
given away, proofs, exports, the keys), and the events about keys are written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final

from persistence.attesting import examine
from persistence.audit import export, note
from persistence.audit.finding import Finding
from persistence.audit.keyfile import Keyring
from persistence.audit.log import nodes
from persistence.audit.merkle import (
    Frontier,
    consistency_path,
    inclusion_path,
    tree_hash,
)
from persistence.audit.proof import Evidence, Proof
from persistence.audit.roster import ADD, AUTHOR, LOG, REVOKE, ROLES, ROTATE, Key, Roster
from persistence.audit.vkey import VerifierKey
from persistence.connection import Connection
from persistence.datoms import Datom
from persistence.datoms import bootstrap as boot
from persistence.erasing import Erasure, erase, shred
from persistence.errors import AuditError, InputError, UnknownKey
from persistence.leaves import logged
from persistence.store import Snapshot
from persistence.transact.operations import CURRENT_TX
from persistence.values import ERASED, Keyword, columns, is_reserved, keyword

_PAGE: Final = 1_000  # transactions in memory at a time
Progress = Callable[[int, int], None]


class Audit:
    """`s.audit`: a log that others can check with tools of their own.

    >>> from persistence import Keyring, Substrate
    >>> keys = Keyring.generate("example.com/tea", "ana")  # directory="tea.keys" keeps them
    >>> with Substrate.open(":memory:", keys=keys) as s:
    ...     report = s.fact.transact([{"item/name": "tea"}])
    ...     proof = s.audit.prove(report.t)
    ...     print(s.audit.origin, [(key.name, str(key.role)) for key in s.audit.keys])
    example.com/tea [('example.com/tea', ':log'), ('ana', ':author')]
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Complete subtrees never change, so those that one proof read serve the next.
        self._nodes = nodes(connection.store.snapshot)
        self._proving = threading.Lock()

    # -------------------------------------------------------------------- keys

    @property
    def roster(self) -> Roster:
        """The keys of the log as of now."""
        connection = self._connection
        connection.db()  # takes in what other processes have said
        with connection.store.snapshot() as snapshot:
            head = snapshot.head()
            return connection.log.roster_at(snapshot, head.t, connection.catalog.spoken)

    @property
    def origin(self) -> str | None:
        """The name of the log; None while it is not signed."""
        return self.roster.origin or None

    @property
    def vkey(self) -> str:
        """The verifier key of the log: what an auditor needs besides a proof.

        It is that of the log's first key: where the key was rotated since, the log tells.

        Raises:
            AuditError: the log is not signed.
        """
        roster = self._signed()
        first = next(iter(roster.keys.values()))
        return VerifierKey(roster.origin, first.public).text

    @property
    def keys(self) -> list[Key]:
        """Every key that the log has known, in the order in which they came."""
        return list(self.roster.keys.values())

    def begin(self) -> Roster:
        """Signs the log from now on, with the keys that the store was opened with.

        Opening a store with keys does so by itself. Does nothing when the log is signed already.

        Raises:
            UnknownKey: there is no key for the log among them.
        """
        ring = self._connection.log.keys
        if self.roster.begun:
            return self.roster
        if ring is None or ring.log is None:
            raise UnknownKey(
                "there is no key that could begin the log",
                hint="make one: `persistence keys generate DIRECTORY`",
            )
        events = [_addition(LOG, ring.log.name, ring.log.public)]
        authors = {key.name: key.public for key in ring.keys if key.role == "author"}
        events += (_addition(AUTHOR, name, public) for name, public in authors.items())
        with self._connection.alone() as alone:
            if not alone.group.roster.begun:  # perhaps another process did it meanwhile
                for event in events:
                    alone.append(_saying(event))
        return self.roster

    def use(self, keys: Keyring | str | PathLike[str]) -> None:
        """Signs with these keys from now on, for instance after one was rotated."""
        ring = keys if isinstance(keys, Keyring) else Keyring.load(Path(keys))
        self._connection.log.keys = ring

    def add_key(
        self, role: str | Keyword, name: str, public: bytes, *, namespaces: Iterable[str] = ()
    ) -> Key:
        """Lets a key sign from the next entry on. *role* is "author", "log" or "witness".

        With *namespaces* an author states facts of attributes in these namespaces only.

        Raises:
            AuditError: the log has such a key, or had it; or no log key is here to say so.
        """
        wanted = keyword(role)
        if wanted not in ROLES:
            raise InputError(
                f"{role!r} is no role of a key", hint="it is author, log or witness", role=role
            )
        self._say(_addition(wanted, name, public, namespaces))
        return self.roster.keys[public]

    def rotate_key(self, old: str | bytes, new: bytes) -> Key:
        """Puts the public key *new* in the place of *old*, which ends.

        *old* is a public key, or the name of the only key in force that has it.

        Raises:
            UnknownKey: the log knows no such key.
            AuditError: it ended before; or no log key is here to say so.
        """
        self._say((ROTATE, self._named(old), new))
        return self.roster.keys[new]

    def revoke_key(self, key: str | bytes) -> Key:
        """Ends a key: what it signed stays valid, and it signs nothing from here on.

        Raises:
            UnknownKey: the log knows no such key.
            AuditError: it ended before, or is the only log key; or no log key is here to say so.
        """
        public = self._named(key)
        self._say((REVOKE, public))
        return self.roster.keys[public]

    def _named(self, key: str | bytes) -> bytes:
        if isinstance(key, bytes):
            return key
        found = [one for one in self.keys if one.name == key and one.until is None]
        if len(found) != 1:
            raise UnknownKey(
                f"{'several keys' if found else 'no key'} in force have the name {key!r}",
                hint="`persistence keys list` shows them; name it by its public key",
                key=key,
            )
        return found[0].public

    def _say(self, event: tuple[Any, ...]) -> None:
        self._signed()
        self._connection.decided(_saying(event))

    def _signed(self) -> Roster:
        roster = self.roster
        if not roster.begun:
            raise AuditError(
                "this log is not signed",
                hint="make keys with `persistence keys generate DIRECTORY`, and open it with them",
            )
        return roster

    # ----------------------------------------------------------------- erasing

    def erase(
        self,
        entities: Iterable[Any],
        *,
        attributes: Iterable[Keyword | str] | None = None,
        reason: str | None = None,
        author: str | None = None,
    ) -> Erasure:
        """Erases what sensitive attributes of *entities* ever held, on every branch, for good.

        See :func:`persistence.erasing.erase`, which has the rules, and the page on erasure.

        >>> from persistence import Substrate
        >>> with Substrate.open(":memory:") as s:
        ...     _ = s.fact.transact("[{:db/ident :user/name :db/sensitive true}]")
        ...     _ = s.fact.transact([{"db/id": "ada", "user/name": "Ada"}])
        ...     erasure = s.audit.erase([1], reason="asked to be forgotten")
        ...     erasure.values, erasure.remains, s.check()
        (1, (), [])

        Raises:
            SchemaError, EntityNotFound, TransactionError: nothing was erased, and why.
        """
        return erase(
            self._connection, entities, attributes=attributes, reason=reason, author=author
        )

    def shred(self) -> tuple[str, ...]:
        """Overwrites what the files may still hold of erased values; gives what remains.

        `erase` does so itself. This makes up for what kept it from it.
        """
        return shred(self._connection)

    # ------------------------------------------------------------- checkpoints

    def checkpoint(self, *, cosign: Callable[[str], str] | None = None) -> str:
        """A signed note on what the log is now, to be given away.

        *cosign* gives the note with what witnesses add to it. The store keeps it until the next
        commit.

        Raises:
            UnknownKey: the log's key is not here.
        """
        roster, log = self._signed(), self._connection.log
        with self._proving, self._connection.store.snapshot() as snapshot:
            size = snapshot.head().t
            text = log.checkpoint(roster, Frontier.of(size, self._nodes))
            newest = snapshot.checkpoint()
        if newest is not None and newest.startswith(text):
            text = newest  # with what witnesses added to it
        if cosign is not None:
            text = cosign(text)
            with self._connection.alone() as alone:
                if alone.group.head.t == size:
                    alone.session.write_audit(note=text)
        log.remember(text)
        return text

    def root(self, size: int | None = None) -> bytes:
        """The root of the tree over the first *size* entries, by default all of them."""
        with self._proving, self._connection.store.snapshot() as snapshot:
            return Frontier.of(_within(snapshot, size), self._nodes).root()

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the first *old* entries of the log are those it had at size *old*.

        RFC 6962 section 2.1.2; *new* is the size of the whole log by default.
        """
        with self._proving, self._connection.store.snapshot() as snapshot:
            size = _within(snapshot, new)
            return consistency_path(_within(snapshot, old, size), size, self._nodes)

    # ------------------------------------------------------------------ proofs

    def prove(self, what: int | bytes | Datom, *, checkpoint: str | None = None) -> Proof:
        """The proof that a transaction, or a datom, stands in the log.

        *what* is a t, a transaction id, or a datom as `report.tx_data` and `db.log()` give them.
        *checkpoint* is the note to prove it under, by default the newest. The proof holds the
        entry of the log, and the datom; `Proof.text` is a `.tlog-proof` file.

        Raises:
            AuditError: the log is not signed, or the checkpoint is older than the transaction.
            UnknownBasis: the log holds no such transaction.
            InputError: the transaction holds no such datom.
        """
        self._signed()
        t = what.t if isinstance(what, Datom) else self._connection.resolve_basis(what)
        with self._proving, self._connection.store.snapshot() as snapshot:
            text = checkpoint if checkpoint is not None else snapshot.checkpoint()
            if text is None:
                raise AuditError("the log has no checkpoint yet", hint="call `checkpoint()`")
            size = note.claimed(text).size
            if not 0 < t <= size:
                raise AuditError(
                    f"the checkpoint covers {size} entries, and this is number {t}",
                    hint="prove it under a later checkpoint",
                    size=size,
                    t=t,
                )
            path = inclusion_path(t - 1, size, self._nodes)
            (row,) = snapshot.transactions(t - 1, t, 1)
            datom = what if isinstance(what, Datom) else None
            evidence = _evidence(snapshot, t, row.entry, datom)
        return Proof(t - 1, tuple(path), text, evidence.encoded())

    def export(
        self, directory: str | PathLike[str], *, progress: Progress | None = None
    ) -> note.Checkpoint:
        """Writes the log as tiles that any static file server can serve (C2SP tlog-tiles).

        It stands under a new checkpoint when the log's key is here, else under the newest. An
        earlier export in *directory* is continued.

        Raises:
            AuditError: the log is not signed or has no checkpoint; another log is exported there.
        """
        roster, log = self._signed(), self._connection.log
        text = self.checkpoint() if log.can_checkpoint(roster) else None
        with self._connection.store.snapshot() as snapshot:
            text = text or snapshot.checkpoint()
            if text is None:
                raise AuditError("the log has no checkpoint yet", hint="export with its key")
            said = note.claimed(text)
            start = export.kept(Path(directory))
            export.write(
                Path(directory),
                said.size,
                _entries(snapshot, start, said.size),
                text.encode(),
                start=start,
                progress=None if progress is None else lambda done: progress(done, said.size),
            )
        return said

    def verify(self, progress: Progress | None = None) -> list[Finding]:
        """Everything that is wrong in the store: log, signatures, tree, checkpoints, index.

        An empty list is the answer one hopes for. What it finds says where, what was expected
        there, and what was found.
        """
        remembered = self._connection.log.remembered()  # before the state that is held against it
        return examine(self._connection.store, remembered, progress)


def _addition(
    role: Keyword, name: str, public: bytes, namespaces: Iterable[str] = ()
) -> tuple[Any, ...]:
    return (ADD, role, name, public, tuple(sorted(namespaces)))


def _saying(event: tuple[Any, ...]) -> Callable[[Any], Sequence[Any]]:
    """Transaction data that state *event* of their own transaction."""
    return lambda base: [(Keyword("db/add"), CURRENT_TX, boot.LOG_EVENT, event)]


def _within(snapshot: Snapshot, size: int | None, largest: int | None = None) -> int:
    most = snapshot.head().t if largest is None else largest
    if size is None:
        return most
    if not 0 <= size <= most:
        raise InputError(f"the log has {most} entries, and not {size}", size=most, asked=size)
    return size


def _entries(snapshot: Snapshot, start: int, size: int) -> Iterator[bytes]:
    for after in range(start, size, _PAGE):
        for row in snapshot.transactions(after, min(after + _PAGE, size), _PAGE):
            yield row.entry


def _evidence(snapshot: Snapshot, t: int, entry: bytes, datom: Datom | None) -> Evidence:
    """What shows that the leaf is this entry, and that *datom* is in it."""
    if datom is None:
        return Evidence(entry)
    leaves, index = logged(snapshot, t), _place(snapshot, t, datom)
    hashes, data = [leaf.hash for leaf in leaves], leaves[index].data
    if data is None:
        raise InputError(
            f"datom {index} of the transaction {t} was erased, and had never been sealed",
            hint="only its transaction can be proved now",
            t=t,
        )

    def read(level: int, n: int) -> bytes:
        return tree_hash(hashes[n << level : (n + 1) << level])

    path = inclusion_path(index, len(hashes), read)
    return Evidence(entry, data, index, len(hashes), tuple(path))


def _place(snapshot: Snapshot, t: int, datom: Datom) -> int:
    """Which of its transaction's datoms *datom* is."""
    numbers = {Keyword(name): n for n, name, _ in snapshot.attributes()}
    seals = {i: hash for _, i, salt, hash, _ in snapshot.sealed(t - 1, t) if salt is None}
    k, payload, _ = (ERASED, 0, None) if is_reserved(datom.v) else columns(datom.v)
    interval = (datom.valid_from, datom.valid_to, int(datom.added))
    wanted = (datom.e, numbers.get(datom.a), k, payload, *interval)
    for _, i, *row in snapshot.log(t - 1, t):
        if tuple(row) == wanted and (k != ERASED or datom.v.value == seals.get(i)):
            return int(i)
    raise InputError(f"the transaction {t} does not hold this datom", t=t)
