"""Who may sign what in a log, replayed from its entries: the rules of `roster` a second time.

A verifier that asked the store for keys would believe what the store says of itself. Keys are
followed from the one that the auditor holds: a log key is *trusted* when it is that key, or was let
in by an entry that a trusted key signed. Imports the standard library and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from persistence.audit import signature
from persistence.audit.entries import Entry
from persistence.audit.terms import Keyword

ADD: Final = Keyword("key/add")
ROTATE: Final = Keyword("key/rotate")
REVOKE: Final = Keyword("key/revoke")
ERASE: Final = Keyword("erase")
LOG: Final = Keyword("log")
AUTHOR: Final = Keyword("author")
ROLES: Final = (LOG, AUTHOR, Keyword("witness"))

_CONTEXT: Final = b"persistence.author/v1\x00"
_NAME_SHOWN: Final = 80


def log_id(origin: str, public: bytes) -> bytes:
    """What tells one log from another: its origin and its first key."""
    return sha256(origin.encode() + b"\n\x01" + public).digest()


def signed_message(log: bytes, body: bytes) -> bytes:
    """What the signature of an entry with the header *body* is over."""
    return _CONTEXT + log + sha256(body).digest()


@dataclass(slots=True)
class Key:
    """A public key, from the entry after *since* to entry *until*."""

    role: Keyword
    name: str
    public: bytes
    since: int
    until: int | None = None

    def in_force(self, size: int) -> bool:
        """Whether it was in force when the log had *size* entries."""
        return self.since < size and (self.until is None or size <= self.until)


class Signers:
    """The keys of a log while its entries are taken one after the other.

    *anchor* is the public key that the auditor holds.
    """

    def __init__(self, anchor: bytes) -> None:
        self.origin: str | None = None
        self.log_id = b""
        self.trusted = {anchor}
        self.redacted = 0
        self._keys: dict[bytes, Key] = {}
        self._held: dict[tuple[Keyword, str], bytes] = {}  # by whom, of keys in force
        self._log_keys = 0  # in force

    @property
    def begun(self) -> bool:
        """Whether the log is signed."""
        return bool(self.log_id)

    def log_keys(self) -> Iterator[Key]:
        """All log keys that there ever were."""
        return (key for key in self._keys.values() if key.role == LOG)

    def names(self, role: Keyword) -> set[str]:
        """Who ever had a key of *role*."""
        return {key.name for key in self._keys.values() if key.role == role}

    def take(self, index: int, entry: Entry) -> str | None:
        """Why *entry* may not be the next as it is, or None; what it says of keys then counts.

        The signature of a transaction is for the caller to check; that of an event is checked here,
        because all that follows hangs on it.
        """
        if entry.event is not None:
            return self._event(index, entry, entry.event)
        if not self.log_id:
            return None if entry.public is None else "a signature before the log has a key"
        key = self._keys.get(entry.public) if entry.public is not None else None
        if key is None or key.until is not None or key.role != AUTHOR or key.name != entry.author:
            return self._author_problem(entry, key)
        return None

    def _author_problem(self, entry: Entry, key: Key | None) -> str | None:
        found = self._key_problem(entry, key)
        if found is not None or key is None:
            return found
        if key.role != AUTHOR:
            return f"a transaction signed by a key of role {key.role.name}"
        if entry.author != key.name:
            return f"the author {_shown(entry.author)}, signed by the key of {_shown(key.name)}"
        return None

    def _key_problem(self, entry: Entry, key: Key | None) -> str | None:
        if entry.public is None:
            return "no signature, although the log is signed"
        if key is None:
            return f"a signature by a key that the log does not know, {entry.public.hex()}"
        if key.until is not None:
            return f"a signature by the key of {_shown(key.name)}, which ended at index {key.until}"
        return None

    # ------------------------------------------------------------------ events

    def _event(self, index: int, entry: Entry, event: tuple[Any, ...]) -> str | None:
        problem = self._event_problem(event) or self._event_signer_problem(entry, event)
        if problem is not None:
            return problem
        kind = event[0]
        if kind == ADD:
            self._add(Key(event[1], event[2], event[3], index))
        elif kind in (ROTATE, REVOKE):
            old = self._end(event[1], index)
            if kind == ROTATE:
                self._add(Key(old.role, old.name, event[2], index))
        else:
            self.redacted += event[2]
        self._follow(entry, event)
        return None

    def _add(self, key: Key) -> None:
        if not self.log_id:
            self.origin, self.log_id = key.name, log_id(key.name, key.public)
        self._keys[key.public] = key
        self._held[key.role, key.name] = key.public
        self._log_keys += key.role == LOG

    def _end(self, public: bytes, index: int) -> Key:
        key = self._keys[public]
        key.until = index
        del self._held[key.role, key.name]
        self._log_keys -= key.role == LOG
        return key

    def _follow(self, entry: Entry, event: tuple[Any, ...]) -> None:
        new = {ADD: 3, ROTATE: 2}.get(event[0])
        if new is not None and entry.public in self.trusted:
            self.trusted.add(event[new])

    def _event_signer_problem(self, entry: Entry, event: tuple[Any, ...]) -> str | None:
        """Why an event that is sound in itself is not signed as it must be."""
        if not self.log_id:
            if event[0] == ERASE:
                return None if entry.public is None else "a signature before the log has a key"
            if entry.public != event[3]:
                return "a first key that did not sign for itself"
            return _signature_problem(log_id(event[2], event[3]), entry)
        key = self._keys.get(entry.public) if entry.public is not None else None
        found = self._key_problem(entry, key)
        if found is not None or key is None:
            return found
        if event[0] != ERASE and key.role != LOG:
            return "an event about keys that no log key signed"
        if event[0] == ERASE and (found := self._author_problem(entry, key)) is not None:
            return found
        return _signature_problem(self.log_id, entry)

    def _event_problem(self, event: tuple[Any, ...]) -> str | None:
        kind, *rest = event or (None,)
        if kind == ADD and len(rest) == 4:
            return self._addition_problem(*rest)
        if kind == ROTATE and len(rest) == 2:
            return self._ended_problem(rest[0]) or self._public_problem(rest[1])
        if kind == REVOKE and len(rest) == 1:
            return self._ended_problem(rest[0]) or self._last_problem(rest[0])
        if kind == ERASE and len(rest) == 2 and type(rest[1]) is int and 0 <= rest[1] < 1 << 63:
            return None
        return "an event of an unknown kind or shape"

    def _addition_problem(self, role: Any, name: Any, public: Any, namespaces: Any) -> str | None:
        if role not in ROLES or not _is_name(name):
            return "a key without a role and a name"
        if type(namespaces) is not tuple or not all(map(_is_name, namespaces)):
            return "namespaces that are no vector of texts"
        if not self.log_id and (role != LOG or namespaces):
            return "a first key that is not a log key"
        if (role, name) in self._held:
            return f"a second key of role {role.name} called {_shown(name)}; the first is to rotate"
        return self._public_problem(public)

    def _public_problem(self, public: Any) -> str | None:
        if type(public) is not bytes or len(public) != signature.PUBLIC_BYTES:
            return "a public key that is not 32 bytes long"
        return "a public key that the log has known before" if public in self._keys else None

    def _ended_problem(self, public: Any) -> str | None:
        key = self._keys.get(public) if type(public) is bytes else None
        if key is None:
            return "the end of a key that the log does not know"
        return None if key.until is None else f"the end of a key that ended at index {key.until}"

    def _last_problem(self, public: bytes) -> str | None:
        if self._log_keys == 1 and self._keys[public].role == LOG:
            return "the end of the only log key; it is to be rotated"
        return None


def _signature_problem(log: bytes, entry: Entry) -> str | None:
    public, signed = entry.public or b"", entry.signature or b""
    return signature.problem(public, signed, signed_message(log, entry.body))


def _is_name(text: Any) -> bool:
    return type(text) is str and bool(text) and text.isprintable()


def _shown(name: str | None) -> str:
    return repr(name if name is None else name[:_NAME_SHOWN])
