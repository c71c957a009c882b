"""Logs written by hand, entry by entry, so that a test can also write what no store would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from persistence.audit import export, note, signature
from persistence.audit.merkle import leaf_hash, tree_hash
from persistence.audit.record import (
    NO_LEAF,
    NO_PARENT,
    Entry,
    Header,
    datoms_root,
    entry,
    metadata_digest,
)
from persistence.audit.roster import (
    ADD,
    AUTHOR,
    ERASE,
    LOG,
    REVOKE,
    ROTATE,
    log_id,
    signed_message,
)
from persistence.values import Keyword, encode_datom

ORIGIN = "example.com/log"
EPOCH = 1_776_124_800_000_000
DATOMS = [encode_datom(1, Keyword("item/sku"), "tea", 0, 5, True)]


def key(name: str) -> Ed25519PrivateKey:
    """The private key that *name* always has."""
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


def public(name: str) -> bytes:
    return signature.public_bytes(key(name))


def vkey(name: str = "log", origin: str = ORIGIN) -> str:
    return note.VerifierKey(origin, public(name)).text


@attrs.define
class Log:
    """A log that grows. Keys are spoken of by the names that :func:`key` knows them by."""

    origin: str = ORIGIN
    first: str = "log"
    entries: list[Entry] = attrs.field(factory=list)
    tips: dict[int, bytes] = attrs.field(factory=dict)

    def add(
        self,
        by: str | None = "ada",
        *,
        author: str | None = "ada",
        branch: int = 0,
        parent: bytes | None = None,
        event: tuple[Any, ...] | None = None,
        time: int | None = None,
        datoms: Sequence[bytes] = DATOMS,
    ) -> Entry:
        """One more entry, signed by the key *by*."""
        at = len(self.entries)
        before = self.tips.get(branch, self.tips.get(0, NO_PARENT))
        header = Header(
            parent=before if parent is None else parent,
            datoms_root=datoms_root(datoms),
            datoms=len(datoms),
            branch=branch,
            time=EPOCH + at if time is None else time,
            author=author,
            metadata=metadata_digest({}),
            event=event,
        )
        made = self.signed(entry(header, self.leaf(at)), by)
        self.entries.append(made)
        self.tips[branch] = made.id
        return made

    def begin(self, *authors: str) -> Log:
        """The first key, and then those of *authors*."""
        self.add(self.first, event=(ADD, LOG, self.origin, public(self.first), ()))
        for name in authors or ("ada",):
            self.let_in(name)
        return self

    def let_in(self, name: str, by: str | None = None, *, at: str | None = None) -> Entry:
        return self.add(by or self.first, event=(ADD, AUTHOR, name, public(at or name), ()))

    def rotate(self, old: str, new: str, by: str | None = None) -> Entry:
        return self.add(by or self.first, event=(ROTATE, public(old), public(new)))

    def revoke(self, name: str, by: str | None = None) -> Entry:
        return self.add(by or self.first, event=(REVOKE, public(name)))

    def erase(self, count: int, by: str | None = "ada") -> Entry:
        return self.add(by, event=(ERASE, (7,), count))

    def signed(self, made: Entry, by: str | None) -> Entry:
        if by is None:
            return made
        message = signed_message(log_id(self.origin, public(self.first)), made.body)
        return attrs.evolve(made, public=public(by), signature=signature.sign(key(by), message))

    def leaf(self, at: int) -> bytes:
        """The leaf before entry *at*."""
        return leaf_hash(self.entries[at - 1].encoded()) if at else NO_LEAF

    def rehashed(self, start: int = 0) -> Log:
        """The leaves chained anew from *start* on, as a forger would."""
        for at in range(start, len(self.entries)):
            self.entries[at] = attrs.evolve(self.entries[at], previous_leaf=self.leaf(at))
        return self

    def checkpoint(self, by: str | None = None, size: int | None = None) -> str:
        leaves = [leaf_hash(one.encoded()) for one in self.entries[:size]]
        body = note.Checkpoint(self.origin, len(leaves), tree_hash(leaves)).body
        return note.sign(body, self.origin, key(by or self.first))

    def export(
        self,
        directory: Path,
        *,
        by: str | None = None,
        checkpoint: str | None = None,
        change: Callable[[list[bytes]], object] | None = None,
    ) -> Path:
        """Writes the tiles; *change* may alter the entries' bytes, which are hashed after it."""
        data = [one.encoded() for one in self.entries]
        if change is not None:
            change(data)
            root = tree_hash([leaf_hash(one) for one in data])
            body = note.Checkpoint(self.origin, len(data), root).body
            checkpoint = note.sign(body, self.origin, key(by or self.first))
        text = checkpoint or self.checkpoint(by)
        export.write(directory, len(data), data, text.encode())
        return directory
