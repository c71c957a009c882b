"""Verifiers by other hands, run on what the audit log exports.

A format is kept when those who wrote it down and those who read it elsewhere agree with us, not
when our own reader does. None of the code that decides here is ours or shares a line with it:

    proofbundle        C2SP signed notes, checkpoints, cosignatures and .tlog-proof files
    tlog-scales        C2SP tiles and entry bundles, and the proofs that follow from them
    golang.org/x/mod   Go's checksum database, which signed notes, tiles and their proofs come from;
                       asked by `sumdb/main.go`, where Go and the sources of x/mod are there

Each function returns what was accepted, and raises `Rejected` if anything was not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from proofbundle.checkpoint import verify_checkpoint, verify_witnessed_checkpoint
from proofbundle.errors import ProofBundleError
from proofbundle.tlogproof import verify_tlog_proof
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import Checkpoint, ConsistencyProofInvalid, InclusionProofInvalid

PROGRAM = Path(__file__).with_name("sumdb") / "main.go"
DEBIAN = "/usr/share/gocode"  # where the package golang-golang-x-mod-dev puts its sources

# What the two of Python raise; tlog-scales also asserts, and looks for hashes past a tile's end.
NO = (
    *(ProofBundleError, ConsistencyProofInvalid, InclusionProofInvalid),
    *(AssertionError, IndexError, RuntimeError, ValueError),
)


class Rejected(Exception):
    """A foreign verifier said no; the message is its own."""


@attrs.frozen
class Accepted:
    """What a checkpoint commits to, according to somebody else."""

    origin: str
    size: int
    root: bytes


def check_checkpoint(text: str, vkey: str, witnesses: Iterable[str] = ()) -> Accepted:
    """The checkpoint that the log of *vkey* signed and every one of *witnesses* cosigned."""
    witnesses = tuple(witnesses)
    with _rejecting("proofbundle"):
        if witnesses:
            found = verify_witnessed_checkpoint(text, vkey, witnesses, threshold=len(witnesses))
        else:
            found = verify_checkpoint(text, vkey)
    if not found["ok"]:
        raise Rejected(f"proofbundle: {found}")
    return Accepted(found["origin"], found["tree_size"], found["root"])


def check_tiles(
    directory: Path,
    vkey: str,
    *,
    witnesses: Iterable[str] = (),
    older: str | None = None,
    indexes: Iterable[int] | None = None,
) -> Accepted:
    """The signed checkpoint of an exported log, once its tiles were found to lead to its root.

    Each entry of *indexes*, by default all, is read and proved to be in the tree. With *older*, a
    checkpoint of the same log, the tree is proved to have grown from that one.
    """
    with _rejecting("not a text"):
        text = (directory / "checkpoint").read_bytes().decode()
    accepted = check_checkpoint(text, vkey, witnesses)
    reader = TilesReader(LocalBackend(directory))
    with _rejecting("tlog-scales"):
        if _said(reader.get_checkpoint()) != accepted:
            raise Rejected("proofbundle and tlog-scales read two checkpoints")
        if reader.calculate_root_hash() != accepted.root:
            raise Rejected("tlog-scales: the tiles have another root than the checkpoint")
        for index in range(accepted.size) if indexes is None else indexes:
            proof = reader.get_inclusion_proof(index, accepted.size)
            proof.check(leaf_hash(reader.get_entry(index)), accepted.root)
    if older is not None:
        before = check_checkpoint(older, vkey, witnesses)
        with _rejecting("tlog-scales"):
            growth = reader.get_consistency_proof(before.size, accepted.size)
            growth.check(before.root, accepted.root)
    return accepted


def check_proof(text: str, entry: bytes, vkey: str, witnesses: Iterable[str] = ()) -> int:
    """The index at which *text*, a .tlog-proof, proves *entry* to be in the log of *vkey*."""
    witnesses = tuple(witnesses)
    origin = vkey.partition("+")[0]
    with _rejecting("proofbundle"):
        found = verify_tlog_proof(
            text, entry, vkey, witnesses, threshold=len(witnesses), expected_origin=origin
        )
    if not found["ok"]:
        raise Rejected(f"proofbundle: {found}")
    index: int = found["index"]
    return index


def path_in_tiles(directory: Path, index: int) -> list[bytes]:
    """The hashes that the tiles give for a proof of *index*, from the leaf's sibling up."""
    reader = TilesReader(LocalBackend(directory))
    with _rejecting("tlog-scales"):
        proof = reader.get_inclusion_proof(index, reader.get_checkpoint().size)
    return list(proof.node_hashes)


@attrs.frozen
class Sumdb:
    """Go's checksum database, compiled to a program that reads an exported log."""

    program: Path

    @classmethod
    def build(cls, place: Path) -> Sumdb:
        """Compiles it into *place*; a test that cannot have it is skipped and says what lacks."""
        go = shutil.which("go")
        if go is None:
            pytest.skip("go is not installed, so x/mod cannot be asked")
        roots = subprocess.check_output([go, "env", "GOPATH"], text=True).strip().split(os.pathsep)
        for root in (*roots, DEBIAN):
            if (Path(root) / "src/golang.org/x/mod/sumdb/tlog").is_dir():
                break
        else:
            pytest.skip("the sources of golang.org/x/mod are not installed")
        offline = {"GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPATH": root}
        program = place / "sumdb"
        subprocess.run(
            [go, "build", "-o", program, PROGRAM], env={**os.environ, **offline}, check=True
        )
        return cls(program)

    def check(
        self,
        directory: Path,
        vkey: str,
        *,
        older: Path | None = None,
        proof: Path | None = None,
        entry: Path | None = None,
    ) -> dict[str, object]:
        """What it accepted: the checkpoint, all tiles and entries, and the proof file.

        *older* is a file with an older checkpoint; *entry* a file with the entry of *proof*.
        """
        options = {"log": vkey, "older": older, "proof": proof, "leaf": entry}
        given = [f"-{name}={value}" for name, value in options.items() if value is not None]
        done = subprocess.run([self.program, *given, directory], capture_output=True, text=True)
        if done.returncode:
            raise Rejected(f"x/mod: {done.stderr.strip()}")
        said: dict[str, object] = json.loads(done.stdout)
        return said


def _said(checkpoint: Checkpoint) -> Accepted:
    return Accepted(checkpoint.origin, checkpoint.size, checkpoint.root_hash)


@contextmanager
def _rejecting(name: str) -> Iterator[None]:
    """Says no for a verifier that raised; a wrong call of ours, a TypeError say, is not a no."""
    try:
        yield
    except NO as error:
        raise Rejected(f"{name}: {type(error).__name__}: {error}") from error
