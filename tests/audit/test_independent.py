"""Others accept what the audit log exports, and nothing that differs from it by one bit."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit import export, merkle, note, tiles
from persistence.audit.proof import Evidence, Proof
from persistence.audit.vkey import COSIGNATURE, VerifierKey
from tests.audit.independent import (
    Accepted,
    Rejected,
    Sumdb,
    check_checkpoint,
    check_proof,
    check_tiles,
    path_in_tiles,
)

ORIGIN = "example.org/log"
WITNESS = "example.org/witness"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"l" * 32)
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
VKEY = VerifierKey(ORIGIN, LOG_KEY.public_key().public_bytes_raw()).text
WITNESS_VKEY = VerifierKey(WITNESS, WITNESS_KEY.public_key().public_bytes_raw(), COSIGNATURE).text

SIZE = 301  # one full tile, one of 45, and one hash on the level above
OLDER = 200
THREE_LEVELS = 256 * 256 + 257
INDEXES = [0, 1, 255, 256, SIZE - 1]
HASHES = ["tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1"]
ENTRIES = ["tile/entries/000", "tile/entries/001.p/45"]
FILES = [*HASHES, *ENTRIES]


def entry(index: int) -> bytes:
    return f"entry {index} ".encode() + bytes(index % 300)


def checkpoint(entries: list[bytes]) -> str:
    """Signed by the log and cosigned by the witness."""
    frontier = merkle.Frontier().extend(map(merkle.leaf_hash, entries))
    body = note.Checkpoint(ORIGIN, frontier.size, frontier.root()).body
    signed = note.sign(body, ORIGIN, LOG_KEY)
    return note.attach(signed, note.cosign(body, WITNESS, WITNESS_KEY, 1_700_000_000))


@attrs.frozen
class Export:
    """A log as a directory, and what somebody kept who looked at it before."""

    directory: Path
    older: Path
    entries: list[bytes] = attrs.field(repr=False)

    @classmethod
    def write(cls, place: Path, size: int, older: int) -> Export:
        entries = [entry(i) for i in range(size)]
        directory = place / "log"
        for reached in (older, size):  # what is not needed any more stays there
            text = checkpoint(entries[:reached])
            export.write(directory, reached, entries[:reached], text.encode())
        (place / "older").write_text(checkpoint(entries[:older]))
        return cls(directory, place / "older", entries)

    def proof(self, index: int) -> str:
        """The text of a .tlog-proof, with the entry as the extra data."""
        log = tiles.Reader(self.directory)
        path = merkle.inclusion_path(index, log.size, log.nodes())
        extra = Evidence(self.entries[index]).encoded()
        return Proof(index, tuple(path), log.checkpoint().decode(), extra).text


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export.write(tmp_path_factory.mktemp("export"), SIZE, OLDER)


@pytest.fixture(scope="module")
def sumdb(tmp_path_factory: pytest.TempPathFactory) -> Sumdb:
    return Sumdb.build(tmp_path_factory.mktemp("sumdb"))


Judge = Callable[[Export], object]


@pytest.fixture(scope="module", params=["python", "go"])
def judge(request: pytest.FixtureRequest) -> Judge:
    """Everything that a foreign verifier can say about the directory and its older checkpoint."""
    if request.param == "python":
        return lambda exported: check_tiles(
            exported.directory, VKEY, witnesses=[WITNESS_VKEY], older=exported.older.read_text()
        )
    sumdb: Sumdb = request.getfixturevalue("sumdb")
    return lambda exported: sumdb.check(exported.directory, VKEY, older=exported.older)


# --- accepted -------------------------------------------------------------------------------------


def test_a_checkpoint_is_accepted(exported: Export) -> None:
    text = (exported.directory / "checkpoint").read_text()
    ours = note.open_checkpoint(text, [VerifierKey.parse(VKEY)])
    theirs = check_checkpoint(text, VKEY, [WITNESS_VKEY])
    assert theirs == Accepted(ours.origin, ours.size, ours.root)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 777, THREE_LEVELS])
def test_tiles_of_any_shape_are_accepted(size: int, tmp_path: Path) -> None:
    exported = Export.write(tmp_path, size, (size + 1) // 2)
    found = check_tiles(
        exported.directory,
        VKEY,
        older=exported.older.read_text(),
        indexes=range(0, size, 1 + size // 50),
    )
    assert found.size == size


def test_tiles_of_three_levels_are_accepted_by_the_checksum_database_of_go(
    sumdb: Sumdb, tmp_path: Path
) -> None:
    exported = Export.write(tmp_path, THREE_LEVELS, 65_536)
    said = sumdb.check(exported.directory, VKEY, older=exported.older)
    assert (said["size"], said["entries"], said["older"]) == (THREE_LEVELS, THREE_LEVELS, 65_536)
    assert said["tiles"] == 258 + 2 + 1


@pytest.mark.parametrize("index", INDEXES)
def test_a_proof_is_accepted_for_the_entry_it_bears(exported: Export, index: int) -> None:
    text = exported.proof(index)
    extra = Proof.parse(text).extra
    assert extra is not None
    assert check_proof(text, Evidence.parse(extra).entry, VKEY, [WITNESS_VKEY]) == index
    with pytest.raises(Rejected):
        check_proof(text, entry(index + 1), VKEY, [WITNESS_VKEY])


@pytest.mark.parametrize("index", INDEXES)
def test_the_tiles_give_others_the_same_path(exported: Export, index: int) -> None:
    ours = Proof.parse(exported.proof(index))
    assert list(ours.path) == path_in_tiles(exported.directory, index)


def test_the_checksum_database_of_go_accepts_all_of_it(
    sumdb: Sumdb, exported: Export, tmp_path: Path
) -> None:
    (tmp_path / "256.tlog-proof").write_text(exported.proof(256))
    (tmp_path / "256").write_bytes(entry(256))
    said = sumdb.check(
        exported.directory,
        VKEY,
        older=exported.older,
        proof=tmp_path / "256.tlog-proof",
        entry=tmp_path / "256",
    )
    ours = note.open_checkpoint(checkpoint(exported.entries), [VerifierKey.parse(VKEY)])
    assert said == {
        "origin": ORIGIN,
        "size": SIZE,
        "root": base64.b64encode(ours.root).decode(),
        "tiles": 3,
        "entries": SIZE,
        "records": said["records"],
        "older": OLDER,
        "proof": 256,
    }


# --- rejected -------------------------------------------------------------------------------------


def test_no_bit_of_a_checkpoint_may_differ(exported: Export) -> None:
    text = (exported.directory / "checkpoint").read_text()
    for changed in _differing(text):
        with pytest.raises(Rejected):
            check_checkpoint(changed, VKEY, [WITNESS_VKEY])


@pytest.mark.parametrize("name", ["checkpoint", *FILES])
def test_no_file_may_differ(exported: Export, judge: Judge, name: str) -> None:
    judge(exported)
    path = exported.directory / name
    for position in (0, path.stat().st_size // 3):
        with _flipped(path, position, 1), pytest.raises(Rejected):
            judge(exported)


@given(name=st.sampled_from(HASHES), position=st.integers(0, 8191), bit=st.integers(0, 7))
def test_no_bit_of_a_hash_may_differ(exported: Export, name: str, position: int, bit: int) -> None:
    path = exported.directory / name
    position %= path.stat().st_size
    with _flipped(path, position, 1 << bit), pytest.raises(Rejected):
        check_tiles(exported.directory, VKEY, indexes=[0, 1, 256, 257])  # together: every hash


@given(index=st.integers(0, SIZE - 1), position=st.integers(0, 301), bit=st.integers(0, 7))
def test_no_bit_of_an_entry_may_differ(
    exported: Export, index: int, position: int, bit: int
) -> None:
    first = index - index % 256
    start = sum(2 + len(e) for e in exported.entries[first:index])
    position %= 2 + len(exported.entries[index])
    path = exported.directory / ENTRIES[index // 256]
    with _flipped(path, start + position, 1 << bit), pytest.raises(Rejected):
        check_tiles(exported.directory, VKEY, indexes=[index])


@pytest.mark.parametrize("name", FILES)
def test_no_file_may_be_missing(exported: Export, judge: Judge, name: str) -> None:
    path = exported.directory / name
    aside = path.rename(exported.older.with_name("aside"))
    try:
        with pytest.raises(Rejected):
            judge(exported)
    finally:
        aside.rename(path)


def test_the_older_checkpoint_may_not_be_of_another_history(exported: Export, judge: Judge) -> None:
    forked = [*exported.entries[:100], b"another", *exported.entries[101:OLDER]]
    other = attrs.evolve(exported, older=exported.older.with_name("forked"))
    other.older.write_text(checkpoint(forked))
    with pytest.raises(Rejected):
        judge(other)


def test_no_bit_of_a_proof_may_differ(exported: Export) -> None:
    first, extra, rest = exported.proof(256).split("\n", 2)
    path, _, signed = rest.partition("\n\n")
    assert extra.startswith("extra ")  # which nobody signs: it is the entry that has to fit
    for changed in (
        *(f"{bad}\n{extra}\n{rest}" for bad in _flips(first)),
        *(f"{first}\n{extra}\n{bad}\n\n{signed}" for bad in _flips(path)),
        *(f"{first}\n{extra}\n{path}\n\n{bad}" for bad in _differing(signed)),
    ):
        with pytest.raises(Rejected):
            check_proof(changed, entry(256), VKEY, [WITNESS_VKEY])


def test_the_checksum_database_of_go_rejects_a_proof_that_differs(
    sumdb: Sumdb, exported: Export, tmp_path: Path
) -> None:
    file, of = tmp_path / "256.tlog-proof", tmp_path / "256"
    text = exported.proof(256)
    sibling = text.splitlines()[3]
    other = base64.b64encode(merkle.leaf_hash(b"another")).decode()
    for changed, leaf in (
        (text, entry(255)),
        (text.replace("index 256", "index 255"), entry(256)),
        (text.replace(sibling, other), entry(256)),
        (text.replace(f"{sibling}\n", ""), entry(256)),
        (text.replace(f"\n{SIZE}\n", f"\n{SIZE + 1}\n"), entry(256)),
        (text.replace(f"\n{ORIGIN}\n", "\nexample.org/other\n"), entry(256)),
    ):
        file.write_text(changed)
        of.write_bytes(leaf)
        with pytest.raises(Rejected):
            sumdb.check(exported.directory, VKEY, proof=file, entry=of)


def _flips(text: str) -> Iterator[str]:
    data = text.encode()
    for position in range(len(data)):
        for bit in range(7):  # the eighth makes it no UTF-8
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            yield changed.decode(errors="replace")


def _differing(signed: str) -> Iterator[str]:
    """The note with each bit of its text, and of what its signature lines decode to, flipped.

    Not each bit of those lines: base64 has some at its end that mean nothing, and the verifiers
    of notes let them be what they like.
    """
    body, _, block = signed.partition("\n\n")
    for text in _flips(body + "\n"):
        yield f"{text}\n{block}"
    for line in block.splitlines():
        start, _, encoded = line.rpartition(" ")
        data = base64.b64decode(encoded)
        for bit in range(8 * len(data)):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            yield signed.replace(line, f"{start} {base64.b64encode(changed).decode()}")


@contextmanager
def _flipped(path: Path, position: int, bits: int) -> Iterator[None]:
    data = path.read_bytes()
    changed = bytearray(data)
    changed[position] ^= bits
    path.write_bytes(changed)
    try:
        yield
    finally:
        path.write_bytes(data)
