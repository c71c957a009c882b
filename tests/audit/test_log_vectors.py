"""The log is pinned by tests/vectors/log.json: what a store writes, and what the parts are made of.

The second half makes every part again as docs/formats.md tells, out of SHA-256, BLAKE3 and Ed25519
and nothing of `persistence.audit`.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

import blake3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from persistence.values import CONTEXTS, Keyword, encode, read
from tests.audit.independent import check_checkpoint, check_proof
from tests.audit.log_vectors import FILE, vectors

VECTORS = json.loads(FILE.read_text("utf-8"))
ENTRIES: list[dict[str, Any]] = VECTORS["entries"]
PLACES = list(enumerate(ENTRIES))
DASH = "\N{EM DASH}"


def test_every_store_writes_this_log(store_uri: str) -> None:
    assert vectors(store_uri) == VECTORS


def test_each_kind_of_entry_is_there() -> None:
    events = [read(entry["header"]["event"] or "nil") for entry in ENTRIES]
    kinds = [str(event[0]) if event else None for event in events]
    add, rotate, revoke = ":key/add", ":key/rotate", ":key/revoke"
    assert kinds == [None, add, add, add, None, rotate, revoke, None, None]
    assert ENTRIES[0]["signer"] is None and ENTRIES[4]["signer"] == "ana"
    assert ENTRIES[8]["header"]["branch"] == 8 == len(ENTRIES) - 1


# ------------------------------------------------------ as docs/formats.md tells


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_header_is_a_vector_of_its_fields(entry: dict[str, Any]) -> None:
    header = entry["header"]
    fields = [
        bytes.fromhex(header["parent"]),
        bytes.fromhex(header["datoms_root"]),
        header["datoms"],
        header["branch"],
        header["time"],
        header["author"],
        bytes.fromhex(header["metadata"]),
    ]
    if header["event"] is not None:
        fields.append(read(header["event"]))
    assert encode(tuple(fields)).hex() == entry["header_bytes"]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_id_is_the_digest_of_the_header(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["header_bytes"])
    found = blake3.blake3(data, derive_key_context=CONTEXTS["transaction"]).hexdigest()
    assert found == entry["id"]


@pytest.mark.parametrize(("n", "entry"), PLACES)
def test_a_parent_is_the_entry_before_on_its_branch(n: int, entry: dict[str, Any]) -> None:
    # The branch was begun by entry 7, at what entry 6 had made of the main line.
    parent = {0: "00" * 32, 8: ENTRIES[6]["id"]}.get(n, ENTRIES[n - 1]["id"])
    assert entry["header"]["parent"] == parent


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_datoms_have_the_root_that_the_header_names(entry: dict[str, Any]) -> None:
    leaves = [_leaf(bytes.fromhex(datom)) for datom in entry["datoms"]]
    assert len(leaves) == entry["header"]["datoms"]
    assert _root(leaves).hex() == entry["header"]["datoms_root"]


@pytest.mark.parametrize(("n", "entry"), PLACES)
def test_an_entry_is_a_vector_that_names_the_leaf_before(n: int, entry: dict[str, Any]) -> None:
    previous = ENTRIES[n - 1]["leaf"] if n else "00" * 32
    assert entry["previous_leaf"] == previous
    id, before, header = (bytes.fromhex(entry[k]) for k in ("id", "previous_leaf", "header_bytes"))
    if entry["signer"] is None:
        made = encode((Keyword("persistence.entry/v1"), id, before, header))
    else:
        public = bytes.fromhex(VECTORS["keys"][entry["signer"]]["public"])
        signed = (public, bytes.fromhex(entry["signature"]))
        made = encode((Keyword("persistence.entry/v2"), id, before, header, *signed))
    assert made.hex() == entry["entry"]
    assert _leaf(made).hex() == entry["leaf"]


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry["signer"]])
def test_a_signature_is_over_the_header_in_this_log(entry: dict[str, Any]) -> None:
    first = bytes.fromhex(VECTORS["keys"]["log"]["public"])
    log_id = sha256(VECTORS["origin"].encode() + b"\n\x01" + first).digest()
    assert log_id.hex() == VECTORS["log_id"]
    header = sha256(bytes.fromhex(entry["header_bytes"])).digest()
    message = b"persistence.author/v1\x00" + log_id + header
    assert message.hex() == entry["message"]
    assert _private(entry["signer"]).sign(message).hex() == entry["signature"]


def test_the_roots_are_over_the_leaves() -> None:
    leaves = [bytes.fromhex(entry["leaf"]) for entry in ENTRIES]
    assert [_root(leaves[:n]).hex() for n in range(len(leaves) + 1)] == VECTORS["roots"]


@pytest.mark.parametrize(("size", "by"), [("5", "log"), ("9", "log, later")])
def test_a_checkpoint_is_a_note_of_the_logs_key(size: str, by: str) -> None:
    origin, root = VECTORS["origin"], bytes.fromhex(VECTORS["roots"][int(size)])
    body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    head, _, lines = VECTORS["checkpoints"][size].partition("\n\n")
    assert f"{head}\n" == body
    signed = _key_id(by, 1) + _private(by).sign(body.encode())
    assert lines.splitlines()[0] == f"{DASH} {origin} {base64.b64encode(signed).decode()}"


def test_a_cosignature_is_over_the_checkpoint_and_a_time() -> None:
    body = VECTORS["checkpoints"]["9"].partition("\n\n")[0] + "\n"
    name, time_s = "witness.example.com", 1_767_225_700
    signed = _private("witness").sign(f"cosignature/v1\ntime {time_s}\n{body}".encode())
    data = _key_id("witness", 4) + time_s.to_bytes(8, "big") + signed
    line = f"{DASH} {name} {base64.b64encode(data).decode()}"
    assert VECTORS["checkpoints"]["9"].splitlines()[-1] == line


@pytest.mark.parametrize(("name", "kind"), [("log", 1), ("log, later", 1), ("witness", 4)])
def test_a_verifier_key_is_name_id_and_key(name: str, kind: int) -> None:
    public = bytes.fromhex(VECTORS["keys"][name]["public"])
    encoded = base64.b64encode(bytes([kind]) + public).decode()
    spelled = f"{_name(name)}+{_key_id(name, kind).hex()}+{encoded}"
    assert VECTORS["keys"][name]["vkey"] == spelled


def test_the_tiles_are_the_leaves_and_the_entries() -> None:
    entries = [bytes.fromhex(entry["entry"]) for entry in ENTRIES]
    bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    tile = b"".join(map(_leaf, entries))
    found = {name: (of["bytes"], of["sha256"]) for name, of in VECTORS["tiles"].items()}
    for name, data in {"tile/entries/000.p/9": bundle, "tile/0/000.p/9": tile}.items():
        assert found[name] == (len(data), sha256(data).hexdigest())


def test_the_proof_leads_from_the_datom_to_the_checkpoint() -> None:
    head, _, checkpoint = VECTORS["proof"].partition("\n\n")
    first, extra, index, *path = head.split("\n")
    assert (first, index) == ("c2sp.org/tlog-proof@v1", "index 4")
    assert checkpoint == VECTORS["checkpoints"]["9"]
    entry, datom, at, count, datom_path = _fields(base64.b64decode(extra.removeprefix("extra ")))
    assert entry.hex() == ENTRIES[4]["entry"]
    place, datoms = int.from_bytes(at, "big"), int.from_bytes(count, "big")
    assert (datom.hex(), datoms) == (ENTRIES[4]["datoms"][place], len(ENTRIES[4]["datoms"]))
    root = _climbed(_leaf(datom), place, datoms, _chunks(datom_path))
    assert root.hex() == ENTRIES[4]["header"]["datoms_root"]
    hashes = [base64.b64decode(line) for line in path]
    assert _climbed(_leaf(entry), 4, 9, hashes).hex() == VECTORS["roots"][9]


# ---------------------------------------------------------------- and to others


def test_others_accept_the_checkpoint_and_the_proof() -> None:
    log, witness = VECTORS["keys"]["log, later"]["vkey"], VECTORS["keys"]["witness"]["vkey"]
    accepted = check_checkpoint(VECTORS["checkpoints"]["9"], log, [witness])
    assert (accepted.size, accepted.root.hex()) == (9, VECTORS["roots"][9])
    entry = bytes.fromhex(ENTRIES[4]["entry"])
    assert check_proof(VECTORS["proof"], entry, log, [witness]) == 4


def _private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["keys"][name]["seed"]))


def _name(key: str) -> str:
    return "witness.example.com" if key == "witness" else str(VECTORS["origin"])


def _key_id(key: str, kind: int) -> bytes:
    public = bytes.fromhex(VECTORS["keys"][key]["public"])
    return sha256(_name(key).encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def _leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return _node(_root(leaves[:half]), _root(leaves[half:]))


def _climbed(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    if size == 1:
        assert not path
        return leaf
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return _node(_climbed(leaf, index, half, path[:-1]), path[-1])
    return _node(path[-1], _climbed(leaf, index - half, size - half, path[:-1]))


def _fields(data: bytes) -> list[bytes]:
    first, _, rest = data.partition(b"\n")
    assert first == b"persistence.evidence/v1"
    found = []
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        found.append(rest[4:end])
        rest = rest[end:]
    return found


def _chunks(data: bytes) -> list[bytes]:
    return [data[at : at + 32] for at in range(0, len(data), 32)]
