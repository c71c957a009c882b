"""The Merkle log of one connection: who signs an entry, how the tree grows, what is checkpointed.

Everything here happens inside the session that writes the facts, so that facts, leaf, tree and
checkpoint are committed together. What is remembered between sessions, the tree's frontier and
the keys in force, is replaced only once the commit has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from time import monotonic
from typing import Any, Final

import attrs

from persistence.audit import note
from persistence.audit.keyfile import Keyring
from persistence.audit.merkle import Frontier, Nodes, ProofError, tree_hash
from persistence.audit.record import Entry, parse_entry
from persistence.audit.remembered import Remembered
from persistence.audit.roster import ERASE, Roster, log_id, signed_message
from persistence.audit.signing_key import KeyFile, Role
from persistence.audit.vkey import NoteError
from persistence.datoms import bootstrap as boot
from persistence.errors import AuditError, CorruptStore, RevokedKey, RollbackDetected, UnknownKey
from persistence.store import Session, Snapshot, Store

TILE: Final = 8  # levels of the tree between two that are stored
_WIDTH: Final = 1 << TILE
_REMEMBER_EVERY: Final = 1.0  # seconds; remembering each commit would cost another sync for each


def nodes(reading: Callable[[], Snapshot]) -> Nodes:
    """The hashes of complete subtrees, as the store has them; *reading* gives what to read with."""

    def leaves(start: int, stop: int) -> list[bytes]:
        return reading().leaves(start, stop)

    def stored(level: int, start: int, stop: int) -> list[bytes]:
        snapshot = reading()
        stop = min(stop, snapshot.head().t >> level)
        found = snapshot.tree(level, start, stop)
        if len(found) < stop - start:  # a store of an earlier version, not written since
            found = [hash for _, _, hash in _subtrees(snapshot, level, start, stop)]
        return found

    return Nodes(leaves, stored)


def read_roster(snapshot: Snapshot, roster: Roster, after: int) -> Roster:
    """The keys of the log: *roster* and the events of transactions later than *after*."""
    for t in snapshot.changes_of((boot.LOG_EVENT_ID,), after):
        for row in snapshot.transactions(t - 1, t, 1):
            roster = roster.after(t - 1, parse_entry(row.entry).header.event)
    return roster


@attrs.define(eq=False)
class Log:
    """What a connection knows of the log, and the keys that it signs with."""

    keys: Keyring | None = None
    roster: Roster = attrs.field(factory=Roster)
    frontier: Frontier = attrs.field(factory=Frontier)
    _known: int = 0  # the t up to which the roster was read
    _signed: str | None = None  # the newest checkpoint of this process
    _remembered: float = 0.0
    _signer: note.Signer | None = None  # of the checkpoints
    _asked: Any = None  # whose key was looked for last, among which
    _found: KeyFile | None = None

    # ----------------------------------------------------------------- opening

    def open(self, store: Store) -> None:
        """Reads the keys and the frontier, and holds the log against the checkpoints known of it.

        Raises:
            RollbackDetected: the log is shorter than a checkpoint, or says something else there.
            CorruptStore: the log is too broken to tell.
        """
        try:
            with store.snapshot() as snapshot:
                self._known = snapshot.head().t
                self.roster = read_roster(snapshot, Roster(), 0)
            # Before the state that is held against it: others commit, and remember, meanwhile.
            remembered = self.remembered()
            if not self.roster.begun and self._memory is None:
                return
            with store.snapshot() as snapshot:
                size, newest = snapshot.head().t, snapshot.checkpoint()
                read = nodes(lambda: snapshot)
                self.frontier = Frontier.of(size, read)
                for text in filter(None, (newest, remembered)):
                    self._hold(text, newest, size, read)
        except (NoteError, ProofError, LookupError) as error:
            raise CorruptStore(
                f"the log cannot be held against its newest checkpoint: {error}",
                hint="`persistence verify` tells more",
            ) from error

    def _hold(self, text: str, newest: str | None, size: int, read: Nodes) -> None:
        """Holds the log against the checkpoint *text*."""
        said = note.claimed(text)
        found = Frontier.of(said.size, read).root() if said.size <= size else None
        if found == said.root:
            return
        kept = (
            None
            if self._memory is None
            else self._memory.keep_evidence(*filter(None, (text, newest)))
        )
        where = "nowhere" if kept is None else str(kept)
        what = (
            f"it has {size} entries, and {said.size} were signed for"
            if found is None
            else f"its first {said.size} entries are not those that were signed for"
        )
        raise RollbackDetected(
            f"the log is not a later state of the one that was seen before: {what}",
            hint=f"look for the store that was signed for; both checkpoints are kept in {where}. A "
            "second store needs a log key with an origin of its own",
            size=size,
            signed=said.size,
            expected=said.root.hex(),
            found=None if found is None else found.hex(),
            evidence=where,
        )

    # ----------------------------------------------------------------- signing

    def roster_at(self, snapshot: Snapshot, t: int, spoken: int) -> Roster:
        """The keys in force after *t*. *spoken* is the last t at which other processes may have
        written events that were not read yet."""
        if spoken > self._known:
            self.roster = read_roster(snapshot, self.roster, self._known)
        self._known = t
        return self.roster

    def signer(
        self, roster: Roster, event: tuple[Any, ...] | None, author: str | None
    ) -> KeyFile | None:
        """The key that signs the next entry; None while the log is not signed.

        Raises:
            UnknownKey, RevokedKey: this process has no key for it that the log knows.
        """
        about_keys = event is not None and event[0] is not ERASE
        if not roster.begun and not about_keys:
            return None
        if self.keys is None:
            raise UnknownKey(
                "this log is signed, and the store was opened without keys",
                hint="open it with keys=DIRECTORY, or set PERSISTENCE_KEYS for the command line",
                origin=roster.origin,
            )
        role: Role = "log" if about_keys else "author"
        asked = (self.keys, roster.in_force, role, author)
        if self._asked != asked:
            self._asked, self._found = asked, self._find(roster, role, author)
        return self._found

    def _find(self, roster: Roster, role: Role, author: str | None) -> KeyFile:
        assert self.keys is not None
        among = roster.in_force if roster.begun else None
        if role == "author" and author is None:
            author = self._only_author(among)
        key = self.keys.find(role, author if role == "author" else None, among=among)
        if key is None:
            raise self._no_key(roster, role, author)
        return key

    def _only_author(self, among: Collection[bytes] | None) -> str:
        """The author who writes when nobody is named."""
        assert self.keys is not None
        names = {
            key.name
            for key in self.keys.keys
            if key.role == "author" and (among is None or key.public in among)
        }
        if len(names) > 1:
            raise UnknownKey(
                f"there are keys of {len(names)} authors, and it is not said who writes",
                hint=f"name the author: author={min(names)!r}",
                authors=sorted(names),
            )
        return names.pop() if names else ""

    def _no_key(self, roster: Roster, role: Role, author: str | None) -> AuditError:
        """Why there is no key of *role* to sign with."""
        assert self.keys is not None
        if role == "log":
            return UnknownKey(
                "only the log's own key signs what is said about keys, and it is not here",
                hint="use the key directory that holds it",
                origin=roster.origin,
            )
        mine = [key for key in self.keys.keys if key.role == role and author in ("", key.name)]
        ended = [roster.keys[key.public] for key in mine if key.public in roster.keys]
        if ended:
            return RevokedKey(
                f"the key of {ended[-1].name!r} was revoked or replaced at index {ended[-1].until}",
                hint="use the key that took its place, or have another one added",
                key=ended[-1].name,
                index=ended[-1].until,
            )
        if mine:
            return UnknownKey(
                f"the log {roster.origin} does not know the key of {mine[-1].name!r}",
                hint="have it added: `persistence keys add`",
                key=mine[-1].name,
                origin=roster.origin,
            )
        return UnknownKey(
            f"there is no key of the author {author!r} to sign with"
            if author
            else "there is no author's key to sign with",
            hint="make one: `persistence keys generate DIRECTORY --author NAME`",
            author=author,
        )

    def signed(self, roster: Roster, made: Entry, key: KeyFile | None) -> Entry:
        """*made* with the signature of *key*, as the next entry of the log.

        Raises:
            AuditError: the log would not take it.
        """
        if key is not None:
            id = roster.log_id or log_id(key.name, key.public)
            signature = key.sign(signed_message(id, made.body))
            made = Entry(made.id, made.previous_leaf, made.body, made.header, key.public, signature)
        problem = roster.problem(made)
        if problem is not None:
            raise AuditError(
                f"the log would not take this entry: it has {problem}",
                hint="`persistence keys list` shows who may sign what",
                author=made.header.author,
            )
        return made

    # ----------------------------------------------------------------- growing

    def settle(
        self, session: Session, roster: Roster, size: int, leaves: Sequence[bytes]
    ) -> Frontier | None:
        """Writes what the tree gained by *leaves*, the last ones of *size*, and a checkpoint.

        Gives the new frontier, when it had to be computed.
        """
        key = self._checkpointing(roster)
        before = size - len(leaves)
        if key is None and before >> TILE == size >> TILE:
            return None
        if before >> TILE != size >> TILE and not _is_complete(session, before):
            _complete(session, before)
        frontier, whole = self._caught_up(session, before).grown(leaves)
        if key is not None:
            self._signed = self._note(roster, frontier, key)
        session.write_audit(whole, None if key is None else self._signed)
        return frontier

    def can_checkpoint(self, roster: Roster) -> bool:
        """Whether the log's key is here."""
        return self._checkpointing(roster) is not None

    def checkpoint(self, roster: Roster, frontier: Frontier) -> str:
        """A signed note on the log of *frontier*.

        Raises:
            UnknownKey: the log's key is not here.
        """
        key = self._checkpointing(roster)
        if key is None:
            raise UnknownKey(
                f"the key of the log {roster.origin} is not here",
                hint="use the key directory that holds it",
                origin=roster.origin,
            )
        return self._note(roster, frontier, key)

    def _note(self, roster: Roster, frontier: Frontier, key: KeyFile) -> str:
        signer = self._signer
        if signer is None or signer.key.public != key.public:
            assert key.private is not None
            signer = self._signer = note.Signer.of(roster.origin, key.private)
        return signer.checkpoint(frontier.size, frontier.root())

    def _checkpointing(self, roster: Roster) -> KeyFile | None:
        """The log key of this process, if it is one that is in force."""
        return None if self.keys is None else self.keys.find("log", among=roster.in_force)

    def _caught_up(self, snapshot: Snapshot, size: int) -> Frontier:
        """The frontier of the first *size* leaves, whoever wrote them."""
        mine = self.frontier
        if mine.size == size:
            return mine
        if mine.size < size <= mine.size + _WIDTH:
            return mine.extend(snapshot.leaves(mine.size, size))
        return Frontier.of(size, nodes(lambda: snapshot))

    def settled(self, roster: Roster, t: int, frontier: Frontier | None) -> None:
        """Takes in what has been committed."""
        self.roster, self._known = roster, max(t, self._known)
        if frontier is not None:
            self.frontier = frontier
        if monotonic() - self._remembered >= _REMEMBER_EVERY:
            self.remember(durable=False)

    # ------------------------------------------------------------- remembering

    @property
    def _memory(self) -> Remembered | None:
        if self.keys is None or self.keys.directory is None:
            return None
        log = self.keys.log
        origin = self.roster.origin if log is None else log.name
        return Remembered(self.keys.directory, origin) if origin else None

    def remembered(self) -> str | None:
        """The checkpoint that was kept outside of the store."""
        return None if self._memory is None else self._memory.load()

    def remember(self, text: str | None = None, *, durable: bool = True) -> None:
        """Keeps a checkpoint outside of the store: *text*, or the newest that was signed here."""
        memory, text = self._memory, text or self._signed
        if text is not None and memory is not None:
            memory.save(text, durable=durable)
            self._remembered = monotonic()


def _complete(session: Session, size: int) -> None:
    """Writes what the tree of the first *size* leaves lacks, in a store of an earlier version."""
    for level in range(TILE, size.bit_length(), TILE):
        whole, have = size >> level, len(session.tree(level, 0, size >> level))
        for start in range(have, whole, _WIDTH):
            stop = min(start + _WIDTH, whole)
            session.write_audit(list(_subtrees(session, level, start, stop)))


def _is_complete(snapshot: Snapshot, size: int) -> bool:
    """Whether the store has every hash of the tree that it should have."""
    last = (size >> TILE) - 1
    return last < 0 or len(snapshot.tree(TILE, last, last + 1)) == 1


def _subtrees(
    snapshot: Snapshot, level: int, start: int, stop: int
) -> Iterable[tuple[int, int, bytes]]:
    for n in range(start, stop):
        if level == TILE:
            children = snapshot.leaves(n << TILE, (n + 1) << TILE)
        else:
            children = snapshot.tree(level - TILE, n << TILE, (n + 1) << TILE)
        yield level, n, tree_hash(children)
