"""The signed log against a naive model: a list of entries, a recursive tree, a dict of keys.

A store writes on several lines, changes its keys, erases, closes and opens again, with the log's
key at hand or without. Whatever it gives away is checked by what the definition of the tree says.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from persistence import Substrate
from persistence.audit import note
from persistence.audit.keyfile import Keyring, generate
from persistence.audit.merkle import ProofError, check_consistency
from persistence.audit.offline import verify_export
from persistence.audit.proof import Proof
from persistence.audit.proved import verify_proof
from persistence.audit.signing_key import KeyFile
from persistence.audit.vkey import VerifierKey
from persistence.datoms import Datom
from persistence.errors import AuditError

ORIGIN: Final = "example.com/tea"
NAMES: Final = ("ana", "bo", "carl")
SCHEMA: Final = "[{:db/ident :secret :db/sensitive true} {:db/ident :n :db/index true}]"
names = st.sampled_from(NAMES)
entities = st.integers(1, 3)
places = st.integers(0, 10_000)  # of something in a list, modulo its length


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


class SignedLog(RuleBasedStateMachine):
    """One store, its model, and everything that it ever gave away."""

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        log, *authors = (generate("log", ORIGIN), *(generate("author", n) for n in NAMES[:2]))
        self.held: list[KeyFile] = [log, *authors]
        self.log_key = log
        self.in_force = {key.name: key for key in authors}
        self.with_log = True
        self.leaves: list[bytes] = []
        self.covered, self.cover = 0, log  # the checkpoint in the store: its size and its key
        self.given: list[note.Checkpoint] = []
        self.exported = 0
        self.datoms: list[Datom] = []
        self.secrets: set[int] = set()
        self.branches: list[str] = []
        self.values = itertools.count()
        self.s = self._opened()
        self.vkey = self.s.audit.vkey
        self._grown(3)
        self.s.fact.transact(SCHEMA, author="ana")
        self._grown(1)

    def teardown(self) -> None:
        if hasattr(self, "s"):
            assert self.s.audit.verify() == []
            self.s.close()
            self.place.cleanup()

    # ----------------------------------------------------------------- the store

    @property
    def _ring(self) -> Keyring:
        return Keyring.memory(*(k for k in self.held if self.with_log or k.role != "log"))

    def _opened(self) -> Substrate:
        path = Path(self.place.name, "store.db")
        return Substrate.open(path, keys=self._ring, synchronous="OFF")

    @rule(with_log=st.booleans())
    def reopen(self, with_log: bool) -> None:
        self.s.close()
        self.with_log = with_log
        self.s = self._opened()

    def _grown(self, count: int) -> None:
        """Takes in *count* entries, and no more than these must be there."""
        with self.s._connection.store.snapshot() as snapshot:
            rows = snapshot.transactions(len(self.leaves), 2**40, 100)
        assert len(rows) == count
        self.leaves += (sha256(b"\x00" + row.entry).digest() for row in rows)
        if self.with_log and count:
            self.covered, self.cover = len(self.leaves), self.log_key

    def _said(self, allowed: bool, say: Any) -> Any:
        """What *say* gives, if the model allows it; else it is refused and leaves nothing."""
        if not allowed:
            with pytest.raises(AuditError):
                say()
            self._grown(0)
            return None
        found = say()
        return found

    # --------------------------------------------------------------------- facts

    @rule(who=names, e=entities, line=places, secret=st.booleans())
    def transact(self, who: str, e: int, line: int, secret: bool) -> None:
        lines = ["main", *self.branches]
        name = lines[line % len(lines)]
        on = self.s if name == "main" else self.s.branch.open(name)
        value = next(self.values)
        form = ["db/add", e, "secret" if secret else "n", f"a secret {value}" if secret else value]
        report = self._said(who in self.in_force, lambda: on.fact.transact([form], author=who))
        if report is not None:
            self._grown(1)
            if secret:
                self.secrets.add(e)
            else:
                self.datoms += report.tx_data

    @rule(who=names)
    @precondition(lambda self: len(self.branches) < 2)
    def branch(self, who: str) -> None:
        name = f"line-{len(self.branches)}"
        if self._said(who in self.in_force, lambda: self.s.branch.create(name, author=who)):
            self._grown(1)
            self.branches.append(name)

    @rule(who=names, e=entities)
    def erase(self, who: str, e: int) -> None:
        if e not in self.secrets:
            return
        before = naive_root(self.leaves)
        if self._said(who in self.in_force, lambda: self.s.audit.erase([e], author=who)):
            assert self.s.audit.root(len(self.leaves)) == before
            self._grown(1)
            self.secrets.discard(e)

    # ---------------------------------------------------------------------- keys

    @rule(who=names, known=st.booleans())
    def add(self, who: str, known: bool) -> None:
        """A name has one key, and no key comes twice."""
        ended = [k for k in self.held if k.name == who and k is not self.in_force.get(who)]
        new = ended[0] if known and ended else generate("author", who)
        allowed = self.with_log and who not in self.in_force and new not in ended
        if self._said(allowed, lambda: self.s.audit.add_key("author", who, new.public)):
            self._grown(1)
            self._holds(new)

    @rule(who=names)
    def rotate(self, who: str) -> None:
        new = generate("author", who)
        allowed = self.with_log and who in self.in_force
        if self._said(allowed, lambda: self.s.audit.rotate_key(who, new.public)):
            self._grown(1)
            self._holds(new)

    @rule(who=names)
    def revoke(self, who: str) -> None:
        allowed = self.with_log and who in self.in_force
        if self._said(allowed, lambda: self.s.audit.revoke_key(who)):
            self._grown(1)
            del self.in_force[who]

    def _holds(self, new: KeyFile) -> None:
        self.held.append(new)
        self.in_force[new.name] = new
        self.s.audit.use(self._ring)

    @rule()
    def rotate_the_log(self) -> None:
        new = generate("log", ORIGIN)
        if self._said(self.with_log, lambda: self.s.audit.rotate_key(ORIGIN, new.public)):
            self.held.append(new)
            self.with_log, with_log = False, self.with_log
            self._grown(1)  # of which the process, without the new key, signs no checkpoint
            self.with_log, self.log_key = with_log, new
            self.s.audit.use(self._ring)

    @rule()
    def end_the_log(self) -> None:
        self._said(False, lambda: self.s.audit.revoke_key(ORIGIN))

    # ----------------------------------------------------- what is given to others

    @rule()
    def checkpoint(self) -> None:
        text = self._said(self.with_log, self.s.audit.checkpoint)
        if text is not None:
            said = note.open_checkpoint(text, [VerifierKey(ORIGIN, self.log_key.public)])
            assert (said.size, said.root) == (len(self.leaves), naive_root(self.leaves))
            self.given.append(said)

    @rule(place=places, broken=places)
    @precondition(lambda self: self.given)
    def continue_a_checkpoint(self, place: int, broken: int) -> None:
        old = self.given[place % len(self.given)]
        path = self.s.audit.consistency(old.size)
        size, root = len(self.leaves), naive_root(self.leaves)
        check_consistency(old.size, size, old.root, root, path)
        for wrong in _broken(path, broken):
            with pytest.raises(ProofError):
                check_consistency(old.size, size, old.root, root, wrong)

    @rule(place=places, broken=places)
    def prove_a_transaction(self, place: int, broken: int) -> None:
        t = place % len(self.leaves) + 1
        self._prove(t, t, broken)

    @rule(place=places, broken=places)
    @precondition(lambda self: self.datoms)
    def prove_a_datom(self, place: int, broken: int) -> None:
        datom = self.datoms[place % len(self.datoms)]
        self._prove(datom, datom.t, broken)

    def _prove(self, what: int | Datom, t: int, broken: int) -> None:
        proof = self._said(t <= self.covered, lambda: self.s.audit.prove(what))
        if proof is None:
            return
        signer = VerifierKey(ORIGIN, self.cover.public)
        report = verify_proof(proof.text, self.vkey, signer=signer)
        assert report.clean, report.findings
        assert proof.index == t - 1
        for path in _broken(list(proof.path), broken):
            wrong = replace(proof, path=tuple(path))
            assert not verify_proof(wrong.text, self.vkey, signer=signer).clean
        for index in {proof.index ^ 1, proof.index + 1, 0} - {proof.index}:
            wrong = replace(proof, index=index)
            assert not verify_proof(wrong.text, self.vkey, signer=signer).clean
        assert Proof.parse(proof.text) == proof

    @rule()
    def export(self) -> None:
        size = len(self.leaves) if self.with_log else self.covered
        if size < self.exported:
            return  # an export never goes back
        said = self.s.audit.export(Path(self.place.name, "export"))
        assert (said.size, said.root) == (size, naive_root(self.leaves[:size]))
        self.exported = size
        report = verify_export(Path(self.place.name, "export"), self.vkey, processes=1)
        assert report.clean, report.findings
        assert report.counts["transactions"] == size

    # ------------------------------------------------------------------ always

    @rule()
    def every_root(self) -> None:
        for size in range(len(self.leaves) + 1):
            assert self.s.audit.root(size) == naive_root(self.leaves[:size])

    @rule()
    def verify(self) -> None:
        assert self.s.audit.verify() == []

    @invariant()
    def the_keys_are_those_of_the_model(self) -> None:
        if hasattr(self, "s"):
            found = {k.name: k.public for k in self.s.audit.keys if k.until is None}
            wanted = {name: key.public for name, key in self.in_force.items()}
            assert found == {ORIGIN: self.log_key.public, **wanted}


def _broken(path: list[bytes], place: int) -> list[list[bytes]]:
    """Proofs that show nothing: with a hash changed, gone, doubled or swapped."""
    if not path:
        return [[bytes(32)]]
    at = place % len(path)
    held = path[at]
    flipped = bytes((*held[:-1], held[-1] ^ 1 << place % 8))
    return [
        [*path[:at], flipped, *path[at + 1 :]],
        [*path[:at], *path[at + 1 :]],
        [*path[: at + 1], *path[at:]],
        *([[path[1], path[0], *path[2:]]] if len(path) > 1 and path[0] != path[1] else []),
    ]


TestSignedLog = SignedLog.TestCase
TestSignedLog.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


def test_the_naive_root_is_that_of_the_definition() -> None:
    """The model itself, for no entry and for three."""
    assert naive_root([]) == sha256(b"").digest()
    a, b, c = (sha256(bytes([n])).digest() for n in range(3))
    pair = sha256(b"\x01" + a + b).digest()
    assert naive_root([a, b, c]) == sha256(b"\x01" + pair + c).digest()
