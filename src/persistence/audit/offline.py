"""Verifies an exported log with nothing but its files and a key that the auditor holds.

The entries say who may sign, their hashes make the tree, and the checkpoint signs its root: each is
held against the others, so that a change anywhere shows at its place. Imports the standard library,
`cryptography` through `signature`, and its neighbours only.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from persistence.audit.note import Checkpoint, NoteError, SignedNote
from persistence.audit.parallel import Signatures
from persistence.audit.report import Findings, Report
from persistence.audit.signers import AUTHOR, Key, Signers
from persistence.audit.tiles import CHECKPOINT, Reader, TileError
from persistence.audit.vkey import ED25519, VerifierKey
from persistence.audit.walk import IDS_CHECKED, Progress, Walk, place

REMEMBERED = "remembered checkpoint"
_NO_IDS = "the ids of transactions were not recomputed, because blake3 is not installed"
_NO_SIGNATURES = "the signatures of authors were not checked, only those on keys and checkpoints"


def verify_export(
    directory: str | Path,
    vkey: str | VerifierKey,
    *,
    signatures: bool = True,
    processes: int | None = None,
    progress: Progress | None = None,
    remembered: str | bytes | None = None,
) -> Report:
    """What is wrong with the log in *directory*: whether it is whole, and by those it names.

    *vkey* is the log's verifier key, or one that it had before: from there the log itself says
    which key came next. *remembered* is the note of a checkpoint that was seen earlier, which the
    log must continue. Without *signatures* those of the authors are not checked; else as many
    *processes* as there are cores share that work. *progress* is told entries read and all.

    Raises:
        NoteError: *vkey* is no key that signs checkpoints, or *remembered* is no checkpoint.
    """
    key = log_key(vkey)
    old = None if remembered is None else _opened(remembered)
    reader, findings = Reader(directory), Findings()
    try:
        note, said = _opened(reader.checkpoint())
    except TileError as error:
        findings.add(0, place(reader, error), str(error.expected), str(error.found))
        return Report(findings.ordered())
    except NoteError as error:
        findings.add(0, CHECKPOINT, "a signed checkpoint", error.message)
        return Report(findings.ordered())
    signers = Signers(key.public)
    checks = Signatures(said.size, processes) if signatures else None
    with checks if checks is not None else nullcontext():
        sizes = () if old is None else (old[1].size,)
        walk = Walk(reader, said.size, signers, findings, checks, sizes)
        walk.run(progress)
    judge = _Judge(key, walk, findings)
    judge.root(said)
    if walk.complete:  # else the keys are not known
        judge.names()
        judge.signed(CHECKPOINT, note, said)
    if old is not None:
        judge.continued(*old, said)
    return Report(
        findings.ordered(),
        _counts(walk),
        {"origin": said.origin, "size": said.size, "root": said.root.hex(), **judge.says()},
        tuple([_NO_IDS] * (not IDS_CHECKED) + [_NO_SIGNATURES] * (not signatures)),
        findings.omitted,
    )


def log_key(vkey: str | VerifierKey) -> VerifierKey:
    """The key that *vkey* spells, if it is one that signs checkpoints.

    Raises:
        NoteError: it is not.
    """
    key = VerifierKey.parse(vkey.strip()) if isinstance(vkey, str) else vkey
    if key.kind != ED25519:
        raise NoteError(f"the key of {key.name} cosigns as a witness; it signs no checkpoint")
    return key


def _opened(text: str | bytes) -> tuple[SignedNote, Checkpoint]:
    note = SignedNote.parse(text)
    return note, Checkpoint.parse(note.body)


def _counts(walk: Walk) -> dict[str, int]:
    return {
        "transactions": walk.entries,
        "signed": walk.signed,
        "unsigned": walk.entries - walk.signed,
        "datoms": walk.datoms,
        "redacted": walk.signers.redacted,
        "authors": len(walk.signers.names(AUTHOR)),
        "branches": walk.branches,
    }


class _Judge:
    """Holds checkpoints against what a walk found."""

    def __init__(self, key: VerifierKey, walk: Walk, findings: Findings) -> None:
        self.key, self.walk, self.findings = key, walk, findings
        self.keys = {key.public: key for key in walk.signers.log_keys()}

    def says(self) -> dict[str, str]:
        """The key that signs now, which an auditor may go on with."""
        current = [key for key in self.keys.values() if self._good(key, self.walk.entries)]
        return {"vkey": self._vkey(current[-1]).text} if current else {}

    def root(self, said: Checkpoint) -> None:
        """The root of what was read is the one that was signed."""
        if self.walk.complete and self.walk.root != said.root:
            self._add(CHECKPOINT + ", root", self.walk.root.hex(), said.root.hex())

    def names(self) -> None:
        """The log is that of the auditor's key."""
        signers = self.walk.signers
        if signers.origin is None:
            if self.walk.entries:
                wanted = f"an entry that adds the log key of {self.key.name}"
                self._add("log", wanted, "a log without keys")
            return
        if signers.origin != self.key.name:
            self._add("log, origin", repr(self.key.name), repr(signers.origin))
        if self.key.public not in self.keys:
            first = next(iter(self.keys))
            wanted = f"the auditor's key {self.key.public.hex()} among its log keys"
            self._add("log, key", wanted, f"the first key {first.hex()}")

    def signed(self, where: str, note: SignedNote, said: Checkpoint) -> None:
        """A log key that was in force at its size signed it, and descends from the auditor's."""
        if said.origin != self.key.name:
            self._add(f"{where}, origin", repr(self.key.name), repr(said.origin))
            return
        known = [self._vkey(key) for key in self.keys.values()]
        if self.key.public not in self.keys:
            known.append(self.key)
        try:
            found = note.verified(known)
        except NoteError as error:
            self._add(
                f"{where}, signature", f"a signature by a log key of {said.origin}", error.message
            )
            return
        if not any(self._may_sign(one.public, said.size) for one in found):
            wanted = "a log key in force at its size, let in by the auditor's key"
            self._add(f"{where}, signature", wanted, self._standing(found[0].public))

    def continued(self, note: SignedNote, old: Checkpoint, said: Checkpoint) -> None:
        """The log goes on from a checkpoint that was seen before."""
        if self.walk.complete:
            self.signed(REMEMBERED, note, old)
        if old.size > said.size:
            self._add(f"{CHECKPOINT}, size", f"at least {old.size}, as remembered", str(said.size))
            return
        root = self.walk.roots.get(old.size)
        if old.size == said.size:
            root = said.root
        elif old.size == 0:
            root = old.root
        if root is not None and root != old.root:
            where = f"root at size {old.size}"
            self._add(where, f"{old.root.hex()}, as remembered", root.hex())

    def _may_sign(self, public: bytes, size: int) -> bool:
        key = self.keys.get(public)
        if key is None:  # an empty log, or one that names no keys: there is a finding on that
            return public == self.key.public
        return self._good(key, size)

    def _good(self, key: Key, size: int) -> bool:
        return key.public in self.walk.signers.trusted and key.in_force(size)

    def _standing(self, public: bytes) -> str:
        key = self.keys[public]
        if key.public not in self.walk.signers.trusted:
            return f"the key {public.hex()}, which that key did not let in"
        ended = "" if key.until is None else f" and ended at index {key.until}"
        return f"the key {public.hex()}, which was added at index {key.since}{ended}"

    def _vkey(self, key: Key) -> VerifierKey:
        return VerifierKey(self.key.name, key.public)

    def _add(self, where: str, expected: str, found: str) -> None:
        self.findings.add(self.walk.size, where, expected, found, needed=True)
