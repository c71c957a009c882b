"""The largest checkpoint ever seen of a log, kept outside of its store.

Whoever can write to the store can give it an older state, or another past, that is sound in itself.
Only what was remembered elsewhere tells. So the checkpoint is kept beside the keys, it moves
forward only, and two checkpoints that contradict each other are both kept as evidence: each is
signed, so together they convict whoever signed.

    remembered-<origin>           the last one that was forced to the medium
    remembered-<origin>.recent    a later one that a power cut may take, and nothing else with it
    evidence/<origin>-<size>-<root>.checkpoint

`<origin>` and `<root>` are the first digits of hashes, so several logs may share a directory.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

from persistence.audit import private_files
from persistence.audit.note import NOTE_BYTES, Checkpoint, NoteError, SignedNote
from persistence.errors import AuditError, RollbackDetected

_DIGITS: Final = 16


@attrs.frozen
class Remembered:
    """What is remembered in *directory* of the log *origin*. Threads and processes may share it.

    >>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    >>> from persistence.audit import note
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> def signed(size):
    ...     return note.sign(Checkpoint("example.com/log", size, bytes(32)).body, "a.example", key)
    >>> remembered = Remembered("keys", "example.com/log")
    >>> remembered.load() is None, remembered.save(signed(7)), remembered.save(signed(5))
    (True, True, False)
    >>> remembered.checkpoint().size
    7
    """

    directory: Path = attrs.field(converter=Path)
    origin: str

    def load(self) -> str | None:
        """The note with the largest checkpoint, or None. Whether it is signed, the caller checks.

        Raises:
            AuditError: the file holds no checkpoint of this log.
        """
        with self._unchanged():
            found = self._latest()
        return None if found is None else found[0]

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint in the note that :meth:`load` gives.

        Raises:
            AuditError: as :meth:`load`.
        """
        with self._unchanged():
            found = self._latest()
        return None if found is None else found[1]

    def save(self, note: str, *, durable: bool = True) -> bool:
        """Remembers *note*, unless something later is remembered; whether it does.

        Of two notes with one checkpoint the one with more signatures stays. Unless *durable*, a
        power cut may take it back, to what was durable before.

        The caller has found the signatures to hold.

        Raises:
            NoteError: *note* is no checkpoint.
            AuditError: it is one of another log, or what is remembered cannot be read.
            RollbackDetected: another root is remembered for that size; both notes are kept.
        """
        theirs = self._checkpoint(note)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            held = self._latest()
            if held is not None:
                ours, checkpoint = held
                if checkpoint.size == theirs.size and checkpoint.root != theirs.root:
                    raise self._contradicted(ours, note, checkpoint, theirs)
                if checkpoint.size > theirs.size:
                    return False
                if checkpoint.size == theirs.size and _signatures(ours) > _signatures(note):
                    return False
            if durable:
                self._replace(note)
            else:
                self._write_over(note)
        return True

    def keep_evidence(self, *notes: str) -> Path:
        """Keeps the *notes* that contradict each other, and gives the directory they are in.

        Each gets a file named by its size and root; what is there already is never written over.
        """
        folder = self.directory / "evidence"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for note in notes:
            self._keep(folder, note)
        return folder

    def _keep(self, folder: Path, note: str) -> None:
        data = note.encode(errors="surrogatepass")
        try:
            checkpoint = Checkpoint.parse(SignedNote.parse(note).body)
            name = f"{checkpoint.size}-{checkpoint.root.hex()[:_DIGITS]}"
        except NoteError:
            name = f"malformed-{sha256(data).hexdigest()[:_DIGITS]}"
        for number in itertools.count(1):
            more = "" if number == 1 else f"+{number}"
            path = folder / f"{_hash(self.origin)}-{name}{more}.checkpoint"
            try:
                return private_files.create(path, data)
            except FileExistsError:
                if path.read_bytes() == data:
                    return None

    def _contradicted(
        self, ours: str, note: str, held: Checkpoint, theirs: Checkpoint
    ) -> RollbackDetected:
        evidence = self.keep_evidence(ours, note)
        return RollbackDetected(
            f"two checkpoints of {self.origin} say different things about its first "
            f"{held.size} entries",
            hint=f"both are in {evidence}; show them to who runs the log",
            size=held.size,
            expected=held.root,
            found=theirs.root,
            evidence=str(evidence),
        )

    @property
    def _durable(self) -> Path:
        return self.directory / f"remembered-{_hash(self.origin)}"

    @property
    def _recent(self) -> Path:
        return self.directory / f"remembered-{_hash(self.origin)}.recent"

    def _latest(self) -> tuple[str, Checkpoint] | None:
        """The later one of both files; the recent one counts only if it came through whole."""
        durable = self._read(self._durable)
        try:
            recent = self._read(self._recent)
        except AuditError:
            recent = None
        return max(
            (found for found in (durable, recent) if found is not None),
            key=lambda found: (found[1].size, _signatures(found[0])),
            default=None,
        )

    def _read(self, path: Path) -> tuple[str, Checkpoint] | None:
        try:
            with open(path, "rb") as file:
                data = file.read(NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        try:
            note = SignedNote.parse(data).text
            return note, self._checkpoint(note)
        except NoteError as error:
            raise AuditError(
                f"{path}: what was remembered of {self.origin} cannot be read: {error.message}",
                hint="verify the log against a checkpoint from elsewhere, then remove the file",
                path=str(path),
            ) from error

    def _checkpoint(self, note: str) -> Checkpoint:
        checkpoint = Checkpoint.parse(SignedNote.parse(note).body)
        if checkpoint.origin != self.origin:
            raise AuditError(
                f"a checkpoint of {checkpoint.origin}, not of {self.origin}",
                expected=self.origin,
                found=checkpoint.origin,
            )
        return checkpoint

    def _replace(self, note: str) -> None:
        """Puts *note* in the place of the durable one, which a crash leaves as it was."""
        scratch = self._durable.with_name(f"{self._durable.name}.new")
        with open(scratch, "wb", opener=_for_owner) as file:
            file.write(note.encode())
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._durable)
        private_files.sync_directory(self.directory)

    def _write_over(self, note: str) -> None:
        """Puts *note* in the recent file as it is: ext4 would flush a new one that replaced it."""
        with open(self._recent, "wb", opener=_for_owner_whole) as file:
            file.write(note.encode())
            file.truncate()

    @property
    def _lock(self) -> Path:
        return self.directory / f"remembered-{_hash(self.origin)}.lock"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other threads and processes from reading and writing meanwhile."""
        with open(self._lock, "wb", opener=_for_owner) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            yield

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Keeps others from writing meanwhile; also for those who may only read."""
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # nobody has saved anything
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _for_owner_whole(path: str, flags: int) -> int:
    return _for_owner(path, flags & ~os.O_TRUNC)


def _hash(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()[:_DIGITS]


def _signatures(note: str) -> int:
    return len(SignedNote.parse(note).signatures)
