"""Reads an exported log from its first entry to its last, and holds each against those before it.

Nothing is kept of an entry but what the next ones need: the last hash and time, the last
transaction of each branch, the keys. So memory grows with branches and keys, not with entries.
Imports the standard library, `cryptography` through `signature`, and its neighbours only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

from persistence.audit.entries import ID, Entry, EntryError, read_entry
from persistence.audit.grown import Tiles
from persistence.audit.merkle import TILE
from persistence.audit.parallel import Problem, Signatures, Signed
from persistence.audit.report import Findings
from persistence.audit.signers import Signers, signed_message
from persistence.audit.tiles import Reader, TileError

try:
    from blake3 import blake3
except ImportError:  # the only part that the standard library cannot check
    _hasher = None
else:
    _hasher = blake3(derive_key_context="persistence 2026-11 transaction v1")

Progress = Callable[[int, int], object]

IDS_CHECKED: Final = _hasher is not None
_ZEROS: Final = bytes(32)


class Walk:
    """A pass over the first *size* entries of *reader*.

    After `run`, `root` is the root over what was read, `roots` that at each of the sizes *at*, and
    `complete` says whether everything could be read.
    """

    def __init__(
        self,
        reader: Reader,
        size: int,
        signers: Signers,
        findings: Findings,
        signatures: Signatures | None,
        at: Iterable[int] = (),
    ) -> None:
        self.reader, self.size = reader, size
        self.signers, self.findings, self.signatures = signers, findings, signatures
        self.complete = True
        self.entries = self.datoms = self.signed = 0
        self.roots: dict[int, bytes] = {}
        self._wanted = sorted({one for one in at if 0 < one < size})
        self._tiles = Tiles(reader, findings)
        self._leaf, self._time = _ZEROS, -1 << 64
        self._tips: dict[int, bytes] = {}  # by branch
        self._starts: dict[bytes, int] = {}  # parents of a branch's first entry, and that entry

    @property
    def branches(self) -> int:
        """How many branches have entries."""
        return len(self._tips)

    @property
    def root(self) -> bytes:
        """The root over what was read."""
        return self._tiles.frontier().root()

    def run(self, progress: Progress | None = None) -> None:
        """Reads all; what is wrong goes to the findings."""
        for n in range(-(-self.size // TILE)):
            try:
                bundle = self.reader.bundle(n, min(TILE, self.size - n * TILE))
            except TileError as error:
                self._unread(error)
                return
            leaves = [sha256(b"\x00" + data).digest() for data in bundle]
            self._entries(bundle, leaves)
            self._root_within(leaves)
            self._tiles.add(leaves)
            if progress is not None:
                progress(self.entries, self.size)
        self._tiles.finish()
        self._settle_starts()
        self._report(self.signatures.rest() if self.signatures is not None else ())

    def _unread(self, error: TileError) -> None:
        self.complete = False
        self.findings.add(
            self.entries, place(self.reader, error), str(error.expected), str(error.found)
        )
        self._report(self.signatures.rest() if self.signatures is not None else ())

    def _root_within(self, leaves: list[bytes]) -> None:
        while self._wanted and self._wanted[0] <= self.entries:
            size = self._wanted.pop(0)
            known = self._tiles.frontier().extend(leaves[: size - self._tiles.size])
            self.roots[size] = known.root()

    # ------------------------------------------------------------- one entry

    def _entries(self, bundle: list[bytes], leaves: list[bytes]) -> None:
        for data, leaf in zip(bundle, leaves, strict=True):
            at = self.entries
            self.entries = at + 1
            try:
                entry = read_entry(data)
            except EntryError as error:
                self._add(at, "", "the canonical bytes of an entry", str(error))
                self._leaf = leaf
                continue
            if entry.previous_leaf != self._leaf:
                self._add(at, ", previous leaf", self._leaf.hex(), entry.previous_leaf.hex())
            self._leaf = leaf
            self._place(at, entry)
            problem = self.signers.take(at, entry)
            if problem is not None:
                self._add(at, ", signer", "an entry that its signer may sign", problem)
            elif entry.public is not None:
                self._sign(at, entry)

    def _place(self, at: int, entry: Entry) -> None:
        """The header against those before it."""
        if _hasher is not None:
            found = _hasher.copy().update(entry.body).digest()
            if found != entry.id:
                self._add(at, ", id", found.hex(), entry.id.hex())
        if entry.time < self._time:
            self._add(at, ", time", f"at least {self._time}", str(entry.time))
        else:
            self._time = entry.time
        branch = entry.branch
        tip = self._tips.get(branch)
        if tip is None:
            self._start(at, entry)
        elif entry.parent != tip:
            where = f", parent on branch {branch}"
            self._add(at, where, tip.hex(), entry.parent.hex())
        self._tips[branch] = entry.id
        self.datoms += entry.datoms

    def _start(self, at: int, entry: Entry) -> None:
        """The first entry of a branch: whether its parent was before it shows at the end."""
        if entry.branch > at:  # its number is the t of the transaction that began it
            self._add(at, ", branch", f"at most {at}", str(entry.branch))
        if at:
            self._starts.setdefault(entry.parent, at)
        elif entry.parent != _ZEROS:
            self._add(0, ", parent", _ZEROS.hex(), entry.parent.hex())

    def _sign(self, at: int, entry: Entry) -> None:
        self.signed += 1
        if self.signatures is None or entry.event is not None:
            return  # the signature of an event is checked with its rules
        assert entry.public is not None and entry.signature is not None
        message = signed_message(self.signers.log_id, entry.body)
        found = self.signatures.add(Signed(at, entry.public, entry.signature, message))
        if found:
            self._report(found)

    def _report(self, problems: Iterable[Problem]) -> None:
        for at, reason in problems:
            self._add(at, ", signature", "a signature of its author", reason)

    def _add(self, at: int, what: str, expected: str, found: str) -> None:
        self.findings.add(at, f"entry {at}{what}", expected, found)

    def _settle_starts(self) -> None:
        """Looks for the transactions that branches say to begin after; a second, shorter pass."""
        missing, last = self._starts, max(self._starts.values(), default=0)
        try:
            for at, data in enumerate(self.reader.entries(0, last)):
                if not missing:
                    break
                if missing.get(data[ID], 0) > at:
                    del missing[data[ID]]
        except TileError as error:
            self._unread(error)
        for parent, at in missing.items():
            self._add(at, ", parent", "a transaction before it", parent.hex())


def place(reader: Reader, error: TileError) -> str:
    """The file that *error* is about, as the layout calls it."""
    return error.path.removeprefix(f"{reader.directory}/")
