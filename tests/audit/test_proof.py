"""Proofs as text: one spelling each, read within limits, and nothing but a ProofError otherwise."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit.merkle import (
    ProofError,
    check_inclusion,
    leaf_hash,
    path_length,
    root_from_inclusion,
    tree_hash,
)
from persistence.audit.proof import MAGIC, PROOF_BYTES, Evidence, Proof

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "proofs.json").read_text("utf-8"))
PATHS = [[bytes.fromhex(node) for node in vector["path"]] for vector in VECTORS["proofs"]]
TEXT: str = VECTORS["proofs"][2]["text"]  # with a path and with extra data
LEAF = leaf_hash(bytes.fromhex("40414243"))
ROOT = base64.b64decode(TEXT.split("\n\n")[1].split("\n")[2])
EVIDENCE = bytes.fromhex(VECTORS["evidence"][2]["bytes"])

hashes = st.binary(min_size=32, max_size=32)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
proofs = st.builds(
    Proof,
    st.integers(0, 2**63 - 1),
    st.lists(hashes, max_size=63).map(tuple),
    st.lists(lines, min_size=1, max_size=6).map(lambda found: "\n".join(found) + "\n"),
    st.none() | st.binary(min_size=1, max_size=200),
)


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    entry = draw(st.binary(min_size=1, max_size=100))
    if draw(st.booleans()):
        return Evidence(entry)
    datoms = draw(st.integers(1, 2**63 - 1))
    index = draw(st.integers(0, datoms - 1))
    size = path_length(index, datoms)
    path = draw(st.lists(hashes, min_size=size, max_size=size))
    return Evidence(entry, draw(st.binary(min_size=1, max_size=100)), index, datoms, tuple(path))


@pytest.mark.parametrize("vector", VECTORS["proofs"])
def test_the_text_of_a_proof_is_pinned(vector: dict[str, Any]) -> None:
    extra = bytes.fromhex(vector["extra"]) if vector["extra"] else None
    path = tuple(bytes.fromhex(node) for node in vector["path"])
    proof = Proof(vector["index"], path, vector["checkpoint"], extra)
    assert proof.text == vector["text"]
    assert Proof.parse(vector["text"]) == Proof.parse(vector["text"].encode()) == proof


@pytest.mark.parametrize("vector", VECTORS["evidence"])
def test_the_bytes_of_evidence_are_pinned(vector: dict[str, Any]) -> None:
    found = Evidence(
        bytes.fromhex(vector["entry"]),
        bytes.fromhex(vector["datom"]) if vector["datom"] else None,
        vector["datom_index"],
        vector["datoms"],
        tuple(bytes.fromhex(node) for node in vector["datom_path"]),
    )
    assert found.encoded().hex() == vector["bytes"]
    assert Evidence.parse(bytes.fromhex(vector["bytes"])) == found


def test_a_proof_leads_from_a_datom_to_the_root_of_the_log() -> None:
    proof = Proof.parse(TEXT)
    assert proof.extra is not None
    found = Evidence.parse(proof.extra)
    check_inclusion(leaf_hash(found.entry), proof.index, 8, proof.path, ROOT)
    assert found.datom is not None and found.datom_index is not None and found.datoms is not None
    datoms = [leaf_hash(b"datom %d" % number) for number in range(3)]
    root = root_from_inclusion(
        leaf_hash(found.datom), found.datom_index, found.datoms, found.datom_path
    )
    assert root == tree_hash(datoms)


@given(proofs)
def test_a_proof_reads_back(proof: Proof) -> None:
    assert Proof.parse(proof.text) == Proof.parse(proof.text.encode()) == proof


@given(evidence())
def test_evidence_reads_back(found: Evidence) -> None:
    assert Evidence.parse(found.encoded()) == found


def test_the_proof_of_one_of_a_million_is_short() -> None:
    checkpoint = f"example.com/log\n1000000\n{'A' * 44}\n\n— example.com/log {'A' * 92}\n"
    proof = Proof(999_999, (bytes(32),) * path_length(0, 1_000_000), checkpoint)
    assert len(proof.text.encode()) <= 2_048


# What must be refused.

Change = Callable[[str], str]
CHANGES: dict[str, Change] = {
    "another version": lambda text: text.replace("@v1", "@v2", 1),
    "a blank before": lambda text: "\n" + text,
    "no first line": lambda text: text.partition("\n")[2],
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "one carriage return": lambda text: text.replace("\n", "\r\n", 1),
    "a zero byte": lambda text: text.replace("index", "index\0"),
    "a leading zero": lambda text: text.replace("index 5", "index 05"),
    "a plus": lambda text: text.replace("index 5", "index +5"),
    "a minus": lambda text: text.replace("index 5", "index -5"),
    "an underscore": lambda text: text.replace("index 5", "index 5_0"),
    "another digit": lambda text: text.replace("index 5", "index ٥"),
    "two blanks": lambda text: text.replace("index 5", "index  5"),
    "a blank behind": lambda text: text.replace("index 5", "index 5 "),
    "no index": lambda text: text.replace("index 5\n", ""),
    "index 2^63": lambda text: text.replace("index 5", f"index {2**63}"),
    "a long index": lambda text: text.replace("index 5", f"index {'9' * 5000}"),
    "two indexes": lambda text: text.replace("index 5\n", "index 5\nindex 5\n"),
    "extra after index": lambda text: text.replace("index 5\n", "index 5\nextra AAAA\n"),
    "two extras": lambda text: text.replace("extra ", "extra AAAA\nextra ", 1),
    "empty extra": lambda text: text.replace("index 5", "extra \nindex 5"),
    "unpadded": lambda text: text.replace("=\n", "\n", 1),
    "padded twice": lambda text: text.replace("=\n", "==\n", 1),
    "a blank in base64": lambda text: text.replace("=\n", " =\n", 1),
    "a short hash": lambda text: text.replace("index 5\n", "index 5\nAAAA\n"),
    "a long hash": lambda text: text.replace("index 5\n", f"index 5\n{'A' * 44}\n"),
    "64 hashes": lambda text: text.replace(
        "index 5\n", f"index 5\n{('A' * 43 + '=' + chr(10)) * 61}"
    ),
    "two blank lines": lambda text: text.replace("\n\n", "\n\n\n", 1),
    "no checkpoint": lambda text: text.partition("\n\n")[0] + "\n\n",
    "no blank line": lambda text: text.partition("\n\n")[0],
    "no last newline": lambda text: text[:-1],
    "over 1 MiB": lambda text: text + "x" * PROOF_BYTES + "\n",
    "over 1 MiB in UTF-8": lambda text: text + "—" * (PROOF_BYTES // 2) + "\n",
    "half a character": lambda text: text + "\ud800\n",
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_spelling_is_refused(name: str) -> None:
    changed = CHANGES[name](TEXT)
    assert changed != TEXT
    with pytest.raises(ProofError) as refused:
        Proof.parse(changed)
    assert refused.value.where


def test_bits_that_base64_does_not_use_are_refused() -> None:
    line = TEXT.split("\n")[3]
    assert base64.b64decode(line) == PATHS[2][0]
    last = line[-2]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(last) ^ 1]
    assert base64.b64decode(line[:-2] + other + "=") == PATHS[2][0]
    with pytest.raises(ProofError, match="not canonical base64"):
        Proof.parse(TEXT.replace(line, line[:-2] + other + "="))


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ProofError, match="not UTF-8"):
        Proof.parse(b"\xff" + TEXT.encode())
    with pytest.raises(ProofError, match="at most 1048576 bytes, not 1048577"):
        Proof.parse(bytes(PROOF_BYTES + 1))


def test_a_proof_with_impossible_parts_is_not_made() -> None:
    checkpoint = Proof.parse(TEXT).checkpoint
    for parts in (
        (-1, (), checkpoint),
        (2**63, (), checkpoint),
        (0, (bytes(31),), checkpoint),
        (0, (bytes(32),) * 64, checkpoint),
        (0, (), ""),
        (0, (), "origin"),
        (0, (), "\norigin\n"),
        (0, (), "origin\r\n"),
        (0, (), checkpoint, b""),
        (0, (), checkpoint, bytes(PROOF_BYTES)),
    ):
        with pytest.raises(ProofError):
            Proof(*parts)  # type: ignore[arg-type]


@given(st.integers(0, len(TEXT) - 1), st.text(max_size=3), st.integers(0, 3))
def test_a_changed_proof_reads_differently_or_not_at_all(at: int, put: str, cut: int) -> None:
    changed = TEXT[:at] + put + TEXT[at + cut :]
    try:
        found = Proof.parse(changed)
    except ProofError as error:
        assert str(error) and error.where
    else:
        assert found.text == changed
        assert (found == Proof.parse(TEXT)) == (changed == TEXT)


@given(st.integers(0, 2), st.integers(0, 255), st.integers(0, 8))
def test_a_changed_bit_of_path_or_index_proves_nothing(row: int, bit: int, index: int) -> None:
    proof = Proof.parse(TEXT)
    node = int.from_bytes(proof.path[row], "big") ^ 1 << bit
    path = (*proof.path[:row], node.to_bytes(32, "big"), *proof.path[row + 1 :])
    with pytest.raises(ProofError):
        check_inclusion(LEAF, proof.index, 8, path, ROOT)
    if index != proof.index:
        with pytest.raises(ProofError):
            check_inclusion(LEAF, index, 8, proof.path, ROOT)


@given(st.text() | st.text().map(lambda rest: f"c2sp.org/tlog-proof@v1\n{rest}") | st.binary())
def test_any_text_is_a_proof_or_a_proof_error(text: str | bytes) -> None:
    try:
        Proof.parse(text)
    except ProofError as error:
        assert str(error) and error.where


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        MAGIC[:-1],
        MAGIC.replace(b"v1", b"v2") + EVIDENCE[len(MAGIC) :],
        MAGIC + bytes(4),
        MAGIC + b"\xff\xff\xff\xff",
        MAGIC + b"\0\0",
        MAGIC + b"\x00\x01\x00\x00" + bytes(65_536),
        EVIDENCE + b"\0",
        EVIDENCE + bytes(4),
        EVIDENCE[:-1],
        EVIDENCE[:-33],
        EVIDENCE.replace(b"\0\0\0\x08" + bytes(7) + b"\x03", b"\0\0\0\x07" + bytes(6) + b"\x03"),
        EVIDENCE.replace(bytes(7) + b"\x03", bytes(7) + b"\x01"),
        EVIDENCE.replace(bytes(7) + b"\x03", bytes(7) + b"\x05"),
        EVIDENCE.replace(bytes(7) + b"\x03", b"\xff" * 8),
        EVIDENCE.replace(b"datom 1", b"datom 12"),
        EVIDENCE + bytes(PROOF_BYTES),
    ],
)
def test_malformed_evidence_is_refused(data: bytes) -> None:
    with pytest.raises(ProofError) as refused:
        Evidence.parse(data)
    assert refused.value.where


def test_evidence_on_a_datom_is_whole_or_absent() -> None:
    for parts in (
        (b"entry", b"datom"),
        (b"entry", b"datom", 0),
        (b"entry", None, 0, 1),
        (b"entry", None, None, None, (bytes(32),)),
        (b"entry", b"", 0, 1),
        (b"entry", b"datom", 1, 1),
        (b"entry", b"datom", -1, 1),
        (b"entry", b"datom", 0, 0),
        (b"entry", b"datom", 0, 1, (bytes(32),)),
        (b"entry", b"datom", 0, 2, (bytes(31),)),
        (b"",),
        (bytes(65_536),),
    ):
        with pytest.raises(ProofError):
            Evidence(*parts)  # type: ignore[arg-type]


@given(st.integers(0, len(EVIDENCE)), st.binary(max_size=3), st.integers(0, 3))
def test_changed_evidence_reads_differently_or_not_at_all(at: int, put: bytes, cut: int) -> None:
    changed = EVIDENCE[:at] + put + EVIDENCE[at + cut :]
    try:
        found = Evidence.parse(changed)
    except ProofError as error:
        assert str(error) and error.where
    else:
        assert found.encoded() == changed


@given(st.binary().map(lambda rest: MAGIC + rest) | st.binary())
def test_any_bytes_are_evidence_or_a_proof_error(data: bytes) -> None:
    try:
        assert Evidence.parse(data).encoded() == data
    except ProofError as error:
        assert str(error) and error.where
