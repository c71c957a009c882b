"""The log in tests/vectors/log.json, as a store writes it.

    python -m tests.audit.log_vectors    writes the file anew, which only a new format may ask for

Keys and clock are fixed, so every store writes the same bytes. The log begins unsigned, lets in two
authors, one of them bound to a namespace, changes its own key, ends one author's, and branches.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from persistence import Datom, FrozenClock, Keyring, Substrate, write
from persistence.audit import note
from persistence.audit.merkle import leaf_hash
from persistence.audit.proof import Evidence
from persistence.audit.record import parse_entry
from persistence.audit.roster import log_id, signed_message
from persistence.audit.signing_key import KeyFile, Role, import_pem
from persistence.audit.submission import Submission
from persistence.audit.tiles import Reader

FILE: Final = Path(__file__).parents[1] / "vectors" / "log.json"
START: Final = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
SECOND: Final = 1_000_000
COSIGNED_S: Final = 1_767_225_700

ORIGIN: Final = "example.com/tea"
NAMES: Final[dict[str, tuple[Role, str]]] = {
    "log": ("log", ORIGIN),
    "log, later": ("log", ORIGIN),
    "ana": ("author", "ana"),
    "bo": ("author", "bo"),
    "witness": ("witness", "witness.example.com"),
}
SEEDS: Final = {name: bytes(range(32 * n, 32 * n + 32)) for n, name in enumerate(NAMES)}
KEYS: Final[dict[str, KeyFile]] = {
    name: import_pem(base64.b64encode(SEEDS[name]), *NAMES[name]) for name in NAMES
}

ABOUT: Final = (
    "A log of nine entries; docs/formats.md tells how each part is made. Bytes are hex. Keys are "
    "made of Ed25519 seeds. Of an entry, id is BLAKE3-256 of header in derive-key mode with the "
    "context transaction, signer the key that signed message, and event is in EDN. roots[n] is "
    "over the first n leaves. checkpoints are by size, consistency leads from the first to the "
    "last. proof is of datom 1 of entry 4."
)


def ring(*names: str) -> Keyring:
    """Keys in memory."""
    return Keyring.memory(*(KEYS[name] for name in names))


def vectors(uri: str) -> dict[str, Any]:
    """What the file holds, made by a new store at *uri*."""
    clock = FrozenClock(START)
    with Substrate.open(uri, clock=clock) as s:

        def later() -> None:
            clock.advance(SECOND)

        s.fact.transact([{"db/id": 1, "item/name": "tea"}])
        later()
        s.audit.use(ring("log", "ana"))
        s.audit.begin()
        later()
        s.audit.add_key("author", "bo", KEYS["bo"].public, namespaces=["item"])
        later()
        s.audit.use(ring("log", "ana", "bo"))
        ordinary = s.fact.transact(
            [{"db/id": 1, "item/price": 10, "item/origin": "Uji"}],
            valid_from="2025-12-01",
            meta={"source": "a letter"},
            author="ana",
        )
        first = s.audit.checkpoint()
        later()
        s.audit.rotate_key(ORIGIN, KEYS["log, later"].public)
        s.audit.use(ring("log, later", "ana", "bo"))
        later()
        s.audit.revoke_key("ana")
        later()
        sale = s.branch.create("sale", author="bo")
        later()
        reduced = sale.fact.transact([["db/add", 1, "item/price", 9]], author="bo")
        last = _cosigned(s.audit.checkpoint())
        datoms = [*s.fact.db().log(), *sale.fact.db().log(reduced.t)]
        return {
            "about": ABOUT,
            "origin": ORIGIN,
            "keys": {name: _key(name) for name in NAMES},
            "log_id": log_id(ORIGIN, KEYS["log"].public).hex(),
            "entries": list(_entries(s, last, datoms)),
            "roots": [s.audit.root(size).hex() for size in range(_size(last) + 1)],
            "checkpoints": {str(_size(text)): text for text in (first, last)},
            "consistency": [node.hex() for node in s.audit.consistency(_size(first), _size(last))],
            "submission": _submission(s, first, last),
            "tiles": _tiles(s, last),
            "proof": s.audit.prove(ordinary.tx_data[1], checkpoint=last).text,
        }


def _key(name: str) -> dict[str, str]:
    key = KEYS[name]
    made = {"seed": SEEDS[name].hex(), "public": key.public.hex()}
    return made if key.role == "author" else {**made, "vkey": key.vkey}


def _entries(s: Substrate, last: str, datoms: Sequence[Datom]) -> Iterator[dict[str, Any]]:
    names = {key.public: name for name, key in KEYS.items()}
    origin = log_id(ORIGIN, KEYS["log"].public)
    for t in range(1, _size(last) + 1):
        data = Evidence.parse(s.audit.prove(t, checkpoint=last).extra or b"").entry
        made = parse_entry(data)
        header = made.header
        signed = made.public is not None and made.signature is not None
        yield {
            "header": {
                "parent": header.parent.hex(),
                "datoms_root": header.datoms_root.hex(),
                "datoms": header.datoms,
                "branch": header.branch,
                "time": header.time,
                "author": header.author,
                "metadata": header.metadata.hex(),
                "event": None if header.event is None else write(header.event),
            },
            "datoms": [_encoded(s, last, datom).hex() for datom in datoms if datom.t == t],
            "header_bytes": made.body.hex(),
            "id": made.id.hex(),
            "previous_leaf": made.previous_leaf.hex(),
            "signer": names[made.public] if made.public is not None else None,
            "message": signed_message(origin, made.body).hex() if signed else None,
            "signature": made.signature.hex() if made.signature is not None else None,
            "entry": data.hex(),
            "leaf": leaf_hash(data).hex(),
        }


def _encoded(s: Substrate, last: str, datom: Datom) -> bytes:
    """The bytes of a datom that are hashed."""
    return Evidence.parse(s.audit.prove(datom, checkpoint=last).extra or b"").datom or b""


def _cosigned(text: str) -> str:
    key = KEYS["witness"]
    assert key.private is not None
    body = note.SignedNote.parse(text).body
    return note.attach(text, note.cosign(body, key.name, key.private, COSIGNED_S))


def _submission(s: Substrate, first: str, last: str) -> str:
    """What a witness is sent that saw *first*."""
    old, new = _size(first), _size(last)
    signed = note.SignedNote.parse(last)
    as_signed = note.SignedNote(signed.body, signed.signatures[:1]).text
    return Submission(old, tuple(s.audit.consistency(old, new)), as_signed).body.decode()


def _tiles(s: Substrate, last: str) -> dict[str, dict[str, Any]]:
    """The files of an export."""
    with TemporaryDirectory() as name:
        s.audit.export(name)
        paths = sorted(path for path in Path(name).rglob("*") if path.is_file())
        assert Reader(name).size == _size(last)
        return {
            path.relative_to(name).as_posix(): {
                "bytes": path.stat().st_size,
                "sha256": sha256(path.read_bytes()).hexdigest(),
            }
            for path in paths
        }


def _size(text: str) -> int:
    return note.Checkpoint.parse(note.SignedNote.parse(text).body).size


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(":memory:"), indent=1, ensure_ascii=False) + "\n", "utf-8")
