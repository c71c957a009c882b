"""Who may sign what, and from which entry of the log on: the keys, as the log itself tells.

Keys come, change and go by events in the headers of transactions, so a verifier that holds the
entries holds the keys too. An event at index i counts for the entries after it: what a key signed
before it was revoked stays valid, by its place in the log and not by any clock.

    [:key/add role name public namespaces]    role is :log, :author or :witness
    [:key/rotate old-public new-public]       the new key takes role, name and namespaces
    [:key/revoke public]
    [:erase entities count]                   see `persistence.erasing`

The first event of a log adds its log key under the name that is the log's origin, and is signed by
that very key. From then on every entry is signed: by a log key when it is about keys, else by the
author that the header names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, Self

import attrs

from persistence.audit.record import Entry
from persistence.values import Keyword

ADD: Final = Keyword("key/add")
ROTATE: Final = Keyword("key/rotate")
REVOKE: Final = Keyword("key/revoke")
ERASE: Final = Keyword("erase")
LOG: Final = Keyword("log")
AUTHOR: Final = Keyword("author")
WITNESS: Final = Keyword("witness")
ROLES: Final = (LOG, AUTHOR, WITNESS)

_CONTEXT: Final = b"persistence.author/v1\x00"


def log_id(origin: str, public: bytes) -> bytes:
    """What tells one log from another: its origin and its first key."""
    return sha256(origin.encode() + b"\n\x01" + public).digest()


def signed_message(log: bytes, header: bytes) -> bytes:
    """What an author signs: the header, in this log and no other one."""
    return _CONTEXT + log + sha256(header).digest()


@attrs.frozen
class Key:
    """A public key and what it is good for, from the entry after *since* to entry *until*."""

    role: Keyword
    name: str
    public: bytes
    namespaces: tuple[str, ...] = ()
    since: int = 0
    until: int | None = None

    def may_state(self, attribute: Keyword) -> bool:
        """Whether facts of *attribute* are within the namespaces the key is bound to."""
        if not self.namespaces:
            return True
        namespace = attribute.namespace or ""
        return any(namespace == one or namespace.startswith(one + ".") for one in self.namespaces)


@attrs.frozen
class Roster:
    """The keys of a log up to some entry; replaced as a whole, never changed."""

    origin: str = ""
    log_id: bytes = b""
    keys: Mapping[bytes, Key] = attrs.field(factory=dict)  # by public key, also those that ended
    in_force: frozenset[bytes] = frozenset()

    @property
    def begun(self) -> bool:
        """Whether the log is signed."""
        return bool(self.log_id)

    def current(self, role: Keyword) -> Iterable[Key]:
        """The keys of *role* that are in force."""
        return (key for key in self.keys.values() if key.role is role and key.until is None)

    def at(self, size: int, role: Keyword) -> Iterable[Key]:
        """The keys of *role* that were in force when the log had *size* entries."""
        return (
            key
            for key in self.keys.values()
            if key.role is role and key.since < size and (key.until is None or size <= key.until)
        )

    def after(self, index: int, event: tuple[Any, ...] | None) -> Self:
        """The roster once entry *index* is in the log. The event must be a sound one."""
        if event is None or event[0] is ERASE:
            return self
        keys = dict(self.keys)
        roster = self
        if event[0] is ADD:
            _, role, name, public, namespaces = event
            keys[public] = Key(role, name, public, tuple(namespaces), index)
            if not self.begun:
                roster = attrs.evolve(self, origin=name, log_id=log_id(name, public))
        else:
            old = keys[event[1]]
            keys[old.public] = attrs.evolve(old, until=index)
            if event[0] is ROTATE:
                keys[event[2]] = attrs.evolve(old, public=event[2], since=index)
        in_force = frozenset(public for public, key in keys.items() if key.until is None)
        return attrs.evolve(roster, keys=keys, in_force=in_force)

    # --------------------------------------------------------------- problems

    def problem(self, entry: Entry) -> str | None:
        """Why the next entry may not be signed as it is, or says what it may not say.

        Whether the signature itself verifies is not looked at.
        """
        event = entry.header.event
        found = None if event is None else self._event_problem(event)
        if found is not None:
            return found
        if not self.begun and (event is None or event[0] is ERASE):
            return None if entry.public is None else "a signature before the log has a key"
        return self._signer_problem(entry, event)

    def _signer_problem(self, entry: Entry, event: tuple[Any, ...] | None) -> str | None:
        public = entry.public
        if public is None:
            return "no signature, although the log is signed"
        if not self.begun:
            assert event is not None
            return None if public == event[3] else "a first key that did not sign for itself"
        key = self.keys.get(public)
        if key is None:
            return f"a signature by a key that the log does not know, {public.hex()}"
        if key.until is not None:
            return f"a signature by the key of {key.name!r}, which ended at index {key.until}"
        if event is not None and event[0] is not ERASE:
            return None if key.role is LOG else "an event about keys that no log key signed"
        if key.role is not AUTHOR:
            return f"a transaction signed by a key of role {key.role}"
        if entry.header.author != key.name:
            return f"the author {entry.header.author!r}, signed by the key of {key.name!r}"
        return None

    def _event_problem(self, event: tuple[Any, ...]) -> str | None:
        kind, *rest = event or (None,)
        if kind is ADD and len(rest) == 4:
            return self._addition_problem(*rest)
        if kind is ROTATE and len(rest) == 2:
            return self._ended_problem(rest[0]) or self._public_problem(rest[1])
        if kind is REVOKE and len(rest) == 1:
            return self._ended_problem(rest[0]) or self._last_problem(rest[0])
        if kind is ERASE and len(rest) == 2:
            return None
        return "an event of an unknown kind or shape"

    def _addition_problem(self, role: Any, name: Any, public: Any, namespaces: Any) -> str | None:
        if role not in ROLES or not _is_name(name):
            return "a key without a role and a name"
        if not isinstance(namespaces, tuple) or not all(map(_is_name, namespaces)):
            return "namespaces that are no vector of texts"
        if not self.begun and (role is not LOG or namespaces):
            return "a first key that is not a log key"
        if any(key.name == name and key.role is role for key in self.current(role)):
            return f"a second key of role {role} called {name!r}; rotate the first"
        return self._public_problem(public)

    def _public_problem(self, public: Any) -> str | None:
        if not isinstance(public, bytes) or len(public) != 32:
            return "a public key that is not 32 bytes long"
        return "a public key that the log has known before" if public in self.keys else None

    def _ended_problem(self, public: Any) -> str | None:
        key = self.keys.get(public) if isinstance(public, bytes) else None
        if key is None:
            return "the end of a key that the log does not know"
        return None if key.until is None else f"the end of a key that ended at index {key.until}"

    def _last_problem(self, public: bytes) -> str | None:
        logs = [key.public for key in self.current(LOG)]
        return "the end of the only log key; rotate it" if logs == [public] else None


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and bool(text) and text.isprintable()
